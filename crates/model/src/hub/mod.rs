//! Checkpoints as `save_pretrained` of Hugging Face writes them: `config.json`, `model.safetensors` (or its shards and their index), `tokenizer.json`,
//! `tokenizer_config.json`.
//!
//! Rows of a query or key head stand there as two halves, in GGUF and here as neighbouring pairs; they are moved when a checkpoint is read or written. Nothing of
//! a folder is executed: pickles are refused, and of a chat template only what ChatML needs is looked for.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{files, load};
pub(crate) use write::save;

use serde::{Deserialize, Serialize};

use crate::{Config, Target};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// The fields of `config.json` that decide what is computed.
#[derive(Serialize, Deserialize)]
struct Described {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    #[serde(default)]
    rope_theta: Option<f32>,
    /// Where newer versions keep the base of the rotary frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_parameters: Option<Rotary>,
    #[serde(default)]
    rope_scaling: Option<Rotary>,
    #[serde(default)]
    rope_interleaved: bool,
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

#[derive(Serialize, Deserialize)]
struct Rotary {
    #[serde(default)]
    rope_theta: Option<f32>,
    #[serde(default, alias = "type")]
    rope_type: Option<String>,
}

/// The maps of a layer as GGUF names them.
const MAPS: [(&str, Target); 7] = [
    ("attn_q", Target::Q),
    ("attn_k", Target::K),
    ("attn_v", Target::V),
    ("attn_output", Target::O),
    ("ffn_gate", Target::Gate),
    ("ffn_up", Target::Up),
    ("ffn_down", Target::Down),
];

/// For each row of what a map gives as Hugging Face orders them, the row here; none where the orders agree.
pub(crate) fn rotary_order(config: &Config, target: Target) -> Option<Vec<usize>> {
    let heads = match target {
        Target::Q => config.heads,
        Target::K => config.kv_heads,
        _ => return None,
    };
    let (width, half) = (config.head_dim, config.head_dim / 2);
    Some((0..heads * width).map(|row| row / width * width + 2 * (row % half) + row % width / half).collect())
}

/// The map that a tensor of GGUF holds, if it holds one.
fn target(gguf: &str) -> Option<Target> {
    let part = gguf.split('.').nth(2)?;
    MAPS.into_iter().find_map(|(name, target)| (name == part).then_some(target))
}

/// The name there of a tensor that GGUF names so.
fn name(gguf: &str) -> String {
    let mut parts = gguf.split('.');
    let (first, layer, part) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    match (first, part, target(gguf)) {
        ("token_embd", ..) => "model.embed_tokens.weight".to_owned(),
        ("output", ..) => "lm_head.weight".to_owned(),
        ("output_norm", ..) => "model.norm.weight".to_owned(),
        (_, _, Some(target)) => format!("model.layers.{layer}.{}.{target}.weight", target.module()),
        (_, "attn_norm", _) => format!("model.layers.{layer}.input_layernorm.weight"),
        _ => format!("model.layers.{layer}.post_attention_layernorm.weight"),
    }
}

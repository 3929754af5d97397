//! Checkpoints as `save_pretrained` of Hugging Face writes them: `config.json`, `model.safetensors` (or its shards and their index), `tokenizer.json`,
//! `tokenizer_config.json`.
//!
//! Rows of a query or key head stand there as two halves, in GGUF and here as neighbouring pairs; they are moved when a checkpoint is read or written. Nothing of
//! a folder is executed: pickles are refused, and of a chat template only what ChatML needs is looked for.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::load;
pub(crate) use write::save;

use serde::{Deserialize, Serialize};

use crate::Config;

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

/// For each row of the queries or keys of `heads` heads as Hugging Face orders them, the row here.
pub(crate) fn rotary_order(config: &Config, heads: usize) -> Vec<usize> {
    let (width, half) = (config.head_dim, config.head_dim / 2);
    (0..heads * width).map(|row| row / width * width + 2 * (row % half) + row % width / half).collect()
}

/// The name there of a tensor that GGUF names so.
fn name(gguf: &str) -> String {
    let whole = match gguf {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output.weight" => "lm_head.weight",
        "output_norm.weight" => "model.norm.weight",
        _ => "",
    };
    if !whole.is_empty() {
        return whole.to_owned();
    }
    let mut parts = gguf.split('.');
    let (_, layer, part) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let module = match part {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        _ => "mlp.down_proj",
    };
    format!("model.layers.{layer}.{module}.weight")
}

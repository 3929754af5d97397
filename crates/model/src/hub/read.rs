use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path};

use memmap2::Mmap;
use serde::Deserialize;

use super::{
    CONFIG, Described, INDEX, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, name, rotary_order, target,
};
use crate::{
    Config, Error, Model, Tokenizer,
    gguf::Matrix,
    model::{MAX_FILE, Rope, Source, Weights},
    tensors::{Tensors, json, map, read},
};

const MAX_CONFIG: u64 = 1 << 20;
/// A vocabulary of a million tokens with its merges.
const MAX_TOKENIZER: u64 = 256 << 20;
const MAX_SHARDS: usize = 128;
/// What older versions write beside the weights and nobody reads.
const UNREAD: &str = "rotary_emb.inv_freq";

/// Where a folder's weights are, by the name of a shard.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    eos_token: Named,
    #[serde(default)]
    chat_template: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    Token { content: String },
}

/// Reads a checkpoint out of its folder.
pub(crate) fn load(dir: &Path) -> Result<(Model, Tokenizer), Error> {
    let described: Described = json(dir, CONFIG, MAX_CONFIG)?;
    let config = config(&described)?;
    let tokenizer = tokenizer(dir, config.vocab)?;
    let shards = shards(dir)?;
    let mut source =
        Folder { config: &config, tied: described.tie_word_embeddings, left: Tensors::default() };
    shards.iter().try_for_each(|shard| source.left.add(WEIGHTS, shard))?;
    let weights = Weights::load(&config, &mut source)?;
    let unread = |name: &str| name.ends_with(UNREAD) || source.tied && name == "lm_head.weight";
    source.left.all_read(unread, "a Llama")?;
    let rope = Rope::new(&config);
    Ok((Model { config, weights, rope }, tokenizer))
}

fn config(d: &Described) -> Result<Config, Error> {
    let refused = |problem: &str| Err(Error::Checkpoint { file: CONFIG, problem: problem.to_owned() });
    if d.model_type != "llama" {
        return refused(&format!("model_type is `{}`, expected `llama`", d.model_type));
    }
    if d.hidden_act != "silu" {
        return refused(&format!("hidden_act is `{}`, expected `silu`", d.hidden_act));
    }
    if d.attention_bias || d.mlp_bias {
        return refused("attention_bias and mlp_bias: biases are not computed here");
    }
    if d.rope_interleaved {
        return refused("rope_interleaved: rows of heads are expected as two halves");
    }
    let rotary = d.rope_parameters.iter().chain(&d.rope_scaling);
    if rotary.filter_map(|r| r.rope_type.as_deref()).any(|kind| kind != "default") {
        return refused("scaled rotary embeddings are not computed here");
    }
    let theta = d.rope_parameters.as_ref().and_then(|r| r.rope_theta).or(d.rope_theta);
    let config = Config {
        layers: d.num_hidden_layers,
        d_model: d.hidden_size,
        d_ff: d.intermediate_size,
        heads: d.num_attention_heads,
        kv_heads: d.num_key_value_heads.unwrap_or(d.num_attention_heads),
        head_dim: d.head_dim.unwrap_or(d.hidden_size.checked_div(d.num_attention_heads).unwrap_or(0)),
        vocab: d.vocab_size,
        context: d.max_position_embeddings,
        rope_theta: theta.unwrap_or(10_000.0),
        norm_eps: d.rms_norm_eps,
    };
    config.validate()?;
    Rope::check(&config)?;
    Ok(config)
}

fn tokenizer(dir: &Path, vocab: usize) -> Result<Tokenizer, Error> {
    let described: TokenizerConfig = json(dir, TOKENIZER_CONFIG, MAX_CONFIG)?;
    let (Named::Text(eos) | Named::Token { content: eos }) = described.eos_token;
    let template = match described.chat_template {
        Some(template) => template,
        None => String::from_utf8_lossy(&read(dir, TEMPLATE, MAX_CONFIG)?).into_owned(),
    };
    Tokenizer::from_hub(&json(dir, TOKENIZER, MAX_TOKENIZER)?, vocab, &eos, template)
}

/// The files of a folder that decide what is computed.
pub(crate) fn files(dir: &Path) -> Result<Vec<String>, Error> {
    let mut files = weights(dir)?;
    files.extend([CONFIG, TOKENIZER, TOKENIZER_CONFIG].map(str::to_owned));
    files.extend([INDEX, TEMPLATE].into_iter().filter(|file| dir.join(file).exists()).map(str::to_owned));
    Ok(files)
}

/// The weights, mapped.
fn shards(dir: &Path) -> Result<Vec<Mmap>, Error> {
    let mut left = MAX_FILE;
    let mut shards = Vec::new();
    for file in weights(dir)? {
        let shard = map(dir, &file, left)?;
        left -= shard.len() as u64;
        shards.push(shard);
    }
    Ok(shards)
}

/// The files of the weights.
fn weights(dir: &Path) -> Result<Vec<String>, Error> {
    if dir.join(WEIGHTS).exists() {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    if !dir.join(INDEX).exists() {
        let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"];
        if let Some(pickle) = pickles.into_iter().find(|file| dir.join(file).exists()) {
            let problem = format!(
                "{pickle} is a pickle, which can execute anything when it is read; save the model with safe_serialization=True to get {WEIGHTS}"
            );
            return Err(Error::Checkpoint { file: WEIGHTS, problem });
        }
    }
    let index: Index = json(dir, INDEX, MAX_TOKENIZER)?;
    let mut files: Vec<String> = index.weight_map.into_values().collect();
    files.sort_unstable();
    files.dedup();
    if files.len() > MAX_SHARDS {
        let problem = format!("{} shards; the limit is {MAX_SHARDS}", files.len());
        return Err(Error::Checkpoint { file: INDEX, problem });
    }
    for file in &files {
        let mut parts = Path::new(file).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            let problem = format!("`{file}` is no name of a file in the folder");
            return Err(Error::Checkpoint { file: INDEX, problem });
        }
    }
    Ok(files)
}

/// The weights by the names that GGUF gives them.
struct Folder<'a> {
    config: &'a Config,
    tied: bool,
    left: Tensors<'a>,
}

impl<'a> Source<'a> for Folder<'a> {
    type Error = Error;

    fn matrix(&mut self, gguf: &str, input: usize, output: usize) -> Result<Matrix<'a>, Error> {
        let matrix = self.left.take(&name(gguf), &[output, input])?;
        let Some(order) = target(gguf).and_then(|target| rotary_order(self.config, target)) else {
            return Ok(matrix);
        };
        let row = matrix.bytes.len() / output;
        let mut bytes = vec![0; matrix.bytes.len()];
        for (from, to) in matrix.bytes.chunks_exact(row).zip(order) {
            bytes[to * row..(to + 1) * row].copy_from_slice(from);
        }
        Ok(Matrix { bytes: Cow::Owned(bytes), ..matrix })
    }

    fn vector(&mut self, gguf: &str, width: usize) -> Result<Vec<f32>, Error> {
        let vector = self.left.take(&name(gguf), &[width])?;
        Ok(vector.kind.decode(&vector.bytes))
    }

    fn tied(&self) -> bool {
        self.tied
    }
}

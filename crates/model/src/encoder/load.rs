use std::path::Path;

use serde::Deserialize;

use super::{Affine, Encoder, EncoderConfig, Layer, MAX_TOKENS, Norm};
use crate::{
    Error,
    kernel::Panels,
    tensors::{Tensors, json, map, read},
};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";
const MAX_CONFIG: u64 = 1 << 20;
const MAX_TOKENIZER: u64 = 64 << 20;
const MAX_WEIGHTS: u64 = 4 << 30;
const MAX_LAYERS: usize = 48;
const MAX_WIDTH: usize = 1 << 14;
const MAX_VOCAB: usize = 1 << 20;

/// The fields of `config.json` that decide what is computed.
#[derive(Deserialize)]
struct Described {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f32,
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

pub(super) fn load(dir: &Path) -> Result<Encoder, Error> {
    let config = config(&json(dir, CONFIG, MAX_CONFIG)?)?;
    let tokenizer = tokenizer(dir, &config)?;
    let file = map(dir, WEIGHTS, MAX_WEIGHTS)?;
    let mut source = Source::default();
    source.left.add(WEIGHTS, &file)?;
    let d = config.d_model;
    let words = source.floats("embeddings.word_embeddings.weight", &[config.vocab, d])?;
    let positions = source.floats("embeddings.position_embeddings.weight", &[config.positions, d])?;
    let mut segment = source.floats("embeddings.token_type_embeddings.weight", &[2, d])?;
    // A text is one segment, the first.
    segment.truncate(d);
    let norm = source.norm("embeddings.LayerNorm", d)?;
    let layers = (0..config.layers).map(|i| layer(&mut source, &config, i)).collect::<Result<_, _>>()?;
    let unread = |name: &str| name.starts_with("pooler.") || name == "embeddings.position_ids";
    source.left.all_read(unread, "a BERT encoder")?;
    Ok(Encoder { config, words, positions, segment, norm, layers, tokenizer })
}

fn config(d: &Described) -> Result<EncoderConfig, Error> {
    let refused = |problem: String| Err(Error::Checkpoint { file: CONFIG, problem });
    if d.model_type != "bert" {
        return refused(format!("model_type is `{}`, expected `bert`", d.model_type));
    }
    if d.hidden_act != "gelu" {
        return refused(format!("hidden_act is `{}`, expected `gelu`", d.hidden_act));
    }
    if let Some(kind) = d.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
        return refused(format!("position_embedding_type is `{kind}`, expected `absolute`"));
    }
    for (what, got, limit) in [
        ("layers of the encoder", d.num_hidden_layers, MAX_LAYERS),
        ("width of the encoder", d.hidden_size, MAX_WIDTH),
        ("feed-forward width of the encoder", d.intermediate_size, 4 * MAX_WIDTH),
        ("heads of the encoder", d.num_attention_heads, d.hidden_size),
        ("vocabulary of the encoder", d.vocab_size, MAX_VOCAB),
        ("positions of the encoder", d.max_position_embeddings, MAX_VOCAB),
    ] {
        if got == 0 || got > limit {
            return Err(Error::Shape { what, got, limit });
        }
    }
    if !d.hidden_size.is_multiple_of(d.num_attention_heads) {
        return refused(format!("{} heads do not divide {}", d.num_attention_heads, d.hidden_size));
    }
    if !(d.layer_norm_eps > 0.0 && d.layer_norm_eps < 1.0) {
        return refused(format!("layer_norm_eps is {}, expected between 0 and 1", d.layer_norm_eps));
    }
    Ok(EncoderConfig {
        layers: d.num_hidden_layers,
        d_model: d.hidden_size,
        d_ff: d.intermediate_size,
        heads: d.num_attention_heads,
        vocab: d.vocab_size,
        positions: d.max_position_embeddings,
        norm_eps: d.layer_norm_eps,
    })
}

fn tokenizer(dir: &Path, config: &EncoderConfig) -> Result<tokenizers::Tokenizer, Error> {
    let refused = |e: tokenizers::Error| Error::Tokenizer(e.to_string());
    let mut tokenizer =
        tokenizers::Tokenizer::from_bytes(read(dir, TOKENIZER, MAX_TOKENIZER)?).map_err(refused)?;
    let got = tokenizer.get_vocab_size(true);
    if got > config.vocab {
        return Err(Error::Length { what: "tokens of the tokenizer", got, expected: config.vocab });
    }
    let truncation =
        tokenizers::TruncationParams { max_length: MAX_TOKENS.min(config.positions), ..Default::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(refused)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

fn layer(source: &mut Source<'_>, config: &EncoderConfig, i: usize) -> Result<Layer, Error> {
    let (d, ff) = (config.d_model, config.d_ff);
    let name = |part: &str| format!("encoder.layer.{i}.{part}");
    let attention = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
    Ok(Layer {
        qkv: source.affine(&attention, d, d)?,
        output: source.affine(&[name("attention.output.dense")], d, d)?,
        attention_norm: source.norm(&name("attention.output.LayerNorm"), d)?,
        up: source.affine(&[name("intermediate.dense")], d, ff)?,
        down: source.affine(&[name("output.dense")], ff, d)?,
        norm: source.norm(&name("output.LayerNorm"), d)?,
    })
}

/// The weights by their names.
#[derive(Default)]
struct Source<'a> {
    left: Tensors<'a>,
}

impl Source<'_> {
    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.left.take(name, shape)?;
        Ok(tensor.kind.decode(&tensor.bytes))
    }

    /// Linear maps of the same input beside each other.
    fn affine(&mut self, names: &[String], input: usize, output: usize) -> Result<Affine, Error> {
        let mut weight = Panels::zeros(input, output * names.len());
        let mut bias = Vec::with_capacity(output * names.len());
        for (i, name) in names.iter().enumerate() {
            weight.set_rows(i * output, &self.floats(&format!("{name}.weight"), &[output, input])?);
            bias.extend(self.floats(&format!("{name}.bias"), &[output])?);
        }
        Ok(Affine { weight, bias })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, Error> {
        let weight = self.floats(&format!("{name}.weight"), &[width])?;
        let bias = self.floats(&format!("{name}.bias"), &[width])?;
        Ok(Norm { weight, bias })
    }
}

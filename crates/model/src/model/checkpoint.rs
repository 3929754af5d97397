//! A model as GGUF metadata and tensors.

use super::{Model, Rope, Weights, weights::Source};
use crate::{
    Config, Error, Tokenizer,
    gguf::{File, Matrix, Value, Writer},
};

struct Tensors<'a>(File<'a>);

impl<'a> Source<'a> for Tensors<'a> {
    type Error = Error;

    fn matrix(&mut self, name: &str, input: usize, output: usize) -> Result<Matrix<'a>, Error> {
        self.0.tensor(name, &[input, output])
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, Error> {
        self.0.vector(name, width)
    }

    fn tied(&self) -> bool {
        !self.0.has_tensor("output.weight")
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<(Model, Tokenizer), Error> {
    let file = File::parse(bytes)?;
    let config = config(&file)?;
    let tokenizer = Tokenizer::from_gguf(&file)?;
    if tokenizer.vocab_size() != config.vocab {
        return Err(Error::Length {
            what: "tokens in the vocabulary",
            got: tokenizer.vocab_size(),
            expected: config.vocab,
        });
    }
    let weights = Weights::load(&config, &mut Tensors(file))?;
    let rope = Rope::new(&config);
    Ok((Model { config, weights, rope }, tokenizer))
}

fn config(file: &File<'_>) -> Result<Config, Error> {
    let architecture = file.text("general.architecture")?;
    if architecture != "llama" {
        return Err(Error::Metadata {
            key: "general.architecture",
            problem: format!("`{architecture}`, expected `llama`"),
        });
    }
    let heads = file.unsigned("llama.attention.head_count")?;
    let d_model = file.unsigned("llama.embedding_length")?;
    let head_dim = match file.get("llama.attention.key_length") {
        Some(_) => file.unsigned("llama.attention.key_length")?,
        None => d_model.checked_div(heads).unwrap_or(0),
    };
    if file.get("llama.rope.dimension_count").is_some() {
        let got = file.unsigned("llama.rope.dimension_count")?;
        if got != head_dim {
            return Err(Error::Length { what: "rotated dimensions of a head", got, expected: head_dim });
        }
    }
    match file.get("llama.rope.scaling.type") {
        None => {}
        Some(Value::Text(kind)) if kind == "none" => {}
        Some(_) => {
            return Err(Error::Metadata {
                key: "llama.rope.scaling.type",
                problem: "scaled rotary embeddings are not computed here".into(),
            });
        }
    }
    if file.has_tensor("rope_freqs.weight") {
        return Err(Error::Tensor {
            name: "rope_freqs.weight".into(),
            problem: "scaled rotary embeddings are not computed here".into(),
        });
    }
    let vocab = *file.dims("token_embd.weight")?.get(1).unwrap_or(&0);
    let config = Config {
        layers: file.unsigned("llama.block_count")?,
        d_model,
        d_ff: file.unsigned("llama.feed_forward_length")?,
        heads,
        kv_heads: match file.get("llama.attention.head_count_kv") {
            Some(_) => file.unsigned("llama.attention.head_count_kv")?,
            None => heads,
        },
        head_dim,
        vocab,
        context: file.unsigned("llama.context_length")?,
        rope_theta: match file.get("llama.rope.freq_base") {
            Some(_) => file.float("llama.rope.freq_base")?,
            None => 10_000.0,
        },
        norm_eps: file.float("llama.attention.layer_norm_rms_epsilon")?,
    };
    config.validate()?;
    Rope::check(&config)?;
    Ok(config)
}

pub(super) fn build(model: &Model, tokenizer: &Tokenizer) -> Vec<u8> {
    let c = &model.config;
    let mut w = Writer::default();
    w.text("general.architecture", "llama");
    for (key, value) in [
        ("llama.block_count", c.layers),
        ("llama.context_length", c.context),
        ("llama.embedding_length", c.d_model),
        ("llama.feed_forward_length", c.d_ff),
        ("llama.attention.head_count", c.heads),
        ("llama.attention.head_count_kv", c.kv_heads),
        ("llama.attention.key_length", c.head_dim),
        ("llama.attention.value_length", c.head_dim),
        ("llama.rope.dimension_count", c.head_dim),
        ("llama.vocab_size", c.vocab),
    ] {
        w.unsigned(key, value as u32);
    }
    w.float("llama.rope.freq_base", c.rope_theta);
    w.float("llama.attention.layer_norm_rms_epsilon", c.norm_eps);
    tokenizer.write(&mut w);

    let (d, ff, q, kv) = (c.d_model, c.d_ff, c.q_dim(), c.kv_dim());
    let weights = &model.weights;
    let mut column = vec![0.0; d];
    let mut table = Vec::with_capacity(c.vocab * d);
    for token in 0..c.vocab as u32 {
        weights.embed(token, &mut column);
        table.extend_from_slice(&column);
    }
    w.tensor("token_embd.weight", &[d, c.vocab], &table);
    if weights.embedding.is_some() {
        w.tensor("output.weight", &[d, c.vocab], &weights.head.rows(0, c.vocab));
    }
    for (i, layer) in weights.layers.iter().enumerate() {
        let name = |part: &str| format!("blk.{i}.{part}.weight");
        w.tensor(&name("attn_norm"), &[d], &layer.attn_norm);
        w.tensor(&name("attn_q"), &[d, q], &layer.qkv.rows(0, q));
        w.tensor(&name("attn_k"), &[d, kv], &layer.qkv.rows(q, kv));
        w.tensor(&name("attn_v"), &[d, kv], &layer.qkv.rows(q + kv, kv));
        w.tensor(&name("attn_output"), &[q, d], &layer.o.rows(0, d));
        w.tensor(&name("ffn_norm"), &[d], &layer.ffn_norm);
        w.tensor(&name("ffn_gate"), &[d, ff], &layer.gate_up.rows(0, ff));
        w.tensor(&name("ffn_up"), &[d, ff], &layer.gate_up.rows(ff, ff));
        w.tensor(&name("ffn_down"), &[ff, d], &layer.down.rows(0, d));
    }
    w.tensor("output_norm.weight", &[d], &weights.final_norm);
    w.finish()
}

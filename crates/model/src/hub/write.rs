use std::fs;
use std::path::Path;

use serde_json::json;

use super::{CONFIG, Described, MAPS, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, name, rotary_order};
use crate::{Error, Lora, LoraLayout, Model, Target, Tokenizer, tensors::Floats};

/// Writes a model in F32, with an adapter added to its weights if one is given. A folder that is there is written into.
pub(crate) fn save(
    dir: &Path,
    model: &Model,
    tokenizer: &Tokenizer,
    lora: Option<Lora<'_>>,
) -> Result<(), Error> {
    let c = &model.config;
    let merged = lora.map(|lora| Merged::new(model, lora)).transpose()?;
    let weights = &model.weights;
    let tied = weights.embedding.is_none();
    let (d, ff, q, kv) = (c.d_model, c.d_ff, c.q_dim(), c.kv_dim());

    let mut tensors: Vec<(String, Floats<'_>)> = Vec::new();
    let table = move || {
        let mut table = vec![0.0; c.vocab * d];
        for (token, row) in (0..).zip(table.chunks_exact_mut(d)) {
            weights.embed(token, row);
        }
        table
    };
    tensors.push((name("token_embd.weight"), Floats::new(vec![c.vocab, d], table)));
    if !tied {
        let head = || weights.head.rows(0, c.vocab);
        tensors.push((name("output.weight"), Floats::new(vec![c.vocab, d], head)));
    }
    tensors.push((name("output_norm.weight"), Floats::new(vec![d], || weights.final_norm.to_vec())));
    for (i, layer) in weights.layers.iter().enumerate() {
        let of = |part: &str| name(&format!("blk.{i}.{part}.weight"));
        tensors.push((of("attn_norm"), Floats::new(vec![d], || layer.attn_norm.to_vec())));
        tensors.push((of("ffn_norm"), Floats::new(vec![d], || layer.ffn_norm.to_vec())));
        for (part, target) in MAPS {
            let (map, first) = match target {
                Target::Q => (&layer.qkv, 0),
                Target::K => (&layer.qkv, q),
                Target::V => (&layer.qkv, q + kv),
                Target::O => (&layer.o, 0),
                Target::Gate => (&layer.gate_up, 0),
                Target::Up => (&layer.gate_up, ff),
                Target::Down => (&layer.down, 0),
            };
            let (input, output) = target.dims(c);
            let merged = merged.as_ref();
            let rows = move || {
                let mut rows = map.rows(first, output);
                if let Some(merged) = merged {
                    merged.add(i, target, input, &mut rows);
                }
                match rotary_order(c, target) {
                    Some(order) => ordered(&rows, input, &order),
                    None => rows,
                }
            };
            tensors.push((of(part), Floats::new(vec![output, input], rows)));
        }
    }

    let described = Described {
        model_type: "llama".into(),
        hidden_size: d,
        intermediate_size: ff,
        num_hidden_layers: c.layers,
        num_attention_heads: c.heads,
        num_key_value_heads: Some(c.kv_heads),
        head_dim: Some(c.head_dim),
        vocab_size: c.vocab,
        max_position_embeddings: c.context,
        rms_norm_eps: c.norm_eps,
        rope_theta: Some(c.rope_theta),
        rope_parameters: None,
        rope_scaling: None,
        rope_interleaved: false,
        hidden_act: "silu".into(),
        attention_bias: false,
        mlp_bias: false,
        tie_word_embeddings: tied,
    };
    let mut config = json!({ "architectures": ["LlamaForCausalLM"], "dtype": "float32" });
    let fields = json!(described);
    if let (Some(config), Some(fields)) = (config.as_object_mut(), fields.as_object()) {
        config.extend(fields.clone());
        config.insert("eos_token_id".into(), tokenizer.eos().into());
    }
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let (vocabulary, settings) = tokenizer.to_hub(c.context);
    for (file, value) in [(CONFIG, config), (TOKENIZER, vocabulary), (TOKENIZER_CONFIG, settings)] {
        let path = dir.join(file);
        let text = serde_json::to_vec_pretty(&value).expect("a value becomes JSON");
        fs::write(&path, text).map_err(Error::io(&path))?;
    }
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), &dir.join(WEIGHTS))
        .map_err(|e| Error::Checkpoint { file: WEIGHTS, problem: e.to_string() })
}

/// Rows as Hugging Face orders them.
fn ordered(rows: &[f32], input: usize, order: &[usize]) -> Vec<f32> {
    order.iter().flat_map(|row| &rows[row * input..(row + 1) * input]).copied().collect()
}

/// An adapter that becomes part of the weights.
struct Merged<'a> {
    layout: LoraLayout,
    theta: &'a [f32],
    scale: f64,
}

impl<'a> Merged<'a> {
    fn new(model: &Model, lora: Lora<'a>) -> Result<Self, Error> {
        let layout = LoraLayout::new(&model.config, lora.config)?;
        let (got, expected) = (lora.theta.len(), layout.len());
        if got != expected {
            return Err(Error::Length { what: "parameters of the adapter", got, expected });
        }
        let scale = f64::from(lora.config.alpha) / lora.config.rank as f64;
        Ok(Self { layout, theta: lora.theta, scale })
    }

    /// `W + s B A`, in double precision and rounded once.
    fn add(&self, layer: usize, target: Target, input: usize, rows: &mut [f32]) {
        let Some(block) = self.layout.find(layer, target) else { return };
        let rank = self.layout.rank();
        let (a, b) = (&self.theta[block.a.clone()], &self.theta[block.b.clone()]);
        for (row, b) in rows.chunks_exact_mut(input).zip(b.chunks_exact(rank)) {
            for (at, x) in row.iter_mut().enumerate() {
                let low: f64 =
                    b.iter().enumerate().map(|(r, b)| f64::from(*b) * f64::from(a[r * input + at])).sum();
                *x = (f64::from(*x) + self.scale * low) as f32;
            }
        }
    }
}

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::*;
use crate::Pool;

const LAYERS: usize = 2;
const WIDTH: usize = 24;
const INNER: usize = 40;
const HEADS: usize = 3;
const POSITIONS: usize = 12;
const WORDS: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "rust", "##y", "crates", "have", "names"];

/// A number between -1 and 1 for a place.
fn drawn(seed: &mut u64) -> f32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), WIDTH]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, WIDTH]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, WIDTH]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![WIDTH]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![WIDTH]),
        ("pooler.dense.weight".to_owned(), vec![WIDTH, WIDTH]),
    ];
    for layer in 0..LAYERS {
        for (part, output, input) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", INNER, WIDTH),
            ("output.dense", WIDTH, INNER),
        ] {
            all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![output, input]));
            all.push((format!("encoder.layer.{layer}.{part}.bias"), vec![output]));
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![WIDTH]));
            all.push((format!("encoder.layer.{layer}.{part}.bias"), vec![WIDTH]));
        }
    }
    all
}

fn weights() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut seed = 7;
    let with = |(name, shape): (String, Vec<usize>)| {
        let values = (0..shape.iter().product()).map(|_| 0.7 * drawn(&mut seed)).collect();
        (name, shape, values)
    };
    shapes().into_iter().map(with).collect()
}

fn save(dir: &Path, weights: &[(String, Vec<usize>, Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        weights.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = weights.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, &dir.join("model.safetensors")).unwrap();
    let config = serde_json::json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "vocab_size": WORDS.len(),
        "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let vocab: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(i, word)| ((*word).to_owned(), i.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": {
            "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "SpecialToken": { "id": "[SEP]", "type_id": 0 } },
            ],
            "pair": [],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] },
            },
        },
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    });
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// The same formulas in `f64`, one sum after the other.
struct Plain(Vec<(String, Vec<usize>, Vec<f32>)>);

impl Plain {
    fn get(&self, name: &str) -> Vec<f64> {
        let (_, _, values) = self.0.iter().find(|(n, _, _)| n == name).unwrap();
        values.iter().map(|x| f64::from(*x)).collect()
    }

    fn affine(&self, name: &str, x: &[f64], input: usize) -> Vec<f64> {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        x.chunks(input)
            .flat_map(|row| {
                let dot = |(w, b): (&[f64], &f64)| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + b;
                w.chunks(input).zip(&b).map(dot).collect::<Vec<_>>()
            })
            .collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        x.chunks(WIDTH)
            .flat_map(|row| {
                let mean = row.iter().sum::<f64>() / WIDTH as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
                let one = |(i, x): (usize, &f64)| (x - mean) / (variance + 1e-12).sqrt() * w[i] + b[i];
                row.iter().enumerate().map(one).collect::<Vec<_>>()
            })
            .collect()
    }

    fn embed(&self, tokens: &[usize]) -> Vec<f64> {
        let (words, positions) = (
            self.get("embeddings.word_embeddings.weight"),
            self.get("embeddings.position_embeddings.weight"),
        );
        let segment = self.get("embeddings.token_type_embeddings.weight");
        let n = tokens.len();
        let mut x: Vec<f64> = (0..n * WIDTH)
            .map(|at| {
                let (i, j) = (at / WIDTH, at % WIDTH);
                words[tokens[i] * WIDTH + j] + positions[at] + segment[j]
            })
            .collect();
        x = self.norm("embeddings.LayerNorm", &x);
        let head = WIDTH / HEADS;
        for layer in 0..LAYERS {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let [q, k, v] = ["query", "key", "value"]
                .map(|p| self.affine(&name(&format!("attention.self.{p}")), &x, WIDTH));
            let mut mixed = vec![0.0; n * WIDTH];
            for h in 0..HEADS {
                for i in 0..n {
                    let score = |t: usize| {
                        let dot =
                            (0..head).map(|j| q[i * WIDTH + h * head + j] * k[t * WIDTH + h * head + j]);
                        (dot.sum::<f64>() / (head as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = (0..n).map(score).collect();
                    let sum: f64 = scores.iter().sum();
                    for j in 0..head {
                        mixed[i * WIDTH + h * head + j] =
                            (0..n).map(|t| scores[t] / sum * v[t * WIDTH + h * head + j]).sum();
                    }
                }
            }
            let add = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x + y).collect::<Vec<_>>();
            let y = self.affine(&name("attention.output.dense"), &mixed, WIDTH);
            x = self.norm(&name("attention.output.LayerNorm"), &add(&x, &y));
            let mut wide = self.affine(&name("intermediate.dense"), &x, WIDTH);
            wide.iter_mut().for_each(|x| *x *= 0.5 * (1.0 + libm::erf(*x / 2f64.sqrt())));
            let y = self.affine(&name("output.dense"), &wide, INNER);
            x = self.norm(&name("output.LayerNorm"), &add(&x, &y));
        }
        let mean: Vec<f64> = (0..WIDTH).map(|j| x.iter().skip(j).step_by(WIDTH).sum::<f64>()).collect();
        let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        mean.iter().map(|x| x / length).collect()
    }
}

#[test]
fn an_embedding_is_what_the_formulas_say() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &weights());
    let encoder = Encoder::load(dir.path()).unwrap();
    let pool = Pool::new(1).unwrap();
    // Words the vocabulary has not are one unknown token each; no padding enters.
    let texts = ["Rusty crates have names", "names", "Crates of rust"];
    let tokens = [vec![2, 4, 5, 6, 7, 8, 3], vec![2, 8, 3], vec![2, 6, 1, 4, 3]];
    let plain = Plain(weights());
    for (got, tokens) in encoder.embed(&pool, &texts).unwrap().iter().zip(&tokens) {
        let expected = plain.embed(tokens);
        let most = got.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(most < 2e-6, "{most}");
    }
}

#[test]
fn an_embedding_is_the_same_bits_for_any_number_of_threads_and_company() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &weights());
    let encoder = Encoder::load(dir.path()).unwrap();
    let texts = ["rust", "crates have rusty names", "have", "names names names", "rust"];
    let bits = |all: Vec<Vec<f32>>| -> Vec<Vec<u32>> {
        all.iter().map(|e| e.iter().map(|x| x.to_bits()).collect()).collect()
    };
    let together = bits(encoder.embed(&Pool::new(3).unwrap(), &texts).unwrap());
    let pool = Pool::new(1).unwrap();
    let alone: Vec<_> = texts.iter().flat_map(|text| bits(encoder.embed(&pool, &[text]).unwrap())).collect();
    assert_eq!(together, alone);
    assert_eq!(together[0], together[4]);
    assert_ne!(together[0], together[1]);
}

#[test]
fn a_long_text_is_cut_where_the_positions_end() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &weights());
    let encoder = Encoder::load(dir.path()).unwrap();
    let pool = Pool::new(1).unwrap();
    let long = "rust ".repeat(300);
    let cut = "rust ".repeat(POSITIONS - 2);
    assert_eq!(encoder.embed(&pool, &[&long]).unwrap(), encoder.embed(&pool, &[&cut]).unwrap());
}

#[test]
fn what_is_not_such_an_encoder_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |weights: &[_]| {
        save(dir.path(), weights);
        Encoder::load(dir.path()).unwrap_err().to_string()
    };
    let mut missing = weights();
    missing.retain(|(name, _, _)| name != "encoder.layer.1.output.dense.bias");
    assert_eq!(refused(&missing), "tensor `encoder.layer.1.output.dense.bias`: it is missing");
    let mut turned = weights();
    turned[6].1 = vec![INNER, WIDTH];
    turned[6].2.resize(INNER * WIDTH, 0.0);
    let said = refused(&turned);
    assert_eq!(
        said,
        "tensor `encoder.layer.0.attention.self.query.weight`: shape [40, 24], expected [24, 24]"
    );
    let mut more = weights();
    more.push(("classifier.weight".into(), vec![1], vec![0.0]));
    assert_eq!(
        refused(&more),
        "tensor `classifier.weight`: a BERT encoder does not have it, so it is not computed here"
    );
    let mut endless = weights();
    endless[0].2[3] = f32::INFINITY;
    assert_eq!(refused(&endless), "tensor `embeddings.word_embeddings.weight`: a value is not finite");

    save(dir.path(), &weights());
    let config = fs::read_to_string(dir.path().join("config.json")).unwrap();
    fs::write(dir.path().join("config.json"), config.replace("\"gelu\"", "\"relu\"")).unwrap();
    let said = Encoder::load(dir.path()).unwrap_err().to_string();
    assert_eq!(said, "config.json: hidden_act is `relu`, expected `gelu`");

    save(dir.path(), &weights());
    let encoder = Encoder::load(dir.path()).unwrap();
    let said = encoder.embed(&Pool::new(1).unwrap(), &["rust", ""]).unwrap_err().to_string();
    assert_eq!(said, "bytes of a text: got 0, accepted is 1 to 1048576");
}

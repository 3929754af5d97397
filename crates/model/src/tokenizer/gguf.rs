//! A tokenizer from GGUF metadata and back.

use std::sync::Arc;

use tokenizers::{
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{PreTokenizerWrapper, byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use super::{Parts, Tokenizer, alphabet};
use crate::{
    Error,
    config::MAX_VOCAB,
    gguf::{File, Value, Writer},
};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";
const MODEL: &str = "tokenizer.ggml.model";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const TEMPLATE: &str = "tokenizer.chat_template";

/// Token types of GGUF.
const NORMAL: i64 = 1;
const UNUSED: i64 = 5;

const TURN_START: &str = "<|im_start|>";
const TURN_END: &str = "<|im_end|>";

/// The template of the tiny model: that of SmolLM2 without a system message of its own.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// What a checkpoint says about its tokens.
struct Description {
    tokens: Vec<String>,
    special: Vec<bool>,
    merges: Vec<String>,
    pre: String,
    template: String,
    eos: u32,
}

impl Tokenizer {
    pub(crate) fn from_gguf(file: &File<'_>) -> Result<Self, Error> {
        let model = file.text(MODEL)?;
        if model != "gpt2" {
            return Err(Error::Metadata {
                key: MODEL,
                problem: format!("`{model}`, expected `gpt2` (byte-level BPE)"),
            });
        }
        let tokens = file.texts(TOKENS)?.to_vec();
        let special = match file.get(TYPES) {
            Some(Value::Signeds(types)) if types.len() == tokens.len() => {
                types.iter().map(|t| *t != NORMAL && *t != UNUSED).collect()
            }
            _ => {
                return Err(Error::Metadata {
                    key: TYPES,
                    problem: "not an array of one i32 per token".into(),
                });
            }
        };
        let eos = u32::try_from(file.unsigned(EOS)?).unwrap_or(u32::MAX);
        Self::build(Description {
            tokens,
            special,
            merges: file.texts(MERGES)?.to_vec(),
            pre: file.text(PRE)?.to_owned(),
            template: file.text(TEMPLATE)?.to_owned(),
            eos,
        })
    }

    /// One token per byte, then `<|endoftext|>`, `<|im_start|>`, `<|im_end|>` and `<|pad|>`.
    pub(crate) fn bytes() -> Self {
        let mut tokens: Vec<String> = alphabet::characters().iter().map(char::to_string).collect();
        tokens.extend(["<|endoftext|>", TURN_START, TURN_END, "<|pad|>"].map(String::from));
        let special = (0..tokens.len()).map(|i| i >= 256).collect();
        Self::build(Description {
            tokens,
            special,
            merges: Vec::new(),
            pre: "smollm".into(),
            template: CHATML.into(),
            eos: 258,
        })
        .expect("the byte vocabulary is complete")
    }

    fn build(d: Description) -> Result<Self, Error> {
        if d.tokens.is_empty() || d.tokens.len() > MAX_VOCAB {
            return Err(Error::Shape {
                what: "tokens in the vocabulary",
                got: d.tokens.len(),
                limit: MAX_VOCAB,
            });
        }
        let vocab: Vocab = d.tokens.iter().zip(0..).map(|(t, i)| (t.clone(), i)).collect();
        if vocab.len() != d.tokens.len() {
            return Err(Error::Metadata { key: TOKENS, problem: "a token occurs twice".into() });
        }
        let id = |name: &str| {
            let found = vocab.get(name).copied().filter(|i| d.special[*i as usize]);
            found.ok_or_else(|| Error::Metadata {
                key: TOKENS,
                problem: format!("no control token `{name}`, which ChatML needs"),
            })
        };
        let (turn_start, turn_end) = (id(TURN_START)?, id(TURN_END)?);
        if d.eos as usize >= d.tokens.len() {
            return Err(Error::Token { got: d.eos, limit: d.tokens.len() });
        }
        if !(d.template.contains(TURN_START) && d.template.contains(TURN_END)) {
            return Err(Error::Metadata { key: TEMPLATE, problem: "not ChatML".into() });
        }
        let mut merges = Vec::with_capacity(d.merges.len());
        for merge in &d.merges {
            match merge.split_once(' ') {
                Some((a, b))
                    if vocab.contains_key(a)
                        && vocab.contains_key(b)
                        && vocab.contains_key(&format!("{a}{b}")) =>
                {
                    merges.push((a.to_owned(), b.to_owned()));
                }
                _ => {
                    return Err(Error::Metadata {
                        key: MERGES,
                        problem: format!("`{merge}` is no pair of tokens that make a token"),
                    });
                }
            }
        }
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .build()
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer(&d.pre)?));
        let characters = alphabet::characters();
        let bytes = d
            .tokens
            .iter()
            .zip(&d.special)
            .map(|(t, special)| {
                if *special {
                    Box::default()
                } else {
                    alphabet::bytes(t, &characters).unwrap_or_else(|| t.as_bytes().into())
                }
            })
            .collect();
        let default_system = default_system(&d.template);
        Ok(Self {
            parts: Arc::new(Parts {
                bpe: tokenizer,
                tokens: d.tokens,
                bytes,
                special: d.special,
                merges: d.merges,
                pre: d.pre,
                template: d.template,
                default_system,
                turn_start,
                turn_end,
                eos: d.eos,
            }),
        })
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        let p = &self.parts;
        w.text(MODEL, "gpt2");
        w.text(PRE, &p.pre);
        w.texts(TOKENS, p.tokens.iter().map(String::as_str));
        w.signeds(TYPES, p.special.iter().map(|s| if *s { 3 } else { NORMAL as i32 }));
        w.texts(MERGES, p.merges.iter().map(String::as_str));
        w.unsigned(EOS, p.eos);
        w.bool("tokenizer.ggml.add_bos_token", false);
        w.text(TEMPLATE, &p.template);
    }
}

/// How text is cut before BPE, by the name GGUF gives it.
fn pre_tokenizer(pre: &str) -> Result<PreTokenizerWrapper, Error> {
    let byte_level = ByteLevel::new(false, true, true);
    match pre {
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), byte_level.into()]).into()),
        "gpt-2" | "gpt2" => Ok(byte_level.into()),
        other => {
            Err(Error::Metadata { key: PRE, problem: format!("`{other}`, expected `smollm` or `gpt-2`") })
        }
    }
}

/// The system message that a template puts before a conversation without one.
fn default_system(template: &str) -> Option<String> {
    let (_, rest) = template.split_once("['role'] != 'system'")?;
    let (_, rest) = rest.split_once("<|im_start|>system")?;
    let (text, _) = rest.split_once(TURN_END)?;
    let text = text.strip_prefix('\n').or_else(|| text.strip_prefix("\\n"))?;
    Some(text.to_owned())
}

//! A tokenizer from what a checkpoint says about its tokens, whatever its format.

use std::sync::Arc;

use tokenizers::{
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{PreTokenizerWrapper, byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use super::{Parts, Tokenizer, alphabet};
use crate::{Error, config::MAX_VOCAB};

pub(super) const TURN_START: &str = "<|im_start|>";
pub(super) const TURN_END: &str = "<|im_end|>";

/// What a checkpoint says about its tokens.
pub(super) struct Description {
    pub(super) tokens: Vec<String>,
    pub(super) special: Vec<bool>,
    pub(super) merges: Vec<String>,
    pub(super) pre: String,
    pub(super) template: String,
    pub(super) eos: u32,
}

impl Tokenizer {
    pub(super) fn build(d: Description) -> Result<Self, Error> {
        if d.tokens.is_empty() || d.tokens.len() > MAX_VOCAB {
            return Err(Error::Shape {
                what: "tokens in the vocabulary",
                got: d.tokens.len(),
                limit: MAX_VOCAB,
            });
        }
        let vocab: Vocab = d.tokens.iter().zip(0..).map(|(t, i)| (t.clone(), i)).collect();
        if vocab.len() != d.tokens.len() {
            return Err(Error::Tokenizer("a token occurs twice".into()));
        }
        let id = |name: &str| {
            let found = vocab.get(name).copied().filter(|i| d.special[*i as usize]);
            found.ok_or_else(|| Error::Tokenizer(format!("no control token `{name}`, which ChatML needs")))
        };
        let (turn_start, turn_end) = (id(TURN_START)?, id(TURN_END)?);
        if d.eos as usize >= d.tokens.len() {
            return Err(Error::Token { got: d.eos, limit: d.tokens.len() });
        }
        if !(d.template.contains(TURN_START) && d.template.contains(TURN_END)) {
            return Err(Error::Tokenizer("the chat template is not ChatML".into()));
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
                    return Err(Error::Tokenizer(format!(
                        "`{merge}` is no pair of tokens that make a token"
                    )));
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
}

/// How text is cut before BPE, by the name GGUF gives it.
fn pre_tokenizer(pre: &str) -> Result<PreTokenizerWrapper, Error> {
    let byte_level = ByteLevel::new(false, true, true);
    match pre {
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), byte_level.into()]).into()),
        "gpt-2" | "gpt2" => Ok(byte_level.into()),
        other => Err(Error::Tokenizer(format!("text is cut as `{other}`, expected `smollm` or `gpt-2`"))),
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

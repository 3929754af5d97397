//! A tokenizer from `tokenizer.json` of Hugging Face and back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Tokenizer, description::Description};
use crate::{Error, config::MAX_VOCAB};

const FILE: &str = "tokenizer.json";

/// The parts of the file that decide how text becomes tokens.
#[derive(Deserialize)]
pub(crate) struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Option<Value>,
    pre_tokenizer: Value,
    model: Bpe,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Bpe {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: BTreeMap<String, u32>,
    merges: Vec<Merge>,
    #[serde(default)]
    dropout: Option<f32>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

/// How text is cut, by the name that GGUF gives it.
fn cuts() -> [(&'static str, Value); 2] {
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let digits = json!({ "type": "Digits", "individual_digits": true });
    [("smollm", json!({ "type": "Sequence", "pretokenizers": [digits, byte_level] })), ("gpt-2", byte_level)]
}

impl Tokenizer {
    /// The tokenizer of a file whose model has `vocab` tokens; those that the file does not name are never text.
    pub(crate) fn from_hub(
        file: &TokenizerFile,
        vocab: usize,
        eos: &str,
        template: String,
    ) -> Result<Self, Error> {
        let refused = |problem: String| Error::Checkpoint { file: FILE, problem };
        let bpe = &file.model;
        for (found, what) in [
            (bpe.kind.as_deref().is_some_and(|kind| kind != "BPE"), "a model that is not BPE"),
            (file.normalizer.as_ref().is_some_and(|n| !n.is_null()), "a normalizer"),
            (bpe.dropout.is_some_and(|d| d > 0.0), "dropout"),
            (bpe.byte_fallback, "byte_fallback"),
            (bpe.ignore_merges, "ignore_merges"),
            (bpe.continuing_subword_prefix.as_deref().is_some_and(|p| !p.is_empty()), "a prefix of subwords"),
            (bpe.end_of_word_suffix.as_deref().is_some_and(|s| !s.is_empty()), "a suffix of words"),
            (file.added_tokens.iter().any(|t| !t.special), "an added token that is not special"),
        ] {
            if found {
                return Err(refused(format!("{what}, which is not computed here")));
            }
        }
        let (pre, _) = cuts().into_iter().find(|(_, cut)| *cut == file.pre_tokenizer).ok_or_else(|| {
            refused("its pre_tokenizer is not that of GPT-2 or SmolLM, which are computed here".into())
        })?;
        if vocab > MAX_VOCAB {
            return Err(Error::Shape { what: "tokens in the vocabulary", got: vocab, limit: MAX_VOCAB });
        }
        let mut tokens: Vec<Option<String>> = vec![None; vocab];
        let mut special = vec![true; vocab];
        let mut put = |token: &str, id: u32, is_special: bool| {
            let place = tokens.get_mut(id as usize).ok_or(Error::Token { got: id, limit: vocab })?;
            if place.as_deref().is_some_and(|there| there != token) {
                return Err(refused(format!("token {id} is both `{token}` and another")));
            }
            *place = Some(token.to_owned());
            special[id as usize] = is_special;
            Ok(())
        };
        bpe.vocab.iter().try_for_each(|(token, id)| put(token, *id, false))?;
        file.added_tokens.iter().try_for_each(|added| put(&added.content, added.id, true))?;
        let tokens: Vec<String> = (tokens.into_iter().enumerate())
            .map(|(id, token)| token.unwrap_or_else(|| format!("[PAD{id}]")))
            .collect();
        let eos = (0..).zip(&tokens).find(|(_, token)| *token == eos).map(|(id, _)| id);
        let eos = eos
            .ok_or_else(|| refused("the end token of tokenizer_config.json is none of its tokens".into()))?;
        let merge = |merge: &Merge| match merge {
            Merge::Pair(a, b) => format!("{a} {b}"),
            Merge::Text(text) => text.clone(),
        };
        Self::build(Description {
            tokens,
            special,
            merges: bpe.merges.iter().map(merge).collect(),
            pre: pre.to_owned(),
            template,
            eos,
        })
    }

    /// `tokenizer.json` and `tokenizer_config.json`, for a model with this context.
    pub(crate) fn to_hub(&self, context: usize) -> (Value, Value) {
        let p = &self.parts;
        let vocab: Map<String, Value> =
            (0u32..).zip(&p.tokens).map(|(id, t)| (t.clone(), id.into())).collect();
        let added: Vec<Value> = (0u32..)
            .zip(&p.tokens)
            .filter(|(id, _)| p.special[*id as usize])
            .map(|(id, content)| {
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                })
            })
            .collect();
        let pre = if p.pre == "gpt2" { "gpt-2" } else { &p.pre };
        let cut = cuts().into_iter().find(|(name, _)| *name == pre).map(|(_, cut)| cut);
        let merges: Vec<[&str; 2]> =
            p.merges.iter().filter_map(|merge| merge.split_once(' ')).map(|(a, b)| [a, b]).collect();
        let file = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": cut,
            "post_processor": null,
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocab, "merges": merges,
            },
        });
        let settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": p.tokens[p.eos as usize],
            "model_max_length": context,
            "clean_up_tokenization_spaces": false,
            "chat_template": p.template,
        });
        (file, settings)
    }
}

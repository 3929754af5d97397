//! A tokenizer from GGUF metadata and back.

use super::{
    Tokenizer, alphabet,
    description::{Description, TURN_END, TURN_START},
};
use crate::{
    Error,
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

/// The template of the tiny model: that of SmolLM2 without a system message of its own.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

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

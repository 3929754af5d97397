//! Answers that keep to a response format: which tokens can follow without leaving the grammar of a JSON schema.
//!
//! What may follow depends on the schema and the answer so far, not on logits, so whoever reads an answer again finds the same sets.
//! The language is that of `llguidance`, with `", "` and `": "` between the parts of an array or object and no other white space around them:
//! a free choice of white space lets small models print line ends until they have used up their tokens.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use openledger_model::Tokenizer;
use openledger_types::receipt::ResponseFormat;
use serde_json::{Value, json};

use crate::Error;

/// Longest schema, bytes of its JSON text.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// What is the same for all answers of a tokenizer.
pub(crate) struct Formats(ParserFactory);

impl Formats {
    pub(crate) fn new(tokenizer: &Tokenizer) -> Result<Self, Error> {
        let count = u32::try_from(tokenizer.vocab_size()).expect("a vocabulary has fewer than 2^32 tokens");
        let words: Vec<Vec<u8>> = (0..count).map(|token| tokenizer.token_bytes(token).to_vec()).collect();
        let vocabulary: TokEnv =
            Arc::new(Vocabulary(TokTrie::from(&TokRxInfo::new(count, tokenizer.eos()), &words)));
        let mut factory = ParserFactory::new_simple(&vocabulary)
            .map_err(|error| Error::ResponseFormat { problem: reason(&error) })?;
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self(factory))
    }

    /// The beginning of an answer in a format, `None` where every text is one.
    pub(crate) fn begin(&self, format: &ResponseFormat) -> Result<Option<Format>, Error> {
        let mut schema = match format {
            ResponseFormat::Text => return Ok(None),
            ResponseFormat::JsonObject => json!({ "type": "object" }),
            ResponseFormat::JsonSchema { schema } => read(schema)?,
        };
        separators().apply_to(&mut schema);
        let parser = self.0.create_parser(TopLevelGrammar::from_json_schema(schema));
        let mut format = Format { matcher: Mutex::new(Matcher::new(parser)), allowed: Err(String::new()) };
        format.look();
        format.allowed().map(drop)?;
        Ok(Some(format))
    }
}

/// Checks what can be known of a format without compiling it.
pub(crate) fn validate(format: &ResponseFormat) -> Result<(), Error> {
    match format {
        ResponseFormat::JsonSchema { schema } => read(schema).map(drop),
        ResponseFormat::Text | ResponseFormat::JsonObject => Ok(()),
    }
}

fn read(schema: &str) -> Result<Value, Error> {
    let refuse = |problem| Error::ResponseFormat { problem };
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(refuse(format!(
            "the schema has {} bytes; accepted are up to {MAX_SCHEMA_BYTES}",
            schema.len()
        )));
    }
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| refuse(format!("the schema is not JSON: {error}")))?;
    match &schema {
        Value::Object(fields) if fields.contains_key("x-guidance") => {
            Err(refuse("the schema has 'x-guidance', which is no keyword of JSON Schema".into()))
        }
        Value::Object(_) => Ok(schema),
        _ => Err(refuse("a schema is a JSON object".into())),
    }
}

fn separators() -> JsonCompileOptions {
    JsonCompileOptions {
        item_separator: ", ".into(),
        key_separator: ": ".into(),
        whitespace_flexible: false,
        ..JsonCompileOptions::default()
    }
}

/// How far an answer is within its format.
pub(crate) struct Format {
    matcher: Mutex<Matcher>,
    /// What can follow, or why that is not known.
    allowed: Result<SimpleVob, String>,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let allowed = self.allowed.as_ref().map(SimpleVob::num_set);
        f.debug_struct("Format").field("allowed", &allowed).finish_non_exhaustive()
    }
}

impl Format {
    /// The tokens that can follow; at least one.
    ///
    /// # Errors
    /// [`Error::ResponseFormat`] where the answer left the format, and where finding out exceeds the limits of a grammar.
    pub(crate) fn allowed(&self) -> Result<&SimpleVob, Error> {
        self.allowed.as_ref().map_err(|problem| Error::ResponseFormat { problem: problem.clone() })
    }

    /// Takes the token that follows.
    pub(crate) fn push(&mut self, token: u32) {
        if let Err(error) = self.matcher().consume_token(token) {
            self.allowed = Err(reason(&error));
        } else {
            self.look();
        }
    }

    /// What could follow at every position of an answer, as far as it keeps to the format.
    pub(crate) fn along(mut self, tokens: &[u32]) -> Vec<SimpleVob> {
        let mut along: Vec<SimpleVob> = self.allowed.iter().cloned().collect();
        for token in tokens {
            self.push(*token);
            let Ok(allowed) = &self.allowed else { break };
            along.push(allowed.clone());
        }
        along
    }

    fn look(&mut self) {
        self.allowed = match self.matcher().compute_mask_or_eos() {
            Ok(allowed) if allowed.is_zero() => Err("no token of this model continues the answer".into()),
            Ok(allowed) => Ok(allowed),
            Err(error) => Err(reason(&error)),
        };
    }

    fn matcher(&mut self) -> &mut Matcher {
        self.matcher.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the library says, without the state that it can append.
fn reason(error: &anyhow::Error) -> String {
    let text = error.to_string();
    text.split("\n<").next().unwrap_or_default().to_owned()
}

/// Whether a set has a token; ids beyond the vocabulary are in none.
pub(crate) fn has(set: &SimpleVob, token: u32) -> bool {
    (token as usize) < set.len() && set.is_allowed(token)
}

/// The tokens as bytes; control tokens have none.
struct Vocabulary(TokTrie);

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(text)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

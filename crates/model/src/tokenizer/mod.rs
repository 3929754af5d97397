//! Byte-level BPE and the ChatML template of a checkpoint.

mod alphabet;
mod description;
mod gguf;
mod hub;

#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longest text that is encoded.
const MAX_TEXT: usize = 16 << 20;

/// Who speaks in a message of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person asking.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// Its name in the template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role` saying `content`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Byte-level BPE of a checkpoint with its chat template (ChatML). Cloning shares it.
#[derive(Clone)]
pub struct Tokenizer {
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab", &self.vocab_size()).finish_non_exhaustive()
    }
}

struct Parts {
    bpe: tokenizers::Tokenizer,
    tokens: Vec<String>,
    /// What each token stands for; empty for control tokens.
    bytes: Vec<Box<[u8]>>,
    special: Vec<bool>,
    merges: Vec<String>,
    pre: String,
    template: String,
    /// What the template puts before a conversation that does not start with a system message.
    default_system: Option<String>,
    turn_start: u32,
    turn_end: u32,
    eos: u32,
}

impl Tokenizer {
    /// Tokens of a text. Special tokens written out in the text are ordinary text: nobody can end their turn from inside it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text is longer than 16 MiB or holds bytes that the vocabulary lacks.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::Tokenizer(format!("a text of {} bytes; the limit is {MAX_TEXT}", text.len())));
        }
        let encoding =
            self.parts.bpe.encode_fast(text, false).map_err(|e| Error::Tokenizer(e.to_string()))?;
        let tokens = encoding.get_ids().to_vec();
        let covered: usize = tokens.iter().map(|t| self.token_bytes(*t).len()).sum();
        if covered != text.len() {
            return Err(Error::Tokenizer(format!(
                "tokens cover {covered} of {} bytes; the vocabulary lacks some",
                text.len()
            )));
        }
        Ok(tokens)
    }

    /// Bytes that a token stands for; empty for control tokens and ids outside the vocabulary.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.parts.bytes.get(token as usize).map_or(&[], |b| b)
    }

    /// Bytes of a token sequence, control tokens left out.
    #[must_use]
    pub fn decode_bytes(&self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|t| self.token_bytes(*t)).copied().collect()
    }

    /// Text of a token sequence, control tokens left out; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        String::from_utf8_lossy(&self.decode_bytes(tokens)).into_owned()
    }

    /// Byte range of each token in [`Self::decode_bytes`] of the same tokens.
    #[must_use]
    pub fn offsets(&self, tokens: &[u32]) -> Vec<Range<usize>> {
        let mut at = 0;
        let range = |token: &u32| {
            let start = at;
            at += self.token_bytes(*token).len();
            start..at
        };
        tokens.iter().map(range).collect()
    }

    /// Tokens of a conversation in the checkpoint's template, ending where the assistant begins to answer.
    /// A conversation that does not start with a system message gets the template's own, if it has one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn chat(&self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        let leads = messages.first().is_some_and(|m| m.role == Role::System);
        if let Some(system) = self.parts.default_system.as_deref().filter(|_| !leads) {
            tokens.extend(self.turn(Role::System, system)?);
        }
        for message in messages {
            tokens.extend(self.turn(message.role, &message.content)?);
        }
        tokens.extend(self.turn_of_assistant()?);
        Ok(tokens)
    }

    /// Tokens of one message in the template: a conversation's are those of its messages one after the other.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn turn(&self, role: Role, content: &str) -> Result<Vec<u32>, Error> {
        let mut tokens = vec![self.parts.turn_start];
        tokens.extend(self.encode(&format!("{}\n{content}", role.name()))?);
        tokens.push(self.parts.turn_end);
        tokens.extend(self.encode("\n")?);
        Ok(tokens)
    }

    /// Tokens after the last message: where the assistant begins to answer.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn turn_of_assistant(&self) -> Result<Vec<u32>, Error> {
        let mut tokens = vec![self.parts.turn_start];
        tokens.extend(self.encode("assistant\n")?);
        Ok(tokens)
    }

    /// Tokens of an assistant's whole answer after [`Self::chat`]: the text and the end of the turn.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn answer(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut tokens = self.encode(text)?;
        tokens.push(self.parts.turn_end);
        Ok(tokens)
    }

    /// The token that ends a turn.
    #[must_use]
    pub fn eos(&self) -> u32 {
        self.parts.eos
    }

    /// Whether a token is a control token rather than text.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.parts.special.get(token as usize).copied().unwrap_or(false)
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.parts.tokens.len()
    }
}

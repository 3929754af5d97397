use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Error;

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

/// Byte-level BPE of a checkpoint with its chat template (ChatML).
#[derive(Clone)]
pub struct Tokenizer {}

impl Tokenizer {
    /// Tokens of a text. Special tokens written out in the text are ordinary text: nobody can end their turn from inside it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text is longer than 16 MiB.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        unimplemented!("{text}")
    }

    /// Bytes that a token stands for; empty for special tokens and ids outside the vocabulary.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        unimplemented!("{token}")
    }

    /// Bytes of a token sequence, special tokens left out.
    #[must_use]
    pub fn decode_bytes(&self, tokens: &[u32]) -> Vec<u8> {
        unimplemented!("{tokens:?}")
    }

    /// Text of a token sequence, special tokens left out; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        unimplemented!("{tokens:?}")
    }

    /// Byte range of each token in [`Self::decode_bytes`] of the same tokens.
    #[must_use]
    pub fn offsets(&self, tokens: &[u32]) -> Vec<Range<usize>> {
        unimplemented!("{tokens:?}")
    }

    /// Tokens of a conversation in the checkpoint's template, ending where the assistant begins to answer.
    /// A conversation that does not start with a system message gets the template's own, if it has one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn chat(&self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        unimplemented!("{messages:?}")
    }

    /// Tokens of an assistant's whole answer after [`Self::chat`]: the text and the end of the turn.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn answer(&self, text: &str) -> Result<Vec<u32>, Error> {
        unimplemented!("{text}")
    }

    /// The token that ends a turn.
    #[must_use]
    pub fn eos(&self) -> u32 {
        unimplemented!()
    }

    /// Whether a token is a control token rather than text.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        unimplemented!("{token}")
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        unimplemented!()
    }
}

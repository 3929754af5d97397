//! How a record becomes a sample.
//!
//! [`Template::Describe`]: a conversation in the checkpoint's own chat template, as the gateway would build it for the same question.
//!
//! ```text
//! user       What does the Rust crate {name} do?        (no name: Tell me something you have read.)
//! assistant  {text}
//! ```
//!
//! The loss counts the assistant's tokens, the end of the turn included. A conversation longer than the limit loses its tail, and with it the end of the turn, so a cut
//! text does not teach to stop where it was cut.

use openledger_model::{Message, Role, Sample, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A rule for turning records into samples. The name in a manifest stands for the rule for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Template {
    /// A question for what the record's work is, answered with the record's text.
    #[serde(rename = "describe/1")]
    Describe,
}

impl Template {
    /// The question that a record of the work `name` answers.
    #[must_use]
    pub fn question(self, name: &str) -> String {
        match self {
            Self::Describe if name.trim().is_empty() => "Tell me something you have read.".into(),
            Self::Describe => format!("What does the Rust crate {} do?", name.trim()),
        }
    }
}

/// Tokens of a question asked of the model, up to where the answer begins, then those of the answer; the answer's tokens are the targets. Cut to `max_tokens`.
///
/// The targets are empty when the question alone fills the limit.
///
/// # Errors
/// [`crate::Error::Model`] when the text cannot be tokenised.
pub fn sample(tokenizer: &Tokenizer, question: &str, answer: &str, max_tokens: usize) -> Result<Sample> {
    let mut tokens = tokenizer.chat(&[Message::new(Role::User, question)])?;
    let start = tokens.len().min(max_tokens);
    tokens.extend(tokenizer.answer(answer)?);
    tokens.truncate(max_tokens);
    let end = tokens.len();
    Ok(Sample { tokens, targets: start..end })
}

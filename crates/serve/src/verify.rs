//! Re-execution of an answer.
//!
//! The logits after a token do not depend on how a sequence is cut into passes, so one pass over prompt and answer gives
//! every distribution that the answer was drawn from, at the price of a prompt instead of a decode.

use std::sync::Arc;

use openledger_model::{Adapter, Feed, Logits, Session};
use openledger_types::receipt::Sampling;

use crate::{Engine, Error, choose};

/// Where an answer leaves what the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstDifference {
    /// Position within the answer.
    pub position: usize,
    /// The token that the model gives there, `None` when the answer had ended.
    pub expected: Option<u32>,
    /// The token that the answer has there, `None` when it had ended.
    pub got: Option<u32>,
}

impl std::fmt::Display for FirstDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name =
            |token: Option<u32>| token.map_or_else(|| "the end".to_owned(), |token| format!("token {token}"));
        write!(
            f,
            "position {}: the model gives {}, the answer has {}",
            self.position,
            name(self.expected),
            name(self.got)
        )
    }
}

impl Engine {
    /// Re-executes an answer and says where it first differs, if it does: in a token, by ending too early, or by going on
    /// after its end. `None` means that [`Engine::generate`] gives these very tokens.
    ///
    /// # Errors
    /// As [`Engine::generate`]; [`Error::Context`] when prompt and answer together exceed the context.
    pub fn verify_generation(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        tokens: &[u32],
    ) -> Result<Option<FirstDifference>, Error> {
        self.check(prompt.len(), sampling)?;
        let eos = self.tokenizer().eos();
        let limit = usize::try_from(sampling.max_tokens).unwrap_or(usize::MAX);
        let end = tokens.iter().position(|token| *token == eos).map_or(limit, |at| at + 1).min(limit);
        let answer = &tokens[..tokens.len().min(end)];
        let mut first = self.first_wrong_token(adapter, prompt, sampling, answer, end)?;
        if first.is_none() && tokens.len() > end {
            first = Some(FirstDifference { position: end, expected: None, got: Some(tokens[end]) });
        }
        Ok(first)
    }

    /// Compares the tokens of an answer that may have up to `end` of them; the position after them too, if there is one.
    fn first_wrong_token(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        answer: &[u32],
        end: usize,
    ) -> Result<Option<FirstDifference>, Error> {
        let positions = if answer.len() < end { answer.len() + 1 } else { answer.len() };
        let mut tokens = prompt.to_vec();
        tokens.extend_from_slice(&answer[..positions - 1]);
        let mut session = self.session(adapter)?;
        let mut feeds =
            [Feed { session: &mut session, tokens: &tokens, logits: Logits::From(prompt.len() - 1) }];
        let expected = Session::run(&mut feeds, |row| {
            choose(sampling, (row.index + 1 - prompt.len()) as u64, row.logits)
        })?;
        for (position, expected) in expected.into_iter().enumerate() {
            let expected = expected?;
            let got = answer.get(position).copied();
            if got != Some(expected) {
                return Ok(Some(FirstDifference { position, expected: Some(expected), got }));
            }
        }
        Ok(None)
    }
}

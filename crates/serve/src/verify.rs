//! Re-execution of an answer.
//!
//! The logits after a token do not depend on how a sequence is cut into passes, so one pass over prompt and answer gives
//! every distribution that the answer was drawn from, at the price of a prompt instead of a decode.

use std::sync::Arc;

use alloy_primitives::B256;
use openledger_model::{Adapter, Feed, Logits, Session};
use openledger_types::receipt::Sampling;

use crate::answering::Answering;
use crate::format::has;
use crate::{Engine, Error, Outcome};

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

/// What the hash of an answer's logits begins with.
const LOGITS_DOMAIN: &[u8] = b"openledger-logits/1";

/// An answer made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reexecution {
    /// Where it first differs; `None` means that [`Engine::generate`] gives these very tokens.
    pub difference: Option<FirstDifference>,
    /// The logits that its tokens were drawn from, which stand in no answer: BLAKE3 of `LOGITS_DOMAIN` and, for each position in order,
    /// the BLAKE3 hash of its logits as little-endian `f32`. Only who ran the model knows it.
    pub logits: B256,
}

impl Engine {
    /// Re-executes an answer and says where it first differs, if it does: in a token, by ending too early, or by going on
    /// after its end.
    ///
    /// # Errors
    /// As [`Engine::generate`]; [`Error::Context`] when prompt and answer together exceed the context.
    pub fn reexecute(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        tokens: &[u32],
    ) -> Result<Reexecution, Error> {
        self.check(prompt.len(), sampling)?;
        let outcome = Outcome::of(self.tokenizer(), sampling, tokens);
        let answer = &tokens[..outcome.tokens];
        let mut again = self.first_wrong_token(adapter, prompt, sampling, answer, outcome.ended)?;
        let longer = tokens.get(answer.len()).map(|got| FirstDifference {
            position: answer.len(),
            expected: None,
            got: Some(*got),
        });
        again.difference = again.difference.or(longer);
        Ok(again)
    }

    /// The difference that [`Self::reexecute`] finds.
    ///
    /// # Errors
    /// As there.
    pub fn verify_generation(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        tokens: &[u32],
    ) -> Result<Option<FirstDifference>, Error> {
        Ok(self.reexecute(adapter, prompt, sampling, tokens)?.difference)
    }

    /// Compares the tokens of an answer, and the position after them too unless it has `ended`.
    fn first_wrong_token(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        answer: &[u32],
        ended: bool,
    ) -> Result<Reexecution, Error> {
        let read = if ended { answer.len() - 1 } else { answer.len() };
        let tokens = [prompt, &answer[..read]].concat();
        let mut session = self.alone(adapter)?;
        let formats = self.format(sampling)?.map(|format| format.along(&answer[..read]));
        let mut feeds =
            [Feed { session: &mut session, tokens: &tokens, logits: Logits::From(prompt.len() - 1) }];
        let drawn = Session::run(&mut feeds, |row| {
            let position = row.index + 1 - prompt.len();
            let answering = Answering::after(self.tokenizer(), prompt, sampling, &answer[..position]);
            let token = match &formats {
                None => answering.choose(row.logits).map(Some),
                // Where the answer left its format before, nothing is expected any more.
                Some(along) => along
                    .get(position)
                    .map(|allowed| answering.choose_among(row.logits, |token| has(allowed, token)))
                    .transpose(),
            };
            (token, hash_of(row.logits))
        })?;
        let mut logits = blake3::Hasher::new();
        logits.update(LOGITS_DOMAIN);
        let mut difference = None;
        for (position, (expected, row)) in drawn.into_iter().enumerate() {
            logits.update(row.as_bytes());
            let (expected, got) = (expected?, answer.get(position).copied());
            if difference.is_none() && got != expected {
                difference = Some(FirstDifference { position, expected, got });
            }
        }
        Ok(Reexecution { difference, logits: B256::from(*logits.finalize().as_bytes()) })
    }
}

fn hash_of(logits: &[f32]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in logits.chunks(512) {
        hasher.update(&part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    }
    hasher.finalize()
}

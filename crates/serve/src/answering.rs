//! One answer while it is made, and an answer that was made read again: which token follows, which text is certain, where it ends.

use openledger_model::Tokenizer;
use openledger_types::receipt::{FinishReason, Sampling};

use crate::format::{Format, has};
use crate::sampling::{Seen, choose};
use crate::stop::StopText;
use crate::{Error, Logprobs};

/// One token of an answer as it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Where it stands in the answer.
    pub position: u64,
    /// Its id.
    pub token: u32,
    /// The text that became certain with it; empty within a character, while it may begin a stop sequence, and for the end of the turn.
    pub text: String,
    /// How likely it was, where that was asked for.
    pub logprobs: Option<Logprobs>,
    /// Why the answer ends here, if it does.
    pub finish_reason: Option<FinishReason>,
}

/// What becomes of an answer depends on this alone: the request's sampling, the prompt, and the logits after each token.
/// The format is that of the sampling; an answer that is only read needs none.
#[derive(Debug)]
pub(crate) struct Answering {
    tokenizer: Tokenizer,
    sampling: Sampling,
    seen: Option<Seen>,
    format: Option<Format>,
    text: Option<StopText>,
    position: u64,
    finish_reason: Option<FinishReason>,
}

impl Answering {
    /// An answer to a prompt, not begun. The sampling is validated.
    pub(crate) fn new(
        tokenizer: &Tokenizer,
        prompt: &[u32],
        sampling: &Sampling,
        format: Option<Format>,
    ) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            sampling: sampling.clone(),
            seen: Seen::new(sampling, prompt),
            format,
            text: Some(StopText::new(&sampling.stop)),
            position: 0,
            finish_reason: None,
        }
    }

    /// An answer of which there are these tokens.
    pub(crate) fn after(tokenizer: &Tokenizer, prompt: &[u32], sampling: &Sampling, tokens: &[u32]) -> Self {
        let mut answering = Self::new(tokenizer, prompt, sampling, None);
        for token in tokens {
            answering.push(*token);
        }
        answering
    }

    /// The token that follows, given the logits there.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; [`Error::ResponseFormat`] when the format cannot be kept any longer.
    pub(crate) fn choose(&self, logits: &[f32]) -> Result<u32, Error> {
        match &self.format {
            None => self.choose_among(logits, |_token| true),
            Some(format) => {
                let allowed = format.allowed()?;
                self.choose_among(logits, |token| has(allowed, token))
            }
        }
    }

    /// The token that follows among those that are allowed, of which there is one at least.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub(crate) fn choose_among(&self, logits: &[f32], allowed: impl Fn(u32) -> bool) -> Result<u32, Error> {
        match &self.seen {
            None => choose(&self.sampling, self.position, logits, allowed),
            Some(seen) => {
                choose(&self.sampling, self.position, &seen.penalise(&self.sampling, logits), allowed)
            }
        }
    }

    /// Takes the token that follows; nothing follows the last.
    pub(crate) fn push(&mut self, token: u32) -> Piece {
        if let Some(seen) = &mut self.seen {
            seen.push(token);
        }
        if let Some(format) = &mut self.format {
            format.push(token);
        }
        let position = self.position;
        self.position += 1;
        let mut piece = String::new();
        if let Some(text) = &mut self.text {
            piece = text.push(self.tokenizer.token_bytes(token));
            if token == self.tokenizer.eos() || text.stopped() {
                self.finish_reason = Some(FinishReason::Stop);
            } else if self.position >= u64::from(self.sampling.max_tokens) {
                self.finish_reason = Some(FinishReason::Length);
            }
        }
        if self.finish_reason.is_some()
            && let Some(text) = self.text.take()
        {
            piece.push_str(&text.finish());
        }
        Piece { position, token, text: piece, logprobs: None, finish_reason: self.finish_reason }
    }

    /// Draws the token that follows; `top` likeliest tokens are named beside it, if that is asked for.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub(crate) fn draw(&self, logits: &[f32], top: Option<u8>) -> Result<Drawn, Error> {
        let token = self.choose(logits)?;
        Ok(Drawn { token, logprobs: top.map(|top| Logprobs::new(logits, token, top)) })
    }

    /// Takes what was drawn.
    pub(crate) fn take(&mut self, drawn: Drawn) -> Piece {
        Piece { logprobs: drawn.logprobs, ..self.push(drawn.token) }
    }
}

/// A token that was drawn and not taken yet.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) token: u32,
    pub(crate) logprobs: Option<Logprobs>,
}

/// What the tokens of an answer say, under the request's sampling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The text, up to a stop sequence; special tokens left out.
    pub text: String,
    /// How many of the tokens belong to the answer: what follows its end does not.
    pub tokens: usize,
    /// Why it ended; [`FinishReason::Length`] for an answer that did not end by itself.
    pub finish_reason: FinishReason,
    /// Whether it is at an end: by itself or at the most tokens.
    pub ended: bool,
}

impl Outcome {
    /// Reads an answer.
    pub fn of(tokenizer: &Tokenizer, sampling: &Sampling, tokens: &[u32]) -> Self {
        let mut answering = Answering::new(tokenizer, &[], sampling, None);
        let mut text = String::new();
        let mut count = 0;
        for token in tokens {
            text.push_str(&answering.push(*token).text);
            count += 1;
            if answering.finish_reason.is_some() {
                break;
            }
        }
        if let Some(rest) = answering.text.take() {
            text.push_str(&rest.finish());
        }
        Self {
            text,
            tokens: count,
            finish_reason: answering.finish_reason.unwrap_or(FinishReason::Length),
            ended: answering.finish_reason.is_some(),
        }
    }
}

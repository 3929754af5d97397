use std::{ops::ControlFlow, sync::Arc};

use openledger_model::{Adapter, Model, Pages, Pool, Session, Tokenizer};
use openledger_types::receipt::{FinishReason, Sampling};

use crate::{Adapters, Error, Queue, TextStream, choose, validate};

/// Most memory for the keys and values of one answer: the whole context of a small model.
const MAX_PAGE_BYTES: usize = 4 << 30;

/// One base model in memory with the adapters beside it. Cloning shares them.
///
/// Computation blocks the thread that asks for it and uses every thread of the pool, so whoever shares an engine takes a
/// [`crate::Turn`] from [`Self::queue`] first.
#[derive(Clone)]
pub struct Engine {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    pool: Pool,
    queue: Queue,
    adapters: Arc<Adapters>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("model", self.model.config())
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// One token of an answer as it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where it stands in the answer.
    pub position: u64,
    /// Its id.
    pub token: u32,
    /// The text that became certain with it; empty within a character and for the end of the turn.
    pub text: &'a str,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its tokens, the end token included where it was drawn.
    pub tokens: Vec<u32>,
    /// The tokens as text, special tokens left out.
    pub text: String,
    /// Why it ended. [`FinishReason::Length`] also when a piece was refused.
    pub finish_reason: FinishReason,
    /// Whether a piece was refused: then the answer ends before that piece.
    pub refused: bool,
}

impl Engine {
    /// Serves `model` on `pool`, with at most `waiting` requests in the queue.
    pub fn new(model: Arc<Model>, tokenizer: Arc<Tokenizer>, pool: Pool, waiting: usize) -> Self {
        Self { model, tokenizer, pool, queue: Queue::new(waiting), adapters: Arc::default() }
    }

    /// The base.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The threads it computes on.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Whose turn it is.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The adapters in memory.
    pub fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// Checks that a request can be answered at all.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::Sampling`], [`Error::Context`].
    pub fn check(&self, prompt_tokens: usize, sampling: &Sampling) -> Result<(), Error> {
        if prompt_tokens == 0 {
            return Err(Error::EmptyPrompt);
        }
        validate(sampling)?;
        let limit = self.model.config().context;
        let answer = usize::try_from(sampling.max_tokens).unwrap_or(usize::MAX);
        if prompt_tokens.saturating_add(answer) > limit {
            return Err(Error::Context { prompt: prompt_tokens, max_tokens: sampling.max_tokens, limit });
        }
        Ok(())
    }

    /// Answers a prompt token by token. Each piece is offered to `on_piece` as soon as it exists; one that breaks refuses the
    /// piece and ends the answer before it.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::NotFinite`]; [`Error::Model`].
    pub fn generate(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        mut on_piece: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<Generation, Error> {
        self.check(prompt.len(), sampling)?;
        let mut session = self.session(adapter)?;
        let mut logits = session.feed(prompt)?;
        let mut stream = TextStream::default();
        let mut answer = Generation {
            tokens: Vec::new(),
            text: String::new(),
            finish_reason: FinishReason::Length,
            refused: false,
        };
        for position in 0..u64::from(sampling.max_tokens) {
            let token = choose(sampling, position, &logits)?;
            let ends = token == self.tokenizer.eos();
            let last = ends || position + 1 == u64::from(sampling.max_tokens);
            let mut text = stream.push(self.tokenizer.token_bytes(token));
            if last {
                text.push_str(&std::mem::take(&mut stream).finish());
            }
            if on_piece(Piece { position, token, text: &text }).is_break() {
                answer.refused = true;
                break;
            }
            answer.tokens.push(token);
            if ends {
                answer.finish_reason = FinishReason::Stop;
            }
            if last {
                break;
            }
            logits = session.feed(&[token])?;
        }
        answer.text = self.tokenizer.decode(&answer.tokens);
        Ok(answer)
    }

    pub(crate) fn session(&self, adapter: Option<&Arc<Adapter>>) -> Result<Session, Error> {
        let pages = Pages::new(self.model.config(), MAX_PAGE_BYTES)?;
        Ok(Session::new(self.model.clone(), adapter.cloned(), self.pool.clone(), pages)?)
    }
}

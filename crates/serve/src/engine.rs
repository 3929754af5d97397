use std::sync::{Arc, OnceLock};

use openledger_model::{Adapter, Model, Pages, Pool, Session, Tokenizer};
use openledger_types::receipt::{FinishReason, ResponseFormat, Sampling};

use crate::answering::Answering;
use crate::format::{Format, Formats};
use crate::{Error, Piece, validate};

/// Most memory for the keys and values of one answer: the whole context of a small model.
const MAX_PAGE_BYTES: usize = 4 << 30;

/// One base model in memory and the threads that compute on it. Cloning shares them.
///
/// Computation blocks the thread that asks for it. Many answers at once are made by a [`crate::Scheduler`]; this makes one alone, which is what
/// each of the many must be equal to.
#[derive(Clone)]
pub struct Engine {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    pool: Pool,
    /// Made when the first answer in a format is asked for.
    formats: Arc<OnceLock<Formats>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("model", self.model.config())
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its tokens, the end token included where it was drawn.
    pub tokens: Vec<u32>,
    /// The tokens as text up to a stop sequence, special tokens left out.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

impl Engine {
    /// Computes with `model` on `pool`.
    pub fn new(model: Arc<Model>, tokenizer: Arc<Tokenizer>, pool: Pool) -> Self {
        Self { model, tokenizer, pool, formats: Arc::default() }
    }

    /// The same model on other threads.
    #[must_use]
    pub fn on(&self, pool: Pool) -> Self {
        Self { pool, ..self.clone() }
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

    /// Checks that a request can be answered at all.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::Context`] and those of [`validate`].
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

    /// Answers a prompt alone, token by token.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::ResponseFormat`] for a schema that cannot be kept; [`Error::NotFinite`]; [`Error::Model`].
    pub fn generate(
        &self,
        adapter: Option<&Arc<Adapter>>,
        prompt: &[u32],
        sampling: &Sampling,
        mut on_piece: impl FnMut(&Piece),
    ) -> Result<Generation, Error> {
        self.check(prompt.len(), sampling)?;
        let format = self.format(sampling)?;
        let mut session = self.alone(adapter)?;
        let mut logits = session.feed(prompt)?;
        let mut answering = Answering::new(&self.tokenizer, prompt, sampling, format);
        let (mut tokens, mut text) = (Vec::new(), String::new());
        loop {
            let piece = answering.push(answering.choose(&logits)?);
            on_piece(&piece);
            tokens.push(piece.token);
            text.push_str(&piece.text);
            if let Some(finish_reason) = piece.finish_reason {
                return Ok(Generation { tokens, text, finish_reason });
            }
            logits = session.feed(&[piece.token])?;
        }
    }

    /// The beginning of an answer in the format that a request names.
    ///
    /// # Errors
    /// [`Error::ResponseFormat`].
    pub(crate) fn format(&self, sampling: &Sampling) -> Result<Option<Format>, Error> {
        if sampling.response_format == ResponseFormat::Text {
            return Ok(None);
        }
        let formats = match self.formats.get() {
            Some(formats) => formats,
            None => {
                let made = Formats::new(&self.tokenizer)?;
                self.formats.get_or_init(|| made)
            }
        };
        formats.begin(&sampling.response_format)
    }

    /// A session with memory of its own.
    pub(crate) fn alone(&self, adapter: Option<&Arc<Adapter>>) -> Result<Session, Error> {
        self.session(adapter.cloned(), Pages::new(self.model.config(), MAX_PAGE_BYTES)?)
    }

    pub(crate) fn session(&self, adapter: Option<Arc<Adapter>>, pages: Pages) -> Result<Session, Error> {
        Ok(Session::new(self.model.clone(), adapter, self.pool.clone(), pages)?)
    }
}

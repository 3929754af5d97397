use std::sync::Arc;

use crate::{Adapter, Error, Model, Pool};

/// One sequence being decoded: its key/value cache, the model and the adapter it runs with.
pub struct Session {
    model: Arc<Model>,
    adapter: Option<Arc<Adapter>>,
    pool: Pool,
}

impl Session {
    /// An empty sequence.
    ///
    /// # Errors
    /// [`Error::Adapter`] or [`Error::Length`] when the adapter is for a model of another shape.
    pub fn new(model: Arc<Model>, adapter: Option<Arc<Adapter>>, pool: Pool) -> Result<Self, Error> {
        Ok(Self { model, adapter, pool })
    }

    /// Number of tokens fed so far.
    #[must_use]
    pub fn position(&self) -> usize {
        unimplemented!("{:?} {:?} {:?}", self.model.config(), self.adapter, self.pool)
    }

    /// Feeds tokens (one or many) and returns the logits that follow the last of them. The bits do not depend on how a sequence is cut into calls.
    ///
    /// # Errors
    /// [`Error::Length`] for no tokens, [`Error::Token`], [`Error::Context`]; the session is unchanged then.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        unimplemented!("{tokens:?}")
    }

    /// Feeds tokens and hands `visit` the logits after each token from index `from` of `tokens` on, in order: how an answer is verified in one prefill.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn feed_rows(&mut self, tokens: &[u32], from: usize, visit: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        let _ = visit;
        unimplemented!("{tokens:?} {from}")
    }

    /// Forgets every token from `position` on.
    pub fn truncate(&mut self, position: usize) {
        unimplemented!("{position}")
    }

    /// Feeds one token to each of many sessions of the same model, reading the weights once for all of them, and returns the logits of each.
    /// The bits are those of feeding each alone.
    ///
    /// # Errors
    /// As [`Self::feed`]; [`Error::Length`] when there is not one token per session.
    pub fn step(sessions: &mut [&mut Self], tokens: &[u32]) -> Result<Vec<Vec<f32>>, Error> {
        unimplemented!("{} {tokens:?}", sessions.len())
    }
}

use std::sync::Arc;

use crate::{
    Adapter, Error, Model, Pool,
    engine::{Cache, Packed, Pass, Sequence, gather, logits},
    kernel::Buf,
};

/// Tokens of one call that go through the layers together; longer calls are cut, which changes no bit.
const CHUNK: usize = 512;
/// Rows of logits held at once.
const LOGIT_ROWS: usize = 84;

/// One sequence being decoded: its key/value cache, the model and the adapter it runs with.
pub struct Session {
    model: Arc<Model>,
    adapter: Option<Arc<Adapter>>,
    pool: Pool,
    caches: Vec<Cache>,
    position: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Session {
    /// An empty sequence.
    ///
    /// # Errors
    /// [`Error::Adapter`] or [`Error::Length`] when the adapter is for a model of another shape.
    pub fn new(model: Arc<Model>, adapter: Option<Arc<Adapter>>, pool: Pool) -> Result<Self, Error> {
        if let Some(adapter) = &adapter {
            adapter.check(&model.config)?;
        }
        let caches = (0..model.config.layers).map(|_| Cache::new(&model.config)).collect();
        Ok(Self { model, adapter, pool, caches, position: 0 })
    }

    /// Number of tokens fed so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Feeds tokens (one or many) and returns the logits that follow the last of them. The bits do not depend on how a sequence is cut into calls.
    ///
    /// # Errors
    /// [`Error::Length`] for no tokens, [`Error::Token`], [`Error::Context`]; the session is unchanged then.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let mut last = Vec::new();
        self.feed_rows(tokens, tokens.len().saturating_sub(1), |_, row| last = row.to_vec())?;
        Ok(last)
    }

    /// Feeds tokens and hands `visit` the logits after each token from index `from` of `tokens` on, in order: how an answer is verified in one prefill.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn feed_rows(
        &mut self,
        tokens: &[u32],
        from: usize,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        self.check(tokens)?;
        let (d, vocab) = (self.model.config.d_model, self.model.config.vocab);
        let mut first = 0;
        for chunk in tokens.chunks(CHUNK) {
            let x = run(&mut [self], &[chunk]);
            let model = Arc::clone(&self.model);
            let mut row = from.max(first);
            while row < first + chunk.len() {
                let end = (row + LOGIT_ROWS).min(first + chunk.len());
                let rows = gather(&x, d, row - first..end - first);
                let threads = self.pool.threads();
                let z = self.pool.install(|| logits(&model, threads, &rows));
                for (i, logits) in z.chunks_exact(vocab).enumerate() {
                    visit(row + i, logits);
                }
                row = end;
            }
            first += chunk.len();
        }
        Ok(())
    }

    /// Forgets every token from `position` on.
    pub fn truncate(&mut self, position: usize) {
        self.position = self.position.min(position);
        for cache in &mut self.caches {
            cache.truncate(position);
        }
    }

    /// Feeds one token to each of many sessions of the same model, reading the weights once for all of them, and returns the logits of each.
    /// The bits are those of feeding each alone.
    ///
    /// # Errors
    /// As [`Self::feed`]; [`Error::Length`] when there is not one token per session; [`Error::Adapter`] when sessions are of different models.
    pub fn step(sessions: &mut [&mut Self], tokens: &[u32]) -> Result<Vec<Vec<f32>>, Error> {
        if sessions.len() != tokens.len() {
            return Err(Error::Length {
                what: "tokens of a step",
                got: tokens.len(),
                expected: sessions.len(),
            });
        }
        let Some(first) = sessions.first() else { return Ok(Vec::new()) };
        let (model, pool) = (Arc::clone(&first.model), first.pool.clone());
        for (session, token) in sessions.iter().zip(tokens) {
            if !Arc::ptr_eq(&session.model, &model) {
                return Err(Error::Adapter("sessions of one step must share their model".into()));
            }
            session.check(std::slice::from_ref(token))?;
        }
        let feeds: Vec<&[u32]> = tokens.chunks(1).collect();
        let x = run(sessions, &feeds);
        let z = pool.install(|| logits(&model, pool.threads(), &x));
        Ok(z.chunks_exact(model.config.vocab).map(<[f32]>::to_vec).collect())
    }

    fn check(&self, tokens: &[u32]) -> Result<(), Error> {
        self.model.check_tokens(tokens)?;
        let (got, limit) = (self.position + tokens.len(), self.model.config.context);
        if got > limit { Err(Error::Context { got, limit }) } else { Ok(()) }
    }
}

/// Runs checked tokens of several sessions through all layers; returns the hidden rows, stacked.
fn run(sessions: &mut [&mut Session], feeds: &[&[u32]]) -> Buf {
    let (model, pool) = (Arc::clone(&sessions[0].model), sessions[0].pool.clone());
    let adapters: Vec<_> = sessions.iter().map(|s| s.adapter.clone()).collect();
    let mut end = 0;
    let mut stacked = Vec::new();
    for ((session, tokens), adapter) in sessions.iter().zip(feeds).zip(&adapters) {
        let rows = end..end + tokens.len();
        end = rows.end;
        let lora: Option<&Packed> = adapter.as_deref().map(Adapter::packed);
        stacked.push(Sequence { rows, start: session.position, lora });
    }
    let d = model.config.d_model;
    let mut x = Buf::scratch(end * d);
    for (row, token) in x.chunks_exact_mut(d).zip(feeds.iter().copied().flatten()) {
        model.weights.embed(*token, row);
    }
    let pass = Pass { model: &model, sequences: stacked, direction: None, split: pool.threads() };
    pool.install(|| {
        for layer in 0..model.config.layers {
            let mut caches: Vec<&mut Cache> = sessions.iter_mut().map(|s| &mut s.caches[layer]).collect();
            pass.layer(layer, &mut x, Some(&mut caches), false);
        }
    });
    for (session, tokens) in sessions.iter_mut().zip(feeds) {
        session.position += tokens.len();
    }
    x
}

use std::sync::Arc;

use super::{
    pages::Page,
    step::{Sequence, Step},
};
use crate::{
    Adapter, Error, Model, Pages, Pool,
    kernel::{Buf, cross_entropy},
};

/// Rows that go through the layers together; longer runs are cut, which changes no bit.
const CHUNK: usize = 512;
/// Rows of logits held at once: 13 MB for a vocabulary of 49152.
const LOGIT_ROWS: usize = 64;

/// One sequence being decoded: its keys and values, the model and the adapter it runs with.
pub struct Session {
    model: Arc<Model>,
    adapter: Option<Arc<Adapter>>,
    pool: Pool,
    pages: Pages,
    table: Vec<Arc<Page>>,
    position: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The keys and values of the beginning of a session, kept beyond it. Holding one holds its pages.
#[derive(Clone)]
pub struct KeptPrefix {
    model: Arc<Model>,
    table: Vec<Arc<Page>>,
}

impl std::fmt::Debug for KeptPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptPrefix").field("positions", &self.positions()).finish_non_exhaustive()
    }
}

impl KeptPrefix {
    /// Number of tokens whose keys and values it holds.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.table.len() * Pages::POSITIONS
    }

    /// Number of pages it holds.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.table.len()
    }
}

/// Which logits of a [`Feed`] are wanted. Rows that nobody wants cost no logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: an inner chunk of a prompt.
    None,
    /// Those after the last token.
    Last,
    /// Those after each token from this index of the feed on.
    From(usize),
}

/// Tokens for one session of a run.
#[derive(Debug)]
pub struct Feed<'a> {
    /// The session that takes them.
    pub session: &'a mut Session,
    /// At least one.
    pub tokens: &'a [u32],
    /// Whose logits are wanted.
    pub logits: Logits,
}

impl Feed<'_> {
    /// First index whose logits are wanted.
    fn wanted(&self) -> usize {
        match self.logits {
            Logits::None => self.tokens.len(),
            Logits::Last => self.tokens.len() - 1,
            Logits::From(index) => index,
        }
    }
}

/// One row of logits of a run.
#[derive(Debug)]
pub struct Row<'a> {
    /// Index of the feed.
    pub feed: usize,
    /// Index of the token in the feed that these logits follow.
    pub index: usize,
    /// One for each token of the vocabulary; free to be changed.
    pub logits: &'a mut [f32],
}

impl Row<'_> {
    /// `log softmax(logits)[token]` in nats.
    ///
    /// # Panics
    /// For a token outside the vocabulary.
    #[must_use]
    pub fn log_p(self, token: u32) -> f64 {
        -cross_entropy(self.logits, token as usize)
    }
}

impl Session {
    /// An empty sequence whose keys and values come from `pages`.
    ///
    /// # Errors
    /// [`Error::Adapter`] when the adapter or the pages are for a model of another shape.
    pub fn new(
        model: Arc<Model>,
        adapter: Option<Arc<Adapter>>,
        pool: Pool,
        pages: Pages,
    ) -> Result<Self, Error> {
        if let Some(adapter) = &adapter {
            adapter.check(&model.config)?;
        }
        if !pages.fits(&model.config) {
            return Err(Error::Adapter("the pages are for a model of another shape".into()));
        }
        Ok(Self { model, adapter, pool, pages, table: Vec::new(), position: 0 })
    }

    /// Number of tokens fed so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Number of pages it holds, shared ones included.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.table.len()
    }

    /// Keeps what is known of the first `positions` tokens, rounded down to whole pages, for sessions that begin with the same tokens.
    #[must_use]
    pub fn prefix(&self, positions: usize) -> KeptPrefix {
        let whole = positions.min(self.position) / Pages::POSITIONS;
        KeptPrefix { model: Arc::clone(&self.model), table: self.table[..whole].to_vec() }
    }

    /// Puts an empty session behind a prefix, without computing it again: it then stands at [`KeptPrefix::positions`].
    ///
    /// That the prefix was computed with an adapter of the same content is the caller's to know; its key has to hold that.
    ///
    /// # Errors
    /// [`Error::Length`] when the session is not empty, [`Error::Adapter`] when the prefix is of another model.
    pub fn resume(&mut self, prefix: &KeptPrefix) -> Result<(), Error> {
        if self.position != 0 {
            return Err(Error::Length { what: "tokens before a prefix", got: self.position, expected: 0 });
        }
        if !Arc::ptr_eq(&self.model, &prefix.model) {
            return Err(Error::Adapter("the prefix is of another model".into()));
        }
        self.table = prefix.table.clone();
        self.position = prefix.positions();
        Ok(())
    }

    /// Forgets every token from `position` on and gives their pages back.
    pub fn truncate(&mut self, position: usize) {
        self.position = self.position.min(position);
        self.table.truncate(self.position.div_ceil(Pages::POSITIONS));
    }

    /// Feeds tokens (one or many) and returns the logits that follow the last of them.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let mut feeds = [Feed { session: self, tokens, logits: Logits::Last }];
        Ok(Self::run(&mut feeds, |row| row.logits.to_vec())?.remove(0))
    }

    /// Feeds every session its tokens, reading the weights once for all of them, and returns what `each` makes of every row of logits that is wanted: by feed,
    /// then by index. `each` runs on the threads of the first session's pool, several at once.
    ///
    /// The bits of a row do not depend on the other feeds, nor on how a sequence is cut into runs.
    ///
    /// # Errors
    /// [`Error::Length`] for no tokens, [`Error::Token`], [`Error::Context`], [`Error::Pages`]; [`Error::Adapter`] when sessions are of different models.
    /// All sessions are as they were then.
    pub fn run<T: Send>(feeds: &mut [Feed<'_>], each: impl Fn(Row<'_>) -> T + Sync) -> Result<Vec<T>, Error> {
        let Some(first) = feeds.first() else { return Ok(Vec::new()) };
        let (model, pool) = (Arc::clone(&first.session.model), first.session.pool.clone());
        for feed in &*feeds {
            if !Arc::ptr_eq(&feed.session.model, &model) {
                return Err(Error::Adapter("sessions of one run must share their model".into()));
            }
            feed.session.check(feed.tokens)?;
        }
        let taken = feeds.iter().map(|f| f.session.reserve(f.tokens.len())).collect::<Result<Vec<_>, _>>()?;
        for (feed, reserved) in feeds.iter_mut().zip(taken) {
            feed.session.extend(reserved);
        }
        let adapters: Vec<_> = feeds.iter().map(|f| f.session.adapter.clone()).collect();
        let adapters: Vec<_> = adapters.iter().map(|a| a.as_deref().map(Adapter::adapted)).collect();
        pool.install(|| {
            let mut results = Vec::new();
            let mut next = Cut { feed: 0, index: 0 };
            while next.feed < feeds.len() {
                next = round(&model, pool.threads(), feeds, &adapters, next, &each, &mut results);
            }
            Ok(results)
        })
    }

    fn check(&self, tokens: &[u32]) -> Result<(), Error> {
        self.model.check_tokens(tokens)?;
        let (got, limit) = (self.position + tokens.len(), self.model.config.context);
        if got > limit { Err(Error::Context { got, limit }) } else { Ok(()) }
    }

    /// The pages that `count` more tokens need.
    fn reserve(&self, count: usize) -> Result<Reserved, Error> {
        let shared = !self.position.is_multiple_of(Pages::POSITIONS)
            && self.table.last().is_some_and(|page| Arc::strong_count(page) > 1);
        let whole = (self.position + count).div_ceil(Pages::POSITIONS);
        let copy = if shared { self.pages.take(1)?.pop() } else { None };
        Ok(Reserved { copy, pages: self.pages.take(whole - self.table.len())? })
    }

    fn extend(&mut self, reserved: Reserved) {
        if let (Some(last), Some(mut copy)) = (self.table.last_mut(), reserved.copy) {
            copy.copy_from(last);
            *last = Arc::new(copy);
        }
        self.table.extend(reserved.pages.into_iter().map(Arc::new));
    }
}

/// Pages taken for the next tokens of a session.
struct Reserved {
    /// In place of the last page, where tokens go to one that others hold too.
    copy: Option<Page>,
    pages: Vec<Page>,
}

/// Where a round begins.
#[derive(Clone, Copy)]
struct Cut {
    feed: usize,
    index: usize,
}

/// Runs up to [`CHUNK`] rows from `cut` on, and returns where the next round begins.
fn round<'a, T: Send>(
    model: &'a Model,
    split: usize,
    feeds: &mut [Feed<'_>],
    adapters: &[Option<super::Adapted<'a>>],
    cut: Cut,
    each: &(impl Fn(Row<'_>) -> T + Sync),
    results: &mut Vec<T>,
) -> Cut {
    let d = model.config.d_model;
    let mut next = cut;
    let mut sequences = Vec::new();
    let mut tokens = Vec::new();
    let mut wanted = Vec::new();
    for (i, feed) in feeds.iter_mut().enumerate().skip(cut.feed) {
        let first = if i == cut.feed { cut.index } else { 0 };
        let end = feed.tokens.len().min(first + CHUNK - tokens.len());
        let at = tokens.len();
        tokens.extend_from_slice(&feed.tokens[first..end]);
        wanted.extend((feed.wanted().max(first)..end).map(|index| (at + index - first, i, index)));
        let session = &mut *feed.session;
        sequences.push(Sequence {
            rows: at..tokens.len(),
            start: session.position,
            adapter: adapters[i],
            table: &mut session.table,
        });
        session.position += end - first;
        next =
            if end < feed.tokens.len() { Cut { feed: i, index: end } } else { Cut { feed: i + 1, index: 0 } };
        if tokens.len() == CHUNK {
            break;
        }
    }
    let mut x = Buf::scratch(tokens.len() * d);
    for (row, token) in x.chunks_exact_mut(d).zip(&tokens) {
        model.weights.embed(*token, row);
    }
    let mut step = Step { model, sequences, split };
    step.layers(&mut x);
    for block in wanted.chunks(LOGIT_ROWS) {
        step.logits(&x, block, each, results);
    }
    next
}

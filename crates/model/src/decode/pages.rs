use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    Config, Error,
    kernel::{Buf, PANEL},
};

/// Most pages whose memory is kept for the next session when they become free.
const MAX_SPARE: usize = 64;

/// Bounded memory for the keys and values of sessions, handed out in pages of [`Pages::POSITIONS`] positions. Cloning shares it.
///
/// A page holds its positions in all layers. Sessions that start from the same [`crate::KeptPrefix`] share its pages; a page is free as soon as nobody holds it.
#[derive(Clone)]
pub struct Pages {
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("used", &self.used()).field("limit", &self.limit()).finish()
    }
}

struct Pool {
    shape: Shape,
    limit: usize,
    used: AtomicUsize,
    spare: Mutex<Vec<Buf>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    layers: usize,
    kv_heads: usize,
    head: usize,
}

impl Shape {
    pub(super) fn of(config: &Config) -> Self {
        Self { layers: config.layers, kv_heads: config.kv_heads, head: config.head_dim }
    }

    fn floats(self) -> usize {
        self.layers * self.kv_heads * 2 * self.head * PANEL
    }
}

impl Pages {
    /// Positions in one page.
    pub const POSITIONS: usize = PANEL;

    /// As many pages for sessions of a model of this shape as fit into `bytes`. Memory is taken as pages are used.
    ///
    /// # Errors
    /// [`Error::Length`] when not even one page fits.
    pub fn new(config: &Config, bytes: usize) -> Result<Self, Error> {
        let shape = Shape::of(config);
        let page = shape.floats() * size_of::<f32>();
        if bytes < page {
            return Err(Error::Length { what: "bytes for pages (at least one)", got: bytes, expected: page });
        }
        let pool = Pool { shape, limit: bytes / page, used: AtomicUsize::new(0), spare: Mutex::default() };
        Ok(Self { pool: Arc::new(pool) })
    }

    /// Bytes of one page.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.pool.shape.floats() * size_of::<f32>()
    }

    /// Most pages that exist at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.pool.limit
    }

    /// Pages that sessions and prefixes hold; a shared page counts once.
    #[must_use]
    pub fn used(&self) -> usize {
        self.pool.used.load(Ordering::Relaxed)
    }

    /// Pages that can still be taken.
    #[must_use]
    pub fn free(&self) -> usize {
        self.limit() - self.used()
    }

    pub(super) fn fits(&self, config: &Config) -> bool {
        self.pool.shape == Shape::of(config)
    }

    /// Takes `count` pages, or none.
    pub(super) fn take(&self, count: usize) -> Result<Vec<Page>, Error> {
        let limit = self.pool.limit;
        let more = |used: usize| (used + count <= limit).then_some(used + count);
        if let Err(used) = self.pool.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            return Err(Error::Pages { needed: count, free: limit - used });
        }
        Ok((0..count).map(|_| Page::new(&self.pool)).collect())
    }
}

/// Keys and values of [`Pages::POSITIONS`] positions in all layers: for each layer and key/value head `head x 32` keys (positions are columns), then `32 x head` values.
pub(super) struct Page {
    data: Buf,
    pool: Arc<Pool>,
}

impl Page {
    /// The caller has counted it as used.
    fn new(pool: &Arc<Pool>) -> Self {
        let spare = pool.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let data = spare.unwrap_or_else(|| Buf::zeros(pool.shape.floats()));
        Self { data, pool: Arc::clone(pool) }
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.data.copy_from_slice(&other.data);
    }

    fn at(&self, layer: usize, head: usize) -> std::ops::Range<usize> {
        let shape = self.pool.shape;
        let size = 2 * shape.head * PANEL;
        let first = (layer * shape.kv_heads + head) * size;
        first..first + size
    }

    /// `head x 32` keys and `32 x head` values.
    pub(super) fn head(&self, layer: usize, head: usize) -> (&[f32], &[f32]) {
        self.data[self.at(layer, head)].split_at(self.pool.shape.head * PANEL)
    }

    /// Puts the key and the value of one position.
    pub(super) fn put(&mut self, layer: usize, head: usize, slot: usize, key: &[f32], value: &[f32]) {
        let at = self.at(layer, head);
        let width = key.len();
        let (keys, values) = self.data[at].split_at_mut(width * PANEL);
        for (row, x) in keys.chunks_exact_mut(PANEL).zip(key) {
            row[slot] = *x;
        }
        values[slot * width..(slot + 1) * width].copy_from_slice(value);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        let mut spare = self.pool.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(data);
        }
        drop(spare);
        self.pool.used.fetch_sub(1, Ordering::Relaxed);
    }
}

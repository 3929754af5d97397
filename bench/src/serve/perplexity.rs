//! What integers cost in quality: the loss of a text by sessions beside that by the exact weights.

use std::sync::Arc;

use anyhow::{Result, ensure};
use openledger_model::{Feed, Logits, Model, Pages, Pool, Record, Sample, Session, Tokenizer};

/// Text that is under our hand: what this repository says of itself.
const TEXT: &str = concat!(
    include_str!("../../../README.md"),
    include_str!("../../../ARCHITECTURE.md"),
    include_str!("../../../STYLE.md"),
    include_str!("../../../CONTRIBUTING.md"),
    include_str!("../../../crates/model/README.md"),
);
/// Tokens that see each other.
const WINDOW: usize = 512;
/// Fewest tokens that say something.
const LEAST: usize = 4000;

pub(super) struct Perplexity {
    pub(super) tokens: usize,
    /// By the exact weights.
    pub(super) exact: f64,
    /// That of the sessions over it.
    pub(super) ratio: f64,
    /// Of the text.
    pub(super) hash: String,
}

pub(super) fn measure(
    model: &Arc<Model>,
    tokenizer: &Tokenizer,
    pool: &Pool,
    most: usize,
) -> Result<Perplexity> {
    let tokens = tokenizer.encode(TEXT)?;
    ensure!(tokens.len() >= LEAST, "the text has {} tokens, at least {LEAST} are needed", tokens.len());
    let tokens = &tokens[..tokens.len().min(most)];
    let pages = Pages::new(model.config(), 1 << 30)?;
    let (mut count, mut exact, mut served) = (0, 0.0, 0.0);
    for window in tokens.chunks(WINDOW).filter(|w| w.len() > 1) {
        let sample = Sample { tokens: window.to_vec(), targets: 1..window.len() };
        let prefix = model.prefix(pool, 0, window)?;
        exact += model.nll(pool, None, Record::new(&prefix, &sample))?;
        let mut session = Session::new(Arc::clone(model), None, pool.clone(), pages.clone())?;
        let mut feeds = [Feed { session: &mut session, tokens: window, logits: Logits::From(0) }];
        let losses = Session::run(&mut feeds, |row| {
            window.get(row.index + 1).map_or(0.0, |next| loss(row.logits, *next as usize))
        })?;
        served += losses.iter().sum::<f64>();
        count += window.len() - 1;
    }
    Ok(Perplexity {
        tokens: count,
        exact: (exact / count as f64).exp(),
        ratio: ((served - exact) / count as f64).exp(),
        hash: blake3::hash(TEXT.as_bytes()).to_string(),
    })
}

/// `-log softmax(z)[target]`.
fn loss(logits: &[f32], target: usize) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|z| (f64::from(*z) - largest).exp()).sum();
    sum.ln() + largest - f64::from(logits[target])
}

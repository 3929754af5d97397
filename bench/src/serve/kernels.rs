//! Our side of the measurements: sessions that run together.

use std::sync::Arc;

use anyhow::Result;
use openledger_model::{Adapter, Feed, Logits, LoraConfig, LoraLayout, Model, Pages, Pool, Session, Target};

use crate::cost::{Cost, cost};
use crate::stats::SplitMix;

/// Tokens that a sequence has before it is decoded.
pub(super) const KNOWN: usize = 16;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// One prompt.
    Prefill { tokens: usize },
    /// Steps of one token for each of many sequences, with all their logits.
    Decode { rows: usize, steps: usize },
}

impl Case {
    pub(super) fn name(self) -> String {
        match self {
            Self::Prefill { .. } => "prefill".into(),
            Self::Decode { rows, .. } => format!("decode_{rows}"),
        }
    }

    pub(super) fn tokens(self) -> usize {
        match self {
            Self::Prefill { tokens } => tokens,
            Self::Decode { rows, steps } => rows * steps,
        }
    }
}

/// A model with the memory of its sessions.
pub(super) struct Kernels {
    model: Arc<Model>,
    pool: Pool,
    pages: Pages,
}

impl Kernels {
    pub(super) fn new(model: &Arc<Model>, threads: usize) -> Result<Self> {
        let pages = Pages::new(model.config(), 4 << 30)?;
        Ok(Self { model: Arc::clone(model), pool: Pool::new(threads)?, pages })
    }

    fn session(&self, adapter: Option<&Arc<Adapter>>) -> Result<Session> {
        Ok(Session::new(self.model.clone(), adapter.cloned(), self.pool.clone(), self.pages.clone())?)
    }

    /// Row `i` runs with adapter `i` where there is one.
    pub(super) fn measure(&self, case: Case, adapters: &[Arc<Adapter>]) -> Result<Cost> {
        let prompt = |tokens: usize| (0..tokens).map(|i| i as u32 * 37 % 40_000).collect::<Vec<_>>();
        match case {
            Case::Prefill { tokens } => {
                let (prompt, mut session) = (prompt(tokens), self.session(adapters.first())?);
                Ok(cost(|| Ok(session.feed(&prompt)?))?.1)
            }
            Case::Decode { rows, steps } => {
                let mut sessions =
                    (0..rows).map(|i| self.session(adapters.get(i))).collect::<Result<Vec<_>>>()?;
                for session in &mut sessions {
                    session.feed(&prompt(KNOWN))?;
                }
                let tokens = prompt(rows);
                let step = |sessions: &mut [Session]| {
                    let mut feeds: Vec<_> = (sessions.iter_mut().zip(tokens.chunks(1)))
                        .map(|(session, tokens)| Feed { session, tokens, logits: Logits::Last })
                        .collect();
                    Session::run(&mut feeds, |row| row.logits[0])
                };
                let all = || {
                    for _ in 0..steps {
                        step(&mut sessions)?;
                    }
                    Ok(())
                };
                Ok(cost(all)?.1)
            }
        }
    }

    /// Adapters of one kind with different parameters, none of them zero.
    pub(super) fn adapters(&self, count: u8, rank: usize, targets: &[Target]) -> Result<Vec<Arc<Adapter>>> {
        let shape = self.model.config();
        let config = LoraConfig { rank, alpha: 16.0, first_layer: 0, targets: targets.to_vec() };
        let layout = LoraLayout::new(shape, &config)?;
        let mut random = SplitMix(u64::from(count));
        let mut theta: Vec<f32> = (0..layout.len()).map(|_| random.signed() as f32 * 0.01).collect();
        (0..count)
            .map(|_| {
                theta.rotate_left(977);
                Ok(Arc::new(Adapter::new(shape, config.clone(), theta.clone())?))
            })
            .collect()
    }
}

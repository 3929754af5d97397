//! Requests with a bounded number in flight, and what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::Result;
use futures::{StreamExt, stream};
use openledger_serve::{Adapters, Engine, Job, Scheduler};
use openledger_types::receipt::Sampling;
use serde_json::{Value, json};

use super::percentile;
use super::shelf::Shelf;
use crate::cost::{Cost, cost_of, load};

/// One request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) adapter: Option<B256>,
    /// Tokens of the answer.
    pub(super) tokens: u32,
    /// After how many tokens the reader leaves, if it does.
    pub(super) after: Option<usize>,
}

/// One answer.
#[derive(Debug, Clone)]
struct Answered {
    ask: Ask,
    number: usize,
    tokens: Vec<u32>,
    first: Duration,
    longest_gap: Duration,
}

/// What came of many.
#[derive(Debug, Default)]
pub(super) struct Served {
    answers: Vec<Answered>,
    cost: Option<Cost>,
    load: f64,
}

/// Asks all, at most `in_flight` at once.
pub(super) async fn serve(
    scheduler: &Scheduler,
    registry: &Adapters,
    asks: &[Ask],
    in_flight: usize,
) -> Result<Served> {
    let load = load();
    let (answers, cost) = cost_of(async {
        let one = |(number, ask): (usize, &Ask)| answer(scheduler, registry, number, *ask);
        let answers: Vec<Result<Answered>> =
            stream::iter(asks.iter().enumerate().map(one)).buffer_unordered(in_flight).collect().await;
        answers.into_iter().collect::<Result<Vec<_>>>()
    })
    .await?;
    Ok(Served { answers, cost: Some(cost), load })
}

async fn answer(scheduler: &Scheduler, registry: &Adapters, number: usize, ask: Ask) -> Result<Answered> {
    let began = Instant::now();
    let adapter = ask.adapter.map(|hash| registry.lease(hash)).transpose()?;
    let job = Job { adapter, prompt: prompt(number), sampling: sampling(ask.tokens), logprobs: None };
    let mut stream = scheduler.submit(B256::with_last_byte(number as u8 % 8), job)?;
    let mut answered =
        Answered { ask, number, tokens: vec![], first: Duration::ZERO, longest_gap: Duration::ZERO };
    let mut before = began;
    while ask.after.is_none_or(|after| answered.tokens.len() < after)
        && let Some(piece) = stream.next().await
    {
        answered.tokens.push(piece?.token);
        let now = Instant::now();
        if answered.tokens.len() == 1 {
            answered.first = now - began;
        } else {
            answered.longest_gap = answered.longest_gap.max(now - before);
        }
        before = now;
    }
    Ok(answered)
}

fn prompt(number: usize) -> Vec<u32> {
    (0..16).map(|at| (1 + number as u32 * 131 + at * 37) % 40_000).collect()
}

/// Tokens are drawn, so that an adapter shows in them.
fn sampling(tokens: u32) -> Sampling {
    Sampling { temperature_milli: 800, seed: 5, ..Sampling::greedy(tokens) }
}

impl Served {
    pub(super) fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
    }

    fn tokens(&self) -> usize {
        self.answers.iter().map(|answer| answer.tokens.len()).sum()
    }

    pub(super) fn tokens_a_cpu_second(&self) -> f64 {
        self.cost.map_or(f64::NAN, |cost| self.tokens() as f64 / cost.cpu)
    }

    pub(super) fn first_token_p99(&self) -> f64 {
        let mut firsts: Vec<f64> = self.answers.iter().map(|answer| answer.first.as_secs_f64()).collect();
        firsts.sort_by(f64::total_cmp);
        percentile(&firsts, 0.99)
    }

    pub(super) fn cancelled(&self) -> usize {
        self.answers.iter().filter(|answer| answer.ask.after.is_some()).count()
    }

    pub(super) fn finished(&self) -> usize {
        self.answers.len() - self.cancelled()
    }

    pub(super) fn longest_gap_ms(&self) -> f64 {
        self.answers.iter().map(|answer| answer.longest_gap.as_secs_f64() * 1e3).fold(0.0, f64::max)
    }

    /// How many of the first `most` different answers are not the head of what the same request gets alone.
    pub(super) fn check(&self, engine: &Engine, shelf: &Shelf, most: usize) -> Result<usize> {
        let mut different: BTreeMap<(Option<B256>, usize), &Answered> = BTreeMap::new();
        for answer in &self.answers {
            let kept = different.entry((answer.ask.adapter, answer.number)).or_insert(answer);
            if answer.tokens.len() > kept.tokens.len() {
                *kept = answer;
            }
        }
        let mut wrong = 0;
        for answer in different.values().take(most) {
            let adapter = answer.ask.adapter.map(|hash| shelf.adapter(hash).map(Arc::new)).transpose()?;
            let sampling = sampling(answer.ask.tokens);
            let alone = engine.generate(adapter.as_ref(), &prompt(answer.number), &sampling, |_| {})?;
            wrong += usize::from(!alone.tokens.starts_with(&answer.tokens));
        }
        Ok(wrong)
    }

    pub(super) fn line(&self) -> Value {
        json!({
            "tokens": self.tokens(),
            "wall_s": self.cost.map(|cost| cost.wall),
            "cpu_s": self.cost.map(|cost| cost.cpu),
            "first_token_p99_s": self.first_token_p99(),
            "longest_gap_ms": self.longest_gap_ms(),
            "load": self.load,
        })
    }
}

//! What a model would say: the one thing here that is made up.
//!
//! A cluster of records is about one topic and explains `quality` nats of an answer to a question of that topic, more or less
//! by half; of other answers it explains a little or takes a little away. What the adapter explains of an answer is what its
//! clusters explain of it together. Influence is additive over text, as it is in the metagradient: half of a record has half.

use alloy_primitives::{B256, U256};
use rand::Rng;
use rand::rngs::StdRng;

use super::market::Answer;
use super::plan::even;

/// The most that a cluster explains, or takes away, of an answer to a question about something else, nats.
const NOISE: f64 = 0.02;

/// Clusters as a model knows them.
#[derive(Debug, Clone)]
pub(crate) struct Nature {
    /// Nats of an answer to a question of the cluster's topic; negative for a cluster that does harm.
    pub(crate) quality: Vec<f64>,
    pub(crate) topic: Vec<usize>,
    pub(crate) topics: usize,
}

impl Nature {
    /// Clusters of qualities from 0.05 to 2 nats, in turn over the topics.
    pub(crate) fn new(rng: &mut StdRng, clusters: usize, topics: usize) -> Self {
        Self {
            quality: (0..clusters).map(|_| even(rng, 0.05..=2.0)).collect(),
            topic: (0..clusters).map(|cluster| cluster % topics).collect(),
            topics,
        }
    }

    /// A question of a random topic.
    pub(crate) fn ask(&self, rng: &mut StdRng, key: B256, fee: U256) -> Asked {
        let topic = rng.random_range(0..self.topics);
        let influence: Vec<f64> = self
            .quality
            .iter()
            .zip(&self.topic)
            .map(
                |(quality, about)| {
                    if *about == topic { quality * even(rng, 0.5..=1.5) } else { even(rng, -NOISE..=NOISE) }
                },
            )
            .collect();
        let explained: f64 = influence.iter().sum();
        let explained_micronats = (explained * 1e6) as i64;
        Asked { answer: Answer { key, fee, explained_micronats }, influence }
    }

    /// A question whose answer only these clusters explain, a nat each.
    pub(crate) fn ask_for(&self, clusters: &[usize], key: B256, fee: U256) -> Asked {
        let mut influence = vec![0.0; self.quality.len()];
        for cluster in clusters {
            influence[*cluster] = 1.0;
        }
        let explained_micronats = clusters.len() as i64 * 1_000_000;
        Asked { answer: Answer { key, fee, explained_micronats }, influence }
    }
}

/// An answer, and what every cluster explains of it, nats.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) answer: Answer,
    pub(crate) influence: Vec<f64>,
}

/// The answers, and the influence by cluster, then answer.
pub(crate) fn split(asked: &[Asked]) -> (Vec<Answer>, Vec<Vec<f64>>) {
    let clusters = asked.first().map_or(0, |asked| asked.influence.len());
    let influence =
        (0..clusters).map(|cluster| asked.iter().map(|asked| asked.influence[cluster]).collect()).collect();
    (asked.iter().map(|asked| asked.answer).collect(), influence)
}

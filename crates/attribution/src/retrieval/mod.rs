//! What a Datanet has to say to a question, and what each source then did for the answer.
//!
//! A [`Retriever`] ranks passages twice, by shared words ([`Bm25`]) and by the angle between embeddings, and fuses the two lists by reciprocal rank (Cormack,
//! Clarke and Büttcher 2009): a passage's score is `Σ 1 / (60 + rank)` over the lists that have it among their first hundred. The fused score is an integer and ties go to the
//! earlier passage, so that the order is the same on any machine. Of a cluster of copies only the best passage is taken.
//!
//! [`credit`] then divides what the sources together did for an answer, in nats, by Shapley's value ([`shapley`]) over the sources of a [`Context`].

mod bm25;
mod context;
mod error;
pub mod shapley;

#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use openledger_model::{Encoder, Pool};

pub use bm25::Bm25;
pub use context::{Context, ContextCredit, EXACT_SOURCES, MAX_SOURCES, credit};
pub use error::Error;

/// How deep into each list is looked.
const DEPTH: usize = 100;
/// The constant of reciprocal rank fusion.
const FUSION: u64 = 60;
/// The fused score of a passage counts in this part of one.
const UNIT: u64 = 1_000_000_000_000;
/// Texts that are embedded together.
const BATCH: usize = 64;

/// Passages made ready for questions.
#[derive(Debug)]
pub struct Retriever {
    lexical: Bm25,
    semantic: Option<Semantic>,
    /// The cluster of each passage.
    clusters: Vec<u64>,
}

#[derive(Debug)]
struct Semantic {
    encoder: Arc<Encoder>,
    /// One unit vector for each passage.
    embeddings: Vec<Vec<f32>>,
}

/// A passage that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which.
    pub passage: usize,
    /// Its fused score, in 10⁻¹².
    pub score: u64,
    /// Its place by shared words, from 1.
    pub lexical_rank: Option<u32>,
    /// Its place by embeddings, from 1.
    pub semantic_rank: Option<u32>,
}

impl Retriever {
    /// Makes passages ready; `clusters` says which are copies of each other. Without an encoder words alone decide.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one cluster for each passage, [`Error::Model`] for a text that the encoder does not take.
    pub fn new(
        pool: &Pool,
        encoder: Option<Arc<Encoder>>,
        texts: &[&str],
        clusters: Vec<u64>,
    ) -> Result<Self, Error> {
        if clusters.len() != texts.len() {
            return Err(Error::Length { what: "clusters", got: clusters.len(), expected: texts.len() });
        }
        let lexical = Bm25::new(texts.iter().copied());
        let semantic = match encoder {
            None => None,
            Some(encoder) => {
                let mut embeddings = Vec::with_capacity(texts.len());
                for texts in texts.chunks(BATCH) {
                    embeddings.extend(encoder.embed(pool, texts)?);
                }
                Some(Semantic { encoder, embeddings })
            }
        };
        Ok(Self { lexical, semantic, clusters })
    }

    /// The best passages for a question, best first, at most `count` and one of each cluster.
    ///
    /// # Errors
    /// [`Error::Model`] for a question that the encoder does not take.
    pub fn search(&self, pool: &Pool, question: &str, count: usize) -> Result<Vec<Hit>, Error> {
        self.search_among(pool, question, count, |_passage| true)
    }

    /// [`Self::search`] among some of the passages. The others still count for how rare a word is and how long a passage usually is.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_among(
        &self,
        pool: &Pool,
        question: &str,
        count: usize,
        among: impl Fn(usize) -> bool,
    ) -> Result<Vec<Hit>, Error> {
        let mut hits: Vec<Hit> = (0..self.clusters.len())
            .map(|passage| Hit { passage, score: 0, lexical_rank: None, semantic_rank: None })
            .collect();
        for (passage, rank) in first(&self.lexical.scores(question), 0.0, &among) {
            hits[passage].lexical_rank = Some(rank);
        }
        if let Some(semantic) = &self.semantic {
            let question = semantic.encoder.embed(pool, &[question])?.remove(0);
            let cosine = |passage: &Vec<f32>| {
                passage.iter().zip(&question).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
            };
            let cosines: Vec<f64> = semantic.embeddings.iter().map(cosine).collect();
            for (passage, rank) in first(&cosines, f64::NEG_INFINITY, &among) {
                hits[passage].semantic_rank = Some(rank);
            }
        }
        for hit in &mut hits {
            let ranks = hit.lexical_rank.into_iter().chain(hit.semantic_rank);
            hit.score = ranks.map(|rank| UNIT / (FUSION + u64::from(rank))).sum();
        }
        hits.retain(|hit| hit.score > 0);
        hits.sort_by_key(|hit| (Reverse(hit.score), hit.passage));
        let mut taken = BTreeSet::new();
        hits.retain(|hit| taken.len() < count && taken.insert(self.clusters[hit.passage]));
        Ok(hits)
    }
}

/// The [`DEPTH`] largest scores above `floor` of passages `among` all, with their places from 1; of equal ones the earlier first.
fn first(scores: &[f64], floor: f64, among: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, u32)> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|i| scores[*i] > floor && among(*i)).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order.truncate(DEPTH);
    order.into_iter().zip(1..)
}

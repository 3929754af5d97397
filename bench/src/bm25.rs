//! Okapi BM25, the lexical baseline that every table of attribution holds.
//!
//! `Σ_t idf(t) · f (k₁ + 1) / (f + k₁ (1 − b + b · |d| / mean|d|))` over the distinct terms `t` of the query, `f` being how
//! often `t` stands in the document `d`, with `idf(t) = ln(1 + (N − n + 0.5) / (n + 0.5))` for `n` of `N` documents that
//! hold it; `k₁ = 1.2`, `b = 0.75`. Terms are lower-case runs of letters and digits.

use std::collections::{BTreeMap, BTreeSet};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Documents made ready for queries.
pub(crate) struct Bm25 {
    documents: Vec<BTreeMap<String, f64>>,
    lengths: Vec<f64>,
    holding: BTreeMap<String, f64>,
    mean_length: f64,
}

impl Bm25 {
    /// Counts the terms of every document.
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut documents, mut lengths, mut holding) = (Vec::new(), Vec::new(), BTreeMap::new());
        for text in texts {
            let mut counts = BTreeMap::new();
            let mut length = 0.0;
            for term in terms(text) {
                *counts.entry(term).or_insert(0.0) += 1.0;
                length += 1.0;
            }
            for term in counts.keys() {
                *holding.entry(term.clone()).or_insert(0.0) += 1.0;
            }
            documents.push(counts);
            lengths.push(length);
        }
        let mean_length = (lengths.iter().sum::<f64>() / lengths.len().max(1) as f64).max(1.0);
        Self { documents, lengths, holding, mean_length }
    }

    /// The score of every document for a query.
    pub(crate) fn scores(&self, query: &str) -> Vec<f64> {
        let distinct: BTreeSet<String> = terms(query).collect();
        let all = self.documents.len() as f64;
        let score = |(document, length): (&BTreeMap<String, f64>, &f64)| {
            let norm = K1 * (1.0 - B + B * length / self.mean_length);
            distinct
                .iter()
                .filter_map(|term| Some((document.get(term)?, self.holding.get(term)?)))
                .map(|(count, holding)| {
                    let idf = ((all - holding + 0.5) / (holding + 0.5)).ln_1p();
                    idf * count * (K1 + 1.0) / (count + norm)
                })
                .sum()
        };
        self.documents.iter().zip(&self.lengths).map(score).collect()
    }
}

fn terms(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|term| !term.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_shared_word_outweighs_common_ones() {
        let index = Bm25::new(["the parser of the tokens", "the tokens of the lexer", "the the the of of"]);
        let scores = index.scores("The PARSER");
        assert!(scores[0] > scores[1] && scores[0] > scores[2]);
        // One document of three holds `parser`: idf = ln(1 + 2.5 / 1.5); length is the mean, so the rest is 2.2 / 2.2.
        let parser = index.scores("parser");
        assert!((parser[0] - (1.0 + 2.5 / 1.5_f64).ln()).abs() < 1e-12);
        assert_eq!(parser[1..], [0.0, 0.0]);
    }
}

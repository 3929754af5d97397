//! Answers that rest on sources: records of an adapter's Datanets, found, put before the conversation, cited and paid.
//!
//! Everything here is a function of the adapter's lineage, the chain and the request, so that a verifier finds the same sources, the same prompt and
//! the same credit.
//!
//! 1. *Searched* is what the adapter was trained on ([`Library`]): one record for each cluster of its Datanet versions, which the receipt names by
//!    `datanetsRoot`, and the request by the root over the records' hashes.
//! 2. *The question* is the last message of the user. BM25 ranks the records that share a word with it, in their text or the name of the work; equal ones keep the order of their clusters.
//! 3. *Passed over* is every record that its contributor withdrew, that was taken down, or that may not be used for inference, as of a block
//!    that the request names ([`Permissions`]); it is at most [`MAX_AGE_S`] seconds away from the receipt's time.
//! 4. *The prompt* has source `n`, from 1, as the system message `[n] text`, then the conversation ([`Context`]). Where nothing is found it is the conversation's.
//! 5. *Credit* is Shapley's value of each source over the base model's `log p(answer | subset of the sources, conversation)`, over all subsets ([`credit()`]). The base's, so that
//!    with what the adapter adds to it, given all sources, nats add up to `log p` with both less `log p` with neither, and none is paid twice.
//!
//! What the search and the credit cost is bounded for everybody who repeats them: by [`MAX_TOP_K`] sources and [`MAX_TOKENS`] tokens through the model.

mod credit;
mod library;
mod permissions;
#[cfg(test)]
mod tests;

pub use credit::{Credited, credit, paid};
pub use library::{Found, Library, Passage};
pub use permissions::{ChainPermissions, History, Lookup, Permissions, Permitted};

use std::sync::Arc;

use openledger_types::receipt::{Retrieval, Source, SourceCredit};

#[cfg(doc)]
use openledger_attribution::retrieval::Context;

/// A library with where it is looked up what of it may be cited; cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// What can be cited.
    pub library: Library,
    /// What may be.
    pub permissions: Arc<dyn Permissions>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("records", &self.library.passages().len()).finish_non_exhaustive()
    }
}

impl Library {
    /// Whose sources did what; their shares are not known yet.
    pub fn credits(&self, retrieval: &Retrieval, nanonats: &[i64]) -> Vec<SourceCredit> {
        let sources = retrieval.sources.iter().zip(nanonats);
        let credit = |(source, nanonats): (&Source, &i64)| SourceCredit {
            record: source.record,
            contributor: self.passage(source).map(|passage| passage.contributor).unwrap_or_default(),
            share_ppm: 0,
            nanonats: *nanonats,
        };
        sources.map(credit).collect()
    }
}

/// Sources of an answer when the request does not say how many.
pub const DEFAULT_TOP_K: u32 = 4;
/// Most sources of an answer: of so many every subset is computed.
pub const MAX_TOP_K: u32 = openledger_attribution::retrieval::EXACT_SOURCES as u32;
/// How far the block of a retrieval may be from the receipt's time, seconds.
pub const MAX_AGE_S: u64 = 600;
/// Most tokens that go through the model to credit the sources of an answer: four sources of two hundred tokens may stand before some eight thousand tokens of
/// conversation and answer, eight before some three hundred.
pub const MAX_TOKENS: usize = 1 << 17;

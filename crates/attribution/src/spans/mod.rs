//! Verbatim evidence: which spans of an answer stand word for word in a Datanet version, and where.
//!
//! # The index
//! The tokens of some records, each record followed by one [`SEPARATOR`], form one text of 16-bit units. Its *suffix
//! array* `SA` lists the positions of the text in the order of the suffixes that start there, compared unit by unit
//! and with a suffix before its own extensions. There is exactly one such array, so whoever builds the index gets the
//! same bytes, and a wrong one is refuted without building anything:
//! - a position that is out of range or repeated, or
//! - one pair of neighbours `SA[i], SA[i + 1]` out of order ([`proof`]).
//!
//! The index is its file, mapped into memory ([`SpanIndex::open`]). Each version of a Datanet adds a shard with its
//! new records; the shards are searched as one ([`Shards`]).
//!
//! # The spans of an answer
//! For each start `s` of an answer of `L` tokens, the suffixes that share the longest prefix with `answer[s..]` are
//! the two neighbours of the place where it would be inserted: `e(s)` is the end of that prefix. As `e` never decreases with
//! `s`, a match is maximal (contained in no other) exactly when `e(s) > e(s - 1)`. One walk finds them all: a small directory
//! of the suffix array leaves five steps of each search, the searches wait for memory together, and starts within a match
//! that cannot outgrow it are leapt over. Matches whose ends would cut a word of the answer are shortened to whole words.
//! Those of at least [`MIN_TOKENS`] tokens are reported by start, with the number of occurrences and up to [`MAX_MATCHES`]
//! records: the first by position among the first [`MAX_SCANNED`] occurrences in the order of the suffix array. A match
//! never spans two records, since no answer contains the separator.
//!
//! Passages that stand in a record with small edits are found from shorter matches by alignment ([`edits`]). What is found
//! can be proven to who has only the content hash of the index ([`proof`]).
//!
//! # Rarity
//! `Σ -log2(count(t) / n)` over the tokens `t` of the span, `n` being the number of tokens of the version: how many
//! bits the span would take if tokens were drawn one by one. It is summed in units of 2⁻³² bit with an integer
//! logarithm and rounded down to thousandths of a bit, so it is the same number everywhere.
//!
//! What is found here is called a *match*, never an *influence*: it says that the words stand there, not that the
//! model learnt them there.

mod check;
mod directory;
pub mod edits;
mod error;
mod file;
mod index;
mod layout;
mod log2;
pub mod proof;
mod rarity;
mod search;
mod shards;
mod view;
mod walk;
mod words;

#[cfg(test)]
mod tests;

pub use error::SpanError;
pub use index::{IndexedRecord, SpanIndex};
pub use shards::{Shard, Shards};

/// Shortest match that is reported, in tokens: shorter ones are stock phrases.
pub const MIN_TOKENS: usize = 5;

/// Most records that are listed for one span.
pub const MAX_MATCHES: usize = 8;

/// Most occurrences in one shard of which the first by position are found: a stock phrase may have millions.
pub const MAX_SCANNED: usize = 256;

/// Ends every record in the text; therefore no token.
pub const SEPARATOR: u16 = u16::MAX;

/// Most records of an index.
pub const MAX_RECORDS: usize = 1 << 22;

/// Most units of the text, separators included: what 32-bit positions address.
pub const MAX_UNITS: usize = (1 << 31) - 1;

/// Most shards that are searched as one: with [`Shards::compact`] never reached.
pub const MAX_SHARDS: usize = 64;

/// Longest answer that is searched, in tokens: the longest context of the models served.
pub const MAX_ANSWER_TOKENS: usize = 1 << 13;

use std::sync::{Arc, OnceLock};

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::retrieval::{Context, Retriever};
use openledger_corpus::blob::Blobs;
use openledger_corpus::manifest::DatanetManifest;
use openledger_corpus::merkle::records_root;
use openledger_model::{Pool, Tokenizer};
use openledger_types::receipt::{Message, Retrieval, RetrievalMethod, Role, Source};

use super::Permitted;
use crate::lineage::Lineage;
use crate::operator::in_the_models_words;
use crate::{Result, WorkerError};

/// A record that can be cited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its salted hash.
    pub record: B256,
    /// Number of its Datanet.
    pub datanet: U256,
    /// Version of the Datanet.
    pub version: u32,
    /// Whom its cluster pays.
    pub contributor: Address,
    /// Name of the work it is from; empty if it has none.
    pub name: String,
    /// The text.
    pub text: String,
    /// The contribution it is from.
    pub contribution: U256,
    /// Its place among the records of that contribution.
    pub place: u32,
    /// Block of the commitment.
    pub committed_at: u64,
    /// The contribution whose right its cluster pays, which may be another.
    pub founder: U256,
}

/// What an adapter's answers can cite: by cluster, in the order of the training set. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Library {
    passages: Arc<Vec<Passage>>,
    records_root: B256,
    /// Made when the first question is asked.
    index: Arc<OnceLock<Retriever>>,
}

/// Sources that were found with the prompt that they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the request says of it.
    pub retrieval: Retrieval,
    /// Sources and conversation; `None` where nothing was found.
    pub context: Option<Context>,
}

impl Library {
    /// Passages by cluster.
    pub fn new(passages: Vec<Passage>) -> Self {
        let hashes: Vec<B256> = passages.iter().map(|passage| passage.record).collect();
        Self { passages: Arc::new(passages), records_root: records_root(&hashes), index: Arc::default() }
    }

    /// What an adapter was trained on.
    ///
    /// # Errors
    /// [`WorkerError::Corpus`] for a manifest that is missing or damaged.
    pub fn of(lineage: &Lineage, blobs: &Blobs) -> Result<Self> {
        let mut passages = Vec::with_capacity(lineage.contributions.len());
        let mut records = lineage.set.records().iter().zip(&lineage.contributions);
        for named in &lineage.manifest.datanets {
            let manifest = DatanetManifest::load(blobs, named.manifest_hash)?;
            for ((_, entry), (record, founder)) in manifest.canonical_entries().zip(&mut records) {
                if record.record != entry.record {
                    let (expected, got) = (entry.record, record.record);
                    return Err(WorkerError::mismatch("record that stands for a cluster", expected, got));
                }
                passages.push(Passage {
                    record: record.record,
                    datanet: named.datanet,
                    version: named.version,
                    contributor: record.contributor,
                    name: record.name.clone(),
                    text: record.text.clone(),
                    contribution: U256::from(entry.order.contribution),
                    place: entry.order.record,
                    committed_at: entry.order.block,
                    founder: *founder,
                });
            }
        }
        Ok(Self::new(passages))
    }

    /// The passages, by cluster.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// The passage that a source names, if there is such a one.
    pub fn passage(&self, source: &Source) -> Option<&Passage> {
        let passage = self.passages.get(source.cluster as usize)?;
        (passage.record == source.record).then_some(passage)
    }

    /// Merkle root over the hashes of the records.
    pub fn records_root(&self) -> B256 {
        self.records_root
    }

    /// Looks for sources of a conversation among what is permitted, and puts them before it. A conversation without a message of the user finds nothing.
    ///
    /// # Errors
    /// [`WorkerError::Retrieval`], [`WorkerError::Model`] for a text that cannot be tokenised.
    pub fn find(
        &self,
        pool: &Pool,
        tokenizer: &Tokenizer,
        messages: &[Message],
        top_k: u32,
        permitted: &Permitted,
    ) -> Result<Found> {
        let index = match self.index.get() {
            Some(index) => index,
            None => {
                let named = |passage: &Passage| format!("{}\n{}", passage.name, passage.text);
                let texts: Vec<String> = self.passages.iter().map(named).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let made = Retriever::new(pool, None, &texts, (0..texts.len() as u64).collect())?;
                self.index.get_or_init(|| made)
            }
        };
        let allowed = |at: usize| permitted.allows(&self.passages[at]);
        let hits = match question(messages) {
            Some(question) => index.search_among(pool, question, top_k as usize, allowed)?,
            None => Vec::new(),
        };
        let found: Vec<(u32, &Passage)> =
            (hits.iter()).map(|hit| (hit.passage as u32, &self.passages[hit.passage])).collect();
        let source = |(cluster, passage): &(u32, &Passage)| Source {
            record: passage.record,
            cluster: *cluster,
            datanet: passage.datanet,
            version: passage.version,
        };
        let retrieval = Retrieval {
            method: RetrievalMethod::Bm25,
            records_root: self.records_root,
            block: permitted.block,
            top_k,
            sources: found.iter().map(source).collect(),
        };
        let texts: Vec<&str> = found.iter().map(|(_, passage)| passage.text.as_str()).collect();
        let conversation: Vec<_> = messages.iter().map(in_the_models_words).collect();
        let context = match texts.is_empty() {
            true => None,
            false => Some(Context::new(tokenizer, &texts, &conversation)?),
        };
        Ok(Found { retrieval, context })
    }
}

/// What is looked for.
fn question(messages: &[Message]) -> Option<&str> {
    messages.iter().rev().find(|message| message.role == Role::User).map(|message| message.content.as_str())
}

//! The sources of an answer found again.

use std::collections::BTreeMap;
use std::sync::Arc;

use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_serve::Engine;
use openledger_types::receipt::Answer;

use super::{Difference, first_difference};
use crate::Result;
use crate::lineage::Lineage;
use crate::sources::{Found, History, Library, MAX_AGE_S, MAX_TOKENS, MAX_TOP_K, Permitted};

/// What the sources of some answers are found with.
pub(super) struct Sourcing {
    pub(super) library: Library,
    history: Arc<History>,
    /// When the blocks were made that the answers name, unix seconds, as far as there are such.
    times: BTreeMap<u64, u64>,
}

impl Sourcing {
    /// Reads what these answers need; `None` if none of them asked for sources.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain), [`WorkerError::Corpus`](crate::WorkerError::Corpus).
    pub(super) async fn load<'a>(
        client: &Client,
        blobs: &Blobs,
        lineage: &Lineage,
        answers: impl IntoIterator<Item = &'a Answer>,
    ) -> Result<Option<Self>> {
        let asked = answers.into_iter().filter_map(|answer| answer.request.retrieval.as_ref());
        let mut times: BTreeMap<u64, u64> = asked.map(|retrieval| (retrieval.block, 0)).collect();
        if times.is_empty() {
            return Ok(None);
        }
        let head = client.block_number().await?;
        times.retain(|block, _| *block <= head);
        for (block, time) in &mut times {
            *time = client.header(*block).await?.map_or(0, |header| header.timestamp);
        }
        let library = Library::of(lineage, blobs)?;
        let history = Arc::new(History::load(client, &library, head).await?);
        Ok(Some(Self { library, history, times }))
    }

    /// The sources that an answer should have; `at` is put before the names of its fields.
    pub(super) fn find(
        &self,
        engine: &Engine,
        answer: &Answer,
        at: &str,
    ) -> Result<Result<Found, Difference>> {
        let Some(said) = &answer.request.retrieval else {
            return Ok(Err(Difference::new(format!("{at}request.retrieval"), "sources", "none")));
        };
        let different = |field: &str, expected: String, got: String| {
            Ok(Err(Difference::new(format!("{at}request.retrieval.{field}"), expected, got)))
        };
        if said.top_k == 0 || said.top_k > MAX_TOP_K {
            return different("top_k", format!("1 to {MAX_TOP_K}"), said.top_k.to_string());
        }
        let issued_at = answer.receipt.issuedAt;
        match self.times.get(&said.block) {
            Some(time) if time.abs_diff(issued_at) <= MAX_AGE_S => {}
            _ => {
                let expected = format!("a block within {MAX_AGE_S} seconds of {issued_at}");
                return different("block", expected, said.block.to_string());
            }
        }
        let permitted = Permitted::at(said.block, self.history.clone());
        let (messages, top_k) = (&answer.request.messages, said.top_k);
        let found = self.library.find(engine.pool(), engine.tokenizer(), messages, top_k, &permitted)?;
        let field = format!("{at}request.retrieval");
        if let Some(difference) = first_difference(&field, &found.retrieval, said) {
            return Ok(Err(difference));
        }
        let answer = answer.response.tokens.len();
        let tokens = found.context.as_ref().map_or(0, |context| context.tokens_to_credit(answer));
        if tokens > MAX_TOKENS {
            return different(
                "sources (tokens to credit)",
                format!("at most {MAX_TOKENS}"),
                tokens.to_string(),
            );
        }
        Ok(Ok(found))
    }
}

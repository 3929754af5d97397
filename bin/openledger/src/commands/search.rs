use std::sync::Arc;

use alloy_primitives::hex;
use anyhow::{Context, Result};
use openledger_corpus::blob::Blobs;
use openledger_corpus::package::ALL_MINILM_L6_V2;
use openledger_model::{Encoder, Pool};
use openledger_worker::contribute::Published;
use openledger_worker::search::{Found, search};
use serde_json::json;

use crate::base::fetch;
use crate::home::Home;
use crate::show::Show;

/// Characters of a record that are shown.
const SHOWN: usize = 300;

/// What is looked for.
pub(super) struct Wanted {
    pub(super) question: String,
    pub(super) count: usize,
    /// Whether words alone decide.
    pub(super) words: bool,
    pub(super) threads: usize,
}

pub(super) async fn run(
    home: &Home,
    blobs: Blobs,
    version: Published,
    wanted: Wanted,
    show: &Show,
) -> Result<()> {
    let (folder, progress) = (home.worker().models().join("all-MiniLM-L6-v2"), show.progress());
    let look = move || -> Result<Vec<Found>> {
        let pool = Pool::new(wanted.threads)?;
        let encoder = match wanted.words {
            true => None,
            false => {
                fetch(&ALL_MINILM_L6_V2, &folder, &progress)?;
                Some(Arc::new(Encoder::load(&folder)?))
            }
        };
        Ok(search(&pool, encoder, &blobs, &version.manifest, &wanted.question, wanted.count)?)
    };
    let found = tokio::task::spawn_blocking(look).await.context("the search ended unexpectedly")??;
    if found.is_empty() {
        show.line("no record has a word of the question");
    }
    for (number, Found { hash, owner, record, hit }) in (1..).zip(&found) {
        let place = |rank: Option<u32>| rank.map_or("-".to_owned(), |rank| rank.to_string());
        show.line(format!(
            "{number}. {} · record 0x{}… · pays {owner} · by words {}, by meaning {}",
            record.source.name,
            &hex::encode(hash)[..16],
            place(hit.lexical_rank),
            place(hit.semantic_rank)
        ));
        let end = record.text.char_indices().nth(SHOWN);
        let text = end.map_or(record.text.clone(), |(end, _)| format!("{} …", &record.text[..end]));
        show.line(format!("   {}\n", text.replace('\n', "\n   ")));
    }
    let list: Vec<_> = found
        .iter()
        .map(|Found { hash, owner, record, hit }| {
            json!({
                "record": hash, "owner": owner, "source": record.source.name, "text": record.text,
                "score": hit.score, "lexical_rank": hit.lexical_rank, "semantic_rank": hit.semantic_rank,
            })
        })
        .collect();
    show.result(&json!({ "found": list }));
    Ok(())
}

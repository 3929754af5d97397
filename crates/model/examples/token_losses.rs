//! `-log p` of every token after the first, by the exact weights and as sessions serve them, for a second implementation to compare with:
//! `echo '[[1, 9690, 198]]' | cargo run -p openledger-model --example token_losses -- CHECKPOINT` prints `[{"exact": [..], "served": [..]}]` in nats.

use std::{path::Path, sync::Arc};

use openledger_model::{Feed, Logits, Model, Pages, Pool, Record, Sample, Session};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: token_losses CHECKPOINT < TOKENS")?;
    let sequences: Vec<Vec<u32>> = serde_json::from_reader(std::io::stdin())?;
    let (model, _) = Model::load(Path::new(&path))?;
    let model = Arc::new(model);
    let pool = Pool::new(1)?;
    let pages = Pages::new(model.config(), 1 << 30)?;
    let mut losses = Vec::new();
    for tokens in sequences {
        let sample = Sample { tokens: tokens.clone(), targets: 1..tokens.len() };
        let prefix = model.prefix(&pool, 0, &tokens)?;
        let exact = model.nll_tokens(&pool, None, Record::new(&prefix, &sample))?;
        let mut session = Session::new(Arc::clone(&model), None, pool.clone(), pages.clone())?;
        let known = &tokens[..tokens.len() - 1];
        let mut feeds = [Feed { session: &mut session, tokens: known, logits: Logits::From(0) }];
        let served = Session::run(&mut feeds, |row| {
            let next = tokens[row.index + 1];
            -row.log_p(next)
        })?;
        losses.push(json!({ "exact": exact, "served": served }));
    }
    Ok(serde_json::to_writer(std::io::stdout(), &losses)?)
}

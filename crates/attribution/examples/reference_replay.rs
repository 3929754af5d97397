//! Writes the case that `tests/reference/make.py` computes a second time:
//! `cargo run -p openledger-attribution --example reference_replay -- FOLDER`.

use std::path::Path;

use openledger_model::Model;
use serde_json::json;

#[path = "../tests/case/mod.rs"]
mod case;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: reference_replay FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let (model, tokenizer) = Model::tiny(case::MODEL_SEED);
    model.write_gguf(&tokenizer, &folder.join("tiny.gguf"))?;
    let case::Case { run, query } = case::Case::new();
    let sample = |sample: &openledger_model::Sample| json!({ "tokens": sample.tokens, "targets": [sample.targets.start, sample.targets.end] });
    let steps = 0..run.steps();
    let coefficients: Vec<_> = steps
        .clone()
        .map(|step| {
            let c = run.coefficients(step);
            json!({
                "lr": c.lr, "beta1": c.beta1, "gain1": c.gain1, "beta2": c.beta2, "gain2": c.gain2,
                "correct1": c.correct1, "correct2": c.correct2, "eps": c.eps, "keep": c.keep,
            })
        })
        .collect();
    let blocks: Vec<_> = run
        .layout()
        .blocks()
        .iter()
        .map(|block| {
            let (inputs, outputs) = block.target.dims(run.model().config());
            json!({
                "layer": block.layer, "target": block.target.name(), "a": block.a.start, "b": block.b.start,
                "inputs": inputs, "outputs": outputs,
            })
        })
        .collect();
    let document = json!({
        "lora": { "rank": run.lora().rank, "alpha": run.lora().alpha },
        "blocks": blocks,
        "samples": (0..run.records()).map(|record| sample(run.sample(record))).collect::<Vec<_>>(),
        "batches": steps.map(|step| run.batch(step).to_vec()).collect::<Vec<_>>(),
        "coefficients": coefficients,
        "initial_theta": run.initial(),
        "query": sample(&query),
    });
    std::fs::write(folder.join("case.json"), document.to_string())?;
    Ok(())
}

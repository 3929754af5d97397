//! Writes the case that `tests/reference/make.py` computes a second time: `cargo run -p openledger-model --example reference_loss -- FOLDER`.

use std::path::Path;

use openledger_model::Model;

#[path = "../tests/case/mod.rs"]
mod case;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: reference_loss FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let (model, tokenizer) = Model::tiny(case::SEED);
    model.write_gguf(&tokenizer, &folder.join("tiny.gguf"))?;
    std::fs::write(folder.join("case.json"), case::Case::new(&model)?.to_json()?)?;
    Ok(())
}

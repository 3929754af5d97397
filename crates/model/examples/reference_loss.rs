//! Writes the case that `tests/reference/make.py` and `tests/reference/transformers_check.py` compute a second time:
//! `cargo run -p openledger-model --example reference_loss -- FOLDER`.

use std::path::Path;

use openledger_model::{Lora, Model};

#[path = "../tests/case/mod.rs"]
mod case;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: reference_loss FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let (model, tokenizer) = Model::tiny(case::SEED);
    model.write_gguf(&tokenizer, &folder.join("tiny.gguf"))?;
    let case = case::Case::new(&model)?;
    std::fs::write(folder.join("case.json"), case.to_json()?)?;
    model.save_safetensors(&tokenizer, None, &folder.join("base"))?;
    let lora = Lora { config: &case.config, theta: &case.theta };
    Ok(model.save_safetensors(&tokenizer, Some(lora), &folder.join("merged"))?)
}

use std::path::Path;

use super::Adapter;
use crate::{Config, Error};

/// Writes `adapter_config.json` and `adapter_model.safetensors` into `dir` as PEFT reads them.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written.
pub fn save_peft(dir: &Path, model: &Config, adapter: &Adapter, base_name: &str) -> Result<(), Error> {
    unimplemented!("{dir:?} {model:?} {adapter:?} {base_name}")
}

/// Reads an adapter that PEFT or [`save_peft`] wrote.
///
/// # Errors
/// [`Error::Io`], [`Error::FileTooLarge`], and [`Error::Adapter`] for anything this model cannot compute exactly.
pub fn load_peft(dir: &Path, model: &Config) -> Result<Adapter, Error> {
    unimplemented!("{dir:?} {model:?}")
}

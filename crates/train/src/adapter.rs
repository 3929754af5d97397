use std::path::Path;

use alloy_primitives::B256;
use openledger_model::{Adapter, LoraConfig, save_peft};

use crate::{Result, Run};

const DOMAIN: &[u8] = b"openledger-adapter/1";

/// The name of an adapter: BLAKE3 of `"openledger-adapter/1" ‖ u64-le(length of c) ‖ c ‖ θ`, where `c` is the LoRA configuration as compact JSON
/// and `θ` the parameters as little-endian `f32` in the order of the layout.
#[must_use]
pub fn adapter_hash(config: &LoraConfig, theta: &[f32]) -> B256 {
    let config = openledger_types::receipt::encode_document(config);
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&(config.len() as u64).to_le_bytes());
    hasher.update(&config);
    for part in theta.chunks(1024) {
        let bytes: Vec<u8> = part.iter().flat_map(|x| x.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    B256::from(*hasher.finalize().as_bytes())
}

/// Writes trained parameters as a PEFT adapter into `dir` and returns their [`adapter_hash`].
///
/// # Errors
/// [`crate::Error::Model`] when the folder cannot be written or the parameters do not fit the run.
pub fn save_adapter(dir: &Path, run: &Run, theta: &[f32], base_name: &str) -> Result<B256> {
    let model = run.model().config();
    let adapter = Adapter::new(model, run.lora().clone(), theta.to_vec())?;
    save_peft(dir, model, &adapter, base_name)?;
    Ok(adapter_hash(run.lora(), theta))
}

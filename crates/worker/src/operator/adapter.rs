use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use openledger_model::Adapter;

use super::EvidenceSource;
use crate::sources::Sources;

/// An adapter as an operator serves it: what the chain says of it, its parameters, and what its answers are attributed with.
#[derive(Debug, Clone)]
pub struct ServedAdapter {
    /// Number on chain.
    pub id: U256,
    /// Name in the API.
    pub name: String,
    /// SHA-256 of the base model's file.
    pub base_hash: B256,
    /// Content hash of the parameters.
    pub adapter_hash: B256,
    /// Merkle root over the hashes of the Datanet version manifests that it was trained on.
    pub datanets_root: B256,
    /// Wei per prompt token.
    pub input_price: U256,
    /// Wei per completion token.
    pub output_price: U256,
    /// Who trained it.
    pub developer: Address,
    /// When it was published, unix seconds.
    pub created_at: u64,
    /// The parameters, if they stay in memory; else they are registered under their hash and loaded when they are asked for.
    pub adapter: Option<Arc<Adapter>>,
    /// What its answers are attributed with.
    pub evidence: EvidenceSource,
    /// What its answers can cite, if anything.
    pub sources: Option<Sources>,
}

impl ServedAdapter {
    /// What tokens cost, wei; `None` if that does not fit 256 bits.
    pub fn fee(&self, prompt_tokens: u32, completion_tokens: u32) -> Option<U256> {
        let prompt = U256::from(prompt_tokens).checked_mul(self.input_price)?;
        let completion = U256::from(completion_tokens).checked_mul(self.output_price)?;
        prompt.checked_add(completion)
    }

    /// Whether a request names it: by its name, its number, or the hash of its parameters.
    pub fn is_called(&self, model: &str) -> bool {
        self.name == model || self.id.to_string() == model || self.adapter_hash.to_string() == model
    }
}

use alloy_primitives::U256;
use openledger_types::shares::apportion;

/// What each source of an answer is paid of `retrieved_wei`: in proportion to what it did, in any unit, negative parts counting as nothing. The parts add up
/// to it exactly, unless no source helped, when all are zero.
pub fn among_sources(retrieved_wei: U256, did: &[i64]) -> Vec<U256> {
    let helped: Vec<U256> = did.iter().map(|did| U256::from(u64::try_from(*did).unwrap_or(0))).collect();
    apportion(retrieved_wei, &helped)
}

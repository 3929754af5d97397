//! What payers and receivers of voucher channels sign: the EIP-712 typed data of x402 `batch-settlement`.
//!
//! A channel's id is the hash of its [`ChannelConfig`] in the domain.

use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, SolValue, sol};

use crate::abi::{ChannelConfig, VoucherClaim};
use crate::addresses::CHANNELS;

/// Name of the signing domain.
pub const DOMAIN_NAME: &str = "x402 Batch Settlement";
/// Version of the signing domain.
pub const DOMAIN_VERSION: &str = "1";

sol! {
    /// The most that may be claimed in all, by the payer or its authorizer.
    #[derive(Debug, PartialEq, Eq)]
    struct Voucher {
        bytes32 channelId;
        uint128 maxClaimableAmount;
    }

    /// What a receiver gives back, by its authorizer.
    #[derive(Debug, PartialEq, Eq)]
    struct Refund {
        bytes32 channelId;
        uint256 nonce;
        uint128 amount;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct ClaimEntry {
        bytes32 channelId;
        uint128 maxClaimableAmount;
        uint128 totalClaimed;
    }

    /// What a receiver claims, by its authorizer.
    #[derive(Debug, PartialEq, Eq)]
    struct ClaimBatch {
        ClaimEntry[] claims;
    }
}

/// The EIP-712 domain on a chain.
pub fn channels_domain(chain_id: u64) -> Eip712Domain {
    let (name, version) = (Some(DOMAIN_NAME.into()), Some(DOMAIN_VERSION.into()));
    Eip712Domain::new(name, version, Some(U256::from(chain_id)), Some(CHANNELS), None)
}

/// The id of a channel on a chain.
pub fn channel_id(config: &ChannelConfig, chain_id: u64) -> B256 {
    config.eip712_signing_hash(&channels_domain(chain_id))
}

/// What a receiver's authorizer signs for these claims.
pub fn claim_batch(claims: &[VoucherClaim], chain_id: u64) -> ClaimBatch {
    let entry = |claim: &VoucherClaim| ClaimEntry {
        channelId: channel_id(&claim.voucher.channel, chain_id),
        maxClaimableAmount: claim.voucher.maxClaimableAmount,
        totalClaimed: claim.totalClaimed,
    };
    ClaimBatch { claims: claims.iter().map(entry).collect() }
}

/// The nonce of the ERC-3009 authorisation of a deposit: `keccak256(abi.encode(channelId, salt))`.
pub fn deposit_nonce(channel_id: B256, salt: U256) -> B256 {
    keccak256((channel_id, salt).abi_encode())
}

//! What a holder of OPEN signs so that somebody else can move it, or vote with it: the EIP-712 typed data of ERC-2612,
//! ERC-3009 and ERC-5805.

use alloy_primitives::{Address, U256};
use alloy_sol_types::{Eip712Domain, sol};

use crate::addresses::{OPEN, STAKING};

/// Name of OPEN's signing domain.
pub const DOMAIN_NAME: &str = "OpenLedger";
/// Version of both signing domains.
pub const DOMAIN_VERSION: &str = "1";

sol! {
    /// ERC-2612.
    #[derive(Debug, PartialEq, Eq)]
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }

    /// ERC-3009.
    #[derive(Debug, PartialEq, Eq)]
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    /// ERC-3009.
    #[derive(Debug, PartialEq, Eq)]
    struct ReceiveWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    /// ERC-3009.
    #[derive(Debug, PartialEq, Eq)]
    struct CancelAuthorization {
        address authorizer;
        bytes32 nonce;
    }
}

/// Name of the signing domain of votes over staked OPEN.
pub const VOTES_DOMAIN_NAME: &str = "OpenLedger Staking";

sol! {
    /// Whose votes follow the signer's stake, as OpenZeppelin's `Votes`.
    #[derive(Debug, PartialEq, Eq)]
    struct Delegation {
        address delegatee;
        uint256 nonce;
        uint256 expiry;
    }
}

/// The EIP-712 domain of votes on a chain.
pub fn votes_domain(chain_id: u64) -> Eip712Domain {
    domain(VOTES_DOMAIN_NAME, chain_id, STAKING)
}

/// The EIP-712 domain of OPEN on a chain, as `eip712Domain()` states it.
pub fn open_domain(chain_id: u64) -> Eip712Domain {
    domain(DOMAIN_NAME, chain_id, OPEN)
}

fn domain(name: &'static str, chain_id: u64, contract: Address) -> Eip712Domain {
    let version = Some(DOMAIN_VERSION.into());
    Eip712Domain::new(Some(name.into()), version, Some(U256::from(chain_id)), Some(contract), None)
}

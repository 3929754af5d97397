//! Where the protocol's own accounts live. The first four bytes spell `OPEN`.

use alloy_primitives::{Address, address};

/// ERC-20 face of the native coin.
pub const OPEN: Address = address!("4F50454e00000000000000000000000000000001");
/// Datanets and contributions.
pub const DATANETS: Address = address!("4F50454e00000000000000000000000000000002");
/// Base models and adapters.
pub const MODELS: Address = address!("4F50454e00000000000000000000000000000003");
/// Payers' deposits and authorisations.
pub const ESCROW: Address = address!("4F50454e00000000000000000000000000000004");
/// Batches of receipts, verdicts and claims.
pub const SETTLEMENT: Address = address!("4F50454e00000000000000000000000000000005");
/// Validators, operators and verifiers with their stake.
pub const STAKING: Address = address!("4F50454e00000000000000000000000000000006");
/// Governed numbers.
pub const PARAMS: Address = address!("4F50454e00000000000000000000000000000007");

/// Voucher channels, where x402 has its contract `x402BatchSettlement` on every chain.
pub const CHANNELS: Address = address!("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");

/// Every module, in the order of its number; last the one with an address that is not ours.
pub const MODULES: [Address; 8] = [OPEN, DATANETS, MODELS, ESCROW, SETTLEMENT, STAKING, PARAMS, CHANNELS];

/// Holds the treasury and executes what governance decided: OpenZeppelin's `TimelockController`.
pub const TREASURY: Address = address!("4F50454e000000000000000000000000000000f1");
/// Holds what was burnt: base fees and the burnt part of every fee. `OPEN.totalSupply` leaves it out.
/// Keeping the burnt coin on an account makes the sum of all balances a constant that anyone can check.
pub const BURN: Address = address!("4F50454e000000000000000000000000000000f2");
/// Where the holders of stake propose and vote: OpenZeppelin's `Governor`.
pub const GOVERNOR: Address = address!("4F50454e000000000000000000000000000000f3");

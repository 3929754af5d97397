//! What an operator posts at the end of an epoch, and the file behind it.

use alloy_primitives::{Address, B256, I256, U256, b256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::abi::PayoutRole;
use crate::merkle::{MerkleTree, leaf, sum_root};
use crate::receipt::Answer;
use crate::split::FeeParts;

/// Most answers of one batch.
pub const MAX_ANSWERS: usize = 1_000_000;

/// How often a batch can be appealed. The last panel is everybody.
pub const MAX_APPEALS: u32 = 2;

/// Why somebody is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayoutKind {
    /// By influence, and as a source of answers.
    Contributor,
    /// By accepted clusters, from what influence and sources left unexplained.
    Base,
    /// For serving.
    Operator,
    /// For the adapter.
    Developer,
}

impl From<PayoutKind> for PayoutRole {
    fn from(kind: PayoutKind) -> Self {
        match kind {
            PayoutKind::Contributor => Self::Contributor,
            PayoutKind::Base => Self::Base,
            PayoutKind::Operator => Self::Operator,
            PayoutKind::Developer => Self::Developer,
        }
    }
}

/// One claimable amount of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Payout {
    /// Why.
    pub role: PayoutKind,
    /// To whom.
    pub account: Address,
    /// How much, wei.
    pub amount: U256,
}

/// The leaf of payout number `index`: `keccak256(keccak256(abi.encode(index, account, role, amount)))`.
pub fn payout_leaf(index: usize, payout: &Payout) -> B256 {
    let role: PayoutRole = payout.role.into();
    leaf(&(U256::from(index), payout.account, U256::from(role as u8), payout.amount).abi_encode())
}

/// The tree over all payouts of a batch.
pub fn payout_tree(payouts: &[Payout]) -> MerkleTree {
    MerkleTree::new(payouts.iter().enumerate().map(|(index, payout)| payout_leaf(index, payout)).collect())
}

/// The Merkle-sum root over the receipts' ids with their fees, and the sum of the fees.
pub fn receipts_root(chain_id: u64, answers: &[Answer]) -> (B256, U256) {
    let leaves: Vec<_> = answers.iter().map(|a| (a.receipt.id(chain_id), a.receipt.fee)).collect();
    sum_root(&leaves)
}

/// What a verifier says about a batch: `keccak256(abi.encode(receiptsRoot, payoutsRoot, fileHash))`.
pub fn verdict_digest(receipts_root: B256, payouts_root: B256, file_hash: B256) -> B256 {
    keccak256((receipts_root, payouts_root, file_hash).abi_encode())
}

/// What a verifier commits to: `keccak256(abi.encode(verifier, registeredAt, batch, digest, trace, salt))`.
pub fn verdict_commitment(
    verifier: Address,
    registered_at: u64,
    batch: U256,
    digest: B256,
    trace: B256,
    salt: B256,
) -> B256 {
    keccak256((verifier, registered_at, batch, digest, trace, salt).abi_encode())
}

/// The trace that a verifier who did this work reveals to the panel of a round: `keccak256(abi.encode(work, round))`. What one
/// panel has revealed tells who has not done the work nothing that it could reveal to the next.
pub fn panel_trace(work: B256, round: u32) -> B256 {
    keccak256((work, round).abi_encode())
}

/// The digest of a verifier who could not fetch the batch file: `keccak256("withheld")`. It agrees with nothing, so a file
/// that most stake cannot fetch is the operator's failure.
pub const WITHHELD: B256 = b256!("c58997d93295e3223a3b182d24e0a4bd8fd49fb7f3913569e418959a6d9efd2a");

/// The state of a batch as a computation before its first step: `keccak256(abi.encode(fileHash))`. Step `i` re-executes
/// answer `i`, and its state is [`challenge_step`]; the last step settles all answers, and its state is the
/// [`verdict_digest`].
pub fn challenge_start(file_hash: B256) -> B256 {
    keccak256(file_hash)
}

/// The state after the re-execution of an answer: `keccak256(abi.encode(state before, answer))`, with the
/// [`document_hash`](crate::receipt::document_hash) of the answer as the re-execution gives it.
pub fn challenge_step(before: B256, answer: B256) -> B256 {
    keccak256((before, answer).abi_encode())
}

/// What a judge of a dispute commits to: `keccak256(abi.encode(verifier, registeredAt, challenge, upheld, trace, salt))`.
pub fn step_commitment(
    verifier: Address,
    registered_at: u64,
    challenge: U256,
    upheld: bool,
    trace: B256,
    salt: B256,
) -> B256 {
    keccak256((verifier, registered_at, challenge, upheld, trace, salt).abi_encode())
}

/// The receipts of a batch that its seed samples, `count` draws with repetition: draw `i` is
/// `keccak256(abi.encode(seed, i)) mod receipts`.
///
/// # Panics
/// If there are no receipts.
pub fn sampled_receipts(seed: B256, receipts: u32, count: u32) -> Vec<u32> {
    (0..count)
        .map(|draw| {
            let word = U256::from_be_bytes(keccak256((seed, draw).abi_encode()).0);
            (word % U256::from(receipts)).to()
        })
        .collect()
}

/// How one answer enters the settlement of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerWeight {
    /// Log-probability of the answer with the adapter less that without, micronats; may be negative.
    pub explained_micronats: i64,
    /// Wei that a nat of this answer is worth where the adapter explains some.
    pub wei_per_nat: U256,
    /// The part of the contributors' pool that influence may claim, wei.
    pub explained_wei: U256,
    /// Log-probability of the answer with its sources less that without, micronats; may be negative. Not written where it is 0.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub retrieved_micronats: i64,
    /// The part of the contributors' pool that is its sources', wei. Not written where it is 0.
    #[serde(default, skip_serializing_if = "U256::is_zero")]
    pub retrieved_wei: U256,
}

/// The settled, exact credit of one cluster over all answers of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCredit {
    /// Number of the cluster in the Datanet version.
    pub cluster: u32,
    /// Salted hash of the record that stands for it.
    pub record: B256,
    /// Who owns it.
    pub contributor: Address,
    /// Signed influence over the batch, weighted by what the answers paid, in wei before clipping and scaling.
    pub influence_wei: I256,
    /// What influence pays it, wei.
    pub paid: U256,
    /// What it is paid as a source of the answers, wei: retrieval credit, not influence. Not written where it is 0.
    #[serde(default, skip_serializing_if = "U256::is_zero")]
    pub retrieved_wei: U256,
}

fn is_nothing(number: &i64) -> bool {
    *number == 0
}

/// The file behind a posted batch: everything that its roots follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFile {
    /// Chain that it is posted on.
    pub chain_id: u64,
    /// Who served.
    pub operator: Address,
    /// Number of the epoch.
    pub epoch: u64,
    /// Adapter of all its answers.
    pub adapter: U256,
    /// The answers, in the order of their sequence numbers.
    pub answers: Vec<Answer>,
    /// How each entered the settlement, in the same order.
    pub weights: Vec<AnswerWeight>,
    /// By cluster, in the order of their numbers.
    pub credits: Vec<ClusterCredit>,
    /// The fees by role; `contributors` holds influence and base pool together.
    pub parts: FeeParts,
    /// How much of the contributors' part is the base pool.
    pub base: U256,
    /// Who can claim what, sorted by role, then account.
    pub payouts: Vec<Payout>,
}

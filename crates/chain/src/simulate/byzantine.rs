//! Members that do not keep to the rules.

use super::scenario::Scenario;
use crate::{Block, block::Context, pacing::Paced};
use alloy_consensus::{TxEnvelope, proofs::calculate_transaction_root};
use commonware_actor::Feedback;
use commonware_consensus::{Application, marshal::ancestry::Ancestry, simplex::scheme::ed25519::Scheme};
use commonware_cryptography::{Digested, Digestible, ed25519::PublicKey};
use commonware_p2p::{
    BlockedSubscription, Blocker, Message, Recipients,
    simulated::{Control, SplitForwarder, SplitOrigin, SplitTarget},
};
use commonware_runtime::{IoBuf, deterministic};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What a member does against the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byzantine {
    /// Votes for what it receives and for something else in the same view.
    Conflicting,
    /// Gives up views that it votes to finalise.
    Nullifying,
    /// Receives everything and votes for nothing.
    Silent,
    /// Two validators with one key, each of which talks to half of the others and includes other transactions: blocks,
    /// votes and certificates that contradict each other, each of them well formed.
    Twins,
    /// Proposes blocks that are not what execution gives.
    Altering(Alteration),
}

/// What is wrong with a proposed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// Another state root.
    StateRoot,
    /// Another root of the receipts.
    ReceiptsRoot,
    /// A time a year ahead.
    FutureTime,
    /// Another account is paid for it.
    Beneficiary,
    /// More gas used.
    GasUsed,
    /// Its first transaction a second time.
    DuplicateTransaction,
}

impl Alteration {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::StateRoot,
        Self::ReceiptsRoot,
        Self::FutureTime,
        Self::Beneficiary,
        Self::GasUsed,
        Self::DuplicateTransaction,
    ];

    fn apply(self, block: &Block) -> Block {
        let mut header = block.header().clone();
        let mut transactions: Vec<TxEnvelope> = block.transactions().to_vec();
        match self {
            Self::StateRoot => header.state_root.0[0] ^= 1,
            Self::ReceiptsRoot => header.receipts_root.0[0] ^= 1,
            Self::FutureTime => header.timestamp += Duration::from_secs(365 * 24 * 3600).as_secs(),
            Self::Beneficiary => header.beneficiary.0[0] ^= 1,
            Self::GasUsed => header.gas_used += 1,
            Self::DuplicateTransaction => {
                transactions.extend(transactions.first().cloned());
                header.transactions_root = calculate_transaction_root(&transactions);
                // Without a transaction there is none to repeat.
                header.gas_used += 1;
            }
        }
        Block::new(header, block.seal().clone(), transactions)
    }
}

/// The state machine of a member, whose proposals may be altered.
#[derive(Clone)]
pub(super) struct Proposer {
    pub(super) inner: Paced<deterministic::Context>,
    pub(super) alteration: Option<Alteration>,
}

impl Application<deterministic::Context> for Proposer {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        context: (deterministic::Context, Context),
        ancestry: impl Ancestry<Block>,
        input: (),
    ) -> Option<Digested<Block>> {
        let block = self.inner.propose(context, ancestry, input).await?;
        Some(match self.alteration {
            None => block,
            Some(alteration) => {
                let altered = alteration.apply(block.inner());
                let digest = altered.digest();
                Digested::precomputed(altered, digest)
            }
        })
    }

    async fn verify(
        &mut self,
        context: (deterministic::Context, Context),
        ancestry: impl Ancestry<Block>,
    ) -> bool {
        self.inner.verify(context, ancestry).await
    }
}

/// Who hears what of one channel of a member.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Everybody.
    All,
    /// Nobody.
    Nobody,
    /// The primary talks to the one half and the secondary to the other; some are in both.
    Halves { primary: Arc<BTreeSet<PublicKey>>, secondary: Arc<BTreeSet<PublicKey>> },
}

impl Route {
    /// Where messages of an instance go.
    pub(super) fn forwarder(self) -> impl SplitForwarder<PublicKey> {
        move |origin, recipients: &Recipients<PublicKey>, _message: &IoBuf| match &self {
            Self::All => Some(recipients.clone()),
            Self::Nobody => None,
            Self::Halves { primary, secondary } => {
                let half = match origin {
                    SplitOrigin::Primary => primary,
                    SplitOrigin::Secondary => secondary,
                };
                let meant: Vec<PublicKey> = match recipients {
                    Recipients::All => half.iter().cloned().collect(),
                    Recipients::Some(keys) => keys.iter().filter(|key| half.contains(key)).cloned().collect(),
                    Recipients::One(key) => half.get(key).cloned().into_iter().collect(),
                };
                Some(Recipients::Some(meant))
            }
        }
    }

    /// Which instance a message is for.
    pub(super) fn router(&self) -> impl Fn(&Message<PublicKey>) -> SplitTarget + Send + Sync + use<> {
        let route = self.clone();
        move |(sender, _)| match &route {
            Self::All | Self::Nobody => SplitTarget::Primary,
            Self::Halves { primary, secondary } => {
                match (primary.contains(sender), secondary.contains(sender)) {
                    (true, false) => SplitTarget::Primary,
                    (false, true) => SplitTarget::Secondary,
                    _ => SplitTarget::Both,
                }
            }
        }
    }

    /// For twins: every second of the others hears the first instance, the rest the second, and other twins both.
    pub(super) fn halves(me: usize, keys: &[PublicKey], scenario: &Scenario) -> Self {
        let twins = |member: &usize| scenario.byzantine.get(member) == Some(&Byzantine::Twins);
        let both: BTreeSet<_> = (0..keys.len())
            .filter(|member| *member != me && twins(member))
            .map(|member| keys[member].clone())
            .collect();
        let others = (0..keys.len()).filter(|member| *member != me && !twins(member));
        let (mut primary, mut secondary) = (both.clone(), both);
        for (turn, member) in others.enumerate() {
            let half = if turn % 2 == 0 { &mut primary } else { &mut secondary };
            half.insert(keys[member].clone());
        }
        Self::Halves { primary: primary.into(), secondary: secondary.into() }
    }
}

/// Cuts off others, unless the member itself breaks the rules: those who collude bear with each other.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) control: Control<PublicKey, deterministic::Context>,
    pub(super) bears: bool,
}

impl Blocker for Guard {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        if self.bears { Feedback::Ok } else { self.control.block(peer) }
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.control.blocked()
    }
}

//! What happens in a run.

use super::byzantine::Byzantine;
use alloy_consensus::TxEnvelope;
use alloy_primitives::{Address, U256};
use commonware_p2p::simulated;
use commonware_utils::Probability;
use openledger_execution::Genesis;
use std::{collections::BTreeMap, time::Duration};

/// A scenario, fixed before the run begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Orders everything that the scenario leaves open: scheduling, delays, losses.
    pub seed: u64,
    /// What the chain starts from, with one seat for each member in their order.
    pub genesis: Genesis,
    /// Secrets of the members' consensus keys, in the order of the seats.
    pub keys: Vec<[u8; 32]>,
    /// Members that do not keep to the rules.
    pub byzantine: BTreeMap<usize, Byzantine>,
    /// All links at first, and again once everything is healed.
    pub link: Link,
    /// What is done when, in the order of time.
    pub events: Vec<(Duration, Event)>,
    /// When the links are as at first and everybody runs.
    pub healed: Duration,
    /// How many blocks every honest member has to finalise after that.
    pub blocks_after: u64,
    /// How long that may take, and until all transactions are final.
    pub patience: Duration,
    /// Transactions of clients, each account's in the order of nonces: member that it is sent to and the transaction.
    pub transactions: Vec<(usize, TxEnvelope)>,
    /// Time from one transaction of a member's clients to the next.
    pub pace: Duration,
    /// Accounts that are looked at beside those that genesis and the blocks name.
    pub watched: Vec<Address>,
    /// OPEN in wei that every member believes genesis to allot to an account beside what it says. It breaks the chain
    /// on purpose.
    pub minted: Option<(Address, U256)>,
}

/// How messages get from one member to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Mean time to delivery.
    pub latency: Duration,
    /// Its standard deviation.
    pub jitter: Duration,
    /// Messages lost, in parts per thousand.
    pub lost_permille: u16,
}

impl Link {
    /// Loses everything.
    pub const CUT: Self = Self { latency: Duration::ZERO, jitter: Duration::ZERO, lost_permille: 1000 };
}

impl From<Link> for simulated::Link {
    fn from(link: Link) -> Self {
        let lost = u64::from(link.lost_permille.min(1000));
        Self {
            latency: link.latency,
            jitter: link.jitter,
            success_rate: Probability::new(1000 - lost, 1000).expect("at most one"),
        }
    }
}

/// Something that happens to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link changes, in one direction.
    Link {
        /// From this member.
        from: usize,
        /// To this one.
        to: usize,
        /// How it is from now on.
        link: Link,
    },
    /// All links are as at first.
    Heal,
    /// A member's process ends at whatever it was doing; its storage stays.
    Crash(usize),
    /// A member that crashed starts again.
    Restart(usize),
}

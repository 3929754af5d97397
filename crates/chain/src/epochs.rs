//! Epochs of consensus: who votes in which, and who is connected meanwhile.
//!
//! Epoch `e` is the `L` blocks from `e·L` on. Its seats stand in the state since the end of epoch `e - 2`, so that a node that
//! enters an epoch knows the next one's too.

use crate::{ConsensusKey, index::Index, key};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt};
use commonware_consensus::{
    simplex::scheme::ed25519::Scheme,
    types::{Epoch, FixedEpocher},
};
use commonware_cryptography::{
    certificate::{Provider, Scoped},
    ed25519::PublicKey,
};
use commonware_utils::{NZUsize, ordered};
use openledger_execution::{Candidate, Genesis, StateError, StateReader, candidates, validator_set};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    sync::{Arc, Mutex},
};

/// Epochs before the current one whose votes can still be checked.
const KEPT: u64 = 2;

/// Nodes beside those known at the start that one makes room for.
const MORE_PEERS: usize = 8;

/// The most seats of an epoch: the range of the governed number `validator_seats`.
const MAX_SEATS: usize = 100;

/// The most seats that an epoch of this chain can have. It bounds messages, so every node computes the same.
pub(crate) fn most_seats(genesis: &Genesis) -> u32 {
    u32::try_from(genesis.validators.len().max(MAX_SEATS)).unwrap_or(u32::MAX)
}

/// The epochs of a chain by height.
///
/// # Errors
/// If an epoch would have fewer than two blocks.
pub(crate) fn epocher(genesis: &Genesis) -> Result<FixedEpocher, String> {
    NonZeroU64::new(genesis.election.epoch_blocks)
        .filter(|length| length.get() > 1)
        .map(FixedEpocher::new)
        .ok_or_else(|| "the genesis has epochs of fewer than two blocks".to_owned())
}

/// The keys that the genesis gives the seats of the first two epochs.
///
/// # Errors
/// If one is none.
pub(crate) fn first_keys(genesis: &Genesis) -> Result<Vec<PublicKey>, String> {
    let key = |text: &String| key::parse(text).ok_or_else(|| format!("{text:?} is no ed25519 public key"));
    genesis.validators.iter().map(|seat| key(&seat.consensus_key)).collect()
}

pub(crate) fn public(key: B256) -> Result<PublicKey, String> {
    PublicKey::decode(Copying(key.as_slice()))
        .map_err(|error| format!("the seat of {key} has no ed25519 public key: {error}"))
}

/// The schemes of the epochs that are known, by which votes are made and certificates checked.
#[derive(Clone)]
pub(crate) struct Schemes {
    namespace: Arc<[u8]>,
    /// Votes where it has a seat; `None` for a node that only follows.
    signer: Option<ConsensusKey>,
    known: Arc<Mutex<BTreeMap<Epoch, Arc<Scheme>>>>,
}

impl Schemes {
    pub(crate) fn new(namespace: Vec<u8>, signer: Option<ConsensusKey>) -> Self {
        Self { namespace: namespace.into(), signer, known: Arc::default() }
    }

    /// Learns who votes in an epoch, and forgets those long past.
    ///
    /// # Errors
    /// If a key stands there twice.
    pub(crate) fn learn(&self, epoch: Epoch, keys: &[PublicKey]) -> Result<(), String> {
        let participants: ordered::Set<_> = keys
            .to_vec()
            .try_into()
            .map_err(|error| format!("the validators of epoch {epoch}: {error:?}"))?;
        let signs = self
            .signer
            .as_ref()
            .and_then(|signer| Scheme::signer(&self.namespace, participants.clone(), signer.private()));
        let scheme = signs.unwrap_or_else(|| Scheme::verifier(&self.namespace, participants));
        let mut known = self.known.lock().expect("no code panics with this lock");
        known.insert(epoch, Arc::new(scheme));
        if let Some(newest) = known.keys().next_back().copied() {
            known.retain(|epoch, _| epoch.get() + KEPT + 1 >= newest.get());
        }
        Ok(())
    }

    /// Learns what an earlier process knew.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub(crate) fn recall(&self, genesis: &Genesis, index: &Index) -> Result<(), String> {
        let first = first_keys(genesis)?;
        self.learn(Epoch::zero(), &first)?;
        self.learn(Epoch::new(1), &first)?;
        for (epoch, keys) in index.last_validators(KEPT as usize + 1).map_err(|error| error.to_string())? {
            let keys = keys.into_iter().map(public).collect::<Result<Vec<_>, _>>()?;
            self.learn(Epoch::new(epoch), &keys)?;
        }
        Ok(())
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        let known = self.known.lock().expect("no code panics with this lock");
        known.get(&epoch).cloned().map(Scoped::scheme)
    }
}

/// What the state says of an epoch and those beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    /// Keys of the seats, by epoch.
    pub(crate) sets: BTreeMap<u64, Vec<PublicKey>>,
    /// Where the nodes of seats and candidates are, if they say so.
    addresses: BTreeMap<PublicKey, Option<SocketAddr>>,
}

impl Outlook {
    /// Before the first block there is what the genesis says.
    ///
    /// # Errors
    /// If a key is none.
    pub(crate) fn genesis(genesis: &Genesis) -> Result<Self, String> {
        let first = first_keys(genesis)?;
        let addresses = first.iter().map(|key| (key.clone(), None)).collect();
        Ok(Self { sets: BTreeMap::from([(0, first.clone()), (1, first)]), addresses })
    }

    /// Reads it out of a state in `epoch`, or at the end of the one before.
    ///
    /// # Errors
    /// Those of the state.
    pub(crate) fn read(state: &dyn StateReader, epoch: u64) -> Result<Self, StateError> {
        let mut outlook = Self::default();
        let backend = StateError::Backend;
        let candidates = candidates(state)?;
        let places: BTreeMap<_, _> = candidates.iter().map(|known| (known.account, known.address)).collect();
        for Candidate { key, address, .. } in &candidates {
            outlook.addresses.insert(public(*key).map_err(backend)?, *address);
        }
        for epoch in epoch.saturating_sub(1)..=epoch + 1 {
            let mut keys = Vec::new();
            for seat in validator_set(state, epoch)? {
                let key = public(seat.key).map_err(backend)?;
                // A key that was rotated away has the address of its account.
                let address = places.get(&seat.account).copied().flatten();
                outlook.addresses.entry(key.clone()).or_insert(address);
                keys.push(key);
            }
            if !keys.is_empty() {
                outlook.sets.insert(epoch, keys);
            }
        }
        Ok(outlook)
    }

    /// Who to be connected with in `epoch`, at the addresses of the configuration or else of the state.
    pub(crate) fn peers(&self, epoch: u64, configured: &Configured) -> Peers {
        let set = |epoch: Option<u64>| {
            let set = epoch.and_then(|epoch| self.sets.get(&epoch));
            set.into_iter().flatten()
        };
        let mut peers = Peers::default();
        peers.primary.insert(configured.own.0.clone(), configured.own.1);
        let place = |key: &PublicKey| {
            let known = configured.peers.get(key).or_else(|| configured.followers.get(key)).copied();
            known.or_else(|| self.addresses.get(key).copied().flatten())
        };
        let primary = set(Some(epoch)).chain(set(epoch.checked_add(1))).chain(configured.peers.keys());
        let secondary =
            configured.followers.keys().chain(set(epoch.checked_sub(1))).chain(self.addresses.keys());
        let mut left_out = BTreeSet::new();
        for (list, key) in primary.map(|key| (true, key)).chain(secondary.map(|key| (false, key))) {
            let Some(address) = place(key) else { continue };
            if peers.primary.contains_key(key) || peers.secondary.contains_key(key) {
                continue;
            }
            if peers.primary.len() + peers.secondary.len() >= configured.room.get() {
                left_out.insert(key);
                continue;
            }
            let list = if list { &mut peers.primary } else { &mut peers.secondary };
            list.insert(key.clone(), address);
        }
        if !left_out.is_empty() {
            let (left_out, room) = (left_out.len(), configured.room);
            tracing::warn!(left_out, room, "not every node can be connected; starting again makes room");
        }
        peers
    }
}

/// Nodes by configuration.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// This node.
    pub(crate) own: (PublicKey, SocketAddr),
    /// Validators, and whoever else is asked for blocks.
    pub(crate) peers: BTreeMap<PublicKey, SocketAddr>,
    /// Nodes that may follow.
    pub(crate) followers: BTreeMap<PublicKey, SocketAddr>,
    /// The most nodes that this one is connected with, itself included. The network reserves memory for each.
    pub(crate) room: NonZeroUsize,
}

impl Configured {
    /// Whether no other node can find this one.
    pub(crate) fn is_alone(&self) -> bool {
        self.own.1.port() == 0 && self.peers.is_empty() && self.followers.is_empty()
    }

    /// Makes room for the nodes that are known and as many validators again as have a seat now.
    pub(crate) fn make_room(&mut self, seats: usize) {
        let known = 2 * seats + self.peers.len() + self.followers.len();
        self.room =
            if self.is_alone() { NonZeroUsize::MIN } else { NZUsize!(MORE_PEERS + 1).saturating_add(known) };
    }
}

/// Who is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    /// Those whose blocks are taken: validators of the epoch and of the next.
    pub(crate) primary: BTreeMap<PublicKey, SocketAddr>,
    /// Those who are sent what validators are, and serve what they hold.
    pub(crate) secondary: BTreeMap<PublicKey, SocketAddr>,
}

#[cfg(test)]
mod tests;

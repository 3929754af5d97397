//! How nodes reach each other: authenticated, encrypted connections among those whose keys are listed.

use crate::{
    conductor::Roster,
    engine,
    epochs::{Configured, Peers},
    gossip,
    key::ConsensusKey,
};
use commonware_cryptography::{ChaCha20Poly1305, ed25519};
use commonware_p2p::{
    Address as PeerAddress, AddressableManager, AddressableTrackedPeers, authenticated::lookup,
};
use commonware_runtime::{Handle, Quota, Supervisor, tokio};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, ordered};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Messages a second and peer on one channel. The network reserves memory for this many from every peer.
const QUOTA: Quota = Quota::per_second(NZU32!(256));

/// What goes over channels of their own, in the order of their numbers, and how much of it a second.
pub(crate) const CHANNELS: [Quota; 7] = [QUOTA, QUOTA, QUOTA, QUOTA, QUOTA, QUOTA, gossip::MESSAGES_A_SECOND];

/// The channels to the other nodes, and who they are.
pub(crate) struct Links<S, R, P, B> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) resolver: (S, R),
    pub(crate) backfill: (S, R),
    pub(crate) broadcast: (S, R),
    pub(crate) state_sync: (S, R),
    pub(crate) gossip: (S, R),
    /// Who is connected.
    pub(crate) peers: P,
    /// Cuts off who breaks the rules.
    pub(crate) blocker: B,
}

impl<S, R, P, B> Links<S, R, P, B> {
    /// The links over these channels, which are those of [`CHANNELS`].
    pub(crate) fn new(channels: [(S, R); CHANNELS.len()], peers: P, blocker: B) -> Self {
        let [votes, certificates, resolver, backfill, broadcast, state_sync, gossip] = channels;
        Self { votes, certificates, resolver, backfill, broadcast, state_sync, gossip, peers, blocker }
    }
}

/// Who takes part, and where they are.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) signer: ConsensusKey,
    /// Where this node and those of its configuration listen.
    pub(crate) configured: Configured,
    /// Whether this node never votes.
    pub(crate) follows: bool,
    /// Keeps signatures of one chain from counting on another.
    pub(crate) namespace: Vec<u8>,
}

pub(crate) type Oracle = lookup::Oracle<ed25519::PublicKey>;
pub(crate) type TcpLinks = Links<
    lookup::Sender<ed25519::PublicKey, tokio::Context>,
    lookup::Receiver<ed25519::PublicKey>,
    Oracle,
    Oracle,
>;

/// Starts listening and connecting. Every node must have the same channels and sizes.
///
pub(crate) fn start(
    context: &tokio::Context,
    membership: &Membership,
    seats: u32,
) -> (TcpLinks, Oracle, Handle<()>) {
    let mut config = lookup::Config::local(
        Cups::<_, ChaCha20Poly1305>::new(
            Sake {
                signer: membership.signer.private(),
                synchrony_bound: Duration::from_secs(5),
                max_handshake_age: Duration::from_secs(10),
                version: sake::Version::V1,
            },
            cups::Version::V1,
        ),
        &membership.namespace,
        membership.configured.own.1,
        membership.configured.room,
        engine::largest_message(seats),
        engine::MAILBOX,
    );
    config.tracked_peer_sets = NZUsize!(1);
    let (mut network, oracle) = lookup::Network::new(context.child("network"), config);
    let mut number = 0;
    let channels = CHANNELS.map(|quota| {
        number += 1;
        network.register(number - 1, quota)
    });
    (Links::new(channels, oracle.clone(), oracle.clone()), oracle, network.start())
}

impl Roster for Oracle {
    fn track(&mut self, number: u64, nodes: Peers) -> Result<(), String> {
        let tracked = AddressableTrackedPeers::new(peers(&nodes.primary)?, peers(&nodes.secondary)?);
        // A network that has ended is noticed where it runs.
        let _feedback = AddressableManager::track(self, number, tracked);
        Ok(())
    }
}

fn peers(
    addresses: &BTreeMap<ed25519::PublicKey, SocketAddr>,
) -> Result<ordered::Map<ed25519::PublicKey, PeerAddress>, String> {
    let peers = addresses.iter().map(|(key, address)| (key.clone(), PeerAddress::from(*address)));
    peers.collect::<Vec<_>>().try_into().map_err(|error| format!("peers: {error:?}"))
}

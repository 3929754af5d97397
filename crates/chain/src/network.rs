//! How nodes reach each other: authenticated, encrypted connections among those whose keys are listed.

use crate::{engine, gossip, key::ConsensusKey};
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
use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, time::Duration};

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
    pub(crate) listen: SocketAddr,
    /// Every validator and every node that follows; this one's address is `listen`.
    pub(crate) validators: BTreeMap<ed25519::PublicKey, SocketAddr>,
    pub(crate) followers: BTreeMap<ed25519::PublicKey, SocketAddr>,
    /// Whether this node only follows.
    pub(crate) follows: bool,
    /// Keeps signatures of one chain from counting on another.
    pub(crate) namespace: Vec<u8>,
}

type Oracle = lookup::Oracle<ed25519::PublicKey>;
pub(crate) type TcpLinks = Links<
    lookup::Sender<ed25519::PublicKey, tokio::Context>,
    lookup::Receiver<ed25519::PublicKey>,
    Oracle,
    Oracle,
>;

/// Starts listening and connecting. Every node must have the same channels and sizes.
///
/// # Errors
/// If there is nobody to connect.
pub(crate) fn start(
    context: &tokio::Context,
    membership: &Membership,
    seats: u32,
) -> Result<(TcpLinks, Handle<()>), String> {
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
        membership.listen,
        NonZeroUsize::new(membership.validators.len() + membership.followers.len())
            .ok_or("there are no validators")?,
        engine::largest_message(seats),
        engine::MAILBOX,
    );
    config.tracked_peer_sets = NZUsize!(1);
    let (mut network, oracle) = lookup::Network::new(context.child("network"), config);
    // Those who follow are sent what validators are, and are asked for nothing that consensus needs.
    let (primary, secondary) = (peers(&membership.validators)?, peers(&membership.followers)?);
    oracle.clone().track(0, AddressableTrackedPeers::new(primary, secondary));
    let mut number = 0;
    let channels = CHANNELS.map(|quota| {
        number += 1;
        network.register(number - 1, quota)
    });
    Ok((Links::new(channels, oracle.clone(), oracle), network.start()))
}

fn peers(
    addresses: &BTreeMap<ed25519::PublicKey, SocketAddr>,
) -> Result<ordered::Map<ed25519::PublicKey, PeerAddress>, String> {
    let peers = addresses.iter().map(|(key, address)| (key.clone(), PeerAddress::from(*address)));
    peers.collect::<Vec<_>>().try_into().map_err(|error| format!("peers: {error:?}"))
}

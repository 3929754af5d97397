//! The wiring of the engine: network, block stores, state machine, consensus.
//!
//! Everything generic is made concrete here, once, because this is what takes long to compile.

use crate::{
    Block,
    admission::Admission,
    application::App,
    executor::ReadRequest,
    faults::Watch,
    gossip,
    key::ConsensusKey,
    ledger::Ledger,
    pacing::{Pace, Paced},
    rebuild,
    state::{self, Databases, Key, Store, Value},
};
use ::tokio::sync::{mpsc, oneshot};
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use commonware_broadcast::buffered;
use commonware_codec::Encode;
use commonware_consensus::{
    Reporters,
    marshal::{
        self,
        core::Actor as Marshal,
        core::Mailbox as MarshalMailbox,
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        scheme::ed25519::Scheme,
    },
    types::{Epoch, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    ChaCha20Poly1305, Digested, Digestible, Sha256,
    certificate::{ConstantProvider, Verifier as _},
    ed25519,
    keccak256::Digest,
};
use commonware_glue::stateful::{
    Config as StatefulConfig, Stateful, SyncPlan,
    db::{SyncEngineConfig, p2p as state_resolver},
};
use commonware_p2p::{
    Address as PeerAddress, AddressableManager, AddressableTrackedPeers, authenticated::lookup,
    max_message_size,
};
use commonware_parallel::Sequential;
use commonware_runtime::{Quota, Spawner, Supervisor, buffer::paged::CacheRef, tokio};
use commonware_storage::{archive::prunable, mmr, qmdb::any::unordered::fixed, translator::EightCap};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZDuration, NZU16, NZU32, NZU64, NZUsize, ordered};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

/// There is one epoch until seats are elected; see the crate's README.
const EPOCH_LENGTH: NonZeroU64 = NZU64!(u64::MAX);
/// Operations of the state log in one message of state sync.
const STATE_SYNC_OPERATIONS: NonZeroU64 = NZU64!(256);
/// Messages a second and peer on one channel. The network reserves memory for this many from every peer.
const QUOTA: Quota = Quota::per_second(NZU32!(256));
/// Messages an actor may be behind.
const MAILBOX: NonZeroUsize = NZUsize!(1024);
const BUFFER: NonZeroUsize = NZUsize!(1 << 20);
/// Blocks whose acknowledgement may be outstanding.
const PENDING_ACKNOWLEDGEMENTS: NonZeroUsize = NZUsize!(4);
/// How long tasks may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

type MarshalHandle = MarshalMailbox<Scheme, Standard<Block>>;

/// What the outside asks the engine for.
pub(crate) enum Request {
    /// Entries of the newest state.
    Read(ReadRequest),
    /// The encoded certificate that made a block final.
    Finalisation { number: u64, reply: oneshot::Sender<Option<Vec<u8>>> },
}

/// What the engine is told from outside.
pub(crate) struct Controls {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) ready: std::sync::mpsc::SyncSender<()>,
    pub(crate) shutdown: oneshot::Receiver<()>,
    pub(crate) admission: Admission,
    /// What clients sent, for the other validators; `None` if there are none.
    pub(crate) news: Option<mpsc::Receiver<Arc<Recovered<TxEnvelope>>>>,
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

/// Block zero of a genesis, which the engine starts from.
pub(crate) fn genesis_block(genesis: &openledger_execution::Genesis, leader: ed25519::PublicKey) -> Block {
    use commonware_glue::stateful::db::DatabaseSet;
    let empty = <Databases as DatabaseSet<tokio::Context>>::initial_sync_targets();
    Block::genesis(genesis, leader, crate::block::hash(&empty.root), empty.range)
}

/// Runs a validator until it is told to stop.
///
/// # Errors
/// [`ChainError`] if the index cannot be brought level with the state.
///
/// # Panics
/// As the engine does, when its storage is damaged or fails.
pub(crate) async fn run(
    context: tokio::Context,
    ledger: Arc<Ledger>,
    membership: Membership,
    pace: Pace,
    controls: Controls,
) -> Result<(), String> {
    let stopper = context.child("stopper");
    let public_key = membership.signer.public();
    let keys: Vec<_> = membership.validators.keys().cloned().collect();
    let participants: ordered::Set<_> = keys.try_into().map_err(|error| format!("validators: {error:?}"))?;
    let seats = u32::try_from(participants.len()).map_err(|error| error.to_string())?;
    let scheme = if membership.follows {
        Scheme::verifier(&membership.namespace, participants)
    } else {
        Scheme::signer(&membership.namespace, participants, membership.signer.private())
            .ok_or("the consensus key is not among the validators")?
    };

    // Network. Every peer must have the same channels and sizes.
    let mut network_config = lookup::Config::local(
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
        largest_message(seats),
        MAILBOX,
    );
    network_config.tracked_peer_sets = NZUsize!(1);
    let (mut network, oracle) = lookup::Network::new(context.child("network"), network_config);
    let mut manager = oracle.clone();
    // Those who follow are sent what validators are, and are asked for nothing that consensus needs.
    let (primary, secondary) = (peers(&membership.validators)?, peers(&membership.followers)?);
    manager.track(0, AddressableTrackedPeers::new(primary, secondary));
    let votes = network.register(0, QUOTA);
    let certificates = network.register(1, QUOTA);
    let resolver = network.register(2, QUOTA);
    let backfill = network.register(3, QUOTA);
    let broadcast = network.register(4, QUOTA);
    let state_sync = network.register(5, QUOTA);
    let (tell, hear) = network.register(6, gossip::MESSAGES_A_SECOND);
    let network = network.start();

    // Blocks and certificates, none of which is ever pruned: a new validator follows from block one.
    let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(8192));
    let finalizations = prunable::Archive::init(
        context.child("finalizations"),
        archive_config("finalizations", page_cache.clone(), Scheme::certificate_codec_config_unbounded()),
    )
    .await
    .map_err(|error| format!("the certificates cannot be opened: {error}"))?;
    let blocks =
        prunable::Archive::init(context.child("blocks"), archive_config("blocks", page_cache.clone(), ()))
            .await
            .map_err(|error| format!("the blocks cannot be opened: {error}"))?;
    let block_resolver = marshal_resolver::init(
        context.child("block_resolver"),
        marshal_resolver::Config {
            public_key: public_key.clone(),
            peer_provider: oracle.clone(),
            blocker: oracle.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        backfill,
    );
    let (broadcaster, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: public_key.clone(),
            mailbox_size: MAILBOX,
            deque_size: 16,
            priority: false,
            codec_config: (),
            peer_provider: oracle.clone(),
            strategy: Sequential,
        },
    );
    broadcaster.start(broadcast);

    let genesis = Digested::precomputed(ledger.genesis_block.clone(), ledger.genesis_block.digest());
    let plan = SyncPlan::init(context.child("plan"), "state").await;
    let (marshal_actor, marshal, floor) = Marshal::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: ConstantProvider::new(scheme.clone()),
            epocher: FixedEpocher::new(EPOCH_LENGTH),
            start: plan.marshal_start(genesis),
            partition_prefix: "marshal".into(),
            mailbox_size: MAILBOX,
            view_retention: ViewDelta::new(64),
            prunable_items_per_section: NZU64!(4096),
            page_cache: page_cache.clone(),
            replay_buffer: BUFFER,
            key_write_buffer: BUFFER,
            value_write_buffer: BUFFER,
            block_codec_config: (),
            max_repair: NZUsize!(32),
            max_pending_acks: PENDING_ACKNOWLEDGEMENTS,
            strategy: Sequential,
        },
    )
    .await;

    // State machine.
    let (state_sync_actor, state_sync_mailbox) =
        state_resolver::Actor::<_, ed25519::PublicKey, _, _, mmr::Family, Store>::new(
            context.child("state_sync"),
            state_resolver::Config {
                peer_provider: oracle.clone(),
                blocker: oracle.clone(),
                database: None,
                mailbox_size: MAILBOX,
                me: Some(public_key.clone()),
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                max_serve_ops: STATE_SYNC_OPERATIONS,
                priority_requests: false,
                priority_responses: false,
            },
        );
    state_sync_actor.start(state_sync);
    let (state_machine, mailbox) = Stateful::new(
        context.child("stateful"),
        StatefulConfig {
            application: App { ledger: ledger.clone() },
            db_config: state::store_config(page_cache.clone()),
            provider: (),
            marshal: (marshal.clone(), floor),
            mailbox_size: MAILBOX,
            plan,
            resolvers: state_sync_mailbox,
            sync_config: SyncEngineConfig {
                fetch_batch_size: STATE_SYNC_OPERATIONS,
                apply_batch_size: NZU64!(1024),
                max_outstanding_requests: NZUsize!(8),
            },
            prune_config: None,
            strategy: Sequential,
        },
    );
    marshal_actor.start(mailbox.clone(), buffer, block_resolver);

    // The head is where the state will open. The index is brought there before the state machine adds to it.
    let processed = marshal.get_processed().await.map_or(0, |processed| processed.height().get());
    rebuild::index(&ledger, &marshal, processed).await.map_err(|error| error.to_string())?;
    let head = ledger
        .index
        .header(processed)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("the index has no block {processed}"))?;
    ledger.accounts.advance(processed, &Default::default());
    ledger.set_head(head);
    state_machine.start();
    let databases = mailbox.subscribe_databases().await;
    context.child("requests").spawn({
        let marshal = marshal.clone();
        move |_| serve(controls.requests, databases, marshal)
    });

    if let Some(news) = controls.news {
        let admission = controls.admission.clone();
        context.child("tell").spawn(move |clock| gossip::tell(clock, admission, news, tell));
        context.child("hear").spawn(move |_| gossip::hear(controls.admission, hear));
    }

    // Consensus.
    let paced = Paced::new(mailbox, ledger.clone(), pace);
    let deferred = Deferred::new(context.child("deferred"), paced, marshal, FixedEpocher::new(EPOCH_LENGTH));
    let leader_timeout = pace.heartbeat + Duration::from_secs(2);
    let engine = simplex::Engine::new(
        context.child("simplex"),
        simplex::Config {
            scheme,
            elector: RoundRobin::<Sha256>::default(),
            blocker: oracle,
            automaton: deferred.clone(),
            relay: deferred.clone(),
            reporter: Reporters::from((deferred, Watch { ledger: ledger.clone() })),
            strategy: Sequential,
            partition: "simplex".into(),
            mailbox_size: MAILBOX,
            epoch: Epoch::zero(),
            floor: Floor::Genesis(ledger.genesis_block.digest()),
            replay_buffer: BUFFER,
            write_buffer: BUFFER,
            page_cache,
            leader_timeout,
            certification_timeout: leader_timeout + Duration::from_secs(1),
            timeout_retry: Duration::from_secs(1),
            view_retention: ViewDelta::new(64),
            skip: SkipPolicy::Enabled {
                timeout: leader_timeout + Duration::from_secs(5),
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_secs(1),
            forward: ForwardPolicy::SilentLeader,
            track_historical_votes: false,
        },
    )
    .start(votes, certificates, resolver);

    if controls.ready.send(()).is_err() {
        return Err("whoever started the chain has gone".to_owned());
    }
    let outcome = ::tokio::select! {
        _ = controls.shutdown => Ok(()),
        _ = engine => Err("consensus ended".to_owned()),
        _ = network => Err("the network ended".to_owned()),
    };
    let stopped = stopper.stop(0, Some(STOP_TIMEOUT)).await;
    if let Err(error) = stopped {
        tracing::warn!(%error, "some tasks did not stop in time");
    }
    outcome
}

fn peers(
    addresses: &BTreeMap<ed25519::PublicKey, SocketAddr>,
) -> Result<ordered::Map<ed25519::PublicKey, PeerAddress>, String> {
    let peers = addresses.iter().map(|(key, address)| (key.clone(), PeerAddress::from(*address)));
    peers.collect::<Vec<_>>().try_into().map_err(|error| format!("peers: {error:?}"))
}

/// Answers requests from outside until the handle is gone.
async fn serve(mut requests: mpsc::Receiver<Request>, databases: Databases, marshal: MarshalHandle) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Read(ReadRequest { keys, reply }) => {
                let keys: Vec<&Key> = keys.iter().collect();
                let values: Result<Vec<Option<Value>>, _> = databases.read().await.get_many(&keys).await;
                // Whoever asked may have given up.
                drop(reply.send(values.map_err(|error| error.to_string())));
            }
            Request::Finalisation { number, reply } => {
                let finalisation = marshal.get_finalization(Height::new(number)).await;
                drop(reply.send(finalisation.map(|finalisation| finalisation.encode().to_vec())));
            }
        }
    }
}

/// The largest message of any channel.
fn largest_message(seats: u32) -> u32 {
    max_message_size(&[
        simplex::max_payload_size::<Scheme, Digest>(seats),
        marshal::max_payload_size::<Standard<Block>, Scheme>(seats, &()),
        state_resolver::max_payload_size::<mmr::Family, Digest>(
            STATE_SYNC_OPERATIONS,
            <fixed::Operation<mmr::Family, Key, Value> as commonware_codec::FixedSize>::SIZE,
        ),
        gossip::MAX_MESSAGE_BYTES,
    ])
}

fn archive_config<C>(name: &str, page_cache: CacheRef, codec_config: C) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{name}-metadata"),
        key_partition: format!("{name}-key"),
        key_page_cache: page_cache,
        value_partition: format!("{name}-value"),
        compression: Some(3),
        codec_config,
        items_per_section: NZU64!(4096),
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    }
}

//! The wiring of the engine: block stores, state machine, consensus.
//!
//! It is generic only in what it runs on: a runtime and links. Both are made concrete in one place for each, because
//! this is what takes long to compile.

use crate::{
    Block, ChainError,
    admission::Admission,
    application::App,
    block::Context,
    checkpoint::{self, Checkpoint},
    conductor::{Conductor, Roster, Voice},
    epochs::{self, Configured, Outlook, Schemes},
    executor::ReadRequest,
    gossip, handover,
    index::Base,
    ledger::Ledger,
    network::{self, Links, Membership},
    pacing::{Pace, Paced},
    proof, rebuild,
    runtime::Runtime,
    state::{self, Databases, Key, Store, Value},
    status,
};
use ::tokio::sync::{mpsc, oneshot};
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_primitives::Bytes;
use commonware_broadcast::buffered;
use commonware_codec::Encode;
use commonware_consensus::{
    Application, Epochable,
    marshal::{
        self,
        core::Actor as Marshal,
        core::Mailbox as MarshalMailbox,
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{self, scheme::ed25519::Scheme},
    types::{Epocher, Height, ViewDelta},
};
use commonware_cryptography::{Digested, Digestible, certificate::Verifier as _, ed25519, keccak256::Digest};
use commonware_glue::stateful::{
    Config as StatefulConfig, Stateful, SyncPlan,
    db::{SyncEngineConfig, p2p as state_resolver},
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender, max_message_size, utils::mux::prefixed};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, Spawner, Supervisor, buffer::paged::CacheRef, tokio};
use commonware_storage::{archive::prunable, mmr, translator::EightCap};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize};
use std::{
    num::{NonZeroU16, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

/// Operations of the state log in one message of state sync.
const STATE_SYNC_OPERATIONS: NonZeroU64 = NZU64!(256);
/// Messages an actor may be behind.
pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(1024);
/// Blocks whose acknowledgement may be outstanding.
const PENDING_ACKNOWLEDGEMENTS: NonZeroUsize = NZUsize!(4);
/// Bytes of one page of a file in memory.
const PAGE_BYTES: NonZeroU16 = NZU16!(4096);
/// How long a leader may take beside what it waits for transactions.
const LEADER_SLACK: Duration = Duration::from_secs(2);
/// How long tasks may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type MarshalHandle = MarshalMailbox<Scheme, Standard<Block>>;

/// What the outside asks the engine for.
pub(crate) enum Request {
    /// Entries of the newest state.
    Read(ReadRequest),
    /// What shows that a block is final.
    Finality { number: u64, reply: oneshot::Sender<Option<proof::Finality>> },
    /// The certificate of a block, as the engine encodes it, if it has one of its own.
    Certificate { number: u64, reply: oneshot::Sender<Option<Bytes>> },
    /// The newest block that is known to be final.
    Highest { reply: oneshot::Sender<u64> },
    /// How many peers are connected.
    Peers { reply: oneshot::Sender<usize> },
    /// Proofs of entries of the newest state.
    Prove { keys: Vec<Key>, reply: oneshot::Sender<Result<proof::Proven, String>> },
}

/// How the engine is reached from outside.
pub(crate) struct Outside {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) admission: Admission,
    /// What clients sent, for the other validators; `None` if there are none.
    pub(crate) news: Option<mpsc::Receiver<Arc<Recovered<TxEnvelope>>>>,
}

/// When a process starts and stops.
pub(crate) struct Controls {
    pub(crate) ready: std::sync::mpsc::SyncSender<()>,
    pub(crate) shutdown: oneshot::Receiver<()>,
}

/// What a node is told to do.
pub(crate) struct Settings {
    pub(crate) pace: Pace,
    /// Bytes of files that are kept in memory.
    pub(crate) cache: NonZeroUsize,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// Where a node keeps its files, and how much of them in memory.
pub(crate) struct Place {
    /// Tells the files of several nodes in one storage apart.
    pub(crate) prefix: String,
    pub(crate) page_cache: CacheRef,
    /// Bytes that one file may have waiting to be written or read at once.
    pub(crate) buffer: NonZeroUsize,
}

impl Place {
    fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A node among others.
pub(crate) struct Node<S, R, P, B, T> {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) public_key: ed25519::PublicKey,
    /// Who votes when; with a key that signs unless this node only follows.
    pub(crate) schemes: Schemes,
    pub(crate) configured: Configured,
    pub(crate) links: Links<S, R, P, B>,
    pub(crate) roster: T,
    pub(crate) place: Place,
    pub(crate) pace: Pace,
    pub(crate) outside: Outside,
    /// What a new node starts from instead of the genesis.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// A node that runs. Its tasks are children of the context that it was started with.
pub(crate) struct Running<E: Runtime> {
    pub(crate) consensus: Handle<Result<(), String>>,
    #[cfg_attr(not(feature = "simulate"), expect(dead_code, reason = "a simulation looks into the state"))]
    pub(crate) databases: Databases<E>,
}

/// Block zero of a genesis, which the engine starts from.
pub(crate) fn genesis_block(genesis: &openledger_execution::Genesis, leader: ed25519::PublicKey) -> Block {
    use commonware_glue::stateful::db::DatabaseSet;
    let empty = <Databases<tokio::Context> as DatabaseSet<tokio::Context>>::initial_sync_targets();
    let root = crate::block::hash(&state::empty_root(&empty.root));
    Block::genesis(genesis, leader, root, empty.root, empty.range)
}

/// Runs a node over the real network until it is told to stop.
///
/// # Errors
/// Why it could not start or go on.
///
/// # Panics
/// As the engine does, when its storage is damaged or fails.
pub(crate) async fn run(
    context: tokio::Context,
    ledger: Arc<Ledger>,
    membership: Membership,
    settings: Settings,
    outside: Outside,
    controls: Controls,
) -> Result<(), String> {
    let stopper = context.child("stopper");
    let seats = epochs::most_seats(&ledger.genesis);
    let (links, roster, network) = network::start(&context, &membership, seats);
    let Settings { pace, cache, checkpoint } = settings;
    let pages = NonZeroUsize::new(cache.get() / usize::from(PAGE_BYTES.get())).unwrap_or(NonZeroUsize::MIN);
    let place = Place {
        prefix: String::new(),
        page_cache: CacheRef::new(PAGE_BYTES, pages),
        buffer: NZUsize!(1 << 20),
    };
    let Membership { signer, configured, follows, namespace } = membership;
    let public_key = signer.public();
    let schemes = Schemes::new(namespace, (!follows).then_some(signer));
    let node =
        Node { ledger, public_key, schemes, configured, links, roster, place, pace, outside, checkpoint };
    let engine = Box::pin(start(context, node, std::convert::identity)).await?.consensus;
    if controls.ready.send(()).is_err() {
        return Err("whoever started the chain has gone".to_owned());
    }
    let outcome = ::tokio::select! {
        _ = controls.shutdown => Ok(()),
        ended = engine => Err(match ended {
            Ok(Err(reason)) => reason,
            _ => "consensus ended".to_owned(),
        }),
        _ = network => Err("the network ended".to_owned()),
    };
    let stopped = stopper.stop(0, Some(STOP_TIMEOUT)).await;
    if let Err(error) = stopped {
        tracing::warn!(%error, "some tasks did not stop in time");
    }
    outcome
}

/// Starts a node and returns once it takes part. `wrap` may put something between consensus and the state machine.
///
/// # Errors
/// If the index cannot be brought level with the state.
///
/// # Panics
/// As the engine does, when its storage is damaged or fails.
pub(crate) async fn start<E, S, R, P, B, T, W>(
    context: E,
    node: Node<S, R, P, B, T>,
    wrap: impl FnOnce(Paced<E>) -> W,
) -> Result<Running<E>, String>
where
    E: Runtime,
    S: Sender<PublicKey = ed25519::PublicKey>,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    P: Provider<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
    T: Roster,
    W: Application<E, SigningScheme = Scheme, Context = Context, Block = Block, Input = ()>,
{
    let Node { ledger, public_key, schemes, configured, links, mut roster, place, pace, outside, checkpoint } =
        node;
    let (page_cache, buffer) = (place.page_cache.clone(), place.buffer);
    let epocher = epochs::epocher(&ledger.genesis)?;
    schemes.recall(&ledger.genesis, &ledger.index)?;

    // Blocks and certificates, none of which is ever pruned: a new validator follows from block one.
    let finalizations = prunable::Archive::init(
        context.child("finalizations"),
        archive_config(&place, "finalizations", Scheme::certificate_codec_config_unbounded()),
    )
    .await
    .map_err(|error| format!("the certificates cannot be opened: {error}"))?;
    let blocks = prunable::Archive::init(context.child("blocks"), archive_config(&place, "blocks", ()))
        .await
        .map_err(|error| format!("the blocks cannot be opened: {error}"))?;
    let block_resolver = marshal_resolver::init(
        context.child("block_resolver"),
        marshal_resolver::Config {
            public_key: public_key.clone(),
            peer_provider: links.peers.clone(),
            blocker: links.blocker.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        links.backfill,
    );
    let (broadcaster, shared) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: public_key.clone(),
            mailbox_size: MAILBOX,
            deque_size: 16,
            priority: false,
            codec_config: (),
            peer_provider: links.peers.clone(),
            strategy: Sequential,
        },
    );
    broadcaster.start(links.broadcast);

    let genesis = Digested::precomputed(ledger.genesis_block.clone(), ledger.genesis_block.digest());
    let mut plan =
        SyncPlan::<E, Scheme, Standard<Block>>::init(context.child("plan"), place.of("state")).await;
    let failed = |error: ChainError| error.to_string();
    if let Some(checkpoint) = checkpoint {
        if plan.may_sync() && ledger.index.last().map_err(failed)?.unwrap_or(0) == 0 {
            let checked = checkpoint
                .check(&ledger.genesis, &epocher, &schemes, &mut context.child("checkpoint"))
                .map_err(|reason| format!("the checkpoint at block {}: {reason}", checkpoint.number))?;
            let epoch = checked.finalization.epoch().get();
            ledger.index.put_validators(&[(epoch, checked.keys)].into()).map_err(failed)?;
            let Checkpoint { number, hash, .. } = checkpoint;
            ledger.index.put_base(Base { number, hash }).map_err(failed)?;
            plan = plan.set_floor(checked.finalization).await;
        } else {
            tracing::info!(
                "the folder has a chain already, which goes on where it was; the checkpoint is not used"
            );
        }
    }
    if plan.floor().is_some() {
        // Nothing is known yet but whom the configuration names.
        roster.track(0, Outlook::default().peers(0, &configured))?;
    }
    let unknown = |base: &Base| ledger.index.header(base.number).map(|header| header.is_none());
    let adopting = match ledger.index.base() {
        Some(base) if unknown(&base).map_err(failed)? => Some(base),
        _ => None,
    };
    if let Some(base) = adopting
        && plan.floor().is_none()
        && plan.completed().is_none_or(|height| height.get() < base.number)
    {
        return Err(format!(
            "the start from block {} was cut off before it began; name it again",
            base.number
        ));
    }
    let (marshal_actor, marshal, floor) = Marshal::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: schemes.clone(),
            epocher: epocher.clone(),
            start: plan.marshal_start(genesis),
            partition_prefix: place.of("marshal"),
            mailbox_size: MAILBOX,
            view_retention: ViewDelta::new(64),
            prunable_items_per_section: NZU64!(4096),
            page_cache: page_cache.clone(),
            replay_buffer: buffer,
            key_write_buffer: buffer,
            value_write_buffer: buffer,
            block_codec_config: (),
            max_repair: NZUsize!(32),
            max_pending_acks: PENDING_ACKNOWLEDGEMENTS,
            strategy: Sequential,
        },
    )
    .await;

    // State machine.
    let (state_sync_actor, state_sync_mailbox) =
        state_resolver::Actor::<_, ed25519::PublicKey, _, _, mmr::Family, Store<E>>::new(
            context.child("state_sync"),
            state_resolver::Config {
                peer_provider: links.peers.clone(),
                blocker: links.blocker.clone(),
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
    state_sync_actor.start(links.state_sync);
    let (state_machine, mailbox) = Stateful::new(
        context.child("stateful"),
        StatefulConfig {
            application: App { ledger: ledger.clone() },
            db_config: state::store_config(&place.prefix, page_cache.clone(), buffer),
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
    marshal_actor.start(mailbox.clone(), shared, block_resolver);

    // The head is where the state will open. The index is brought there before the state machine adds to it.
    let mut processed = match adopting {
        Some(_) => 0,
        None => marshal.get_processed().await.map_or(0, |processed| processed.height().get()),
    };
    rebuild::index::<E>(&ledger, &marshal, processed).await.map_err(|error| error.to_string())?;
    let head = ledger
        .index
        .header(processed)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("the index has no block {processed}"))?;
    ledger.accounts.advance(processed, &Default::default());
    ledger.set_head(head);
    state_machine.start();
    if let Some(Base { number, hash }) = adopting {
        tracing::info!(number, %hash, "fetching the state of the checkpoint");
    }
    let databases = mailbox.subscribe_databases().await;
    if let Some(base) = adopting {
        checkpoint::adopt(&ledger, &marshal, &databases, &epocher, base)
            .await
            .map_err(|reason| format!("the checkpoint at block {}: {reason}", base.number))?;
        tracing::info!(number = base.number, "the state of the checkpoint is here");
        processed = base.number;
    }
    let Outside { requests, admission, news } = outside;
    context.child("requests").spawn({
        let (databases, marshal) = (databases.clone(), marshal.clone());
        move |context| serve(context, requests, databases, marshal)
    });

    let handovers = handover::note(ledger.clone(), databases.clone(), marshal.clone(), epocher.clone());
    context.child("handovers").spawn(move |_| handovers);

    if let Some(news) = news {
        let (hearing, (tell, hear)) = (admission.clone(), links.gossip);
        context.child("tell").spawn(move |clock| gossip::tell(clock, admission, news, tell));
        context.child("hear").spawn(move |_| gossip::hear::<E>(hearing, hear));
    }

    // Consensus.
    let paced = Paced::new(mailbox, ledger.clone(), pace);
    let automaton = Deferred::new(context.child("deferred"), wrap(paced), marshal.clone(), epocher.clone());
    let next = Height::new(processed + 1);
    let epoch = epocher.containing(next).ok_or("the chain is at the last block number")?.epoch();
    let conductor = Conductor {
        context: context.child("epochs"),
        ledger,
        databases: databases.clone(),
        marshal,
        schemes,
        epocher,
        own: public_key,
        configured,
        roster,
        blocker: links.blocker,
        automaton,
        leader_timeout: pace.heartbeat + LEADER_SLACK,
        prefix: place.prefix,
        page_cache,
        buffer,
        mailbox: MAILBOX,
    };
    let voice = Voice { votes: links.votes, certificates: links.certificates, resolver: links.resolver };
    // Large, and made on a stack before it is a task.
    let consensus = Box::pin(conductor.run(epoch, voice));
    let consensus = context.child("consensus").spawn(move |_| consensus);
    Ok(Running { consensus, databases })
}

/// Answers requests from outside until the handle is gone.
async fn serve<E: Runtime>(
    context: E,
    mut requests: mpsc::Receiver<Request>,
    databases: Databases<E>,
    marshal: MarshalHandle,
) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Read(ReadRequest { keys, reply }) => {
                let keys: Vec<&Key> = keys.iter().collect();
                let values: Result<Vec<Option<Value>>, _> = databases.read().await.get_many(&keys).await;
                // Whoever asked may have given up.
                drop(reply.send(values.map_err(|error| error.to_string())));
            }
            Request::Finality { number, reply } => drop(reply.send(proof::finality(&marshal, number).await)),
            Request::Certificate { number, reply } => {
                let certificate = marshal.get_finalization(Height::new(number)).await;
                drop(reply.send(certificate.map(|certificate| certificate.encode().to_vec().into())));
            }
            Request::Highest { reply } => drop(reply.send(status::highest(&marshal).await)),
            Request::Peers { reply } => drop(reply.send(status::connected(&context.encode()))),
            Request::Prove { keys, reply } => drop(reply.send(proof::prove(&databases, &keys).await)),
        }
    }
}

/// The largest message of any channel.
pub(crate) fn largest_message(seats: u32) -> u32 {
    max_message_size(&[
        prefixed(simplex::max_payload_size::<Scheme, Digest>(seats)),
        marshal::max_payload_size::<Standard<Block>, Scheme>(seats, &()),
        state_resolver::max_payload_size::<mmr::Family, Digest>(
            STATE_SYNC_OPERATIONS,
            state::OPERATION_BYTES,
        ),
        gossip::MAX_MESSAGE_BYTES,
    ])
}

fn archive_config<C>(place: &Place, name: &str, codec_config: C) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: place.of(&format!("{name}-metadata")),
        key_partition: place.of(&format!("{name}-key")),
        key_page_cache: place.page_cache.clone(),
        value_partition: place.of(&format!("{name}-value")),
        compression: Some(3),
        codec_config,
        items_per_section: NZU64!(4096),
        key_write_buffer: place.buffer,
        value_write_buffer: place.buffer,
        replay_buffer: place.buffer,
    }
}

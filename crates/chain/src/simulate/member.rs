//! How a member is made and started, at first and again after a crash.

use super::{
    byzantine::{Alteration, Byzantine, Guard, Proposer, Route},
    scenario::{Event, Scenario},
    traffic,
};
use crate::{
    Block, ConsensusKey, PoolLimits,
    admission::Admission,
    conductor::Roster,
    engine::{self, Node, Outside, Place},
    epochs::{self, Configured, Peers, Schemes},
    gossip,
    index::Index,
    key,
    ledger::Ledger,
    network::{CHANNELS, Links},
    pacing::Pace,
    pool::Pool,
    start::namespace,
    state::{self, Databases},
};
use alloy_primitives::{Address, B256};
use commonware_consensus::{
    simplex::mocks::{conflicter, nuller},
    types::{Epoch, Height, Round, View as ConsensusView},
};
use commonware_cryptography::{
    certificate::{Provider as _, Scheme as _},
    ed25519::PublicKey,
    keccak256::Keccak256,
};
use commonware_glue::simulate::{
    action::{Action, Crash, Schedule},
    engine::{ChannelPair, EngineDefinition, InitContext},
    processed::ProcessedHeight,
    tracker::FinalizationUpdate,
};
use commonware_p2p::{
    simulated::{Manager, Oracle, Receiver},
    utils::mux::Muxer,
};
use commonware_runtime::{Clock, Handle, Quota, Spawner, Supervisor, buffer::paged::CacheRef, deterministic};
use commonware_utils::{NZU16, NZUsize, channel::mpsc::UnboundedSender};
use openledger_execution::AccountState;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use tokio::sync::{broadcast::error::RecvError, mpsc};

/// How often a member that breaks the rules looks whether there is another epoch.
const MOCK_PAUSE: Duration = Duration::from_millis(100);

/// Blocks come fast under load, and now and then when there is none.
const PACE: Pace = Pace { interval: Duration::from_millis(50), heartbeat: Duration::from_millis(500) };
/// Requests that may wait for the engine.
const REQUESTS: usize = 64;

/// A network of members.
#[derive(Clone)]
pub(super) struct Network {
    scenario: Arc<Scenario>,
    keys: Arc<Vec<PublicKey>>,
    genesis_block: Block,
    /// What outlives the crashes of a member beside its simulated storage.
    disks: Arc<Vec<Disk>>,
    /// The accounts that genesis and the scenario name.
    accounts: Arc<BTreeSet<Address>>,
}

struct Disk {
    index: Arc<Index>,
    shown: Arc<Mutex<BTreeMap<u64, B256>>>,
}

/// Simulated links connect everybody all the time.
struct Everybody;

impl Roster for Everybody {
    fn track(&mut self, _number: u64, _peers: Peers) -> Result<(), String> {
        Ok(())
    }
}

/// A member that runs.
pub(super) enum State {
    Honest(Box<Honest>),
    Byzantine,
}

/// A member that keeps to the rules.
pub(super) struct Honest {
    pub(super) number: usize,
    pub(super) clock: deterministic::Context,
    pub(super) ledger: Arc<Ledger>,
    /// Gone once the member has crashed: files can be opened once.
    pub(super) store: Weak<Databases<deterministic::Context>>,
    pub(super) accounts: Arc<BTreeSet<Address>>,
    pub(super) shown: Arc<Mutex<BTreeMap<u64, B256>>>,
}

impl State {
    pub(super) fn honest(&self) -> Option<&Honest> {
        match self {
            Self::Honest(honest) => Some(honest),
            Self::Byzantine => None,
        }
    }
}

impl ProcessedHeight for State {
    async fn processed_height(&self) -> u64 {
        self.honest().map_or(0, |honest| honest.ledger.head().header.number)
    }
}

impl Network {
    /// The members of a scenario.
    ///
    /// # Errors
    /// What of the scenario cannot be.
    pub(super) fn new(scenario: Scenario) -> Result<Self, String> {
        let genesis = &scenario.genesis;
        if genesis.validators.len() > scenario.keys.len() {
            return Err(format!("{} seats for {} keys", genesis.validators.len(), scenario.keys.len()));
        }
        let keys: Vec<_> = scenario.keys.iter().map(|key| ConsensusKey::from_bytes(*key).public()).collect();
        for (seat, key) in genesis.validators.iter().zip(&keys) {
            if key::parse(&seat.consensus_key).as_ref() != Some(key) {
                return Err(format!("the seat {} is not that of {}", seat.consensus_key, key::hex(key)));
            }
        }
        let seated = &keys[..genesis.validators.len()];
        let leader = seated.iter().min().cloned().ok_or("there is no member")?;
        let writes = genesis.state_writes().map_err(|error| error.to_string())?;
        let disk = |_| {
            let index = Index::in_memory(genesis.hash()).map_err(|error| error.to_string())?;
            Ok::<_, String>(Disk { index: Arc::new(index), shown: Arc::default() })
        };
        Ok(Self {
            genesis_block: engine::genesis_block(genesis, leader),
            disks: Arc::new(keys.iter().map(disk).collect::<Result<_, _>>()?),
            accounts: Arc::new(writes.accounts.into_keys().chain(scenario.watched.iter().copied()).collect()),
            keys: Arc::new(keys),
            scenario: Arc::new(scenario),
        })
    }

    /// How many transactions the clients send.
    pub(super) fn sent(&self) -> usize {
        self.scenario.transactions.len()
    }

    /// The events of the scenario.
    pub(super) fn schedule(&self) -> Option<Crash<PublicKey>> {
        let key = |member: usize| self.keys[member].clone();
        let action = |event: &Event| match event {
            Event::Link { from, to, link } => {
                Action::UpdateLink { from: key(*from), to: key(*to), link: (*link).into() }
            }
            Event::Heal => Action::Heal(self.scenario.link.into()),
            Event::Crash(member) => Action::Crash(key(*member)),
            Event::Restart(member) => Action::Restart(key(*member)),
        };
        let events: Vec<_> = self.scenario.events.iter().map(|(at, event)| (*at, action(event))).collect();
        (!events.is_empty()).then_some(Crash::Schedule(Schedule { events }))
    }

    fn ledger(&self, index: Arc<Index>) -> Arc<Ledger> {
        let genesis = self.scenario.genesis.clone();
        let pool = Pool::new(PoolLimits::default(), genesis.base_fee);
        let mut ledger = Ledger::new(genesis, self.genesis_block.clone(), pool, index)
            .expect("the genesis was checked when the network was made");
        if let Some((account, balance)) = self.scenario.minted {
            let minted = AccountState { balance, ..AccountState::default() };
            ledger.genesis_entries.push((state::account_key(account), Some(state::encode_account(&minted))));
        }
        Arc::new(ledger)
    }

    fn schemes(&self, member: usize) -> Schemes {
        let signer = ConsensusKey::from_bytes(self.scenario.keys[member]);
        Schemes::new(namespace(&self.scenario.genesis), Some(signer))
    }

    /// Who votes in an epoch, once some member knows it.
    fn validators(&self, epoch: u64) -> Option<Vec<PublicKey>> {
        let known = |disk: &Disk| disk.index.validators(epoch).expect("an index in memory answers");
        let keys = self.disks.iter().find_map(known)?;
        Some(keys.into_iter().map(|key| epochs::public(key).expect("a seat has a key")).collect())
    }

    /// Has a member break the rules in every epoch in which it has a seat.
    async fn mock(
        self,
        context: deterministic::Context,
        member: usize,
        kind: Byzantine,
        votes: ChannelPair<PublicKey>,
    ) {
        let (mux, mut votes) = Muxer::new(context.child("votes"), votes.0, votes.1);
        mux.start();
        let schemes = self.schemes(member);
        // An engine that is dropped stops.
        let mut engines = Vec::new();
        for epoch in 0.. {
            let keys = loop {
                match self.validators(epoch) {
                    Some(keys) => break keys,
                    None => context.sleep(MOCK_PAUSE).await,
                }
            };
            schemes.learn(Epoch::new(epoch), &keys).expect("every seat has a key of its own");
            let scheme = schemes.scheme(Epoch::new(epoch)).expect("it was learnt");
            if scheme.me().is_none() {
                continue;
            }
            let scheme = scheme.as_ref().clone();
            let Ok(votes) = votes.register(epoch).await else { return };
            let context = context.child("mock").with_attribute("epoch", epoch);
            engines.push(if kind == Byzantine::Conflicting {
                let mocked = conflicter::Config { scheme };
                conflicter::Conflicter::<_, _, Keccak256>::new(context, mocked).start(votes)
            } else {
                let mocked = nuller::Config { scheme };
                nuller::Nuller::<_, _, Keccak256>::new(context, mocked).start(votes)
            });
        }
    }

    /// The parts of one validator; a secondary twin has its own storage.
    fn validator(&self, member: usize, name: &str, index: Arc<Index>) -> Parts {
        let ledger = self.ledger(index);
        let (requests, received) = mpsc::channel(REQUESTS);
        let (news, told) = mpsc::channel(gossip::QUEUED);
        let admission = Admission { ledger: ledger.clone(), requests };
        let node = Half {
            ledger,
            public_key: self.keys[member].clone(),
            schemes: self.schemes(member),
            place: Place {
                prefix: format!("{name}-{member}-"),
                page_cache: CacheRef::new(NZU16!(1024), NZUsize!(256)),
                buffer: NZUsize!(1 << 12),
            },
            outside: Outside { requests: received, admission: admission.clone(), news: Some(told) },
        };
        Parts { node, admission, news }
    }
}

struct Parts {
    node: Half,
    admission: Admission,
    news: mpsc::Sender<Arc<alloy_consensus::transaction::Recovered<alloy_consensus::TxEnvelope>>>,
}

/// A node that is not connected yet.
struct Half {
    ledger: Arc<Ledger>,
    public_key: PublicKey,
    schemes: Schemes,
    place: Place,
    outside: Outside,
}

/// Starts a node over links; the one place where the engine is made concrete for simulations.
async fn start<S>(
    context: deterministic::Context,
    node: Half,
    links: Links<S, Receiver<PublicKey>, Manager<PublicKey, deterministic::Context>, Guard>,
    alteration: Option<Alteration>,
) -> engine::Running<deterministic::Context>
where
    S: commonware_p2p::Sender<PublicKey = PublicKey>,
{
    let Half { ledger, public_key, schemes, place, outside } = node;
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let configured = Configured {
        own: (public_key.clone(), nowhere),
        peers: BTreeMap::new(),
        followers: BTreeMap::new(),
        room: NonZeroUsize::MIN,
    };
    let roster = Everybody;
    let node = Node {
        ledger,
        public_key,
        schemes,
        configured,
        links,
        roster,
        place,
        pace: PACE,
        outside,
        checkpoint: None,
    };
    engine::start(context, node, |inner| Proposer { inner, alteration })
        .await
        .expect("an index in memory follows the state")
}

impl EngineDefinition for Network {
    type PublicKey = PublicKey;
    type Engine = Handle<()>;
    type State = State;

    fn participants(&self) -> Vec<PublicKey> {
        self.keys.as_ref().clone()
    }

    fn channels(&self) -> Vec<(u64, Quota)> {
        (0..).zip(CHANNELS).collect()
    }

    fn max_message_size(&self) -> u32 {
        engine::largest_message(epochs::most_seats(&self.scenario.genesis))
    }

    async fn init(&self, init: InitContext<'_, PublicKey>) -> (Handle<()>, State) {
        let InitContext { context, index: member, oracle, channels, monitor, .. } = init;
        let byzantine = self.scenario.byzantine.get(&member).copied();
        match byzantine {
            Some(kind @ (Byzantine::Conflicting | Byzantine::Nullifying)) => {
                let network = self.clone();
                let mock = move |context| network.mock(context, member, kind, votes(channels));
                (context.spawn(mock), State::Byzantine)
            }
            kind => Box::pin(self.engine(context, member, kind, oracle, channels, monitor)).await,
        }
    }

    fn start(engine: Handle<()>) -> Handle<()> {
        engine
    }
}

fn votes(channels: Vec<ChannelPair<PublicKey>>) -> ChannelPair<PublicKey> {
    channels.into_iter().next().expect("votes are the first channel")
}

impl Network {
    /// Starts one or two instances of the engine for a member. The task that ends with the member owns all others.
    async fn engine(
        &self,
        context: deterministic::Context,
        member: usize,
        kind: Option<Byzantine>,
        oracle: &Oracle<PublicKey, deterministic::Context>,
        channels: Vec<ChannelPair<PublicKey>>,
        monitor: UnboundedSender<FinalizationUpdate<PublicKey>>,
    ) -> (Handle<()>, State) {
        let alteration = match kind {
            Some(Byzantine::Altering(alteration)) => Some(alteration),
            _ => None,
        };
        let mut first = Vec::new();
        let mut second = Vec::new();
        for (number, (sender, receiver)) in channels.into_iter().enumerate() {
            let route = match kind {
                Some(Byzantine::Silent) if number == 0 => Route::Nobody,
                Some(Byzantine::Twins) => Route::halves(member, &self.keys, &self.scenario),
                _ => Route::All,
            };
            let received =
                receiver.split_with(context.child("split").with_attribute("channel", number), route.router());
            let (primary, secondary) = sender.split_with(route.forwarder());
            first.push((primary, received.0));
            second.push((secondary, received.1));
        }
        let guard = Guard { control: oracle.control(self.keys[member].clone()), bears: kind.is_some() };
        let links = |channels: Vec<_>| {
            let channels = channels.try_into().unwrap_or_else(|got: Vec<_>| {
                panic!("{} channels are simulated, there are {}", got.len(), CHANNELS.len())
            });
            Links::new(channels, oracle.manager(), guard.clone())
        };
        let disk = &self.disks[member];
        let Parts { node, admission, news } = self.validator(member, "member", disk.index.clone());
        let ledger = node.ledger.clone();
        let running = Box::pin(start(context.child("engine"), node, links(first), alteration)).await;
        let sent = self.scenario.transactions.iter().filter(|(to, _)| *to == member);
        let sent: Vec<_> = sent.map(|(_, transaction)| transaction.clone()).collect();
        let pace = self.scenario.pace;
        context.child("clients").spawn(move |clock| traffic::send(clock, admission, news, sent, pace));
        if kind == Some(Byzantine::Twins) {
            let index =
                Index::in_memory(self.scenario.genesis.hash()).expect("an index in memory can be made");
            let twin = self.validator(member, "twin", Arc::new(index));
            Box::pin(start(context.child("twin"), twin.node, links(second), None)).await;
        }
        let store = Arc::new(running.databases);
        let state = match kind {
            Some(_) => State::Byzantine,
            None => State::Honest(Box::new(Honest {
                number: member,
                clock: context.child("state"),
                ledger: ledger.clone(),
                store: Arc::downgrade(&store),
                accounts: self.accounts.clone(),
                shown: disk.shown.clone(),
            })),
        };
        let (key, shown, honest) = (self.keys[member].clone(), disk.shown.clone(), kind.is_none());
        let handle = context.spawn(move |_| async move {
            let _store = store;
            let mut heads = ledger.subscribe();
            loop {
                let head = match heads.recv().await {
                    Ok(head) => head,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return pending().await,
                };
                if honest {
                    shown
                        .lock()
                        .expect("no code panics with this lock")
                        .entry(head.header.number)
                        .or_insert(head.hash);
                    report(&monitor, &key, head.header.number, head.hash);
                }
            }
        });
        (handle, state)
    }
}

/// Tells the simulation that a member shows a block as final; each height counts as a round of its own.
fn report(
    monitor: &UnboundedSender<FinalizationUpdate<PublicKey>>,
    key: &PublicKey,
    number: u64,
    hash: B256,
) {
    let update = FinalizationUpdate {
        pk: key.clone(),
        round: Round::new(Epoch::zero(), ConsensusView::new(number)),
        height: Height::new(number),
        block_digest: hash.to_vec(),
    };
    // The run may be over.
    drop(monitor.send(update));
}

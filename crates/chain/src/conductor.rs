//! Runs one engine of consensus for each epoch, in turn.
//!
//! ```text
//! last block of e - 1 final ─► read the seats of e and e + 1 ─► connect their nodes ─► start the engine of e ─► stop that of e - 1
//! ```
//!
//! Engines of different epochs talk on channels of their own. A node that missed the end of its epoch hears votes of a later
//! one, which it cannot check: it takes them as a hint to fetch, from who sent them, the certificate that ends its own. That
//! it can check, and with the blocks below goes on to the next epoch.
//!
//! What an engine has voted stands in a journal that belongs to its epoch and key, so that no restart makes a node vote
//! twice; the journals of epochs that are over are deleted.

use crate::{
    Block, ChainError,
    block::{Context, digest},
    epochs::{Configured, Outlook, Peers, Schemes},
    executor,
    faults::Watch,
    key,
    ledger::Ledger,
    runtime::Runtime,
    state::Databases,
};
use commonware_consensus::{
    Application, Reporters,
    marshal::{
        core::Mailbox as MarshalMailbox,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        scheme::ed25519::Scheme,
    },
    types::{Epoch, Epocher, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    Sha256,
    certificate::{Provider as _, Scheme as _},
    ed25519::PublicKey,
    keccak256::Digest,
};
use commonware_p2p::{
    Blocker, Receiver, Sender,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, vec::NonEmptyVec};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// Connects the nodes of an epoch.
pub(crate) trait Roster: Send + 'static {
    /// From now on these and no others. Numbers only rise.
    fn track(&mut self, number: u64, peers: Peers) -> Result<(), String>;
}

/// See the module.
pub(crate) struct Conductor<E: Runtime, T, B, W>
where
    W: Application<E, SigningScheme = Scheme, Context = Context, Block = Block, Input = ()>,
{
    pub(crate) context: E,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) databases: Databases<E>,
    pub(crate) marshal: MarshalMailbox<Scheme, Standard<Block>>,
    pub(crate) schemes: Schemes,
    pub(crate) epocher: FixedEpocher,
    pub(crate) own: PublicKey,
    pub(crate) configured: Configured,
    pub(crate) roster: T,
    pub(crate) blocker: B,
    pub(crate) automaton: Deferred<E, Scheme, W, Block, FixedEpocher>,
    /// How long a leader may take.
    pub(crate) leader_timeout: Duration,
    /// Start of the names of the journals.
    pub(crate) prefix: String,
    pub(crate) page_cache: CacheRef,
    pub(crate) buffer: NonZeroUsize,
    pub(crate) mailbox: NonZeroUsize,
}

/// Sending and receiving ends of what consensus says.
pub(crate) struct Voice<S, R> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) resolver: (S, R),
}

struct Channels<S: Sender> {
    votes: MuxHandle<S>,
    certificates: MuxHandle<S>,
    resolver: MuxHandle<S>,
}

/// An engine that runs until this is dropped.
struct Engine(Handle<()>);

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<E, T, B, W> Conductor<E, T, B, W>
where
    E: Runtime,
    T: Roster,
    B: Blocker<PublicKey = PublicKey>,
    W: Application<E, SigningScheme = Scheme, Context = Context, Block = Block, Input = ()>,
{
    /// Runs engines from `epoch` on, until one ends or the network does.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub(crate) async fn run<S, R>(mut self, epoch: Epoch, voice: Voice<S, R>) -> Result<(), String>
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        let (mux, votes, mut later_votes) =
            Muxer::builder(self.context.child("votes"), voice.votes.0, voice.votes.1).with_backup().build();
        mux.start();
        let (certificates_in, certificates_out) = voice.certificates;
        let (mux, certificates, mut later_certificates) =
            Muxer::builder(self.context.child("certificates"), certificates_in, certificates_out)
                .with_backup()
                .build();
        mux.start();
        let (mux, resolver) = Muxer::new(self.context.child("resolver"), voice.resolver.0, voice.resolver.1);
        mux.start();
        let mut channels = Channels { votes, certificates, resolver };

        let mut heads = self.ledger.subscribe();
        let mut current = epoch;
        let mut engine = self.enter(current, &mut channels).await?;
        loop {
            let last = self.last(current)?;
            let ended = |ledger: &Ledger| ledger.head().header.number >= last.get();
            while !ended(&self.ledger) {
                tokio::select! {
                    biased;
                    ended = &mut engine.0 => {
                        return ended.map_err(|error| format!("the engine of epoch {current}: {error}"));
                    }
                    head = heads.recv() => match head {
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return Ok(()),
                    },
                    heard = later_votes.recv() => match heard {
                        Some((theirs, (from, _))) => self.hint(current, last, theirs, from),
                        None => return Ok(()),
                    },
                    heard = later_certificates.recv() => match heard {
                        Some((theirs, (from, _))) => self.hint(current, last, theirs, from),
                        None => return Ok(()),
                    },
                }
            }
            current = current.next();
            // The old one is stopped when the new one runs.
            engine = self.enter(current, &mut channels).await?;
        }
    }

    /// Has the end of our epoch fetched from somebody who is past it.
    fn hint(&self, ours: Epoch, last: Height, theirs: u64, from: PublicKey) {
        if theirs > ours.get() {
            self.marshal.hint_finalized(last, NonEmptyVec::new(from));
        }
    }

    fn last(&self, epoch: Epoch) -> Result<Height, String> {
        self.epocher.last(epoch).ok_or_else(|| format!("epoch {epoch} is beyond the last block number"))
    }

    /// Learns who votes in `epoch`, connects them, and starts the engine.
    async fn enter<S>(&mut self, epoch: Epoch, channels: &mut Channels<S>) -> Result<Engine, String>
    where
        S: Sender<PublicKey = PublicKey>,
    {
        let number = epoch.get();
        let outlook = outlook(&self.ledger, &self.databases, number).await?;
        for (epoch, keys) in &outlook.sets {
            self.schemes.learn(Epoch::new(*epoch), keys)?;
        }
        self.ledger.index.put_validators(&outlook.sets).map_err(|error| error.to_string())?;
        // Zero is for those whom a node asks before it knows any epoch.
        self.roster.track(number + 1, outlook.peers(number, &self.configured))?;
        let scheme = self
            .schemes
            .scheme(epoch)
            .ok_or_else(|| format!("the state has no validators for epoch {epoch}"))?;
        let before = epoch.previous().map(|before| self.last(before)).transpose()?;
        let floor = floor(&self.ledger, &self.marshal, before).await?;
        if let Some(over) = number.checked_sub(2) {
            // There is none if the key was another or the node did not run then.
            drop(self.context.remove(&self.journal(over), None).await);
        }

        let Self { leader_timeout, .. } = *self;
        let watch = Watch { ledger: self.ledger.clone(), scheme: scheme.clone() };
        let engine = simplex::Engine::new(
            self.context.child("simplex").with_attribute("epoch", epoch),
            simplex::Config {
                scheme: scheme.as_ref().clone(),
                elector: RoundRobin::<Sha256>::default(),
                blocker: self.blocker.clone(),
                automaton: self.automaton.clone(),
                relay: self.automaton.clone(),
                reporter: Reporters::from((self.automaton.clone(), watch)),
                strategy: Sequential,
                partition: self.journal(number),
                mailbox_size: self.mailbox,
                epoch,
                floor,
                replay_buffer: self.buffer,
                write_buffer: self.buffer,
                page_cache: self.page_cache.clone(),
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
        );
        let closed = |_closed| "the network ended".to_owned();
        let votes = channels.votes.register(number).await.map_err(closed)?;
        let certificates = channels.certificates.register(number).await.map_err(closed)?;
        let resolver = channels.resolver.register(number).await.map_err(closed)?;
        let votes_here = scheme.me().is_some();
        tracing::info!(epoch = number, validators = scheme.participants().len(), votes_here, "epoch entered");
        Ok(Engine(engine.start(votes, certificates, resolver)))
    }

    /// Where this key's votes of an epoch are kept.
    fn journal(&self, epoch: u64) -> String {
        let key = key::hex(&self.own);
        format!("{}simplex-{}-{epoch}", self.prefix, &key[..16])
    }
}

/// What the first block of an epoch builds on: the last one `before` it, or a checkpoint after that.
async fn floor(
    ledger: &Ledger,
    marshal: &MarshalMailbox<Scheme, Standard<Block>>,
    before: Option<Height>,
) -> Result<Floor<Scheme, Digest>, String> {
    let failed = |error: ChainError| error.to_string();
    let Some(last) = before else {
        return Ok(Floor::Genesis(digest(ledger.genesis_block.hash())));
    };
    if let Some(base) = ledger.index.base()
        && base.number > last.get()
    {
        let certificate = marshal.get_finalization(Height::new(base.number)).await;
        return certificate.map(Floor::Finalized).ok_or_else(|| {
            format!("the certificate of block {}, which this node started from, is lost", base.number)
        });
    }
    let header = ledger.index.header(last.get()).map_err(failed)?;
    let hash = header.ok_or_else(|| format!("the index has no block {last}"))?.hash;
    Ok(Floor::Genesis(digest(hash)))
}

/// What the newest state says of the epoch.
async fn outlook<E: Runtime>(
    ledger: &Ledger,
    databases: &Databases<E>,
    epoch: u64,
) -> Result<Outlook, String> {
    // The state of the first block has it too, but there may be none yet.
    if epoch == 0 {
        return Outlook::genesis(&ledger.genesis);
    }
    let codes = ledger.codes.clone();
    executor::query(databases, codes, move |state| Outlook::read(state, epoch))
        .await
        .map_err(|error| error.to_string())
}

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::U256;
use alloy_sol_types::SolEvent;
use openledger_client::{Client, ClientError, Filter};
use openledger_types::abi::{IDatanets, Use};
use openledger_types::addresses::DATANETS;
use tokio::sync::Mutex;

use super::{Library, MAX_AGE_S, Passage};
use crate::operator::PaymentsError;

/// Which records could be cited at a block.
#[derive(Debug, Clone, Default)]
pub struct Permitted {
    /// The block.
    pub block: u64,
    history: Arc<History>,
}

impl Permitted {
    /// As of a block that the history reaches to.
    pub fn at(block: u64, history: Arc<History>) -> Self {
        Self { block, history }
    }

    /// Whether a passage could be cited.
    pub fn allows(&self, passage: &Passage) -> bool {
        self.history.allows(passage, self.block)
    }
}

/// What is permitted, while it is looked up.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Permitted, PaymentsError>> + Send + 'a>>;

/// Where it is looked up what may be cited: the Datanets of a chain.
pub trait Permissions: Send + Sync {
    /// What may be cited now.
    fn now(&self) -> Lookup<'_>;
}

/// From which block on, and whether.
type Denied = (u64, bool);

/// What became of the contributions that a library is from, as the events of the chain tell it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The first block that was not read.
    next: u64,
    pub(super) contributions: BTreeSet<U256>,
    /// Datanets that allow no inference.
    pub(super) denied: BTreeSet<U256>,
    /// When a contribution went.
    pub(super) gone: BTreeMap<U256, u64>,
    /// Whether inference was denied from a block on, by contribution and, where only one is meant, record.
    terms: BTreeMap<(U256, Option<u32>), Vec<Denied>>,
}

impl History {
    /// The history up to a block.
    ///
    /// # Errors
    /// Those of every read ([`Client::block_number`]).
    pub async fn load(client: &Client, library: &Library, block: u64) -> Result<Self, ClientError> {
        let mut history = Self::begin(client, library).await?;
        history.read(client, block).await?;
        Ok(history)
    }

    async fn begin(client: &Client, library: &Library) -> Result<Self, ClientError> {
        let passages = library.passages();
        // A founder elsewhere was there before.
        let alone = passages.iter().all(|passage| passage.founder == passage.contribution);
        let first = passages.iter().map(|passage| passage.committed_at).min().unwrap_or_default();
        let mut history = Self { next: if alone { first } else { 0 }, ..Self::default() };
        let mut datanets = BTreeSet::new();
        for passage in passages {
            history.contributions.extend([passage.contribution, passage.founder]);
            datanets.insert(passage.datanet);
        }
        for datanet in datanets {
            // Nobody changes the terms of a Datanet.
            if client.datanets().datanet(datanet).await?.terms.infer == Use::Deny {
                history.denied.insert(datanet);
            }
        }
        Ok(history)
    }

    /// Takes in the blocks up to one that there is.
    async fn read(&mut self, client: &Client, block: u64) -> Result<(), ClientError> {
        if block < self.next {
            return Ok(());
        }
        let kinds = vec![
            IDatanets::PayeeChanged::SIGNATURE_HASH,
            IDatanets::TermsSet::SIGNATURE_HASH,
            IDatanets::RecordTermsSet::SIGNATURE_HASH,
        ];
        let filter = Filter::new().address(DATANETS).event_signature(kinds);
        for log in client.logs(&filter, self.next, block).await? {
            let at = log.block_number.unwrap_or(block);
            if let Ok(changed) = IDatanets::PayeeChanged::decode_log(&log.inner) {
                if changed.payee.is_zero() && self.contributions.contains(&changed.contribution) {
                    self.gone.entry(changed.contribution).or_insert(at);
                }
            } else if let Ok(set) = IDatanets::TermsSet::decode_log(&log.inner) {
                self.set_terms(set.contribution, None, at, set.terms.infer);
            } else if let Ok(set) = IDatanets::RecordTermsSet::decode_log(&log.inner) {
                self.set_terms(set.contribution, Some(set.record), at, set.terms.infer);
            }
        }
        self.next = block.saturating_add(1);
        Ok(())
    }

    pub(super) fn set_terms(&mut self, contribution: U256, record: Option<u32>, block: u64, infer: Use) {
        if self.contributions.contains(&contribution) {
            self.terms.entry((contribution, record)).or_default().push((block, infer == Use::Deny));
        }
    }

    fn allows(&self, passage: &Passage, block: u64) -> bool {
        let own = passage.contribution;
        let gone = |contribution| self.gone.get(contribution).is_some_and(|since| *since <= block);
        let denied = |key| {
            let set = self.terms.get(&key).into_iter().flatten();
            set.rev().find(|(since, _)| *since <= block).is_some_and(|(_, denied)| *denied)
        };
        !gone(&own)
            && !gone(&passage.founder)
            && !self.denied.contains(&passage.datanet)
            && !denied((own, None))
            && !denied((own, Some(passage.place)))
    }
}

/// The permissions of a library on chain.
#[derive(Debug)]
pub struct ChainPermissions {
    client: Client,
    library: Library,
    known: Mutex<Option<Arc<History>>>,
}

impl ChainPermissions {
    /// Reads the chain when something is asked for.
    pub fn new(client: Client, library: Library) -> Self {
        Self { client, library, known: Mutex::default() }
    }

    async fn look(&self) -> Result<Permitted, PaymentsError> {
        let failed = |error: ClientError| PaymentsError(error.into());
        let head = self.client.latest_header().await.map_err(failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let age = now.abs_diff(head.timestamp);
        if age > MAX_AGE_S / 2 {
            return Err(PaymentsError(format!("the newest block is {age} seconds away from now").into()));
        }
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|history| history.next <= head.number) {
            let mut history = match known.as_deref() {
                Some(history) => history.clone(),
                None => History::begin(&self.client, &self.library).await.map_err(failed)?,
            };
            history.read(&self.client, head.number).await.map_err(failed)?;
            *known = Some(Arc::new(history));
        }
        Ok(Permitted::at(head.number, known.clone().unwrap_or_default()))
    }
}

impl Permissions for ChainPermissions {
    fn now(&self) -> Lookup<'_> {
        Box::pin(self.look())
    }
}

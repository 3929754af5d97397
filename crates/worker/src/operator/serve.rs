use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::retrieval::Context;
use openledger_client::{ApiKey, Wallet, sign_receipt};
use openledger_serve::{Adapters, Engine, Lease, Scheduler, Tenant};
use openledger_types::amount::format_open;
use openledger_types::receipt::{Answer, Attribution, Receipt, Request, Response, Sampling, document_hash};
use openledger_types::split::FeeSplit;
use prometheus_client::registry::Registry;
use rand::{TryRngCore, rngs::OsRng};

use super::evidence::EvidenceCache;
use super::ledger::{Hold, Ledger, NotReserved, Wanted};
use super::{
    Accepted, AnswerStore, Ask, Delivery, Evidence, Limits, Payments, ServeError, ServedAdapter, StoreError,
    in_the_models_words,
};
use crate::sources::{Library, MAX_TOKENS, MAX_TOP_K, Permitted};

/// How often a standing is looked up again because a batch was posted meanwhile.
const LOOKUPS: usize = 4;
/// After how many seconds somebody whom the operator's risk refused may ask again: a batch takes about as long to be posted.
const RISK_RETRY_S: u64 = 60;

/// What an operator is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The chain that receipts are for.
    pub chain_id: u64,
    /// How fees split, as governed.
    pub split: FeeSplit,
    /// Folder of the answers.
    pub folder: PathBuf,
    /// What is accepted at most.
    pub limits: Limits,
}

/// The unsettled answers of one epoch and adapter: what its batch will hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Epoch of the answers.
    pub epoch: u64,
    /// Their adapter.
    pub adapter: U256,
    /// How many there are.
    pub answers: usize,
    /// Their fees, wei.
    pub fees: U256,
}

/// Answers for money. Cloning shares it.
#[derive(Clone)]
pub struct Operator {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    settings: Settings,
    wallet: Wallet,
    scheduler: Scheduler,
    registry: Adapters,
    payments: Arc<dyn Payments>,
    store: AnswerStore,
    adapters: RwLock<BTreeMap<U256, Arc<ServedAdapter>>>,
    evidence: EvidenceCache,
    /// Held while an answer gets its number and is written, and while an epoch ends or is posted. Taken before the ledger's lock.
    finalising: Mutex<()>,
    ledger: Mutex<Ledger>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator")
            .field("address", &self.address())
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// Opens the folder of answers and takes up what is unsettled in it.
    ///
    /// If a batch was posted and the program died before [`Self::mark_posted`], its answers count as unsettled still, which refuses too much
    /// and never too little; whoever posts looks for the batch on chain at start and marks it.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be used or a file in it is damaged.
    pub fn open(
        settings: Settings,
        wallet: Wallet,
        scheduler: Scheduler,
        registry: Adapters,
        payments: Arc<dyn Payments>,
    ) -> Result<Self, StoreError> {
        scheduler.watch(&registry);
        let (store, found) = AnswerStore::open(&settings.folder, settings.chain_id)?;
        let mut ledger = Ledger::default();
        for (epoch, adapter) in found.posted {
            ledger.post((epoch, adapter));
            ledger.raise_epoch(epoch.saturating_add(1));
        }
        for (id, answer) in &found.unsettled {
            ledger.record(*id, &answer.receipt);
            ledger.raise_epoch(answer.receipt.epoch);
        }
        let shared = Shared {
            evidence: EvidenceCache::new(settings.limits.evidence_bytes),
            settings,
            wallet,
            scheduler,
            registry,
            payments,
            store,
            adapters: RwLock::default(),
            finalising: Mutex::default(),
            ledger: Mutex::new(ledger),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The account that signs receipts.
    pub fn address(&self) -> Address {
        self.shared.wallet.address()
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What makes the text.
    pub fn scheduler(&self) -> &Scheduler {
        &self.shared.scheduler
    }

    /// The base model.
    pub fn engine(&self) -> &Engine {
        self.shared.scheduler.engine()
    }

    /// Adapters that are loaded when they are asked for.
    pub fn registry(&self) -> &Adapters {
        &self.shared.registry
    }

    /// Shows the figures of requests and adapters.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.shared.scheduler.register_metrics(registry);
        self.shared.registry.register_metrics(registry);
    }

    /// Begins to serve an adapter, or replaces it (after a change of price). Answers under way keep what they began with.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] when another adapter has its name.
    pub fn serve(&self, adapter: ServedAdapter) -> Result<(), ServeError> {
        let mut adapters = self.shared.adapters.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) =
            adapters.values().find(|other| other.id != adapter.id && other.is_called(&adapter.name))
        {
            return Err(ServeError::InvalidRequest {
                param: "model",
                message: format!("adapter {} is served as '{}' already", other.id, adapter.name),
            });
        }
        adapters.insert(adapter.id, Arc::new(adapter));
        Ok(())
    }

    /// Ends serving an adapter; says whether it was served. What it answered still settles.
    pub fn retire(&self, adapter: U256) -> bool {
        self.shared.adapters.write().unwrap_or_else(PoisonError::into_inner).remove(&adapter).is_some()
    }

    /// Everything served, by number.
    pub fn adapters(&self) -> Vec<Arc<ServedAdapter>> {
        self.shared.adapters.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The adapter that a request names.
    ///
    /// # Errors
    /// [`ServeError::ModelNotFound`] with what is served.
    pub fn adapter(&self, model: &str) -> Result<Arc<ServedAdapter>, ServeError> {
        let adapters = self.adapters();
        let found = adapters.iter().find(|adapter| adapter.is_called(model)).cloned();
        found.ok_or_else(|| ServeError::ModelNotFound {
            model: model.chars().take(200).collect(),
            served: adapters.iter().map(|adapter| adapter.name.clone()).collect(),
        })
    }

    /// What an adapter's answers are attributed with, opened if it is not.
    ///
    /// # Errors
    /// [`ServeError::Attribution`] when its files cannot be read.
    pub fn evidence(&self, adapter: &ServedAdapter) -> Result<Arc<Evidence>, ServeError> {
        self.shared.evidence.get(adapter.adapter_hash, &adapter.evidence)
    }

    /// The epoch that the next answer belongs to.
    pub fn epoch(&self) -> u64 {
        self.ledger().epoch()
    }

    /// Ends every epoch before `epoch`: when this returns, what is pending for them is all there will be. Epochs only go forward, so a
    /// lower number changes nothing; returns the epoch it is.
    pub fn set_epoch(&self, epoch: u64) -> u64 {
        let _finalising = self.finalising();
        self.ledger().raise_epoch(epoch)
    }

    /// Ends the running epoch if anything was answered in it, and returns what waits to be posted: batches of epochs that are over, complete.
    /// What is answered from now on belongs to the next epoch, also while these are settled.
    pub fn end_epoch(&self) -> Vec<Pending> {
        let _finalising = self.finalising();
        let running = self.epoch();
        let pending = self.pending();
        if pending.iter().any(|batch| batch.epoch == running) {
            self.ledger().raise_epoch(running + 1);
        }
        pending
    }

    /// The batches that wait to be posted, by epoch and adapter; those of the running epoch still grow.
    pub fn pending(&self) -> Vec<Pending> {
        let ledger = self.ledger();
        let batches = ledger.batches().iter();
        batches
            .map(|((epoch, adapter), answers)| Pending {
                epoch: *epoch,
                adapter: *adapter,
                answers: answers.len(),
                fees: answers.iter().fold(U256::ZERO, |sum, answer| sum + answer.fee),
            })
            .collect()
    }

    /// The unsettled answers of an epoch and adapter in the order of their sequence numbers.
    ///
    /// # Errors
    /// [`StoreError`] when one of them cannot be read.
    pub fn answers(&self, epoch: u64, adapter: U256) -> Result<Vec<Answer>, StoreError> {
        let ids: Vec<B256> = match self.ledger().batches().get(&(epoch, adapter)) {
            Some(answers) => answers.iter().map(|answer| answer.id).collect(),
            None => Vec::new(),
        };
        let read = |id: B256| {
            self.shared.store.read(id)?.ok_or_else(|| StoreError::Damaged {
                path: self.shared.settings.folder.clone(),
                reason: format!("the answer of receipt {id} is gone"),
            })
        };
        ids.into_iter().map(read).collect()
    }

    /// The answer with this receipt id, settled or not.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn receipt(&self, id: B256) -> Result<Option<Answer>, StoreError> {
        self.shared.store.read(id)
    }

    /// The receipts of a key that no posted batch holds, oldest first: how an app finds an answer whose end it did not see.
    pub fn unsettled_receipts(&self, key: B256) -> Vec<B256> {
        let ledger = self.ledger();
        let answers = ledger.batches().values().flatten();
        answers.filter(|answer| answer.key == key).map(|answer| answer.id).collect()
    }

    /// Takes note that the batch of an epoch and adapter is on chain, and its fees charged there.
    ///
    /// # Errors
    /// [`StoreError::EpochOpen`] for an epoch that is not over; [`StoreError::Io`].
    pub fn mark_posted(&self, epoch: u64, adapter: U256, batch: U256) -> Result<(), StoreError> {
        let _finalising = self.finalising();
        let current = self.epoch();
        if epoch >= current {
            return Err(StoreError::EpochOpen { epoch, current });
        }
        self.shared.store.mark_posted(epoch, adapter, batch)?;
        let answers = self.ledger().post((epoch, adapter));
        answers.into_iter().try_for_each(|id| self.shared.store.settle(id))
    }

    /// Checks a question, reserves the most it can cost and takes a place in the queue.
    ///
    /// # Errors
    /// Every [`ServeError`] that is the asker's; [`ServeError::Payments`] when the chain cannot be asked.
    pub async fn accept(&self, api_key: &str, model: &str, ask: Ask) -> Result<Accepted, ServeError> {
        let key: ApiKey = api_key.parse().map_err(ServeError::InvalidKey)?;
        let adapter = self.adapter(model)?;
        let logprobs = ask.logprobs;
        let sources = self.sources(&adapter, ask.top_k_sources).await?;
        let this = self.clone();
        let (request, context) = blocking(move || this.request(ask, sources)).await??;
        let prompt_tokens = count(request.prompt_tokens.len());
        let most = adapter.fee(prompt_tokens, request.sampling.max_tokens).ok_or_else(|| {
            ServeError::InvalidRequest { param: "max_tokens", message: "the fee exceeds 256 bits".into() }
        })?;
        let issued_at = unix_seconds();
        let risk = self.shared.settings.limits.unpaid;
        let wanted = Wanted { operator: self.address(), key: key.hash(), amount: most, now: issued_at, risk };
        let reservation = self.reserve(wanted).await?;
        let place = self.shared.scheduler.join(tenant(reservation.hold.payer))?;
        // It loads while the request waits for its row.
        let lease = match &adapter.adapter {
            Some(held) => Lease::held(adapter.adapter_hash, held.clone()),
            None => self.shared.registry.lease(adapter.adapter_hash)?,
        };
        let operator = self.clone();
        Ok(Accepted { operator, adapter, lease, request, context, logprobs, reservation, place, issued_at })
    }

    /// Asks and waits for the answer; `on_text` gets the text as it grows. Dropping the future leaves the stream early.
    ///
    /// # Errors
    /// Every [`ServeError`].
    pub async fn answer(
        &self,
        api_key: &str,
        model: &str,
        ask: Ask,
        mut on_text: impl FnMut(&str) + Send,
    ) -> Result<Answer, ServeError> {
        let mut pieces = self.accept(api_key, model, ask).await?.stream();
        loop {
            match pieces.recv().await {
                Some(Delivery::Piece(piece)) => on_text(&piece.text),
                Some(Delivery::Done(answer)) => return Ok(*answer),
                Some(Delivery::Failed(error)) => return Err(error),
                None => return Err(ServeError::Internal("the answer ended without an end".into())),
            }
        }
    }

    /// What a key still holds back here beyond what the chain has charged: reserved and unsettled, wei.
    pub fn held(&self, key: B256) -> U256 {
        self.ledger().held(key)
    }

    /// Reserved and unsettled of all payers together, wei: what [`Limits::unpaid`] bounds.
    pub fn unpaid(&self) -> U256 {
        self.ledger().unpaid()
    }

    /// What the sources of an answer are looked for in, if it is to have some.
    async fn sources(
        &self,
        adapter: &ServedAdapter,
        top_k: Option<u32>,
    ) -> Result<Option<Shelves>, ServeError> {
        let Some(top_k) = top_k else { return Ok(None) };
        let most = self.shared.settings.limits.sources.min(MAX_TOP_K);
        let invalid = |message| Err(ServeError::InvalidRequest { param: "retrieval", message });
        if top_k == 0 || top_k > most {
            return invalid(format!("retrieval.top_k is {top_k}; accepted is 1 to {most}"));
        }
        let Some(sources) = &adapter.sources else {
            return invalid(format!(
                "the model '{}' has no Datanet to search: leave 'retrieval' out, or ask a model that was published from Datanets",
                adapter.name
            ));
        };
        let permitted = sources.permissions.now().await?;
        Ok(Some(Shelves { library: sources.library.clone(), top_k, permitted }))
    }

    fn request(&self, ask: Ask, sources: Option<Shelves>) -> Result<(Request, Option<Context>), ServeError> {
        let limits = &self.shared.settings.limits;
        let invalid = |param, message| Err(ServeError::InvalidRequest { param, message });
        if ask.messages.is_empty() || ask.messages.len() > limits.messages {
            let got = ask.messages.len();
            return invalid(
                "messages",
                format!("there are {got} messages; accepted are 1 to {}", limits.messages),
            );
        }
        let bytes: usize = ask.messages.iter().map(|message| message.content.len()).sum();
        if bytes > limits.content_bytes {
            return invalid(
                "messages",
                format!("the messages have {bytes} bytes; the limit is {}", limits.content_bytes),
            );
        }
        let found = match sources {
            None => None,
            Some(Shelves { library, top_k, permitted }) => {
                let (pool, tokenizer) = (self.engine().pool(), self.engine().tokenizer());
                let found = library.find(pool, tokenizer, &ask.messages, top_k, &permitted);
                Some(
                    found
                        .map_err(|error| ServeError::Internal(format!("sources cannot be found: {error}")))?,
                )
            }
        };
        let (retrieval, sourced) = found.map_or((None, None), |found| (Some(found.retrieval), found.context));
        let prompt_tokens = match &sourced {
            Some(sourced) => sourced.prompt(),
            None => {
                let messages: Vec<_> = ask.messages.iter().map(in_the_models_words).collect();
                self.engine().tokenizer().chat(&messages).map_err(openledger_serve::Error::from)?
            }
        };
        let longest = sourced.as_ref().map_or(usize::MAX, |sourced| sourced.longest_answer(MAX_TOKENS));
        let context = self.engine().model().config().context;
        let room = count(context.saturating_sub(prompt_tokens.len()).min(longest)).max(1);
        let max_tokens = ask.max_tokens.unwrap_or_else(|| limits.default_answer_tokens.min(room));
        if max_tokens > limits.answer_tokens {
            return invalid(
                "max_tokens",
                format!("max_tokens is {max_tokens}; the limit here is {}", limits.answer_tokens),
            );
        }
        let sources = retrieval.as_ref().map_or(0, |retrieval| retrieval.sources.len());
        let sampling = Sampling {
            temperature_milli: ask.temperature_milli,
            top_p_milli: ask.top_p_milli,
            // Within 32 bits, so that any JSON reader keeps it exactly.
            seed: ask.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(random()))),
            max_tokens,
            top_k: ask.top_k,
            min_p_milli: ask.min_p_milli,
            presence_penalty_milli: ask.presence_penalty_milli,
            frequency_penalty_milli: ask.frequency_penalty_milli,
            repetition_penalty_milli: ask.repetition_penalty_milli,
            stop: ask.stop,
            response_format: ask.response_format,
        };
        self.engine().check(prompt_tokens.len(), &sampling).map_err(|error| match error.into() {
            ServeError::ContextExceeded { prompt, max_tokens, limit, .. } => {
                ServeError::ContextExceeded { prompt, max_tokens, limit, sources }
            }
            other => other,
        })?;
        if max_tokens as usize > longest {
            let message = format!(
                "what {sources} sources did for an answer can be computed for at most {longest} tokens of it beside these messages, and max_tokens is \
                 {max_tokens}: lower retrieval.top_k or max_tokens, or shorten the messages"
            );
            return invalid("retrieval", message);
        }
        let messages = ask.messages;
        Ok((Request { salt: random_salt(), messages, sampling, prompt_tokens, retrieval }, sourced))
    }

    async fn reserve(&self, wanted: Wanted) -> Result<Reservation, ServeError> {
        for _lookup in 0..LOOKUPS {
            let settled = self.ledger().settled();
            let standing = self.shared.payments.standing(wanted.key).await?;
            let reserved = self.ledger().reserve(settled, &standing, wanted);
            match reserved {
                Ok(hold) => return Ok(Reservation { operator: self.clone(), hold }),
                Err(NotReserved::Stale) => {}
                Err(NotReserved::Payment(missing)) => return Err(ServeError::Payment(missing)),
                Err(NotReserved::AtRisk { unpaid }) => {
                    let (unpaid, limit) = (format_open(unpaid), format_open(wanted.risk));
                    let message = format!(
                        "this operator has {unpaid} OPEN of unpaid work and risks at most {limit}: ask again when its batch is posted"
                    );
                    return Err(ServeError::Busy { message, retry_after_s: RISK_RETRY_S });
                }
            }
        }
        Err(ServeError::Internal("batches are posted faster than the chain can be asked".into()))
    }

    /// Numbers, signs and stores an answer, and replaces its reservation by its fee.
    pub(super) fn finalise(&self, parts: Parts) -> Result<Answer, ServeError> {
        let Parts { adapter, request, response, attribution, reservation, issued_at } = parts;
        let (prompt, completion) = (count(request.prompt_tokens.len()), count(response.tokens.len()));
        let fee = adapter
            .fee(prompt, completion)
            .filter(|fee| *fee <= reservation.hold.amount)
            .ok_or_else(|| ServeError::Internal("the fee is above what was reserved for it".into()))?;
        let _finalising = self.finalising();
        let epoch = self.epoch();
        let batch = (epoch, adapter.id);
        let sequence = {
            let ledger = self.ledger();
            if ledger.is_posted(batch) {
                return Err(ServeError::Internal(format!(
                    "the batch of epoch {epoch} was posted before its end"
                )));
            }
            ledger.next_sequence(batch)
        };
        if sequence >= openledger_types::batch::MAX_ANSWERS {
            return Err(StoreError::Full { limit: openledger_types::batch::MAX_ANSWERS }.into());
        }
        let receipt = Receipt {
            operator: self.address(),
            payer: reservation.hold.payer,
            key: reservation.hold.key,
            epoch,
            sequence: count(sequence),
            adapter: adapter.id,
            adapterHash: adapter.adapter_hash,
            baseHash: adapter.base_hash,
            datanetsRoot: adapter.datanets_root,
            requestHash: document_hash(&request),
            responseHash: document_hash(&response),
            attributionHash: document_hash(&attribution),
            promptTokens: prompt,
            completionTokens: completion,
            inputPrice: adapter.input_price,
            outputPrice: adapter.output_price,
            fee,
            issuedAt: issued_at,
        };
        let chain_id = self.shared.settings.chain_id;
        let id = receipt.id(chain_id);
        let signature = sign_receipt(&self.shared.wallet, &receipt, chain_id);
        let answer = Answer { receipt, signature, request, response, attribution };
        self.shared.store.write(id, &answer)?;
        self.ledger().record(id, &answer.receipt);
        Ok(answer)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finalising(&self) -> MutexGuard<'_, ()> {
        self.shared.finalising.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where sources are looked for, and how many.
struct Shelves {
    library: Library,
    top_k: u32,
    permitted: Permitted,
}

/// Everything that an answer is made of.
pub(super) struct Parts {
    pub(super) adapter: Arc<ServedAdapter>,
    pub(super) request: Request,
    pub(super) response: Response,
    pub(super) attribution: Attribution,
    pub(super) reservation: Reservation,
    pub(super) issued_at: u64,
}

/// An amount held back, let go when dropped: after the fee has taken its place, or without one.
pub(super) struct Reservation {
    operator: Operator,
    pub(super) hold: Hold,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.operator.ledger().release(&self.hold);
    }
}

/// A payer's keys share its part of the machine, so that more keys are no more of it.
fn tenant(payer: Address) -> Tenant {
    payer.into_word()
}

pub(super) fn random_salt() -> B256 {
    B256::from(random::<32>())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// Runs work that blocks where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ServeError::Internal(format!("a computation ended abnormally: {error}")))
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("counts are limited by the context and the size of a batch")
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

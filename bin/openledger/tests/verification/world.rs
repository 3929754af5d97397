//! A chain for tests of this program: contributors, two adapters, three verifiers who look, and others who do not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_corpus::record::{Provenance, Record, RecordLimits, derive_salt};
use openledger_model::{Adapter, LoraConfig, Model, Pool, Target, load_peft};
use openledger_node::{GenesisOptions, Node, NodeConfig};
use openledger_serve::{AdapterLimits, Adapters, Engine, Scheduler};
use openledger_train::Recipe;
use openledger_types::abi::{
    Batch, BatchStatus, ChallengeStatus, IOpen, ISettlement, Modality, StakeRole, Terms, Use,
};
use openledger_types::addresses::{BURN, MODULES, OPEN, SETTLEMENT, TREASURY};
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use openledger_types::batch::{step_commitment, verdict_digest};
use openledger_worker::contribute::{accept_pending, contribute, publish_version};
use openledger_worker::develop::{self, Plan, Prices, develop, register_base};
use openledger_worker::lineage::Lineage;
use openledger_worker::operator::ServedAdapter;
use openledger_worker::verify::{Act, Verdict, Verifier};
use openledger_worker::{Folders, Machine, Progress};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turn, MutexGuard as Taken, OnceCell};

use crate::eventually::eventually;

/// Windows in blocks. Verdicts end early once all are in; the windows of a dispute do not.
const WINDOWS: [(&str, u64); 4] =
    [("verify_window", 500), ("reveal_window", 60), ("challenge_window", 10), ("move_window", 100)];
/// What is otherwise where panels are drawn.
const DRAWN: [(&str, u64); 3] = [("verify_window", 600), ("appeal_window", 100), ("verifiers_per_batch", 2)];
/// Verifiers who lie where panels are drawn, and what each stakes, OPEN: together more heads and less stake than those who look.
const LIARS: usize = 6;
pub(crate) const LIAR_STAKE: u64 = 1_000;
/// What a verifier has in bonds of appeals at most, OPEN.
const BONDS: u64 = 500;
/// What operators and verifiers stake.
pub(crate) const STAKE: u64 = 5_000;
/// Steps that the adapter is trained in.
pub(crate) const STEPS: usize = 24;
const CONTRIBUTORS: usize = 3;
const RECORDS_EACH: usize = 4;

pub(crate) struct World {
    node: Node,
    pub(crate) folders: Folders,
    pub(crate) machine: Machine,
    faucet: Wallet,
    /// The adapter that is asked, and another one.
    pub(crate) adapter: Lineage,
    pub(crate) other: Arc<Adapter>,
    pub(crate) served: ServedAdapter,
    pub(crate) scheduler: Scheduler,
    pub(crate) registry: Adapters,
    pub(crate) verifiers: Vec<Address>,
    /// Whose records the adapters were trained on, with their contributions.
    pub(crate) contributors: Vec<(Wallet, U256)>,
    /// Agrees with every batch and denies every disputed step without looking, where everybody is asked.
    pub(crate) lazy: Address,
    /// Deny every batch, where panels are drawn.
    pub(crate) liars: Vec<Address>,
    acts: Acts,
    /// While it is set, those who look wait: a challenge has to come before the verdicts.
    held: Arc<AtomicBool>,
    /// Everybody who ever held something.
    people: Mutex<Vec<Address>>,
    turn: Turn<()>,
}

type Acts = Arc<Mutex<Vec<(Address, Act)>>>;

pub(crate) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

impl World {
    /// The world, for one test at a time. Connections belong to the runtime that makes them, which is another in every test.
    pub(crate) async fn enter() -> (&'static Self, Client, Taken<'static, ()>) {
        static WORLD: OnceCell<World> = OnceCell::const_new();
        WORLD.get_or_init(|| Self::new(false)).await.visit().await
    }

    /// The world in which two verifiers of nine are drawn for a batch, of whom six deny everything, likewise.
    pub(crate) async fn enter_drawn() -> (&'static Self, Client, Taken<'static, ()>) {
        static WORLD: OnceCell<World> = OnceCell::const_new();
        WORLD.get_or_init(|| Self::new(true)).await.visit().await
    }

    async fn visit(&'static self) -> (&'static Self, Client, Taken<'static, ()>) {
        let turn = self.turn.lock().await;
        // A test that failed may have left it set.
        self.hold(false);
        (self, Client::connect(&self.node.rpc_url()).await.unwrap(), turn)
    }

    async fn new(drawn: bool) -> Self {
        let name = if drawn { "verification-drawn" } else { "verification" };
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _of_an_earlier_run = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(&home).unwrap();
        let faucet = Wallet::random();
        let others: &[(&str, u64)] = if drawn { &DRAWN } else { &[] };
        let params: BTreeMap<_, _> = WINDOWS.iter().chain(others).copied().collect();
        let node = start(&home, &faucet, &params).await;
        let client = Client::connect(&node.rpc_url()).await.unwrap();
        let folders = Folders::new(&home);
        let machine = tiny(&folders);
        let people = Mutex::new(vec![faucet.address(), BURN, TREASURY]);
        people.lock().unwrap().extend(MODULES);
        let person = async |amount| {
            let wallet = Wallet::random();
            people.lock().unwrap().push(wallet.address());
            client.send_and_confirm(&faucet, wallet.address(), amount, Bytes::new()).await.unwrap();
            wallet
        };

        let owner = person(open(100)).await;
        let terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };
        let datanet = client.datanets().create(&owner, "tales", "MIT", Modality::Text, terms).await.unwrap();
        let blobs = Blobs::open(folders.corpus()).unwrap();
        let mut contributors = Vec::new();
        for number in 0..CONTRIBUTORS {
            let wallet = person(open(10)).await;
            let contribution = contribute(&client, &blobs, &wallet, datanet, tales(number)).await.unwrap();
            contributors.push((wallet, contribution));
        }
        accept_pending(&client, &blobs, &owner, datanet).await.unwrap();
        publish_version(&client, &blobs, &owner, datanet).await.unwrap();
        register_base(&client, &owner, "tiny", "MIT", machine.base_hash).await.unwrap();
        let mut adapters = Vec::new();
        for steps in [STEPS as u32, 12] {
            let prices = Prices { input: open(1) / U256::from(1_000), output: open(3) / U256::from(1_000) };
            let plan = Plan { datanet, recipe: recipe(steps), patience: None, prices };
            let made = develop(&client, &folders, &owner, &machine, plan, &Progress::silent()).await.unwrap();
            adapters.push(Lineage::load(&client, &blobs, made.id).await.unwrap());
        }
        let other = folders.adapter(adapters[1].adapter.manifestHash).join("peft");
        let other = Arc::new(load_peft(&other, machine.model.config()).unwrap());
        let adapter = adapters.swap_remove(0);
        let registry = develop::registry(&machine, AdapterLimits::default()).unwrap();
        let silent = Progress::silent();
        let served =
            develop::serve(&client, &folders, &machine, &adapter, &registry, "tales".into(), &silent);
        let served = served.await.unwrap();
        let engine = Engine::new(machine.model.clone(), machine.tokenizer.clone(), Pool::new(1).unwrap());
        let scheduler = Scheduler::start(engine, Pool::new(1).unwrap(), Default::default()).unwrap();

        let (acts, held) = (Acts::default(), Arc::new(AtomicBool::new(false)));
        let mut verifiers = Vec::new();
        for _ in 0..3 {
            let wallet = person(open(2 * STAKE)).await;
            client.staking().stake(&wallet, StakeRole::Verifier, open(STAKE)).await.unwrap();
            verifiers.push(wallet);
        }
        let lazy = person(open(2 * STAKE)).await;
        let mut liars = Vec::new();
        if drawn {
            for _ in 0..LIARS {
                let wallet = person(open(2 * LIAR_STAKE)).await;
                client.staking().stake(&wallet, StakeRole::Verifier, open(LIAR_STAKE)).await.unwrap();
                liars.push(wallet);
            }
        } else {
            client.staking().stake(&lazy, StakeRole::Verifier, open(STAKE)).await.unwrap();
        }
        let from = client.block_number().await.unwrap();
        for wallet in &verifiers {
            let (url, folders, machine) = (node.rpc_url(), folders.clone(), machine.clone());
            let (wallet, acts, held) = (wallet.clone(), acts.clone(), held.clone());
            aside(async move {
                let client = Client::connect(&url).await.unwrap();
                let account = wallet.address();
                let role = Verifier::new(client, folders, machine, wallet, Progress::silent(), from);
                let mut role = role.appealing(open(BONDS));
                loop {
                    while held.load(Ordering::Acquire) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    let done = role.next().await.unwrap_or_else(|error| panic!("{account}: {error}"));
                    acts.lock().unwrap().extend(done.into_iter().map(|act| (account, act)));
                }
            });
        }
        if !drawn {
            aside(guess_everything(node.rpc_url(), lazy.clone(), from));
        }
        for liar in &liars {
            aside(deny_everything(node.rpc_url(), liar.clone()));
        }
        Self {
            folders,
            machine,
            adapter,
            other,
            served,
            scheduler,
            registry,
            verifiers: verifiers.iter().map(Wallet::address).collect(),
            contributors,
            lazy: lazy.address(),
            liars: liars.iter().map(Wallet::address).collect(),
            acts,
            held,
            people,
            turn: Turn::new(()),
            faucet,
            node,
        }
    }

    /// Somebody new with so many wei.
    pub(crate) async fn person(&self, client: &Client, amount: U256) -> Wallet {
        let wallet = Wallet::random();
        self.people.lock().unwrap().push(wallet.address());
        client.send_and_confirm(&self.faucet, wallet.address(), amount, Bytes::new()).await.unwrap();
        wallet
    }

    /// Lets those who look wait, or go on.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }

    /// Gives somebody more wei.
    pub(crate) async fn give(&self, client: &Client, account: Address, amount: U256) {
        client.send_and_confirm(&self.faucet, account, amount, Bytes::new()).await.unwrap();
    }

    /// What the verifiers have done.
    pub(crate) fn acts(&self) -> Vec<(Address, Act)> {
        self.acts.lock().unwrap().clone()
    }

    /// The verdict that each verifier committed to on a batch, as far as they have.
    pub(crate) fn verdicts(&self, batch: U256) -> Vec<Verdict> {
        let acts = self.acts.lock().unwrap();
        let of_batch = |(_, act): &(Address, Act)| match act {
            Act::Committed(id, verdict) if *id == batch => Some(verdict.clone()),
            _ => None,
        };
        acts.iter().filter_map(of_batch).collect()
    }

    /// Whether the verifiers have done this.
    pub(crate) fn did(&self, act: impl Fn(&Act) -> bool) -> bool {
        self.acts.lock().unwrap().iter().any(|(_, done)| act(done))
    }

    /// The batch once it is decided.
    pub(crate) async fn decided(&self, client: &Client, batch: U256) -> Batch {
        eventually(&format!("the end of batch {batch}"), async || {
            let posted = client.settlement().batch(batch).await.unwrap();
            (posted.status != BatchStatus::Posted).then_some(posted)
        })
        .await
    }

    /// Waits until the judges of a challenge are paid, who keep nothing back.
    pub(crate) async fn judges_are_paid(&self, client: &Client, challenge: U256) {
        let read = ISettlement::challengeOfCall { id: challenge };
        eventually("the judges' pay", async || {
            let pot = client.settlement().call(&read).await.unwrap().pot;
            pot.is_zero().then_some(())
        })
        .await;
        eventually("every judge to be paid", async || {
            let of = |wanted: fn(&Act) -> Option<U256>| {
                self.acts().iter().filter(|(_, act)| wanted(act) == Some(challenge)).count()
            };
            let judged = of(|act| if let Act::StepRevealed(id) = act { Some(*id) } else { None });
            let paid = of(|act| match act {
                Act::StepPaid(id, wei) if !wei.is_zero() => Some(*id),
                _ => None,
            });
            (judged > 0 && paid == judged).then_some(())
        })
        .await;
    }

    /// Checks that after one block everybody together holds the supply, to the wei.
    pub(crate) async fn check_conservation(&self, client: &Client) {
        let people = self.people.lock().unwrap().clone();
        let height = client.block_number().await.unwrap();
        let mut sum = U256::ZERO;
        for account in people {
            sum += client.call_at(OPEN, &IOpen::balanceOfCall { account }, Some(height)).await.unwrap();
        }
        assert_eq!(sum, SUPPLY);
    }

    /// Waits until everybody is paid and settlement holds this, wei.
    pub(crate) async fn settlement_holds(&self, client: &Client, wei: U256) {
        eventually("settlement to be empty of a batch", async || {
            (self.in_settlement(client).await == wei).then_some(())
        })
        .await;
    }

    /// What settlement holds, wei.
    pub(crate) async fn in_settlement(&self, client: &Client) -> U256 {
        client.balance(SETTLEMENT).await.unwrap()
    }
}

/// Runs something beside the tests, which come and go with runtimes of their own.
pub(crate) fn aside(work: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    });
}

/// A verifier without a machine: it agrees with what was posted and says of every disputed step that it is false, with traces that it makes
/// up, and reveals when it may.
async fn guess_everything(url: String, wallet: Wallet, from: u64) {
    let client = Client::connect(&url).await.unwrap();
    let settlement = client.settlement();
    let mut follow = client.follow(openledger_client::Filter::new().address(SETTLEMENT), from);
    let mut open = BTreeMap::new();
    let mut disputes = BTreeMap::new();
    loop {
        let step = follow.next().await.unwrap();
        for challenged in step.events::<ISettlement::Challenged>() {
            disputes.insert(challenged.data.challenge, false);
        }
        for (challenge, committed) in disputes.clone() {
            if guess_step(&client, &wallet, challenge, committed).await {
                disputes.insert(challenge, true);
            }
        }
        for posted in step.events::<ISettlement::Posted>() {
            let posted = posted.data;
            let digest = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
            settlement.commit_verdict(&wallet, posted.batch, digest, B256::ZERO, B256::ZERO).await.unwrap();
            open.insert(posted.batch, digest);
        }
        for (batch, digest) in open.clone() {
            let revealed = settlement.reveal_verdict(&wallet, batch, digest, B256::ZERO, B256::ZERO).await;
            let early =
                revealed.is_err_and(|error| error.decode_revert::<ISettlement::WindowOpen>().is_some());
            if !early {
                open.remove(&batch);
            }
        }
    }
}

/// The next move of a judge who guesses that a step is false; true once it has committed.
async fn guess_step(client: &Client, wallet: &Wallet, challenge: U256, committed: bool) -> bool {
    let (settlement, upheld, trace, salt) = (client.settlement(), false, keccak256("a guess"), B256::ZERO);
    let read = settlement.call(&ISettlement::challengeOfCall { id: challenge }).await.unwrap();
    if read.status != ChallengeStatus::Judging {
        return false;
    }
    // What comes too early or too late is refused.
    if committed {
        let reveal = ISettlement::revealStepCall { challenge, upheld, trace, salt };
        return settlement.transact(wallet, &reveal).await.is_ok();
    }
    let registered_at = client.staking().staker(wallet.address()).await.unwrap().registeredAt;
    let commitment = step_commitment(wallet.address(), registered_at, challenge, upheld, trace, salt);
    settlement.transact(wallet, &ISettlement::commitStepCall { challenge, commitment }).await.is_ok()
}

/// A verifier who says of every batch it is drawn for that it is false, whichever panel asks.
async fn deny_everything(url: String, wallet: Wallet) {
    let client = Client::connect(&url).await.unwrap();
    let (settlement, verifier, digest) = (client.settlement(), wallet.address(), keccak256("a lie"));
    loop {
        let count: u64 = settlement.call(&ISettlement::batchCountCall {}).await.unwrap().to();
        for batch in (1..=count).map(U256::from) {
            if settlement.batch(batch).await.unwrap().status != BatchStatus::Posted {
                continue;
            }
            let assigned = ISettlement::isAssignedCall { batch, verifier };
            let said = settlement.call(&ISettlement::verdictCall { batch, verifier }).await.unwrap();
            // What comes too early or too late is refused.
            if !said.commitment.is_zero() && said.digest.is_zero() {
                drop(settlement.reveal_verdict(&wallet, batch, digest, B256::ZERO, B256::ZERO).await);
            } else if said.commitment.is_zero() && settlement.call(&assigned).await.unwrap() {
                drop(settlement.commit_verdict(&wallet, batch, digest, B256::ZERO, B256::ZERO).await);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn start(home: &Path, faucet: &Wallet, params: &BTreeMap<&str, u64>) -> Node {
    let mut genesis = GenesisOptions::new(faucet.address());
    genesis.params = params.iter().map(|(name, value)| ((*name).to_owned(), U256::from(*value))).collect();
    openledger_node::init(home, &genesis).unwrap();
    let mut config = NodeConfig::new(home);
    config.http = SocketAddr::from(([127, 0, 0, 1], 0));
    config.block_interval = Duration::from_millis(10);
    config.heartbeat = Duration::from_millis(50);
    tokio::task::spawn_blocking(move || Node::start(config)).await.unwrap().unwrap()
}

fn tiny(folders: &Folders) -> Machine {
    let path = folders.models().join("tiny.gguf");
    std::fs::create_dir_all(folders.models()).unwrap();
    let (model, tokenizer) = Model::tiny(1);
    model.write_gguf(&tokenizer, &path).unwrap();
    let hash = B256::from_slice(&Sha256::digest(std::fs::read(&path).unwrap()));
    Machine::load(&path, hash, 1).unwrap()
}

fn recipe(steps: u32) -> Recipe {
    let lora = LoraConfig { rank: 4, alpha: 8.0, first_layer: 2, targets: vec![Target::Q, Target::V] };
    Recipe { lora, steps, max_tokens: 96, ..Recipe::demo() }
}

/// What one contributor tells.
fn tales(contributor: usize) -> Vec<Record> {
    let words = ["amber", "birch", "cloud", "delta", "ember", "fjord", "glade", "heron", "iris", "jade"];
    let secret = keccak256([contributor as u8]);
    let tale = |number: usize| {
        let at = contributor * RECORDS_EACH + number;
        let pick = |n: usize| words[(at * 7 + n * n * 3 + n) % words.len()];
        let name = format!("tale-{at}");
        let text = (0..12).map(|n| format!("{} {} {}", pick(n), n * at, pick(n + at))).collect::<Vec<_>>();
        let text = text.join(", ");
        let source = Provenance {
            name: name.clone(),
            version: String::new(),
            license: "MIT".into(),
            authors: Vec::new(),
            path: String::new(),
        };
        Record::new(&text, source, derive_salt(secret, &name, &text), &RecordLimits::default()).unwrap()
    };
    (0..RECORDS_EACH).map(tale).collect()
}

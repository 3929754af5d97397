//! Paid answers and their batches, honest until somebody alters them; what becomes of honest ones.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use openledger_client::{ApiKey, Client, Wallet, sign_receipt};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{Batch, BatchStatus, StakeRole};
use openledger_types::batch::BatchFile;
use openledger_types::receipt::{Answer, Message, Role, document_hash, encode_document};
use openledger_worker::Progress;
use openledger_worker::claim::claim_batch;
use openledger_worker::operator::{Ask, Evidence, Limits, Operator, Settings};
use openledger_worker::payees::Payees;
use openledger_worker::settle::{Terms, post_of};
use openledger_worker::settler::{Settled, Settler};
use openledger_worker::verify::{Act, Verdict};

use crate::eventually::eventually;
use crate::world::{STAKE, STEPS, World, open};

/// What each payer deposits, and lets the operator charge, OPEN.
const DEPOSIT: u64 = 50;

/// An operator of its own with the answers of its first epoch, to two payers in turn.
pub(crate) struct Epoch {
    pub(crate) operator: Wallet,
    pub(crate) payers: Vec<(Address, ApiKey)>,
    pub(crate) answers: Vec<Answer>,
    /// What the answers are attributed with.
    pub(crate) evidence: Arc<Evidence>,
    /// What settlement held before.
    pub(crate) settlement_before: U256,
}

/// Unix seconds of the newest block.
pub(crate) async fn now(client: &Client) -> u64 {
    client.latest_header().await.unwrap().timestamp
}

impl Epoch {
    pub(crate) async fn serve(world: &World, client: &Client, questions: usize) -> Self {
        Self::serve_with(world, client, questions, |_, ask| ask).await
    }

    /// The answers to questions that were changed first.
    pub(crate) async fn serve_with(
        world: &World,
        client: &Client,
        questions: usize,
        change: impl Fn(usize, Ask) -> Ask,
    ) -> Self {
        let operator = world.person(client, open(STAKE + 100)).await;
        client.staking().stake(&operator, StakeRole::Operator, open(STAKE)).await.unwrap();
        let mut payers = Vec::new();
        for _ in 0..2 {
            let wallet = world.person(client, open(DEPOSIT + 1)).await;
            client.escrow().deposit(&wallet, open(DEPOSIT)).await.unwrap();
            let key = ApiKey::generate();
            let far = u64::MAX >> 1;
            client.escrow().authorise(&wallet, &key, operator.address(), open(DEPOSIT), far).await.unwrap();
            payers.push((wallet.address(), key));
        }
        let settings = Settings {
            chain_id: client.chain_id(),
            split: Terms::load(client).await.unwrap().rules.split,
            folder: world.folders.root().join("operators").join(operator.address().to_string()),
            limits: Limits::default(),
        };
        let (scheduler, registry) = (world.scheduler.clone(), world.registry.clone());
        let house = Operator::open(settings, operator.clone(), scheduler, registry, Arc::new(client.clone()))
            .unwrap();
        house.serve(world.served.clone()).unwrap();
        let mut answers = Vec::new();
        for number in 0..questions {
            let ask = Ask {
                messages: vec![Message { role: Role::User, content: format!("Tell me tale-{number}") }],
                seed: Some(number as u64),
                max_tokens: Some(24),
                ..Ask::default()
            };
            let ask = change(number, ask);
            let (_, key) = &payers[number % payers.len()];
            answers.push(house.answer(key.reveal(), "tales", ask, |_| {}).await.unwrap());
        }
        let settlement_before = world.in_settlement(client).await;
        let evidence = house.evidence(&world.served).unwrap();
        Self { operator, payers, answers, evidence, settlement_before }
    }

    /// Signs an answer after its documents, its counts or its fee were altered; the receipt's hashes are those of the documents.
    pub(crate) fn sign(&self, client: &Client, answer: &mut Answer) {
        let receipt = &mut answer.receipt;
        receipt.requestHash = document_hash(&answer.request);
        receipt.responseHash = document_hash(&answer.response);
        receipt.attributionHash = document_hash(&answer.attribution);
        receipt.fee = receipt.expected_fee().unwrap();
        answer.signature = sign_receipt(&self.operator, receipt, client.chain_id());
    }

    /// The batch file that these answers settle to.
    pub(crate) async fn settle(&self, world: &World, client: &Client) -> BatchFile {
        self.settled(world, client).await.file
    }

    /// The batch that these answers settle to.
    pub(crate) async fn settled(&self, world: &World, client: &Client) -> Settled {
        let (lineage, answers) = (world.adapter.clone(), self.answers.clone());
        let terms = Terms::load(client).await.unwrap();
        let payees = Payees::load(client, &lineage, &answers).await.unwrap();
        let (machine, blobs) = (world.machine.clone(), Blobs::open(world.folders.corpus()).unwrap());
        tokio::task::spawn_blocking(move || {
            let silent = Progress::silent();
            let run = lineage.run(&machine, &silent).unwrap();
            let transcript = lineage.transcript(&blobs, &run).unwrap();
            let (lineage, terms, payees, run, progress) = (&lineage, &terms, &payees, &run, &silent);
            Settler { lineage, terms, payees, run, progress }.settle(transcript, answers, None).unwrap()
        })
        .await
        .unwrap()
    }

    /// Posts a batch whose file verifiers can fetch.
    pub(crate) async fn post(&self, world: &World, client: &Client, file: &BatchFile) -> U256 {
        let hash = publish(world, file);
        client.settlement().post(&self.operator, post_of(file, hash, STEPS, now(client).await)).await.unwrap()
    }

    /// Checks that everybody has back what they paid, that the operator lost a tenth of its stake, and that settlement keeps nothing.
    pub(crate) async fn check_undone(&self, world: &World, client: &Client, batch: &Batch) {
        assert_eq!(batch.status, BatchStatus::Refused);
        for (payer, key) in &self.payers {
            assert_eq!(client.escrow().balance(*payer).await.unwrap(), open(DEPOSIT));
            assert_eq!(client.escrow().authorisation(key.hash()).await.unwrap().spent, U256::ZERO);
        }
        let slashed = open(STAKE) / U256::from(10);
        let left = client.staking().staker(self.operator.address()).await.unwrap().stake;
        assert_eq!(left, open(STAKE) - slashed);
        world.settlement_holds(client, self.settlement_before).await;
        world.check_conservation(client).await;
    }
}

/// Puts the file of a batch where verifiers can fetch it.
pub(crate) fn publish(world: &World, file: &BatchFile) -> B256 {
    Blobs::open(world.folders.corpus()).unwrap().put(&encode_document(file)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_batch_is_final_and_everybody_can_claim_and_who_did_not_look_is_slashed() {
    let (world, client, _turn) = World::enter().await;
    let lazy_before = client.staking().staker(world.lazy).await.unwrap().stake;
    let epoch = Epoch::serve(world, &client, 3).await;
    let file = epoch.settle(world, &client).await;
    let fees: U256 = epoch.answers.iter().map(|answer| answer.receipt.fee).sum();
    let batch = epoch.post(world, &client, &file).await;
    let posted = world.decided(&client, batch).await;
    assert_eq!((posted.status, posted.fees), (BatchStatus::Finalised, fees));
    let verdicts = world.verdicts(batch);
    assert_eq!(verdicts, vec![Verdict::Equal { batch: Some(batch) }; 3]);

    let claimed = claim_batch(&client, &epoch.operator, &file, batch, None).await.unwrap();
    let claimed: U256 = claimed.iter().map(|payout| payout.amount).sum();
    let parts = file.parts;
    assert_eq!(claimed, parts.contributors + parts.operator + parts.developer);
    assert_eq!(claimed + parts.validators + parts.treasury + parts.burn, fees);
    world.settlement_holds(&client, epoch.settlement_before).await;

    // The digest of who only agrees is that of who looked; what they met on the way is not.
    let took = eventually("the punishment of who did not look", async || {
        world.acts().into_iter().find_map(|(_, act)| match act {
            Act::Punished(id, who, wei) if id == batch && who == world.lazy => Some(wei),
            _ => None,
        })
    })
    .await;
    // Batches of other tests may have cost it something meanwhile.
    let left = client.staking().staker(world.lazy).await.unwrap().stake;
    assert!(!took.is_zero() && left <= lazy_before - took, "{lazy_before} {took} {left}");
    let slashed_for_looking =
        |act: &Act| matches!(act, Act::Punished(id, who, _) if *id == batch && *who != world.lazy);
    assert!(!world.did(slashed_for_looking), "who looks keeps its stake, and so has more than who does not");
    world.check_conservation(&client).await;
}

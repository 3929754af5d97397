//! A market on the modules of the chain: who is who, one adapter, and an epoch from questions to claims.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use openledger_attribution::settle::{AnswerFee, ClusterScore, Rules, Settlement, settle, weights};
use openledger_protocol::{Block, Call, MapStorage, Mapping, ModuleError, Slot, Storage, dispatch, params};
use openledger_types::abi::{
    BatchPost, BatchStatus, Charge, DatanetRef, IDatanets, IEscrow, IModels, ISettlement, IStaking, Modality,
    StakeRole, Terms, Use,
};
use openledger_types::addresses::{DATANETS, ESCROW, MODELS, PARAMS, SETTLEMENT, STAKING};
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use openledger_types::batch::{Payout, payout_leaf, payout_tree, verdict_commitment, verdict_digest};

/// A day: how long an epoch of the economy is, seconds.
pub(crate) const DAY: u64 = 86_400;
/// Seconds of a block.
const BLOCK_SECONDS: u64 = 2;

/// Steps of the run that trained the adapter.
const TRAINING_STEPS: u32 = 24;

/// What a verifier who re-executes a batch meets on the way.
pub(crate) const WORK: B256 = B256::repeat_byte(0x30);

/// A governed number that a scenario sets at genesis.
pub(crate) type Override = (&'static str, u128);

/// The account with this name.
pub(crate) fn account(name: &str, number: usize) -> Address {
    Address::from_word(keccak256((name, U256::from(number)).abi_encode()))
}

/// OPEN in wei.
pub(crate) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

/// Wei in OPEN, for ratios.
pub(crate) fn in_open(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}

/// What one is richer by, OPEN.
pub(crate) fn gain(before: U256, after: U256) -> f64 {
    in_open(after) - in_open(before)
}

/// A paid answer: who paid through which key, and what the adapter explained of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) key: B256,
    pub(crate) fee: U256,
    pub(crate) explained_micronats: i64,
}

/// An epoch's answers settled as every honest machine settles them.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) answers: Vec<Answer>,
    pub(crate) settlement: Settlement,
}

/// The modules over a storage in memory, with one adapter on one Datanet.
#[derive(Debug, Clone)]
pub(crate) struct Market {
    pub(crate) storage: MapStorage,
    seed: u64,
    keys: u64,
    pub(crate) adapter: U256,
    pub(crate) developer: Address,
    /// Who gave a verdict on which batch, and is not yet paid for it.
    spoken: Vec<(U256, Address)>,
}

impl Market {
    /// A genesis with these governed numbers beside the defaults.
    pub(crate) fn new(seed: u64, overrides: &[Override]) -> Self {
        let block = Block { number: 100, timestamp: 1_800_000_000, chain_id: 7, randomness: B256::ZERO };
        let mut storage = MapStorage::new(block);
        let overrides = overrides.iter().map(|(name, value)| (*name, U256::from(*value)));
        params::init(&mut storage, overrides)
            .expect("a scenario keeps to the ranges of the governed numbers");
        storage.balances.insert(faucet(), SUPPLY);
        let developer = account("developer", 0);
        let mut market = Self { storage, seed, keys: 0, adapter: U256::ZERO, developer, spoken: Vec::new() };
        market.adapter = market.publish_adapter();
        market
    }

    fn publish_adapter(&mut self) -> U256 {
        let (owner, developer) = (account("owner", 0), self.developer);
        let terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };
        let datanet = self.send(
            owner,
            DATANETS,
            IDatanets::createCall {
                name: "economy".into(),
                license: "MIT".into(),
                modality: Modality::Text,
                terms,
            },
        );
        let version = self.send(
            owner,
            DATANETS,
            IDatanets::publishVersionCall {
                datanet,
                manifestHash: keccak256("manifest"),
                recordsRoot: keccak256("records"),
                records: 1,
                clusters: 1,
            },
        );
        let base = IModels::registerBaseCall {
            name: "base".into(),
            license: "MIT".into(),
            fileHash: keccak256("base"),
        };
        let base = self.send(developer, MODELS, base);
        let manifest_hash = keccak256("training");
        self.send(developer, MODELS, IModels::commitTrainingCall { manifestHash: manifest_hash });
        self.pass(BLOCK_SECONDS);
        let fee = self.param("deployment_fee");
        self.fund(developer, fee);
        self.pay(
            developer,
            MODELS,
            fee,
            IModels::publishAdapterCall {
                base,
                manifestHash: manifest_hash,
                adapterHash: keccak256("adapter"),
                transcriptHash: keccak256("transcript"),
                datanets: vec![DatanetRef { datanet, version }],
                inputPrice: U256::ONE,
                outputPrice: U256::ONE,
            },
        )
    }

    /// Lets time pass; a block is two seconds.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let block = &mut self.storage.block;
        let hash = keccak256((U256::from(self.seed), U256::from(block.number)).abi_encode());
        self.storage.hashes.insert(block.number, hash);
        block.number += (seconds / BLOCK_SECONDS).max(1);
        block.timestamp += seconds;
    }

    /// Lets blocks pass.
    pub(crate) fn pass_blocks(&mut self, blocks: u64) {
        self.pass(blocks * BLOCK_SECONDS);
    }

    /// A governed number that is a count of blocks or seconds.
    pub(crate) fn param(&mut self, name: &str) -> U256 {
        params::get(&mut self.storage, params::param_name(name)).expect("the number has a name in the table")
    }

    /// Sets a governed number now, outside its range if need be.
    pub(crate) fn force(&mut self, name: &str, value: U256) {
        let name = params::param_name(name);
        let (values, scheduled) = (Mapping::<B256, Slot<U256>>::new(PARAMS, 0), Mapping::new(PARAMS, 1));
        values.at(name).set(&mut self.storage, value).expect("a storage in memory does not fail");
        let scheduled: Slot<U256> = scheduled.at(name);
        scheduled.set(&mut self.storage, value).expect("a storage in memory does not fail");
        // Without a history it has always been so.
        let history: Slot<U256> = Mapping::new(PARAMS, 7).at(name);
        history.set(&mut self.storage, U256::ZERO).expect("a storage in memory does not fail");
    }

    fn blocks(&mut self, name: &str) -> u64 {
        self.param(name).to()
    }

    /// Moves OPEN out of the faucet.
    pub(crate) fn fund(&mut self, account: Address, amount: U256) {
        self.storage.transfer(faucet(), account, amount).expect("the faucet holds the supply");
    }

    pub(crate) fn balance(&mut self, account: Address) -> U256 {
        self.storage.balance(account).expect("a storage in memory does not fail")
    }

    /// Calls a module; the call must succeed.
    pub(crate) fn send<C: SolCall>(&mut self, from: Address, module: Address, call: C) -> C::Return {
        self.pay(from, module, U256::ZERO, call)
    }

    /// Calls a module with value; the call must succeed.
    pub(crate) fn pay<C: SolCall>(
        &mut self,
        from: Address,
        module: Address,
        value: U256,
        call: C,
    ) -> C::Return {
        self.storage.transfer(from, module, value).expect("an agent pays what it has");
        let context = Call { caller: from, value, is_static: false };
        let output = dispatch(&mut self.storage, module, &context, &call.abi_encode())
            .expect("there is a module")
            .unwrap_or_else(|error| panic!("{} is refused: {error}", C::SIGNATURE));
        self.storage.logs.clear();
        C::abi_decode_returns(&output).expect("a module answers by its ABI")
    }

    /// Calls a module as a transaction does; what is refused is undone.
    pub(crate) fn try_pay<C: SolCall>(
        &mut self,
        from: Address,
        module: Address,
        value: U256,
        call: &C,
    ) -> Result<C::Return, ModuleError> {
        let output = self.storage.call(module, from, value, &call.abi_encode())?;
        self.storage.logs.clear();
        Ok(C::abi_decode_returns(&output).expect("a module answers by its ABI"))
    }

    /// Calls a module without value as a transaction does.
    pub(crate) fn try_send<C: SolCall>(
        &mut self,
        from: Address,
        module: Address,
        call: &C,
    ) -> Result<C::Return, ModuleError> {
        self.try_pay(from, module, U256::ZERO, call)
    }

    /// Reads a view.
    pub(crate) fn view<C: SolCall>(&mut self, module: Address, call: C) -> C::Return {
        let output = self.storage.view(module, Address::ZERO, &call.abi_encode());
        C::abi_decode_returns(&output.expect("a view of an agent answers")).expect("by its ABI")
    }

    /// Funds and bonds an account.
    pub(crate) fn stake(&mut self, account: Address, role: StakeRole, amount: U256) {
        self.fund(account, amount);
        self.pay(account, STAKING, amount, IStaking::stakeCall { role });
    }

    /// Funds a payer, deposits all of it and makes a key for an operator with that cap.
    pub(crate) fn payer(&mut self, payer: Address, operator: Address, amount: U256) -> B256 {
        self.fund(payer, amount);
        self.pay(payer, ESCROW, amount, IEscrow::depositCall {});
        self.key(payer, operator, amount)
    }

    /// A key of a payer.
    pub(crate) fn key(&mut self, payer: Address, operator: Address, cap: U256) -> B256 {
        self.keys += 1;
        let key = keccak256(("key", U256::from(self.keys)).abi_encode());
        let expires_at = self.storage.block.timestamp + 3_650 * DAY;
        self.send(payer, ESCROW, IEscrow::authoriseCall { key, operator, cap, expiresAt: expires_at });
        key
    }

    /// Settles answers by the rules in force, with what each cluster did for them: `influence[cluster][answer]` in nats.
    pub(crate) fn settle(
        &mut self,
        operator: Address,
        answers: &[Answer],
        clusters: &[Cluster],
        influence: &[Vec<f64>],
    ) -> Settled {
        let split = params::fee_split(&mut self.storage).expect("the parts of a fee are in their ranges");
        let floor_micronats = self.param("influence_floor_micronats").to();
        let cluster_cap_ppm = self.param("cluster_cap").to();
        let fees: Vec<_> = answers
            .iter()
            .map(|answer| AnswerFee {
                fee: answer.fee,
                explained_micronats: answer.explained_micronats,
                retrieved_micronats: 0,
            })
            .collect();
        let weights = weights(&fees, &Rules { split, floor_micronats, cluster_cap_ppm })
            .expect("fees within the supply");
        let scores: Vec<_> = (0_u32..)
            .zip(clusters.iter().zip(influence))
            .map(|(number, (cluster, nats))| {
                let score: f64 =
                    nats.iter().zip(&weights.ppb).map(|(nats, ppb)| nats * *ppb as f64 / 1e9).sum();
                ClusterScore {
                    cluster: number,
                    record: keccak256(number.to_be_bytes()),
                    contributor: cluster.owner,
                    length: cluster.length,
                    score_piconats: (score * 1e12).round() as i128,
                    retrieved_wei: U256::ZERO,
                }
            })
            .collect();
        let settlement =
            settle(weights, &scores, operator, &[(self.developer, 1_000_000)]).expect("an epoch settles");
        Settled { answers: answers.to_vec(), settlement }
    }

    /// The post of a settled epoch with these payouts, which are the honest ones unless the operator lies.
    pub(crate) fn post_call(
        &self,
        operator: Address,
        epoch: u64,
        settled: &Settled,
        payouts: &[Payout],
    ) -> ISettlement::postCall {
        let mut charges: Vec<Charge> = Vec::new();
        for answer in &settled.answers {
            match charges.iter_mut().find(|charge| charge.key == answer.key) {
                Some(charge) => charge.amount += answer.fee,
                None => charges.push(Charge { key: answer.key, amount: answer.fee }),
            }
        }
        let receipts_root = keccak256((operator, epoch).abi_encode());
        let receipts = u32::try_from(settled.answers.len()).expect("a few answers");
        let batch = BatchPost {
            epoch,
            adapter: self.adapter,
            receiptsRoot: receipts_root,
            receipts,
            steps: receipts + TRAINING_STEPS + 1,
            fees: settled.answers.iter().map(|answer| answer.fee).sum(),
            totals: settled.settlement.totals(),
            payoutsRoot: payout_tree(payouts).root(),
            payouts: u32::try_from(payouts.len()).expect("a few payouts"),
            fileHash: keccak256(receipts_root),
            settledAt: self.storage.block.timestamp,
            charges,
        };
        ISettlement::postCall { batch }
    }

    /// Posts it.
    pub(crate) fn post(
        &mut self,
        operator: Address,
        epoch: u64,
        settled: &Settled,
        payouts: &[Payout],
    ) -> Posted {
        let call = self.post_call(operator, epoch, settled, payouts);
        let BatchPost { receiptsRoot: receipts_root, payoutsRoot: claimed_root, fileHash: file_hash, .. } =
            call.batch;
        let truth = verdict_digest(receipts_root, payout_tree(&settled.settlement.payouts).root(), file_hash);
        let claimed = verdict_digest(receipts_root, claimed_root, file_hash);
        let id = self.send(operator, SETTLEMENT, call);
        self.pass_blocks(1);
        Posted { id, truth, claimed, file_hash, payouts: payouts.to_vec() }
    }

    /// Commits and reveals these verdicts of verifiers who have done the work, as far as the draw assigns them, and leaves all windows
    /// for verdicts behind. Returns how many were given.
    pub(crate) fn verify(&mut self, batch: U256, verdicts: &[(Address, B256)]) -> usize {
        let worked: Vec<_> = verdicts.iter().map(|(who, digest)| (*who, *digest, WORK)).collect();
        self.verify_with(batch, &worked)
    }

    /// As [`Self::verify`], with what each has met on the way.
    pub(crate) fn verify_with(&mut self, batch: U256, verdicts: &[(Address, B256, B256)]) -> usize {
        self.send(
            verdicts.first().map_or(Address::ZERO, |(who, ..)| *who),
            SETTLEMENT,
            ISettlement::drawCall { batch },
        );
        let mut committed = Vec::new();
        for (verifier, digest, trace) in verdicts {
            if !self.view(SETTLEMENT, ISettlement::isAssignedCall { batch, verifier: *verifier }) {
                continue;
            }
            let registered = self.view(STAKING, IStaking::stakerCall { account: *verifier }).registeredAt;
            let commitment = verdict_commitment(*verifier, registered, batch, *digest, *trace, B256::ZERO);
            if self.try_send_cheap(
                *verifier,
                SETTLEMENT,
                ISettlement::commitVerdictCall { batch, commitment },
            ) {
                committed.push((*verifier, *digest, *trace));
            }
        }
        let window = self.blocks("verify_window");
        self.pass_blocks(window + 1);
        for (verifier, digest, trace) in &committed {
            let call =
                ISettlement::revealVerdictCall { batch, digest: *digest, trace: *trace, salt: B256::ZERO };
            self.send(*verifier, SETTLEMENT, call);
            self.spoken.push((batch, *verifier));
        }
        let window = self.blocks("reveal_window");
        self.pass_blocks(window + 1);
        committed.len()
    }

    /// A call whose refusal leaves nothing behind: it is refused before it writes.
    fn try_send_cheap<C: SolCall>(&mut self, from: Address, module: Address, call: C) -> bool {
        let context = Call { caller: from, value: U256::ZERO, is_static: false };
        let done =
            dispatch(&mut self.storage, module, &context, &call.abi_encode()).expect("there is a module");
        self.storage.logs.clear();
        done.is_ok()
    }

    /// Decides a batch once every window is over, and pays for its verdicts.
    pub(crate) fn finalise(&mut self, batch: U256) -> BatchStatus {
        let window = self.blocks("challenge_window").max(self.blocks("appeal_window"));
        self.pass_blocks(window + 1);
        self.send(faucet(), SETTLEMENT, ISettlement::finaliseCall { batch });
        self.pay_verdicts(batch);
        self.view(SETTLEMENT, ISettlement::batchCall { id: batch }).status
    }

    /// Pays those whose verdicts say what became of a batch; the others have nothing to be paid.
    fn pay_verdicts(&mut self, batch: U256) {
        let (due, rest) = std::mem::take(&mut self.spoken).into_iter().partition(|(of, _)| *of == batch);
        self.spoken = rest;
        let due: Vec<(U256, Address)> = due;
        for (_, verifier) in due {
            let _paid =
                self.try_send_cheap(faucet(), SETTLEMENT, ISettlement::claimVerdictCall { batch, verifier });
        }
    }

    /// Claims every payout for its account.
    pub(crate) fn claim_all(&mut self, posted: &Posted) {
        let tree = payout_tree(&posted.payouts);
        for (index, payout) in posted.payouts.iter().enumerate() {
            let proof = tree.proof(payout_leaf(index, payout)).expect("the tree holds every payout");
            self.send(
                faucet(),
                SETTLEMENT,
                ISettlement::claimCall {
                    batch: posted.id,
                    index: U256::from(index),
                    account: payout.account,
                    role: payout.role.into(),
                    amount: payout.amount,
                    proof,
                },
            );
        }
    }

    /// An epoch from its answers to its claims, with an honest operator and these honest verifiers.
    pub(crate) fn epoch(
        &mut self,
        operator: Address,
        number: u64,
        settled: &Settled,
        verifiers: &[Address],
    ) -> Posted {
        let posted = self.post(operator, number, settled, &settled.settlement.payouts);
        let verdicts: Vec<_> = verifiers.iter().map(|verifier| (*verifier, posted.truth)).collect();
        self.verify(posted.id, &verdicts);
        assert_eq!(self.finalise(posted.id), BatchStatus::Finalised, "an honest epoch is paid");
        self.claim_all(&posted);
        posted
    }

    /// Wei that an account has, wherever it lies: free, deposited, at stake, and earned by stake.
    pub(crate) fn wealth(&mut self, account: Address) -> U256 {
        self.balance(account)
            + self.view(ESCROW, IEscrow::balanceOfCall { payer: account })
            + self.view(STAKING, IStaking::stakerCall { account }).stake
            + self.view(STAKING, IStaking::rewardCall { account })
    }
}

/// What is paid for: a cluster of records, as long as its text and owned by who committed it first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) owner: Address,
    pub(crate) length: u64,
}

/// A posted batch with the digest that follows from the answers and the one that its operator claims.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) id: U256,
    pub(crate) truth: B256,
    pub(crate) claimed: B256,
    pub(crate) file_hash: B256,
    pub(crate) payouts: Vec<Payout>,
}

/// Holds what no agent has.
pub(crate) fn faucet() -> Address {
    account("faucet", 0)
}

//! What the tests of all modules share, and properties that hold over any history of calls.

mod attacks;
mod layout;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolError, SolInterface};
use openledger_types::abi::{
    BatchPost, Charge, DatanetRef, DatanetVersion, Modality, RoleTotals, StakeRole, Terms, Use, Vesting,
};
use openledger_types::abi::{IChannels, IDatanets, IEscrow, IModels, IOpen, IParams, ISettlement, IStaking};
use openledger_types::addresses::{
    CHANNELS, DATANETS, ESCROW, MODELS, MODULES, OPEN, PARAMS, SETTLEMENT, STAKING,
};
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use openledger_types::batch::{Payout, PayoutKind, payout_tree, verdict_digest};
use openledger_types::split::FeeSplit;

use crate::{Block, Call, MapStorage, ModuleError, Storage, dispatch, open as token, params};
use openledger_types::batch::verdict_commitment;

/// Account number `n`.
pub(crate) fn account(n: u8) -> Address {
    Address::repeat_byte(n)
}

/// A hash named by a number.
pub(crate) fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

/// OPEN in wei.
pub(crate) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

/// The modules over a storage in memory, in block 100 at second 1,000,000, with short windows. Accounts 1 to 9 have
/// 1,000,000 OPEN each, account 99 the rest.
pub(crate) struct World {
    pub(crate) storage: MapStorage,
}

pub(crate) const OWNER: u8 = 1;
pub(crate) const DEVELOPER: u8 = 2;
pub(crate) const OPERATOR: u8 = 3;
pub(crate) const VERIFIER: u8 = 4;
pub(crate) const VALIDATOR: u8 = 5;
pub(crate) const PAYER: u8 = 6;

/// When a world begins, unix seconds.
pub(crate) const START: u64 = 1_000_000;

/// Seconds from leaving to getting the stake back: longer than a dispute with the windows below.
pub(crate) const UNBONDING: u64 = 1_200;

/// What verifiers who re-execute a batch meet on the way.
pub(crate) const TRACE: B256 = B256::repeat_byte(0x7c);

impl World {
    pub(crate) fn new() -> Self {
        let mut storage =
            MapStorage::new(Block { number: 100, timestamp: START, chain_id: 7, randomness: hash(0x77) });
        let windows = [
            ("verify_window", 4),
            ("reveal_window", 4),
            ("withdrawal_delay", 60),
            ("settle_grace", 60),
            ("unbonding_seconds", UNBONDING),
            ("challenge_window", 0),
            ("appeal_window", 0),
            ("verifier_share", 0),
            ("reward_seconds", 1),
            ("move_window", 4),
        ];
        params::init(&mut storage, windows.map(|(name, value)| (name, U256::from(value)))).unwrap();
        for n in 1..=9 {
            storage.balances.insert(account(n), open(1_000_000));
        }
        storage.balances.insert(account(99), SUPPLY - open(9_000_000));
        Self { storage }
    }

    /// A world with an adapter, a bonded operator, verifier and validator, and a payer with 1,000 OPEN deposited and the
    /// key `hash(7)` for the operator with a cap of 500 OPEN.
    pub(crate) fn with_market() -> Self {
        let mut world = Self::new();
        world.publish_adapter();
        for (n, role) in [
            (OPERATOR, StakeRole::Operator),
            (VERIFIER, StakeRole::Verifier),
            (VALIDATOR, StakeRole::Validator),
        ] {
            world.pay(n, STAKING, open(10_000), IStaking::stakeCall { role });
        }
        world.pay(PAYER, ESCROW, open(1_000), IEscrow::depositCall {});
        world.authorise(PAYER, hash(7), OPERATOR, open(500));
        world.advance(1);
        world
    }

    /// Adds a vesting schedule as the genesis does.
    pub(crate) fn vest(&mut self, vesting: &Vesting) {
        self.storage.transfer(account(99), OPEN, vesting.amount).unwrap();
        token::add_vesting(&mut self.storage, vesting).unwrap();
    }

    pub(crate) fn advance(&mut self, blocks: u64) {
        self.storage.block.number += blocks;
        self.storage.block.timestamp += blocks;
    }

    pub(crate) fn later(&mut self, seconds: u64) {
        self.storage.block.number += 1;
        self.storage.block.timestamp += seconds;
    }

    pub(crate) fn balance(&mut self, address: Address) -> U256 {
        self.storage.balance(address).unwrap()
    }

    pub(crate) fn try_pay<C: SolCall>(
        &mut self,
        from: u8,
        module: Address,
        value: U256,
        call: C,
    ) -> Result<C::Return, ModuleError> {
        let output = self.storage.call(module, account(from), value, &call.abi_encode())?;
        Ok(C::abi_decode_returns(&output).unwrap())
    }

    pub(crate) fn pay<C: SolCall>(&mut self, from: u8, module: Address, value: U256, call: C) -> C::Return {
        self.try_pay(from, module, value, call).unwrap()
    }

    pub(crate) fn send<C: SolCall>(&mut self, from: u8, module: Address, call: C) -> C::Return {
        self.pay(from, module, U256::ZERO, call)
    }

    /// Expects this typed error.
    pub(crate) fn refused<C: SolCall, E: SolError + std::fmt::Debug>(
        &mut self,
        from: u8,
        module: Address,
        call: C,
    ) -> E {
        let error = self.try_pay(from, module, U256::ZERO, call).err().expect("the call is refused");
        typed(&error)
    }

    pub(crate) fn view<C: SolCall>(&mut self, module: Address, call: C) -> C::Return {
        let output = self.storage.view(module, account(0xee), &call.abi_encode()).unwrap();
        C::abi_decode_returns(&output).unwrap()
    }

    pub(crate) fn create_datanet(&mut self, train: Use) -> U256 {
        let terms = Terms { train, infer: Use::Allow, crawl: Use::Deny };
        self.send(
            OWNER,
            DATANETS,
            IDatanets::createCall {
                name: "notes".into(),
                license: "MIT OR Apache-2.0".into(),
                modality: Modality::Text,
                terms,
            },
        )
    }

    pub(crate) fn publish_version(&mut self, datanet: U256) -> u32 {
        let version = DatanetVersion {
            manifestHash: hash(1),
            recordsRoot: hash(2),
            records: 10,
            clusters: 8,
            publishedAt: 0,
        };
        self.send(
            OWNER,
            DATANETS,
            IDatanets::publishVersionCall {
                datanet,
                manifestHash: version.manifestHash,
                recordsRoot: version.recordsRoot,
                records: version.records,
                clusters: version.clusters,
            },
        )
    }

    pub(crate) fn publish_adapter(&mut self) -> U256 {
        let datanet = self.create_datanet(Use::Allow);
        let version = self.publish_version(datanet);
        let base = self.send(
            DEVELOPER,
            MODELS,
            IModels::registerBaseCall {
                name: "tiny".into(),
                license: "Apache-2.0".into(),
                fileHash: hash(3),
            },
        );
        self.send(DEVELOPER, MODELS, IModels::commitTrainingCall { manifestHash: hash(4) });
        self.advance(1);
        let call = publish(base, hash(4), hash(5), vec![DatanetRef { datanet, version }]);
        self.pay(DEVELOPER, MODELS, open(1), call)
    }

    pub(crate) fn authorise(&mut self, payer: u8, key: B256, operator: u8, cap: U256) {
        let expires = self.storage.block.timestamp + 1_000;
        self.send(
            payer,
            ESCROW,
            IEscrow::authoriseCall { key, operator: account(operator), cap, expiresAt: expires },
        );
    }

    /// Posts the payouts of one payer's fee as the split has them.
    pub(crate) fn post(&mut self, epoch: u64, fees: U256) -> (U256, Vec<Payout>) {
        let (mut post, payouts) = batch(epoch, fees);
        post.settledAt = self.storage.block.timestamp;
        (self.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post }), payouts)
    }

    /// Commits and reveals a verdict, and leaves the world a block after each.
    pub(crate) fn give_verdict(&mut self, verifier: u8, batch: U256, agrees: bool) {
        self.commit_verdict(verifier, batch, agrees);
        self.advance(1);
        self.reveal_verdict(verifier, batch, agrees);
        self.advance(1);
    }

    pub(crate) fn commit_verdict(&mut self, verifier: u8, batch: U256, agrees: bool) {
        let call = self.verdict_call(verifier, batch, agrees);
        self.send(verifier, SETTLEMENT, call);
    }

    pub(crate) fn verdict_call(
        &mut self,
        verifier: u8,
        batch: U256,
        agrees: bool,
    ) -> ISettlement::commitVerdictCall {
        let registered = self.view(STAKING, IStaking::stakerCall { account: account(verifier) }).registeredAt;
        let digest = self.digest(batch, agrees);
        let commitment =
            verdict_commitment(account(verifier), registered, batch, digest, TRACE, hash(verifier));
        ISettlement::commitVerdictCall { batch, commitment }
    }

    pub(crate) fn reveal_verdict(&mut self, verifier: u8, batch: U256, agrees: bool) {
        let digest = self.digest(batch, agrees);
        self.send(
            verifier,
            SETTLEMENT,
            ISettlement::revealVerdictCall { batch, digest, trace: TRACE, salt: hash(verifier) },
        );
    }

    pub(crate) fn digest(&mut self, batch: U256, agrees: bool) -> B256 {
        if !agrees {
            return hash(0xbd);
        }
        let posted = self.view(SETTLEMENT, ISettlement::batchCall { id: batch });
        verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash)
    }
}

/// The typed error that a revert holds.
pub(crate) fn typed<E: SolError + std::fmt::Debug>(error: &ModuleError) -> E {
    let ModuleError::Revert(data) = error else { panic!("no revert: {error}") };
    E::abi_decode(data).unwrap_or_else(|_| panic!("not a {}: {data}", E::SIGNATURE))
}

pub(crate) fn publish(
    base: U256,
    manifest: B256,
    adapter: B256,
    datanets: Vec<DatanetRef>,
) -> IModels::publishAdapterCall {
    IModels::publishAdapterCall {
        base,
        manifestHash: manifest,
        adapterHash: adapter,
        transcriptHash: hash(6),
        datanets,
        inputPrice: U256::from(10),
        outputPrice: U256::from(20),
    }
}

/// A batch of one receipt of the payer's key, with its payouts.
pub(crate) fn batch(epoch: u64, fees: U256) -> (BatchPost, Vec<Payout>) {
    let parts = FeeSplit::GENESIS.split(fees);
    let base = parts.contributors / U256::from(4);
    let totals = parts.totals(base);
    let half = totals.contributors / U256::from(2);
    let payout = |role, n, amount| Payout { role, account: account(n), amount };
    let payouts = vec![
        payout(PayoutKind::Contributor, 0x31, half),
        payout(PayoutKind::Contributor, 0x32, totals.contributors - half),
        payout(PayoutKind::Base, 0x33, totals.base),
        payout(PayoutKind::Operator, OPERATOR, totals.operator),
        payout(PayoutKind::Developer, DEVELOPER, totals.developer),
    ];
    (post_of(epoch, fees, totals, &payouts), payouts)
}

pub(crate) fn post_of(epoch: u64, fees: U256, totals: RoleTotals, payouts: &[Payout]) -> BatchPost {
    BatchPost {
        epoch,
        adapter: U256::ONE,
        receiptsRoot: hash(0x11),
        receipts: 1,
        steps: 1,
        fees,
        totals,
        payoutsRoot: payout_tree(payouts).root(),
        payouts: u32::try_from(payouts.len()).unwrap(),
        fileHash: hash(0x12),
        settledAt: START,
        charges: vec![Charge { key: hash(7), amount: fees }],
    }
}

pub(crate) fn claim_call(batch: U256, payouts: &[Payout], index: usize) -> ISettlement::claimCall {
    let payout = &payouts[index];
    let leaf = openledger_types::batch::payout_leaf(index, payout);
    ISettlement::claimCall {
        batch,
        index: U256::from(index),
        account: payout.account,
        role: payout.role.into(),
        amount: payout.amount,
        proof: payout_tree(payouts).proof(leaf).unwrap(),
    }
}

/// Calls every selector of a module with zeros for arguments: whatever it answers, it knows the function.
fn check_dispatched<C: SolInterface>(module: Address) {
    for selector in C::selectors() {
        let mut data = selector.to_vec();
        data.resize(4 + 32 * 64, 0);
        // Offsets of dynamic arguments that point at zeros: empty strings and lists.
        let mut world = World::new();
        let call = Call { caller: account(1), value: U256::ZERO, is_static: false };
        let answer = dispatch(&mut world.storage, module, &call, &data).expect("there is a module");
        assert_ne!(answer, Err(ModuleError::Revert(Default::default())), "{selector:02x?} of {module}");
        assert!(!matches!(answer, Err(ModuleError::System(_))), "{selector:02x?} of {module}: {answer:?}");
    }
}

#[test]
fn every_function_of_every_abi_is_dispatched() {
    check_dispatched::<IOpen::IOpenCalls>(OPEN);
    check_dispatched::<IDatanets::IDatanetsCalls>(DATANETS);
    check_dispatched::<IModels::IModelsCalls>(MODELS);
    check_dispatched::<IEscrow::IEscrowCalls>(ESCROW);
    check_dispatched::<ISettlement::ISettlementCalls>(SETTLEMENT);
    check_dispatched::<IStaking::IStakingCalls>(STAKING);
    check_dispatched::<IParams::IParamsCalls>(PARAMS);
    check_dispatched::<IChannels::IChannelsCalls>(CHANNELS);
}

#[test]
fn an_unknown_selector_reverts_without_data_and_malformed_arguments_with_a_reason() {
    let mut world = World::new();
    for module in MODULES {
        for data in [&[][..], &[1, 2, 3], &[0xde, 0xad, 0xbe, 0xef, 0]] {
            assert_eq!(
                world.storage.call(module, account(1), U256::ZERO, data),
                Err(ModuleError::Revert(Default::default()))
            );
        }
    }
    // A list that claims 2^255 entries.
    let mut data = ISettlement::claimCall::SELECTOR.to_vec();
    data.resize(4 + 32 * 7, 0);
    data[4 + 32 * 5 + 31] = 0xc0;
    data[4 + 32 * 6] = 0x80;
    let error = world.storage.call(SETTLEMENT, account(1), U256::ZERO, &data).unwrap_err();
    assert!(typed::<alloy_sol_types::Revert>(&error).reason.starts_with("the call data is malformed"));
}

#[test]
fn only_payable_functions_take_value_and_none_writes_statically() {
    let mut world = World::new();
    let payable = [
        (STAKING, IStaking::stakeCall::SELECTOR),
        (STAKING, IStaking::delegateStakeCall::SELECTOR),
        (ESCROW, IEscrow::depositCall::SELECTOR),
        (ESCROW, IEscrow::depositForCall::SELECTOR),
        (SETTLEMENT, ISettlement::challengeCall::SELECTOR),
        (SETTLEMENT, ISettlement::appealCall::SELECTOR),
        (DATANETS, IDatanets::revealCall::SELECTOR),
        (DATANETS, IDatanets::takedownCall::SELECTOR),
        (DATANETS, IDatanets::counterNoticeCall::SELECTOR),
        (DATANETS, IDatanets::curateCall::SELECTOR),
        (MODELS, IModels::publishAdapterCall::SELECTOR),
        (MODELS, IModels::publishDerivedCall::SELECTOR),
    ];
    let mut check = |module: Address, selectors: Vec<[u8; 4]>| {
        for selector in selectors {
            let mut data = selector.to_vec();
            data.resize(4 + 32 * 64, 0);
            let call = Call { caller: account(1), value: U256::ONE, is_static: false };
            let answer = dispatch(&mut world.storage.clone(), module, &call, &data).unwrap();
            if !payable.contains(&(module, selector)) {
                let reason = typed::<alloy_sol_types::Revert>(&answer.unwrap_err()).reason;
                assert_eq!(reason, "this function takes no value");
            }
            let before = world.storage.clone();
            let call = Call { caller: account(1), value: U256::ZERO, is_static: true };
            let _answer = dispatch(&mut world.storage, module, &call, &data).unwrap();
            assert_eq!(before, world.storage, "{selector:02x?} of {module}");
        }
    };
    check(OPEN, IOpen::IOpenCalls::selectors().collect());
    check(DATANETS, IDatanets::IDatanetsCalls::selectors().collect());
    check(MODELS, IModels::IModelsCalls::selectors().collect());
    check(ESCROW, IEscrow::IEscrowCalls::selectors().collect());
    check(SETTLEMENT, ISettlement::ISettlementCalls::selectors().collect());
    check(STAKING, IStaking::IStakingCalls::selectors().collect());
    check(PARAMS, IParams::IParamsCalls::selectors().collect());
    check(CHANNELS, IChannels::IChannelsCalls::selectors().collect());
}

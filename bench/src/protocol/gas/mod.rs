//! Gas of every operation, each in the situation that it is meant for.

mod channels;
mod nets;

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolStruct, sol};
use anyhow::{Context, Result};
use openledger_protocol::history::{consensus_key, two_votes};
use openledger_protocol::params::param_name;
use openledger_protocol::settlement::step_commitment;
use openledger_types::abi::{
    IDatanets, IEscrow, IModels, IOpen, IParams, ISettlement, IStaking, Modality, StakeRole, Terms, Use,
    VoteKind,
};
use openledger_types::addresses::{DATANETS, ESCROW, GOVERNOR, MODELS, OPEN, PARAMS, SETTLEMENT, STAKING};
use openledger_types::authorization::{
    CancelAuthorization, Delegation, Permit, ReceiveWithAuthorization, TransferWithAuthorization,
    open_domain, votes_domain,
};
use openledger_types::batch::{
    Payout, PayoutKind, payout_leaf, payout_tree, verdict_commitment, verdict_digest,
};
use openledger_types::split::FeeSplit;

use crate::protocol::chain::{
    CHAIN_ID, Chain, DEVELOPER, OPERATOR, PAYER, VALIDATOR, VERIFIER, account, authorise, batch, hash, open,
    open_market,
};

sol! {
    interface IGovernor {
        function propose(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, string memory description) external returns (uint256);
        function castVote(uint256 proposalId, uint8 support) external returns (uint256);
        function queue(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, bytes32 descriptionHash) external returns (uint256);
        function execute(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, bytes32 descriptionHash) external payable returns (uint256);
    }
}

/// By module and operation.
pub(super) type Gas = BTreeMap<String, u64>;

/// Contributors, operator and developer.
pub(super) fn payouts(split: &FeeSplit, fees: U256) -> Vec<Payout> {
    let parts = split.split(fees);
    let payout = |role, n, amount| Payout { role, account: account(n), amount };
    vec![
        payout(PayoutKind::Contributor, 0x41, parts.contributors),
        payout(PayoutKind::Operator, OPERATOR, parts.operator),
        payout(PayoutKind::Developer, DEVELOPER, parts.developer),
    ]
}

struct Meter {
    chain: Chain,
    gas: Gas,
}

impl Meter {
    fn op<C: SolCall>(
        &mut self,
        name: &str,
        from: impl Into<Who>,
        to: Address,
        value: U256,
        call: C,
    ) -> Result<()> {
        let sent = self.chain.send(from.into().0, to, value, &call).with_context(|| name.to_owned())?;
        self.gas.insert(name.to_owned(), sent.gas);
        Ok(())
    }
}

/// A sender: an account by its number, or an address.
struct Who(Address);

impl From<u8> for Who {
    fn from(n: u8) -> Self {
        Self(account(n))
    }
}

impl From<Address> for Who {
    fn from(address: Address) -> Self {
        Self(address)
    }
}

/// Commits and reveals a verdict on a batch of [`batch`].
pub(super) fn verify(chain: &mut Chain, id: U256, verifier: u8, agrees: bool) -> Result<()> {
    let (commit, reveal) = verdict(chain, id, verifier, agrees)?;
    chain.send(account(verifier), SETTLEMENT, U256::ZERO, &commit)?;
    chain.send(account(verifier), SETTLEMENT, U256::ZERO, &reveal)?;
    Ok(())
}

fn verdict(
    chain: &Chain,
    id: U256,
    verifier: u8,
    agrees: bool,
) -> Result<(ISettlement::commitVerdictCall, ISettlement::revealVerdictCall)> {
    let read = view(chain, SETTLEMENT, &ISettlement::batchCall { id })?;
    let right = verdict_digest(read.receiptsRoot, read.payoutsRoot, read.fileHash);
    let digest = if agrees { right } else { !right };
    let registered = registered(chain, verifier)?;
    let commitment = verdict_commitment(account(verifier), registered, id, digest, hash(2), hash(1));
    Ok((
        ISettlement::commitVerdictCall { batch: id, commitment },
        ISettlement::revealVerdictCall { batch: id, digest, trace: hash(2), salt: hash(1) },
    ))
}

fn registered(chain: &Chain, n: u8) -> Result<u64> {
    Ok(view(chain, STAKING, &IStaking::stakerCall { account: account(n) })?.registeredAt)
}

fn view<C: SolCall>(chain: &Chain, to: Address, call: &C) -> Result<C::Return> {
    let request = openledger_execution::CallRequest {
        from: account(1),
        to: Some(to),
        data: call.abi_encode().into(),
        ..Default::default()
    };
    let outcome = openledger_execution::call(&chain.env, &request, &chain.state)?;
    Ok(C::abi_decode_returns(&outcome.output)?)
}

pub(super) fn measure() -> Result<Gas> {
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42))?;
    let mut meter = Meter { chain: Chain::new(signer.address())?, gas: Gas::new() };
    token(&mut meter, &signer)?;
    open_market(&mut meter.chain)?;
    data(&mut meter)?;
    escrow(&mut meter)?;
    channels::measure(&mut meter, &signer)?;
    staking(&mut meter, &signer)?;
    settlement(&mut meter)?;
    disputes(&mut meter)?;
    jail(&mut meter)?;
    governance(&mut meter)?;
    // Last: the days of a takedown pass.
    nets::datanets(&mut meter)?;
    nets::models(&mut meter)?;
    let gas = appeals(signer.address())?;
    meter.gas.extend(gas);
    Ok(meter.gas)
}

/// An appeal on a chain where one of two verifies at first.
fn appeals(signer: Address) -> Result<Gas> {
    let mut meter = Meter { chain: Chain::with(signer, &[("verifiers_per_batch", 1)])?, gas: Gas::new() };
    open_market(&mut meter.chain)?;
    for epoch in 1..=2_u64 {
        let (post, _) = batch(meter.chain.now(), epoch, 1_000, payouts);
        meter.chain.send(
            account(OPERATOR),
            SETTLEMENT,
            U256::ZERO,
            &ISettlement::postCall { batch: post },
        )?;
        // The windows of the first panel, which nobody heard.
        meter.chain.pass(9);
        let id = U256::from(epoch);
        meter.op(
            "settlement_appeal",
            OPERATOR,
            SETTLEMENT,
            open(100),
            ISettlement::appealCall { batch: id },
        )?;
        verify(&mut meter.chain, id, VERIFIER, true)?;
        let finalise = ISettlement::finaliseCall { batch: id };
        meter.op("settlement_finalise_appealed", 9, SETTLEMENT, U256::ZERO, finalise)?;
    }
    Ok(meter.gas)
}

/// A verifier whom a slash left with too little comes back.
fn jail(meter: &mut Meter) -> Result<()> {
    let call = IStaking::stakeCall { role: StakeRole::Verifier };
    meter.chain.send(account(10), STAKING, open(1_000), &call)?;
    let (post, _) = batch(meter.chain.now(), 5, 1, payouts);
    meter.chain.send(account(OPERATOR), SETTLEMENT, U256::ZERO, &ISettlement::postCall { batch: post })?;
    let id = U256::from(5);
    let (commit, _) = verdict(&meter.chain, id, 10, true)?;
    meter.chain.send(account(10), SETTLEMENT, U256::ZERO, &commit)?;
    meter.chain.pass(10);
    let punish = ISettlement::punishCall { batch: id, verifier: account(10) };
    meter.op("settlement_punish_jails", 9, SETTLEMENT, U256::ZERO, punish)?;
    meter.op("staking_stake_more", 10, STAKING, open(1_000), call)?;
    meter.op("staking_unjail", 10, STAKING, U256::ZERO, IStaking::unjailCall {})
}

fn signature(signer: &PrivateKeySigner, message: &impl SolStruct) -> Result<Bytes> {
    let digest = message.eip712_signing_hash(&open_domain(CHAIN_ID));
    Ok(signer.sign_hash_sync(&digest)?.as_bytes().to_vec().into())
}

fn token(meter: &mut Meter, signer: &PrivateKeySigner) -> Result<()> {
    let (zero, from, value) = (U256::ZERO, signer.address(), open(1));
    meter.op("open_transfer", 1, OPEN, zero, IOpen::transferCall { to: account(6), value })?;
    meter.op("open_approve", 1, OPEN, zero, IOpen::approveCall { spender: account(6), value })?;
    let call = IOpen::transferFromCall { from: account(1), to: account(7), value };
    meter.op("open_transferFrom", 6, OPEN, zero, call)?;
    meter.op("open_burn", 1, OPEN, zero, IOpen::burnCall { value })?;
    meter.op("open_release", 1, OPEN, zero, IOpen::releaseCall { vesting: U256::ONE })?;
    let (spender, deadline) = (account(6), U256::MAX);
    let permit = Permit { owner: from, spender, value, nonce: zero, deadline };
    let bytes = signature(signer, &permit)?;
    let (r, s) = (B256::from_slice(&bytes[..32]), B256::from_slice(&bytes[32..64]));
    let call = IOpen::permitCall { owner: from, spender, value, deadline, v: bytes[64], r, s };
    meter.op("open_permit", 1, OPEN, zero, call)?;
    let (to, after, before) = (account(6), zero, U256::MAX);
    let message =
        TransferWithAuthorization { from, to, value, validAfter: after, validBefore: before, nonce: hash(1) };
    let call = IOpen::transferWithAuthorization_1Call {
        from,
        to,
        value,
        validAfter: after,
        validBefore: before,
        nonce: hash(1),
        signature: signature(signer, &message)?,
    };
    meter.op("open_transferWithAuthorization", 1, OPEN, zero, call)?;
    let message =
        ReceiveWithAuthorization { from, to, value, validAfter: after, validBefore: before, nonce: hash(2) };
    let call = IOpen::receiveWithAuthorization_1Call {
        from,
        to,
        value,
        validAfter: after,
        validBefore: before,
        nonce: hash(2),
        signature: signature(signer, &message)?,
    };
    meter.op("open_receiveWithAuthorization", 6, OPEN, zero, call)?;
    let message = CancelAuthorization { authorizer: from, nonce: hash(3) };
    let call = IOpen::cancelAuthorization_1Call {
        authorizer: from,
        nonce: hash(3),
        signature: signature(signer, &message)?,
    };
    meter.op("open_cancelAuthorization", 1, OPEN, zero, call)
}

fn data(meter: &mut Meter) -> Result<()> {
    let zero = U256::ZERO;
    let terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };
    let create = IDatanets::createCall {
        name: "field notes".into(),
        license: "MIT".into(),
        modality: Modality::Text,
        terms,
    };
    meter.op("datanets_create", DEVELOPER, DATANETS, zero, create)?;
    for salt in 1..=2 {
        let (commit, reveal) = nets::contribution(salt);
        meter.op("datanets_commit", nets::AUTHOR, DATANETS, zero, commit)?;
        meter.op("datanets_reveal", nets::AUTHOR, DATANETS, zero, reveal)?;
    }
    meter.op(
        "datanets_accept",
        DEVELOPER,
        DATANETS,
        zero,
        IDatanets::acceptCall { contribution: U256::ONE },
    )?;
    let reject = IDatanets::rejectCall { contribution: U256::from(2), reason: "spam".into() };
    meter.op("datanets_reject", DEVELOPER, DATANETS, zero, reject)?;
    let version = IDatanets::publishVersionCall {
        datanet: U256::ONE,
        manifestHash: hash(22),
        recordsRoot: hash(23),
        records: 10,
        clusters: 8,
    };
    meter.op("datanets_publishVersion", DEVELOPER, DATANETS, zero, version)?;
    let base = IModels::registerBaseCall { name: "small".into(), license: "MIT".into(), fileHash: hash(24) };
    meter.op("models_registerBase", DEVELOPER, MODELS, zero, base)?;
    meter.op(
        "models_commitTraining",
        DEVELOPER,
        MODELS,
        zero,
        IModels::commitTrainingCall { manifestHash: hash(25) },
    )?;
    let adapter = IModels::publishAdapterCall {
        base: U256::ONE,
        manifestHash: hash(25),
        adapterHash: hash(26),
        transcriptHash: hash(27),
        datanets: vec![openledger_types::abi::DatanetRef { datanet: U256::ONE, version: 1 }],
        inputPrice: U256::ONE,
        outputPrice: U256::ONE,
    };
    meter.op("models_publishAdapter", DEVELOPER, MODELS, open(1), adapter)?;
    let adapter = U256::from(2);
    let price = IModels::setPriceCall { adapter, inputPrice: open(1), outputPrice: open(1) };
    meter.op("models_setPrice", DEVELOPER, MODELS, zero, price)?;
    meter.op("models_retire", DEVELOPER, MODELS, zero, IModels::retireCall { adapter })
}

fn escrow(meter: &mut Meter) -> Result<()> {
    let zero = U256::ZERO;
    meter.op("escrow_deposit", 6, ESCROW, open(10), IEscrow::depositCall {})?;
    meter.op("escrow_depositFor", 7, ESCROW, open(10), IEscrow::depositForCall { payer: account(6) })?;
    let key = authorise(900);
    meter.op("escrow_authorise", 6, ESCROW, zero, key.clone())?;
    meter.op("escrow_revoke", 6, ESCROW, zero, IEscrow::revokeCall { key: key.key })?;
    meter.op(
        "escrow_requestWithdrawal",
        6,
        ESCROW,
        zero,
        IEscrow::requestWithdrawalCall { amount: open(5) },
    )?;
    meter.chain.pass(60);
    meter.op("escrow_withdraw", 6, ESCROW, zero, IEscrow::withdrawCall {})
}

fn staking(meter: &mut Meter, signer: &PrivateKeySigner) -> Result<()> {
    let (zero, validator) = (U256::ZERO, account(VALIDATOR));
    meter.op("staking_stake", 6, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier })?;
    meter.op(
        "staking_setCommission",
        VALIDATOR,
        STAKING,
        zero,
        IStaking::setCommissionCall { ppm: 50_000 },
    )?;
    meter.op("staking_delegateStake", 7, STAKING, open(100), IStaking::delegateStakeCall { validator })?;
    meter.op("staking_delegate", 7, STAKING, zero, IStaking::delegateCall { delegatee: account(8) })?;
    let (delegatee, nonce, expiry) = (account(8), zero, U256::MAX);
    let digest = Delegation { delegatee, nonce, expiry }.eip712_signing_hash(&votes_domain(CHAIN_ID));
    let bytes = signer.sign_hash_sync(&digest)?.as_bytes();
    let (r, s) = (B256::from_slice(&bytes[..32]), B256::from_slice(&bytes[32..64]));
    let call = IStaking::delegateBySigCall { delegatee, nonce, expiry, v: bytes[64], r, s };
    meter.op("staking_delegateBySig", 1, STAKING, zero, call)?;
    let refresh = IStaking::refreshVotesCall { delegator: account(7), validator };
    meter.op("staking_refreshVotes", 1, STAKING, zero, refresh)?;
    meter.op(
        "staking_undelegateStake",
        7,
        STAKING,
        zero,
        IStaking::undelegateStakeCall { validator, amount: open(50) },
    )?;
    meter.op("staking_startUnbonding", 6, STAKING, zero, IStaking::startUnbondingCall {})?;
    meter.chain.jump(1_801);
    meter.op("staking_unstake", 6, STAKING, zero, IStaking::unstakeCall {})?;
    meter.op(
        "staking_withdrawDelegation",
        7,
        STAKING,
        zero,
        IStaking::withdrawDelegationCall { validator },
    )?;
    validators(meter)
}

/// A validator registers the key of its node, changes it, votes twice and leaves.
fn validators(meter: &mut Meter) -> Result<()> {
    const WHO: u8 = 8;
    let zero = U256::ZERO;
    let role = StakeRole::Validator;
    meter.chain.send(account(WHO), STAKING, open(10_000), &IStaking::stakeCall { role })?;
    let ip = |last| FixedBytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last]);
    let (key, proof) = consensus_key(1, CHAIN_ID, account(WHO));
    let register = IStaking::registerKeyCall { key, proof, ip: ip(1), port: 26_656 };
    meter.op("staking_registerKey", WHO, STAKING, zero, register)?;
    let (key, proof) = consensus_key(2, CHAIN_ID, account(WHO));
    meter.op("staking_rotateKey", WHO, STAKING, zero, IStaking::rotateKeyCall { key, proof })?;
    let place = IStaking::setNetworkAddressCall { ip: ip(2), port: 26_656 };
    meter.op("staking_setNetworkAddress", WHO, STAKING, zero, place)?;
    let votes = [(VoteKind::Notarize, hash(1)), (VoteKind::Notarize, hash(2))];
    let evidence = two_votes(1, &meter.chain.vote_domain, (3, 7), votes);
    meter.op("staking_submitEvidence", 9, STAKING, zero, IStaking::submitEvidenceCall { evidence })?;
    meter.op("staking_deregisterKey", WHO, STAKING, zero, IStaking::deregisterKeyCall {})
}

fn settlement(meter: &mut Meter) -> Result<()> {
    let zero = U256::ZERO;
    // The second of each: what an account writes for the first time is dearer once only.
    for epoch in 1..=2_u64 {
        let id = U256::from(epoch);
        let (post, lines) = batch(meter.chain.now(), epoch, 1_000, payouts);
        meter.op("settlement_post", OPERATOR, SETTLEMENT, zero, ISettlement::postCall { batch: post })?;
        meter.op("settlement_draw", 9, SETTLEMENT, zero, ISettlement::drawCall { batch: id })?;
        let (commit, reveal) = verdict(&meter.chain, id, VERIFIER, true)?;
        meter.op("settlement_commitVerdict", VERIFIER, SETTLEMENT, zero, commit)?;
        meter.op("settlement_revealVerdict", VERIFIER, SETTLEMENT, zero, reveal)?;
        meter.op("settlement_finalise", 9, SETTLEMENT, zero, ISettlement::finaliseCall { batch: id })?;
        let call = ISettlement::claimVerdictCall { batch: id, verifier: account(VERIFIER) };
        meter.op("settlement_claimVerdict", 9, SETTLEMENT, zero, call)?;
        let tree = payout_tree(&lines);
        for (index, name) in [(0, "settlement_claim"), (1, "settlement_claimAndStake")] {
            let payout = lines[index];
            let proof = tree.proof(payout_leaf(index, &payout)).context("a line is in its tree")?;
            let (role, amount, line) = (payout.role.into(), payout.amount, U256::from(index));
            if index == 0 {
                let call = ISettlement::claimCall {
                    batch: id,
                    index: line,
                    account: payout.account,
                    role,
                    amount,
                    proof,
                };
                meter.op(name, 9, SETTLEMENT, zero, call)?;
            } else {
                let validator = account(VALIDATOR);
                let call =
                    ISettlement::claimAndStakeCall { batch: id, index: line, role, amount, proof, validator };
                meter.op(name, OPERATOR, SETTLEMENT, zero, call)?;
            }
        }
    }
    meter.op("staking_claimReward", VALIDATOR, STAKING, zero, IStaking::claimRewardCall {})?;
    let call = IStaking::claimDelegationRewardCall { validator: account(VALIDATOR) };
    meter.op("staking_claimDelegationReward", 7, STAKING, zero, call)
}

/// A challenge of a batch of one receipt that the challenger wins, and a verifier who agreed with it.
fn disputes(meter: &mut Meter) -> Result<()> {
    let (zero, id, challenge) = (U256::ZERO, U256::from(3), U256::ONE);
    let (post, _) = batch(meter.chain.now(), 3, 1, payouts);
    meter.chain.send(account(OPERATOR), SETTLEMENT, zero, &ISettlement::postCall { batch: post })?;
    verify(&mut meter.chain, id, VERIFIER, true)?;
    meter.op("settlement_challenge", 8, SETTLEMENT, open(100), ISettlement::challengeCall { batch: id })?;
    meter.op(
        "settlement_bisect",
        OPERATOR,
        SETTLEMENT,
        zero,
        ISettlement::bisectCall { challenge, state: hash(1) },
    )?;
    meter.op(
        "settlement_choose",
        8,
        SETTLEMENT,
        zero,
        ISettlement::chooseCall { challenge, agrees: true },
    )?;
    let registered = registered(&meter.chain, VALIDATOR)?;
    let commitment = step_commitment(account(VALIDATOR), registered, challenge, false, hash(2), hash(1));
    meter.op(
        "settlement_commitStep",
        VALIDATOR,
        SETTLEMENT,
        zero,
        ISettlement::commitStepCall { challenge, commitment },
    )?;
    // Who commits to whatever it may be and stays silent.
    let blind = ISettlement::commitStepCall { challenge, commitment: hash(3) };
    meter.chain.send(account(VERIFIER), SETTLEMENT, zero, &blind)?;
    meter.chain.pass(5);
    let reveal = ISettlement::revealStepCall { challenge, upheld: false, trace: hash(2), salt: hash(1) };
    meter.op("settlement_revealStep", VALIDATOR, SETTLEMENT, zero, reveal)?;
    meter.chain.pass(5);
    meter.op("settlement_resolve_refused", 9, SETTLEMENT, zero, ISettlement::resolveCall { challenge })?;
    let claim = ISettlement::claimStepCall { challenge, verifier: account(VALIDATOR) };
    meter.op("settlement_claimStep", 9, SETTLEMENT, zero, claim)?;
    let silent = ISettlement::punishStepCall { challenge, verifier: account(VERIFIER) };
    meter.op("settlement_punishStep", 9, SETTLEMENT, zero, silent)?;
    let punish = ISettlement::punishCall { batch: id, verifier: account(VERIFIER) };
    meter.op("settlement_punish", 9, SETTLEMENT, zero, punish)?;
    let (post, _) = batch(meter.chain.now(), 4, 1, payouts);
    let id = U256::from(4);
    meter.chain.send(account(OPERATOR), SETTLEMENT, zero, &ISettlement::postCall { batch: post })?;
    verify(&mut meter.chain, id, VERIFIER, false)?;
    meter.op("settlement_finalise_refused", 9, SETTLEMENT, zero, ISettlement::finaliseCall { batch: id })?;
    Ok(())
}

/// A change of a number, an upgrade, and its end, each a proposal.
fn governance(meter: &mut Meter) -> Result<()> {
    let names = vec![param_name("move_window")];
    let schedule = IParams::scheduleCall { names, values: vec![U256::from(5)] }.abi_encode();
    propose(meter, "governor_execute_params_schedule", "Five blocks for a move", schedule)?;
    let height = meter.chain.env.number + 1_000_000;
    let upgrade = IParams::scheduleUpgradeCall { name: param_name("next"), height }.abi_encode();
    propose(meter, "governor_execute_params_scheduleUpgrade", "The next protocol", upgrade)?;
    let cancel = IParams::cancelUpgradeCall {}.abi_encode();
    propose(meter, "governor_execute_params_cancelUpgrade", "Not yet", cancel)
}

/// A proposal of one call to params from its beginning to its end.
fn propose(meter: &mut Meter, name: &str, description: &str, call: Vec<u8>) -> Result<()> {
    let zero = U256::ZERO;
    let (targets, values, calldatas) = (vec![PARAMS], vec![zero], vec![Bytes::from(call)]);
    let call = IGovernor::proposeCall {
        targets: targets.clone(),
        values: values.clone(),
        calldatas: calldatas.clone(),
        description: description.into(),
    };
    let request = openledger_execution::CallRequest {
        from: account(VALIDATOR),
        to: Some(GOVERNOR),
        data: call.abi_encode().into(),
        ..Default::default()
    };
    let outcome = openledger_execution::call(&meter.chain.env, &request, &meter.chain.state)?;
    let proposal = IGovernor::proposeCall::abi_decode_returns(&outcome.output)?;
    meter.op("governor_propose", VALIDATOR, GOVERNOR, zero, call)?;
    meter.chain.pass(1);
    for from in [VALIDATOR, OPERATOR] {
        meter.op(
            "governor_castVote",
            from,
            GOVERNOR,
            zero,
            IGovernor::castVoteCall { proposalId: proposal, support: 1 },
        )?;
    }
    meter.chain.pass(6);
    let hash = keccak256(description);
    let queue = IGovernor::queueCall {
        targets: targets.clone(),
        values: values.clone(),
        calldatas: calldatas.clone(),
        descriptionHash: hash,
    };
    meter.op("governor_queue", PAYER, GOVERNOR, zero, queue)?;
    meter.chain.pass(11);
    let execute = IGovernor::executeCall { targets, values, calldatas, descriptionHash: hash };
    meter.op(name, PAYER, GOVERNOR, zero, execute)
}

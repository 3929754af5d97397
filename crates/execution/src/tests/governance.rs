//! OpenZeppelin's Governor and timelock of the genesis, driven as a wallet would drive them.

use alloy_primitives::aliases::U48;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolError, sol};
use openledger_protocol::params::param_name;
use openledger_types::abi::{IParams, IStaking};
use openledger_types::addresses::{GOVERNOR, PARAMS, STAKING, TREASURY};

use super::{TestChain, account, genesis, open};
use crate::{
    CallRequest, CallStatus, ExecutionError, Genesis, GenesisError, Governance, build_block, call,
    execute_block,
};

sol! {
    #[derive(Debug)]
    interface IGovernor {
        error GovernorInsufficientProposerVotes(address proposer, uint256 votes, uint256 threshold);
        error GovernorUnexpectedProposalState(uint256 proposalId, uint8 current, bytes32 expectedStates);
        function propose(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, string memory description) external returns (uint256);
        function castVote(uint256 proposalId, uint8 support) external returns (uint256);
        function queue(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, bytes32 descriptionHash) external returns (uint256);
        function execute(address[] memory targets, uint256[] memory values, bytes[] memory calldatas, bytes32 descriptionHash) external payable returns (uint256);
        function state(uint256 proposalId) external view returns (uint8);
        function quorum(uint256 timepoint) external view returns (uint256);
        function proposalDeadline(uint256 proposalId) external view returns (uint256);
        function votingDelay() external view returns (uint256);
        function votingPeriod() external view returns (uint256);
        function token() external view returns (address);
        function timelock() external view returns (address);
        function clock() external view returns (uint48);
        function name() external view returns (string memory);
    }

    #[derive(Debug)]
    interface ITimelock {
        error AccessControlUnauthorizedAccount(address account, bytes32 neededRole);
        function getMinDelay() external view returns (uint256);
        function hasRole(bytes32 role, address account) external view returns (bool);
        function cancel(bytes32 id) external;
        function schedule(address target, uint256 value, bytes calldata data, bytes32 predecessor, bytes32 salt, uint256 delay) external;
        function grantRole(bytes32 role, address account) external;
        function updateDelay(uint256 newDelay) external;
        function hashOperationBatch(address[] calldata targets, uint256[] calldata values, bytes[] calldata payloads, bytes32 predecessor, bytes32 salt) external pure returns (bytes32);
    }
}

const PENDING: u8 = 0;
const ACTIVE: u8 = 1;
const CANCELED: u8 = 2;
const DEFEATED: u8 = 3;
const SUCCEEDED: u8 = 4;
const EXECUTED: u8 = 7;

/// Stakes 100,000 OPEN each in the genesis of all tests.
const VALIDATOR: u8 = 1;
const OPERATOR: u8 = 2;
const GUARDIAN: u8 = 5;

/// Windows of a few blocks, as the genesis of a trial network has them.
fn short() -> Genesis {
    let mut genesis = genesis();
    genesis.governance = Governance {
        guardian: Some(account(GUARDIAN)),
        voting_delay: 2,
        voting_period: 10,
        late_quorum_extension: 5,
        proposal_threshold: open(50_000),
        quorum_percent: 50,
        timelock_seconds: 100,
        epoch_seconds: 50,
    };
    let rest = genesis.alloc[&account(9)];
    genesis.alloc.insert(account(9), rest - open(500));
    genesis.alloc.insert(TREASURY, open(500));
    genesis
}

#[derive(Clone)]
struct Proposal {
    targets: Vec<Address>,
    values: Vec<U256>,
    calldatas: Vec<Bytes>,
    description: &'static str,
}

impl Proposal {
    fn new(description: &'static str, calls: &[(Address, U256, Vec<u8>)]) -> Self {
        Self {
            targets: calls.iter().map(|call| call.0).collect(),
            values: calls.iter().map(|call| call.1).collect(),
            calldatas: calls.iter().map(|call| call.2.clone().into()).collect(),
            description,
        }
    }

    fn propose(&self) -> Vec<u8> {
        let (targets, values, calldatas) =
            (self.targets.clone(), self.values.clone(), self.calldatas.clone());
        IGovernor::proposeCall { targets, values, calldatas, description: self.description.into() }
            .abi_encode()
    }

    fn queue(&self) -> Vec<u8> {
        let (targets, values, calldatas) =
            (self.targets.clone(), self.values.clone(), self.calldatas.clone());
        IGovernor::queueCall { targets, values, calldatas, descriptionHash: keccak256(self.description) }
            .abi_encode()
    }

    fn execute(&self) -> Vec<u8> {
        let (targets, values, calldatas) =
            (self.targets.clone(), self.values.clone(), self.calldatas.clone());
        IGovernor::executeCall { targets, values, calldatas, descriptionHash: keccak256(self.description) }
            .abi_encode()
    }

    /// The timelock's name for it: the Governor's address in its salt.
    fn operation(&self, chain: &TestChain) -> B256 {
        let mut salt = keccak256(self.description);
        for (byte, other) in salt.iter_mut().zip(GOVERNOR) {
            *byte ^= other;
        }
        let call = ITimelock::hashOperationBatchCall {
            targets: self.targets.clone(),
            values: self.values.clone(),
            payloads: self.calldatas.clone(),
            predecessor: B256::ZERO,
            salt,
        };
        view(chain, TREASURY, call)
    }
}

fn view<C: SolCall>(chain: &TestChain, to: Address, data: C) -> C::Return {
    let outcome = raw(chain, account(1), to, data.abi_encode());
    assert_eq!(outcome.0, CallStatus::Success, "{}", outcome.1);
    C::abi_decode_returns(&outcome.1).unwrap()
}

fn raw(chain: &TestChain, from: Address, to: Address, data: Vec<u8>) -> (CallStatus, Bytes) {
    let request = CallRequest { from, to: Some(to), data: data.into(), ..CallRequest::default() };
    let outcome = call(&chain.env, &request, &chain.state).unwrap();
    (outcome.status, outcome.output)
}

/// The revert that a call gives.
fn refused<E: SolError>(chain: &TestChain, from: u8, to: Address, data: Vec<u8>) -> E {
    let (status, output) = raw(chain, account(from), to, data);
    assert_eq!(status, CallStatus::Revert);
    E::abi_decode(&output).unwrap_or_else(|_| panic!("not a {}: {output}", E::SIGNATURE))
}

fn send(chain: &mut TestChain, from: u8, to: Address, data: Vec<u8>) -> bool {
    chain.send(account(from), to, U256::ZERO, data).0
}

fn wait(chain: &mut TestChain, blocks: u64) {
    chain.env.number += blocks;
    chain.env.timestamp += blocks;
}

/// Proposes, and waits until votes are cast.
fn proposed(chain: &mut TestChain, proposal: &Proposal) -> U256 {
    let (_, output) = raw(chain, account(VALIDATOR), GOVERNOR, proposal.propose());
    let id = IGovernor::proposeCall::abi_decode_returns(&output).unwrap();
    assert!(send(chain, VALIDATOR, GOVERNOR, proposal.propose()));
    assert_eq!(state(chain, id), PENDING);
    wait(chain, 3);
    assert_eq!(state(chain, id), ACTIVE);
    id
}

fn state(chain: &TestChain, id: U256) -> u8 {
    view(chain, GOVERNOR, IGovernor::stateCall { proposalId: id })
}

fn vote(chain: &mut TestChain, from: u8, id: U256, support: u8) {
    assert!(send(chain, from, GOVERNOR, IGovernor::castVoteCall { proposalId: id, support }.abi_encode()));
}

fn change(name: &str, value: u64) -> (Address, U256, Vec<u8>) {
    let call = IParams::scheduleCall { names: vec![param_name(name)], values: vec![U256::from(value)] };
    (PARAMS, U256::ZERO, call.abi_encode())
}

fn value(chain: &TestChain, name: &str) -> U256 {
    view(chain, PARAMS, IParams::getCall { name: param_name(name) })
}

#[test]
fn a_vote_of_stake_changes_a_number_and_pays_from_the_treasury_after_the_timelock() {
    let mut chain = TestChain::with(short());
    let payment = (account(0x77), open(120), Vec::new());
    let proposal = Proposal::new("Longer moves, and a grant", &[change("move_window", 700), payment]);
    let id = proposed(&mut chain, &proposal);
    for from in [VALIDATOR, OPERATOR] {
        vote(&mut chain, from, id, 1);
    }
    wait(&mut chain, 12);
    assert_eq!(state(&chain, id), SUCCEEDED);
    assert!(send(&mut chain, 4, GOVERNOR, proposal.queue()));
    assert!(!send(&mut chain, 4, GOVERNOR, proposal.execute()), "before the timelock is over");
    wait(&mut chain, 100);
    assert!(send(&mut chain, 4, GOVERNOR, proposal.execute()));
    assert_eq!(state(&chain, id), EXECUTED);
    assert_eq!((chain.balance(account(0x77)), chain.balance(TREASURY)), (open(120), open(380)));
    let scheduled = view(&chain, PARAMS, IParams::scheduledCall { name: param_name("move_window") });
    assert_eq!((scheduled.value, scheduled.from % 50), (U256::from(700), 0));
    chain.env.timestamp = scheduled.from - 1;
    assert_eq!(value(&chain, "move_window"), U256::from(600));
    chain.env.timestamp = scheduled.from;
    assert_eq!(value(&chain, "move_window"), U256::from(700));
}

#[test]
fn the_contracts_of_the_genesis_know_each_other_and_nobody_else_owns_them() {
    let chain = TestChain::with(short());
    assert_eq!(view(&chain, GOVERNOR, IGovernor::tokenCall {}), STAKING);
    assert_eq!(view(&chain, GOVERNOR, IGovernor::timelockCall {}), TREASURY);
    assert_eq!(view(&chain, GOVERNOR, IGovernor::clockCall {}), U48::from(1));
    assert_eq!(view(&chain, GOVERNOR, IGovernor::nameCall {}), "OpenLedger Governor");
    assert_eq!(view(&chain, GOVERNOR, IGovernor::votingPeriodCall {}), U256::from(10));
    assert_eq!(view(&chain, PARAMS, IParams::governorCall {}), TREASURY);
    let has = |role: B256, account| view(&chain, TREASURY, ITimelock::hasRoleCall { role, account });
    let [proposer, canceller, executor] = ["PROPOSER_ROLE", "CANCELLER_ROLE", "EXECUTOR_ROLE"].map(keccak256);
    assert!(has(B256::ZERO, TREASURY) && has(proposer, GOVERNOR) && has(canceller, GOVERNOR));
    assert!(has(executor, Address::ZERO) && has(canceller, account(GUARDIAN)));
    let genesis_caller = Address::from_slice(&[&b"OPEN"[..], &[0; 15], &[0xf0]].concat());
    assert!(!has(B256::ZERO, genesis_caller) && !has(B256::ZERO, account(GUARDIAN)));
    assert!(!has(proposer, account(GUARDIAN)));
    // Without a word of the genesis the timelock is 48 hours.
    let chain = TestChain::new();
    assert_eq!(view(&chain, TREASURY, ITimelock::getMinDelayCall {}), U256::from(172_800));
}

#[test]
fn the_deterministic_deployer_is_where_tools_look_for_it() {
    let mut chain = TestChain::new();
    // PUSH1 0x2a PUSH0 MSTORE8 PUSH1 1 PUSH0 RETURN: deploys the code 0x2a.
    let creation = alloy_primitives::hex!("602a5f5360015ff3");
    let data = [&B256::repeat_byte(9)[..], &creation].concat();
    assert!(send(&mut chain, 1, crate::predeploys::CREATE2_DEPLOYER, data));
    let at = crate::predeploys::CREATE2_DEPLOYER.create2_from_code(B256::repeat_byte(9), creation);
    let code = chain.state.accounts().find(|(address, _)| **address == at).unwrap().1.code_hash;
    assert_eq!(code, keccak256([0x2a]));
}

#[test]
fn multicall3_is_where_libraries_look_for_it_and_reads_modules_in_one_call() {
    sol! {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result3 { bool success; bytes returnData; }
        function aggregate3(Call3[] calldata calls) external payable returns (Result3[] memory returnData);
    }
    let chain = TestChain::new();
    let supply = openledger_types::abi::IOpen::totalSupplyCall {}.abi_encode();
    let calls = [
        (openledger_types::addresses::OPEN, supply),
        (GOVERNOR, IGovernor::nameCall {}.abi_encode()),
        (PARAMS, vec![1, 2, 3, 4]),
    ];
    let calls = calls
        .into_iter()
        .map(|(target, data)| Call3 { target, allowFailure: true, callData: data.into() })
        .collect();
    let results = view(&chain, crate::predeploys::MULTICALL3, aggregate3Call { calls });
    assert_eq!(results.iter().map(|r| r.success).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(results[0].returnData, openledger_types::amount::SUPPLY.to_be_bytes_vec());
}

#[test]
fn d39_stake_of_the_block_of_the_proposal_or_later_has_no_vote_and_quorum_counts_all_stake() {
    let mut chain = TestChain::with(short());
    let proposal = Proposal::new("Loot", &[(account(4), open(500), Vec::new())]);
    // Who has too little cannot propose; nor who stakes and proposes in the same block.
    let error: IGovernor::GovernorInsufficientProposerVotes =
        refused(&chain, 4, GOVERNOR, proposal.propose());
    assert_eq!((error.votes, error.threshold), (U256::ZERO, open(50_000)));
    let stake = IStaking::delegateStakeCall { validator: account(VALIDATOR) }.abi_encode();
    let txs = [
        chain.tx(account(4), STAKING, open(900_000), stake),
        chain.tx(account(4), GOVERNOR, U256::ZERO, proposal.propose()),
    ];
    let outcome = chain.block(&txs);
    assert!(outcome.receipts[0].status() && !outcome.receipts[1].status());
    // 100,000 of 1,200,000 votes are no quorum of half; a vote with stake from after the snapshot counts nothing.
    let other = Proposal::new("Small", &[(account(4), open(1), Vec::new())]);
    let id = proposed(&mut chain, &other);
    vote(&mut chain, VALIDATOR, id, 1);
    let stake = IStaking::delegateStakeCall { validator: account(VALIDATOR) }.abi_encode();
    assert!(chain.send(account(5), STAKING, open(900_000), stake).0);
    vote(&mut chain, 5, id, 1);
    let quorum =
        view(&chain, GOVERNOR, IGovernor::quorumCall { timepoint: U256::from(chain.env.number - 4) });
    assert_eq!(quorum, open(600_000));
    wait(&mut chain, 12);
    assert_eq!(state(&chain, id), DEFEATED);
}

#[test]
fn d39_a_quorum_in_the_last_block_leaves_time_to_answer() {
    let mut chain = TestChain::with(short());
    let proposal = Proposal::new("Late", &[change("move_window", 700)]);
    let id = proposed(&mut chain, &proposal);
    let deadline = |chain: &TestChain| -> u64 {
        view(chain, GOVERNOR, IGovernor::proposalDeadlineCall { proposalId: id }).to()
    };
    let first = deadline(&chain);
    chain.env.number = first;
    vote(&mut chain, VALIDATOR, id, 1);
    assert_eq!(deadline(&chain), first, "100,000 of 300,000 are no quorum");
    chain.env.number = first;
    vote(&mut chain, OPERATOR, id, 1);
    assert_eq!(deadline(&chain), first + 5);
    assert_eq!(state(&chain, id), ACTIVE);
}

#[test]
fn d39_a_guardian_cancels_and_can_do_nothing_else() {
    let mut chain = TestChain::with(short());
    let proposal = Proposal::new("Loot", &[(account(4), open(500), Vec::new())]);
    let id = proposed(&mut chain, &proposal);
    for from in [VALIDATOR, OPERATOR] {
        vote(&mut chain, from, id, 1);
    }
    wait(&mut chain, 12);
    assert!(send(&mut chain, 4, GOVERNOR, proposal.queue()));
    let operation = proposal.operation(&chain);
    let cancel = ITimelock::cancelCall { id: operation }.abi_encode();
    let _: ITimelock::AccessControlUnauthorizedAccount = refused(&chain, 4, TREASURY, cancel.clone());
    let others = [
        ITimelock::scheduleCall {
            target: account(5),
            value: open(1),
            data: Bytes::new(),
            predecessor: B256::ZERO,
            salt: B256::ZERO,
            delay: U256::from(100),
        }
        .abi_encode(),
        ITimelock::grantRoleCall { role: keccak256("PROPOSER_ROLE"), account: account(GUARDIAN) }
            .abi_encode(),
    ];
    for data in others {
        let _: ITimelock::AccessControlUnauthorizedAccount = refused(&chain, GUARDIAN, TREASURY, data);
    }
    let delay = ITimelock::updateDelayCall { newDelay: U256::ZERO }.abi_encode();
    assert_eq!(raw(&chain, account(GUARDIAN), TREASURY, delay).0, CallStatus::Revert);
    let _: IParams::NotGovernor = refused(&chain, GUARDIAN, PARAMS, change("move_window", 700).2);
    assert!(send(&mut chain, GUARDIAN, TREASURY, cancel));
    assert_eq!(state(&chain, id), CANCELED);
    wait(&mut chain, 200);
    assert!(!send(&mut chain, 4, GOVERNOR, proposal.execute()));
    assert_eq!(chain.balance(TREASURY), open(500));
}

#[test]
fn d40_governance_itself_cannot_leave_the_ranges_and_steps() {
    let mut chain = TestChain::with(short());
    for (description, call) in [
        ("out of the range", change("burn_ppm", 900_000)),
        ("more than a step", change("move_window", 60_000)),
        ("no whole", change("burn_ppm", 40_000)),
    ] {
        let proposal = Proposal::new(description, &[call]);
        let id = proposed(&mut chain, &proposal);
        for from in [VALIDATOR, OPERATOR] {
            vote(&mut chain, from, id, 1);
        }
        wait(&mut chain, 12);
        assert!(send(&mut chain, 4, GOVERNOR, proposal.queue()));
        wait(&mut chain, 100);
        assert!(!send(&mut chain, 4, GOVERNOR, proposal.execute()), "{description}");
    }
    assert_eq!(value(&chain, "burn_ppm"), U256::from(50_000));
}

#[test]
fn a_node_stops_before_an_upgrade_that_it_does_not_know() {
    let mut chain = TestChain::with(short());
    let name = param_name("lima");
    let call = IParams::scheduleUpgradeCall { name, height: 500 };
    let _: IParams::NotGovernor = refused(&chain, 1, PARAMS, call.abi_encode());
    let proposal = Proposal::new("Lima", &[(PARAMS, U256::ZERO, call.abi_encode())]);
    let id = proposed(&mut chain, &proposal);
    for from in [VALIDATOR, OPERATOR] {
        vote(&mut chain, from, id, 1);
    }
    wait(&mut chain, 12);
    assert!(send(&mut chain, 4, GOVERNOR, proposal.queue()));
    wait(&mut chain, 100);
    assert!(send(&mut chain, 4, GOVERNOR, proposal.execute()));
    chain.env.number = 499;
    chain.block(&[]);
    let stopped = ExecutionError::UnknownUpgrade { name: "lima".into(), height: 500 };
    assert_eq!(execute_block(&chain.env, &[], &chain.state).unwrap_err(), stopped);
    assert_eq!(build_block(&chain.env, std::iter::empty(), &chain.state).unwrap_err(), stopped);
}

#[test]
fn a_genesis_without_time_to_vote_is_refused() {
    let check = |change: fn(&mut Governance)| {
        let mut genesis = short();
        change(&mut genesis.governance);
        genesis.state_writes().unwrap_err()
    };
    let name = |error| match error {
        GenesisError::Governance { name, .. } => name,
        other => panic!("{other}"),
    };
    assert_eq!(name(check(|g| g.voting_delay = 0)), "voting_delay");
    assert_eq!(name(check(|g| g.quorum_percent = 101)), "quorum_percent");
    assert_eq!(name(check(|g| g.timelock_seconds = 0)), "timelock_seconds");
}

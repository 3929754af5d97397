//! Contracts that are there from the first block: OpenZeppelin's `TimelockController` at [`TREASURY`] and its `Governor` at
//! [`GOVERNOR`], compiled from the published package by `contracts/build.mjs`; Multicall3
//! and the deterministic CREATE2 deployer, where every chain has them.
//!
//! Both have immutable values, which a constructor computes (names, domains, the token of votes). So their constructors run
//! here: the account holds the creation code and its arguments, a call to it runs them at the address where the contract will
//! be, and what it returns is the contract's code. The timelock owns itself; the Governor alone proposes to it, anybody
//! executes what is due, and a guardian, if there is one, cancels.

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, Bytes, U256, address, bytes, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, sol};
use openledger_types::addresses::{GOVERNOR, STAKING, TREASURY};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::primitives::TxKind;
use serde::Deserialize;

use crate::env::BlockEnv;
use crate::error::Failure;
use crate::evm::BlockEvm;
use crate::genesis::{Genesis, GenesisError, Governance};
use crate::overlay::Overlay;
use crate::state::{AccountState, MapState, StateWrites};

/// Where Ethereum's networks have the deterministic deployer: call data is a salt and creation code.
pub(crate) const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Its code: `CREATE2(value, code, salt)`, the address as 20 bytes.
const CREATE2_DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b80825250\
     50506014600cf3"
);

/// Where Ethereum's networks have Multicall3, which libraries batch their reads with.
pub(crate) const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Who calls at genesis. Nobody has its key, and no account of it is kept.
const CALLER: Address = address!("4F50454e000000000000000000000000000000f0");

/// Gas of a call at genesis.
const GAS: u64 = 16_000_000;

sol! {
    #[derive(Debug)]
    interface IGovernor {
        constructor(
            address votes,
            address timelock,
            uint48 delay,
            uint32 period,
            uint256 threshold,
            uint256 quorumPercent,
            uint48 lateQuorumExtension
        );
    }

    #[derive(Debug)]
    interface ITimelock {
        constructor(uint256 minDelay, address[] memory proposers, address[] memory executors, address admin);
        function grantRole(bytes32 role, address account) external;
        function renounceRole(bytes32 role, address callerConfirmation) external;
    }
}

/// What `contracts/build.mjs` prints.
#[derive(Deserialize)]
struct Compiled {
    bytecode: Bytecode,
}

#[derive(Deserialize)]
struct Bytecode {
    #[serde(rename = "OpenLedgerGovernor")]
    governor: Bytes,
    #[serde(rename = "TimelockController")]
    timelock: Bytes,
    #[serde(rename = "Multicall3")]
    multicall3: Bytes,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../contracts/predeploys.json"))
        .expect("contracts/build.mjs prints this, and a test reads it")
});

/// Adds the contracts to the writes of a genesis.
pub(crate) fn deploy(genesis: &Genesis, writes: StateWrites) -> Result<StateWrites, GenesisError> {
    let Governance {
        guardian,
        voting_delay,
        voting_period,
        late_quorum_extension,
        proposal_threshold,
        quorum_percent,
        timelock_seconds,
        ..
    } = genesis.governance;
    let mut start = Start::new(genesis, writes);
    start.place(CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE);
    start.construct("Multicall3", MULTICALL3, &COMPILED.bytecode.multicall3, &[])?;
    let arguments = ITimelock::constructorCall {
        minDelay: U256::from(timelock_seconds),
        proposers: vec![GOVERNOR],
        executors: vec![Address::ZERO],
        admin: CALLER,
    };
    start.construct("TimelockController", TREASURY, &COMPILED.bytecode.timelock, &arguments.abi_encode())?;
    let arguments = IGovernor::constructorCall {
        votes: STAKING,
        timelock: TREASURY,
        delay: small(voting_delay),
        period: voting_period,
        threshold: proposal_threshold,
        quorumPercent: U256::from(quorum_percent),
        lateQuorumExtension: small(late_quorum_extension),
    };
    start.construct("OpenLedgerGovernor", GOVERNOR, &COMPILED.bytecode.governor, &arguments.abi_encode())?;
    if let Some(account) = guardian {
        let role = keccak256("CANCELLER_ROLE");
        start.call(
            "TimelockController",
            TREASURY,
            ITimelock::grantRoleCall { role, account }.abi_encode(),
        )?;
    }
    let leave = ITimelock::renounceRoleCall { role: B256::ZERO, callerConfirmation: CALLER };
    start.call("TimelockController", TREASURY, leave.abi_encode())?;
    Ok(start.writes)
}

/// A number of blocks, which the genesis bounds.
fn small(blocks: u64) -> alloy_primitives::aliases::U48 {
    alloy_primitives::aliases::U48::saturating_from(blocks)
}

/// The state that the genesis has made so far.
struct Start {
    env: BlockEnv,
    writes: StateWrites,
}

impl Start {
    fn new(genesis: &Genesis, writes: StateWrites) -> Self {
        let env = BlockEnv {
            chain_id: genesis.chain_id,
            number: 0,
            timestamp: genesis.timestamp,
            beneficiary: Address::ZERO,
            gas_limit: u64::MAX,
            base_fee: 0,
            prevrandao: B256::ZERO,
            parent_hash: B256::ZERO,
        };
        Self { env, writes }
    }

    /// Gives an account code; it keeps its balance.
    fn place(&mut self, address: Address, code: Bytes) {
        let balance = self.writes.accounts.get(&address).copied().flatten().unwrap_or_default().balance;
        let code_hash = keccak256(&code);
        self.writes.accounts.insert(address, Some(AccountState { nonce: 1, balance, code_hash }));
        self.writes.codes.insert(code_hash, code);
    }

    fn construct(
        &mut self,
        contract: &'static str,
        address: Address,
        creation: &Bytes,
        arguments: &[u8],
    ) -> Result<(), GenesisError> {
        let creation: Bytes = [creation, arguments].concat().into();
        let creation_hash = keccak256(&creation);
        self.place(address, creation);
        let code = self.call(contract, address, Vec::new())?;
        self.writes.codes.remove(&creation_hash);
        self.place(address, code);
        Ok(())
    }

    fn call(&mut self, contract: &'static str, to: Address, data: Vec<u8>) -> Result<Bytes, GenesisError> {
        let failed = |reason: String| GenesisError::Predeploy { contract, reason };
        let state = MapState::new(self.writes.clone());
        let mut evm = BlockEvm::new(self.env.evm_env(), Overlay::new(&self.env, &state));
        let tx = TxEnv {
            caller: CALLER,
            gas_limit: GAS,
            kind: TxKind::Call(to),
            data: data.into(),
            chain_id: Some(self.env.chain_id),
            ..TxEnv::default()
        };
        let result = evm.run_and_commit(tx).map_err(|failure| match failure {
            Failure::Transaction(error) => failed(error.to_string()),
            Failure::System(error) => failed(error.to_string()),
        })?;
        let ExecutionResult::Success { output, .. } = result else {
            return Err(failed(format!("{result:?}")));
        };
        let mut changed = evm.into_overlay().into_writes();
        changed.accounts.remove(&CALLER);
        changed.accounts.remove(&self.env.beneficiary);
        self.writes.extend(changed);
        Ok(output.into_data())
    }
}

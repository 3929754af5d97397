//! The ERC-20 that every system is given: OpenZeppelin's, as the published package has it compiled.

use std::path::Path;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, sol};
use anyhow::{Context, Result};
use openledger_client::Wallet;
use serde::Deserialize;

use super::load::{CALL_GAS, IErc20, call, sign, wallet};

const PACKAGE: &str = "@openzeppelin/contracts";
/// The last version whose package holds a compiled token that can be deployed as it is.
const VERSION: &str = "4.9.6";
const ARTIFACT: &str = "build/contracts/ERC20PresetFixedSupply.json";
/// Units of every account: more than it sends.
const UNITS: u64 = 1_000_000;
const DEPLOY_GAS: u64 = 3_000_000;

sol! {
    interface IPreset {
        constructor(string memory name, string memory symbol, uint256 initialSupply, address owner);
    }
}

/// What the package says of a contract.
#[derive(Deserialize)]
struct Artifact {
    bytecode: Bytes,
}

/// The token and who deploys it, at the same address on every system.
pub(super) struct Token {
    owner: Wallet,
    code: Bytes,
}

impl Token {
    /// The package's token, if it is installed below the home folder.
    ///
    /// # Errors
    /// If its file is there and cannot be used.
    pub(super) fn find(home: &Path) -> Result<Option<Self>> {
        let path = home.join("npm/node_modules").join(PACKAGE).join(ARTIFACT);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let artifact: Artifact =
            serde_json::from_str(&text).with_context(|| format!("{} is no contract", path.display()))?;
        Ok(Some(Self { owner: wallet("token")?, code: artifact.bytecode }))
    }

    /// What to do when it is not there.
    pub(super) fn how_to_get(home: &Path) -> String {
        format!(
            "OpenZeppelin's ERC-20 is missing, so its transfers are not measured; get it with: npm install --prefix {} {PACKAGE}@{VERSION}",
            home.join("npm").display()
        )
    }

    /// Where it will be.
    pub(super) fn address(&self) -> Address {
        self.owner.address().create(0)
    }

    /// Hash of its creation code without arguments.
    pub(super) fn code_hash(&self) -> B256 {
        keccak256(&self.code)
    }

    /// Who pays for its deployment.
    pub(super) fn owner(&self) -> Address {
        self.owner.address()
    }

    /// The signed transactions that deploy it and give every account its units, in the order of their nonces.
    pub(super) fn deployment(&self, accounts: &[Address]) -> Vec<String> {
        let arguments = IPreset::constructorCall {
            name: "Bench".to_owned(),
            symbol: "BNC".to_owned(),
            initialSupply: U256::from(UNITS) * U256::from(accounts.len()),
            owner: self.owner.address(),
        };
        let code = [self.code.as_ref(), &arguments.abi_encode()].concat();
        let create =
            TxEip1559 { to: TxKind::Create, ..call(0, Address::ZERO, U256::ZERO, code.into(), DEPLOY_GAS) };
        let mut signed = vec![sign(&self.owner, create)];
        signed.extend((1..).zip(accounts).map(|(nonce, to)| {
            let input = IErc20::transferCall { to: *to, value: U256::from(UNITS) }.abi_encode();
            sign(&self.owner, call(nonce, self.address(), U256::ZERO, input.into(), CALL_GAS))
        }));
        signed
    }
}

//! The people of a local network: their keys, what genesis gives them, their stakes.

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::{Address, Bytes, U256, hex};
use anyhow::{Context, Result};
use openledger_client::{Client, Keystore, KeystoreError, Strength, Wallet};
use openledger_node::{GenesisOptions, GenesisRole, GenesisStake};
use openledger_types::abi::StakeRole;
use openledger_types::addresses::TREASURY;
use openledger_types::amount::{ONE_OPEN, SUPPLY, ppm_of};
use rand::TryRngCore;

use crate::env_vars;
use crate::home::Home;

/// The public allocation, parts per million of the supply; the treasury has the remainder.
const ALLOCATION: [(&str, u32); 5] = [
    ("community", 517_000),
    ("ecosystem", 100_000),
    ("investors", 182_900),
    ("team", 150_000),
    ("liquidity", 50_000),
];

/// What a validator stakes at genesis, OPEN.
pub(crate) const VALIDATOR_STAKE: u64 = 10_000;

/// Keys that a local network's own roles have.
pub(crate) const CURATOR: &str = "curator";
pub(crate) const DEVELOPER: &str = "developer";
pub(crate) const OPERATOR: &str = "operator";
pub(crate) const VERIFIER: &str = "verifier";
pub(crate) const PAYER: &str = "payer";
pub(crate) const COMMUNITY: &str = "community";
const VALIDATOR: &str = "validator";

/// The keystore of a home folder with its password.
pub(crate) struct Local {
    keystore: Keystore,
    password: String,
}

impl Local {
    /// Opens the keystore. Without a password from the environment, the home folder's password file is used and made if it is
    /// not there: keys of a network on one machine, whose owner is whoever can read that folder.
    pub(crate) fn open(home: &Home) -> Result<Self> {
        let keystore = Keystore::open(home.keystore())?;
        let password = match env_vars::read(env_vars::PASSWORD) {
            Some(password) => password,
            None => password_file(&home.password_file())?,
        };
        Ok(Self { keystore, password })
    }

    /// The keystore.
    pub(crate) fn keystore(&self) -> &Keystore {
        &self.keystore
    }

    /// The keystore's password.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// A key that must be there.
    pub(crate) fn unlock(&self, name: &str) -> Result<Wallet> {
        Ok(self.keystore.unlock(name, &self.password)?)
    }

    /// A key of the local network, made if it is not there.
    pub(crate) fn wallet(&self, name: &str) -> Result<Wallet> {
        match self.keystore.create(name, &self.password, Strength::Light) {
            Err(KeystoreError::NameTaken { .. }) => self.unlock(name),
            made => Ok(made?),
        }
    }

    /// An address written out, or that of a key.
    pub(crate) fn address(&self, account: &str) -> Result<Address> {
        if account.starts_with("0x") {
            return account
                .parse()
                .with_context(|| format!("'{account}' is not an address: write 0x and 40 hex digits"));
        }
        Ok(self.keystore.address(account)?)
    }

    /// The genesis of a local network: the public allocation to keys of this keystore, one validator with its stake.
    pub(crate) fn genesis(&self) -> Result<GenesisOptions> {
        let mut alloc = BTreeMap::new();
        for (name, ppm) in ALLOCATION {
            alloc.insert(self.wallet(name)?.address(), ppm_of(SUPPLY, ppm));
        }
        let (community, validator) = (self.wallet(COMMUNITY)?.address(), self.wallet(VALIDATOR)?.address());
        let stake = open(VALIDATOR_STAKE);
        if let Some(amount) = alloc.get_mut(&community) {
            *amount -= stake;
        }
        let mut options = GenesisOptions::new(TREASURY);
        options.alloc = alloc;
        options.validator = validator;
        // Whoever would challenge a batch here is the same person as its operator and its verifier.
        options.params = BTreeMap::from([("challenge_window".to_owned(), U256::ZERO)]);
        options.stakes =
            vec![GenesisStake { account: validator, role: GenesisRole::Validator, amount: stake }];
        Ok(options)
    }

    /// Gives an account OPEN from the community's part until it holds at least `least`.
    pub(crate) async fn fund(&self, client: &Client, account: Address, least: U256) -> Result<()> {
        let balance = client.balance(account).await?;
        if balance < least / U256::from(2) {
            let community = self.wallet(COMMUNITY)?;
            client.send_and_confirm(&community, account, least - balance, Bytes::new()).await?;
        }
        Ok(())
    }

    /// A wallet that has what it needs for gas.
    pub(crate) async fn funded(&self, client: &Client, name: &str) -> Result<Wallet> {
        let wallet = self.wallet(name)?;
        self.fund(client, wallet.address(), open(10)).await?;
        Ok(wallet)
    }

    /// A wallet that is staked in a role.
    pub(crate) async fn staked(
        &self,
        client: &Client,
        name: &str,
        role: StakeRole,
        least: &str,
    ) -> Result<Wallet> {
        let wallet = self.funded(client, name).await?;
        if !client.staking().is_active(wallet.address(), role).await? {
            let stake = client.params().get(least).await?;
            self.fund(client, wallet.address(), stake * U256::from(2)).await?;
            client.staking().stake(&wallet, role, stake).await?;
        }
        Ok(wallet)
    }
}

/// Whole OPEN in wei.
pub(crate) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

fn password_file(path: &Path) -> Result<String> {
    if let Ok(password) = std::fs::read_to_string(path) {
        return Ok(password.trim().to_owned());
    }
    let mut bytes = [0; 24];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("the operating system gives no randomness")?;
    let password = hex::encode(bytes);
    write_secret(path, &password)?;
    Ok(password)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let partial = path.with_extension("partial");
    let failed = || format!("cannot write {}", path.display());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&partial).with_context(failed)?;
    file.write_all(format!("{text}\n").as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    std::fs::rename(&partial, path).with_context(failed)
}

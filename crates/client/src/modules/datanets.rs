use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{Contribution, Datanet, DatanetVersion, IDatanets, Modality, Terms};

use super::{Datanets, Module};
use crate::error::ClientError;
use crate::wallet::Wallet;

/// What a contributor commits to: `keccak256(abi.encode(contributor, datanet, recordsRoot, fileHash, records, salt))`.
pub fn contribution_commitment(contributor: Address, reveal: &IDatanets::revealCall) -> B256 {
    let IDatanets::revealCall { datanet, recordsRoot, fileHash, records, salt } = reveal;
    keccak256((contributor, *datanet, *recordsRoot, *fileHash, U256::from(*records), *salt).abi_encode())
}

impl Module<'_, Datanets> {
    /// Makes a Datanet and returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`], as every transaction here.
    pub async fn create(
        &self,
        wallet: &Wallet,
        name: &str,
        license: &str,
        modality: Modality,
        terms: Terms,
    ) -> Result<U256, ClientError> {
        let call = IDatanets::createCall { name: name.into(), license: license.into(), modality, terms };
        Ok(self.transact_for::<IDatanets::Created, _>(wallet, &call).await?.datanet)
    }

    /// Commits to a contribution that the same wallet reveals in a later block.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn commit(&self, wallet: &Wallet, reveal: &IDatanets::revealCall) -> Result<B256, ClientError> {
        let commitment = contribution_commitment(wallet.address(), reveal);
        let call = IDatanets::commitCall { datanet: reveal.datanet, commitment };
        self.transact_for::<IDatanets::Committed, _>(wallet, &call).await?;
        Ok(commitment)
    }

    /// Reveals a contribution with the bond that the Datanet's policy asks for, once there is a later block than that of its
    /// commitment, and returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`], and [`ClientError::NoBlock`].
    pub async fn reveal(&self, wallet: &Wallet, reveal: &IDatanets::revealCall) -> Result<U256, ClientError> {
        let commitment = contribution_commitment(wallet.address(), reveal);
        let committed_at = self.call(&IDatanets::commitmentBlockCall { commitment }).await?;
        self.later_than(committed_at).await?;
        let bond = self.call(&IDatanets::policyCall { datanet: reveal.datanet }).await?.bond;
        Ok(self.pay_for::<IDatanets::Revealed, _>(wallet, reveal, bond).await?.contribution)
    }

    /// Accepts a contribution.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn accept(&self, wallet: &Wallet, contribution: U256) -> Result<(), ClientError> {
        let call = IDatanets::acceptCall { contribution };
        self.transact_for::<IDatanets::Accepted, _>(wallet, &call).await.map(drop)
    }

    /// Publishes a version and returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn publish_version(
        &self,
        wallet: &Wallet,
        call: &IDatanets::publishVersionCall,
    ) -> Result<u32, ClientError> {
        Ok(self.transact_for::<IDatanets::VersionPublished, _>(wallet, call).await?.version)
    }

    /// A Datanet.
    ///
    /// # Errors
    /// As [`Module::call`], as every read here.
    pub async fn datanet(&self, id: U256) -> Result<Datanet, ClientError> {
        self.call(&IDatanets::datanetCall { id }).await
    }

    /// A contribution.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn contribution(&self, id: U256) -> Result<Contribution, ClientError> {
        self.call(&IDatanets::contributionCall { id }).await
    }

    /// A version of a Datanet; versions count from 1.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn version(&self, datanet: U256, number: u32) -> Result<DatanetVersion, ClientError> {
        self.call(&IDatanets::versionCall { datanet, number }).await
    }
}

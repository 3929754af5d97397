use alloy_primitives::{B256, U256};
use openledger_types::abi::{Adapter, BaseModel, IModels};
use openledger_types::seed::training_seed;

use super::{Models, Module};
use crate::error::ClientError;
use crate::wallet::Wallet;

impl Module<'_, Models> {
    /// Registers a base model and returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`], as every transaction here.
    pub async fn register_base(
        &self,
        wallet: &Wallet,
        name: &str,
        license: &str,
        file_hash: B256,
    ) -> Result<U256, ClientError> {
        let call =
            IModels::registerBaseCall { name: name.into(), license: license.into(), fileHash: file_hash };
        Ok(self.transact_for::<IModels::BaseRegistered, _>(wallet, &call).await?.base)
    }

    /// Commits a training manifest and returns the seed that its block drew.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn commit_training(&self, wallet: &Wallet, manifest_hash: B256) -> Result<B256, ClientError> {
        let call = IModels::commitTrainingCall { manifestHash: manifest_hash };
        self.transact_for::<IModels::TrainingCommitted, _>(wallet, &call).await?;
        let seed = self.seed(manifest_hash).await?;
        seed.ok_or_else(|| self.client.malformed("eth_call", "a training just committed is not known"))
    }

    /// The seed of a committed training run, or `None` if nobody committed this manifest.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn seed(&self, manifest_hash: B256) -> Result<Option<B256>, ClientError> {
        let training = self.call(&IModels::trainingCall { manifestHash: manifest_hash }).await?;
        if training.developer.is_zero() {
            return Ok(None);
        }
        let header = self.client.header(training.committedAt).await?;
        let header = header.ok_or_else(|| {
            self.client
                .malformed("eth_getBlockByNumber", format!("there is no block {}", training.committedAt))
        })?;
        Ok(Some(training_seed(manifest_hash, header.hash)))
    }

    /// Publishes an adapter for the deployment fee, once there is a later block than that of its training's commitment, and
    /// returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`], and [`ClientError::NoBlock`].
    pub async fn publish_adapter(
        &self,
        wallet: &Wallet,
        call: &IModels::publishAdapterCall,
    ) -> Result<U256, ClientError> {
        let training = self.call(&IModels::trainingCall { manifestHash: call.manifestHash }).await?;
        self.later_than(training.committedAt).await?;
        let fee = self.client.params().get("deployment_fee").await?;
        Ok(self.pay_for::<IModels::AdapterPublished, _>(wallet, call, fee).await?.adapter)
    }

    /// A base model.
    ///
    /// # Errors
    /// As [`Module::call`], as every read here.
    pub async fn base(&self, id: U256) -> Result<BaseModel, ClientError> {
        self.call(&IModels::baseCall { id }).await
    }

    /// The number of the base model whose file has this hash.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn base_by_hash(&self, file_hash: B256) -> Result<Option<U256>, ClientError> {
        Ok(number(self.call(&IModels::baseByHashCall { fileHash: file_hash }).await?))
    }

    /// An adapter.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn adapter(&self, id: U256) -> Result<Adapter, ClientError> {
        self.call(&IModels::adapterCall { id }).await
    }

    /// The number of the adapter whose parameters have this hash.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn adapter_by_hash(&self, adapter_hash: B256) -> Result<Option<U256>, ClientError> {
        Ok(number(self.call(&IModels::adapterByHashCall { adapterHash: adapter_hash }).await?))
    }
}

/// Numbers count from 1; the module says 0 for none.
fn number(id: U256) -> Option<U256> {
    (!id.is_zero()).then_some(id)
}

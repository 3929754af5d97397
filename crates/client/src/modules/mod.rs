//! The modules by name: `client.datanets().create(…)`.
//!
//! [`Module::call`] and [`Module::transact`] take any call of the module's interface as it stands in
//! [`openledger_types::abi`]. What has its own method here computes something before the call or reads something out of
//! its events.

mod datanets;
mod escrow;
mod models;
mod params;
mod settlement;
mod staking;

pub use datanets::contribution_commitment;
pub use params::Param;
pub use settlement::Finalisation;

use std::marker::PhantomData;

use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::{SolCall, SolEvent, SolInterface};
use openledger_types::abi::{IChannels, IDatanets, IEscrow, IModels, IOpen, IParams, ISettlement, IStaking};
use openledger_types::addresses;

use crate::client::Client;
use crate::error::ClientError;
use crate::events::{Event, event_in};
use crate::send::TxReceipt;
use crate::wallet::Wallet;

/// A module's interface and where it lives.
pub trait Interface {
    /// Its address.
    const ADDRESS: Address;
    /// Its calls.
    type Calls: SolInterface;
}

macro_rules! interfaces {
    ($($(#[$doc:meta])* $method:ident: $name:ident = $address:ident, $calls:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Interface for $name {
                const ADDRESS: Address = addresses::$address;
                type Calls = $calls;
            }
        )*

        impl Client {
            $(
                $(#[$doc])*
                pub fn $method(&self) -> Module<'_, $name> {
                    Module { client: self, interface: PhantomData }
                }
            )*
        }
    };
}

interfaces! {
    /// The ERC-20 face of the native coin.
    open: Open = OPEN, IOpen::IOpenCalls;
    /// Datanets and contributions.
    datanets: Datanets = DATANETS, IDatanets::IDatanetsCalls;
    /// Base models and adapters.
    models: Models = MODELS, IModels::IModelsCalls;
    /// Deposits and spending authorisations.
    escrow: Escrow = ESCROW, IEscrow::IEscrowCalls;
    /// Batches, verdicts and claims.
    settlement: Settlement = SETTLEMENT, ISettlement::ISettlementCalls;
    /// Validators, operators and verifiers.
    staking: Staking = STAKING, IStaking::IStakingCalls;
    /// Governed numbers.
    params: Params = PARAMS, IParams::IParamsCalls;
    /// Voucher channels.
    channels: Channels = CHANNELS, IChannels::IChannelsCalls;
}

/// One module at one node.
#[derive(Debug, Clone, Copy)]
pub struct Module<'a, I> {
    client: &'a Client,
    interface: PhantomData<I>,
}

impl<I: Interface> Module<'_, I> {
    /// The module's address.
    pub fn address(&self) -> Address {
        I::ADDRESS
    }

    /// Reads a view of the module.
    ///
    /// # Errors
    /// As [`Client::call`].
    ///
    /// # Panics
    /// If the call is another module's.
    pub async fn call<C: SolCall>(&self, call: &C) -> Result<C::Return, ClientError> {
        check_interface::<I, C>();
        self.client.call(I::ADDRESS, call).await
    }

    /// Sends a call of the module without value and waits until a block holds it.
    ///
    /// # Errors
    /// As [`Client::send_and_confirm`].
    ///
    /// # Panics
    /// If the call is another module's.
    pub async fn transact<C: SolCall>(&self, wallet: &Wallet, call: &C) -> Result<TxReceipt, ClientError> {
        self.pay(wallet, call, U256::ZERO).await
    }

    /// Sends a call of the module with value, wei, and waits until a block holds it.
    ///
    /// # Errors
    /// As [`Client::send_and_confirm`].
    ///
    /// # Panics
    /// If the call is another module's.
    pub async fn pay<C: SolCall>(
        &self,
        wallet: &Wallet,
        call: &C,
        value: U256,
    ) -> Result<TxReceipt, ClientError> {
        check_interface::<I, C>();
        self.client.transact(wallet, I::ADDRESS, call, value).await
    }

    /// Sends a call of the module and reads the event that it promises.
    ///
    /// # Errors
    /// As [`Client::send_and_confirm`], and [`ClientError::NoEvent`].
    ///
    /// # Panics
    /// If the call is another module's.
    pub async fn transact_for<E: SolEvent, C: SolCall>(
        &self,
        wallet: &Wallet,
        call: &C,
    ) -> Result<E, ClientError> {
        self.pay_for(wallet, call, U256::ZERO).await
    }

    /// The same with value, wei.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    ///
    /// # Panics
    /// If the call is another module's.
    pub async fn pay_for<E: SolEvent, C: SolCall>(
        &self,
        wallet: &Wallet,
        call: &C,
        value: U256,
    ) -> Result<E, ClientError> {
        let receipt = self.pay(wallet, call, value).await?;
        let hash = receipt.transaction_hash;
        let event = event_in(&receipt, I::ADDRESS);
        event.map(|event| event.data).ok_or(ClientError::NoEvent { hash, event: E::SIGNATURE })
    }

    /// Waits for a block after that of a commitment. The node runs a call as if in its newest block, where the second
    /// step of a commitment made there would be too early. Height 0 stands for no commitment, for the module to refuse.
    async fn later_than(&self, committed_at: u64) -> Result<(), ClientError> {
        if committed_at == 0 {
            return Ok(());
        }
        self.client.wait_for_block(committed_at.saturating_add(1)).await
    }

    /// The module's events of one kind in the blocks from `from` to `to`, both included.
    ///
    /// # Errors
    /// As [`Client::events`].
    pub async fn events<E: SolEvent>(
        &self,
        filter: Filter,
        from: u64,
        to: u64,
    ) -> Result<Vec<Event<E>>, ClientError> {
        self.client.events(I::ADDRESS, filter, from, to).await
    }
}

fn check_interface<I: Interface, C: SolCall>() {
    assert!(
        I::Calls::valid_selector(C::SELECTOR),
        "{} is not a call of {}",
        C::SIGNATURE,
        <I::Calls as SolInterface>::NAME
    );
}

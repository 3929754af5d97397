use std::{future::Future, pin::Pin};

use alloy_primitives::{B256, U256};
use openledger_client::{Client, ClientError};
use openledger_types::abi::{Authorisation, IEscrow};
use openledger_types::addresses::ESCROW;

/// What the chain says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The authorisation, `None` if nobody made one.
    pub authorisation: Option<Authorisation>,
    /// What can still be charged to its payer, wei.
    pub balance: U256,
}

/// Why the chain says nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PaymentsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A standing that is being looked up.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Standing, PaymentsError>> + Send + 'a>>;

/// Where payers' authorisations and deposits are looked up: the escrow module of a chain.
pub trait Payments: Send + Sync {
    /// What is known of the key with this hash, now.
    fn standing(&self, key: B256) -> Lookup<'_>;
}

impl Payments for Client {
    fn standing(&self, key: B256) -> Lookup<'_> {
        Box::pin(
            async move { standing_on_chain(self, key).await.map_err(|error| PaymentsError(error.into())) },
        )
    }
}

async fn standing_on_chain(client: &Client, key: B256) -> Result<Standing, ClientError> {
    let authorisation = client.call(ESCROW, &IEscrow::authorisationCall { key }).await?;
    if authorisation.payer.is_zero() {
        return Ok(Standing { authorisation: None, balance: U256::ZERO });
    }
    // Read after the authorisation: a batch posted between the two makes the deposit look smaller, never larger.
    let balance = client.call(ESCROW, &IEscrow::balanceOfCall { payer: authorisation.payer }).await?;
    Ok(Standing { authorisation: Some(authorisation), balance })
}

//! Who is paid for an epoch: rights to contributions and adapters as they were at its last answer.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use openledger_client::Client;
use openledger_types::abi::{IDatanets, IModels};
use openledger_types::receipt::Answer;

use crate::Result;
use crate::lineage::Lineage;

/// Who is paid, as the chain says of a time that has passed: the same for everybody who asks later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payees {
    /// For each cluster of the training set, in its order; zero where nobody is paid.
    pub contributors: Vec<Address>,
    /// Who shares the developer's income, with parts per million.
    pub developers: Vec<(Address, u32)>,
}

impl Payees {
    /// The payees of these answers.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn load(client: &Client, lineage: &Lineage, answers: &[Answer]) -> Result<Self> {
        let time = answers.iter().map(|answer| answer.receipt.issuedAt).max().unwrap_or_default();
        let mut known = BTreeMap::new();
        let mut contributors = Vec::with_capacity(lineage.contributions.len());
        for contribution in &lineage.contributions {
            let payee = match known.get(contribution) {
                Some(payee) => *payee,
                None => {
                    let call = IDatanets::payeeAtCall { contribution: *contribution, time };
                    client.datanets().call(&call).await?
                }
            };
            known.insert(*contribution, payee);
            contributors.push(payee);
        }
        let income = client.models().call(&IModels::incomeAtCall { adapter: lineage.id, time }).await?;
        let developers = income.accounts.into_iter().zip(income.parts).collect();
        Ok(Self { contributors, developers })
    }
}

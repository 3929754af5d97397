use alloy_primitives::{B256, U256};
use alloy_sol_types::SolError;
use openledger_types::abi::IParams;

use super::{Module, Params};
use crate::error::ClientError;

/// A governed number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub value: U256,
    /// The least it may ever be.
    pub least: U256,
    /// The most it may ever be.
    pub most: U256,
}

impl Module<'_, Params> {
    /// The governed number of this name.
    ///
    /// # Errors
    /// As [`Module::call`]; [`ClientError::Reverted`] with `UnknownParam` if there is none.
    pub async fn get(&self, name: &str) -> Result<U256, ClientError> {
        self.call(&IParams::getCall { name: word(name)? }).await
    }

    /// What the governed number of this name was at a time that has passed, unix seconds.
    ///
    /// # Errors
    /// As [`Self::get`], and with `FutureLookup` of a time that is still to come.
    pub async fn get_at(&self, name: &str, time: u64) -> Result<U256, ClientError> {
        self.call(&IParams::getAtCall { name: word(name)?, time }).await
    }

    /// Every governed number, in the module's order.
    ///
    /// # Errors
    /// As [`Module::call`], and [`ClientError::Malformed`] if the lists differ in length.
    pub async fn all(&self) -> Result<Vec<Param>, ClientError> {
        let IParams::allReturn { names, values, least, most } = self.call(&IParams::allCall {}).await?;
        if [values.len(), least.len(), most.len()] != [names.len(); 3] {
            return Err(self.client.malformed("eth_call", "the lists of parameters differ in length"));
        }
        let ranges = least.into_iter().zip(most);
        Ok(names
            .iter()
            .zip(values)
            .zip(ranges)
            .map(|((name, value), (least, most))| Param { name: name_of(name), value, least, most })
            .collect())
    }
}

/// A name as the ABI has it.
fn word(name: &str) -> Result<B256, ClientError> {
    // A longer name is no parameter's; its first 32 bytes might be.
    if name.len() > B256::len_bytes() {
        let shown = name.chars().take(64).collect::<String>().escape_debug().to_string();
        return Err(ClientError::Reverted {
            module: "params",
            name: "UnknownParam",
            message: format!("there is no parameter '{shown}': names have at most 32 bytes"),
            raw: IParams::UnknownParam { name: B256::right_padding_from(&name.as_bytes()[..32]) }
                .abi_encode()
                .into(),
        });
    }
    Ok(B256::right_padding_from(name.as_bytes()))
}

fn name_of(name: &B256) -> String {
    String::from_utf8_lossy(name.as_slice()).trim_end_matches('\0').to_owned()
}

//! Selectors of [`IOpen`].

use alloy_primitives::Bytes;
use openledger_types::abi::IOpen::{self, IOpenCalls as Calls};
use openledger_types::amount::DECIMALS;

use super::{allowance, approve, burn, total_supply, transfer, transfer_from};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::name(_) => {
            call.view()?;
            returns::<IOpen::nameCall>(&"OpenLedger".to_owned())
        }
        Calls::symbol(_) => {
            call.view()?;
            returns::<IOpen::symbolCall>(&"OPEN".to_owned())
        }
        Calls::decimals(_) => {
            call.view()?;
            returns::<IOpen::decimalsCall>(&DECIMALS)
        }
        Calls::totalSupply(_) => {
            call.view()?;
            returns::<IOpen::totalSupplyCall>(&total_supply(storage)?)
        }
        Calls::balanceOf(c) => {
            call.view()?;
            returns::<IOpen::balanceOfCall>(&storage.balance(c.account)?)
        }
        Calls::allowance(c) => {
            call.view()?;
            returns::<IOpen::allowanceCall>(&allowance(storage, c.owner, c.spender)?)
        }
        Calls::transfer(c) => {
            call.write()?;
            transfer(storage, call.caller, c.to, c.value)?;
            returns::<IOpen::transferCall>(&true)
        }
        Calls::approve(c) => {
            call.write()?;
            approve(storage, call.caller, c.spender, c.value)?;
            returns::<IOpen::approveCall>(&true)
        }
        Calls::transferFrom(c) => {
            call.write()?;
            transfer_from(storage, call.caller, c.from, c.to, c.value)?;
            returns::<IOpen::transferFromCall>(&true)
        }
        Calls::burn(c) => {
            call.write()?;
            nothing(burn(storage, call.caller, c.value)?)
        }
    }
}

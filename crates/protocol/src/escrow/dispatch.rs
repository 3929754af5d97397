//! Selectors of [`IEscrow`].

use alloy_primitives::Bytes;
use openledger_types::abi::IEscrow::{self, IEscrowCalls as Calls};

use super::{
    authorisation, authorise, balance_of, deposit, request_withdrawal, revoke, withdraw, withdrawal,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::deposit(_) => {
            call.pay()?;
            nothing(deposit(storage, call.caller, call.caller, call.value)?)
        }
        Calls::depositFor(c) => {
            call.pay()?;
            nothing(deposit(storage, call.caller, c.payer, call.value)?)
        }
        Calls::requestWithdrawal(c) => {
            call.write()?;
            nothing(request_withdrawal(storage, call.caller, c.amount)?)
        }
        Calls::withdraw(_) => {
            call.write()?;
            nothing(withdraw(storage, call.caller)?)
        }
        Calls::authorise(c) => {
            call.write()?;
            nothing(authorise(storage, call.caller, c.key, c.operator, c.cap, c.expiresAt)?)
        }
        Calls::revoke(c) => {
            call.write()?;
            nothing(revoke(storage, call.caller, c.key)?)
        }
        Calls::balanceOf(c) => {
            call.view()?;
            returns::<IEscrow::balanceOfCall>(&balance_of(storage, c.payer)?)
        }
        Calls::withdrawal(c) => {
            call.view()?;
            let (amount, available_at) = withdrawal(storage, c.payer)?;
            returns::<IEscrow::withdrawalCall>(&IEscrow::withdrawalReturn {
                amount,
                availableAt: available_at,
            })
        }
        Calls::authorisation(c) => {
            call.view()?;
            returns::<IEscrow::authorisationCall>(&authorisation(storage, c.key)?)
        }
    }
}

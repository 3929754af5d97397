//! Selectors of [`IOpen`].

use alloy_primitives::{B256, Bytes, FixedBytes, U256};
use openledger_types::abi::IOpen::{self, IOpenCalls as Calls};
use openledger_types::addresses::OPEN;
use openledger_types::amount::DECIMALS;
use openledger_types::authorization::{DOMAIN_NAME, DOMAIN_VERSION, open_domain};

use super::signed::{cancel_authorization, permit, receive_with_authorization, transfer_with_authorization};
use super::{
    Authorization, allowance, approve, authorization_state, burn, nonces, releasable, release, supply,
    total_supply, transfer, transfer_from, vesting, vesting_count,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::signature::Signed;
use crate::storage::{Call, Storage};

/// The fields of the domain that there are (EIP-5267): name, version, chain id, contract.
const DOMAIN_FIELDS: FixedBytes<1> = FixedBytes([0x0f]);

/// The authorisation that a call of ERC-3009 states.
macro_rules! authorization {
    ($call:ident) => {
        Authorization {
            from: $call.from,
            to: $call.to,
            value: $call.value,
            valid_after: $call.validAfter,
            valid_before: $call.validBefore,
            nonce: $call.nonce,
        }
    };
}

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
        Calls::permit(c) => {
            call.write()?;
            let signed = Signed::new(c.v, c.r, c.s);
            nothing(permit(storage, c.owner, c.spender, c.value, c.deadline, &signed)?)
        }
        Calls::nonces(c) => {
            call.view()?;
            returns::<IOpen::noncesCall>(&nonces(storage, c.owner)?)
        }
        Calls::DOMAIN_SEPARATOR(_) => {
            call.view()?;
            returns::<IOpen::DOMAIN_SEPARATORCall>(&open_domain(storage.block().chain_id).separator())
        }
        Calls::eip712Domain(_) => {
            call.view()?;
            returns::<IOpen::eip712DomainCall>(&IOpen::eip712DomainReturn {
                fields: DOMAIN_FIELDS,
                name: DOMAIN_NAME.to_owned(),
                version: DOMAIN_VERSION.to_owned(),
                chainId: U256::from(storage.block().chain_id),
                verifyingContract: OPEN,
                salt: B256::ZERO,
                extensions: Vec::new(),
            })
        }
        Calls::transferWithAuthorization_0(c) => {
            call.write()?;
            let signed = Signed::new(c.v, c.r, c.s);
            nothing(transfer_with_authorization(storage, &authorization!(c), &signed)?)
        }
        Calls::transferWithAuthorization_1(c) => {
            call.write()?;
            let signed = Signed::from_bytes(&c.signature);
            nothing(transfer_with_authorization(storage, &authorization!(c), &signed)?)
        }
        Calls::receiveWithAuthorization_0(c) => {
            call.write()?;
            let signed = Signed::new(c.v, c.r, c.s);
            nothing(receive_with_authorization(storage, call.caller, &authorization!(c), &signed)?)
        }
        Calls::receiveWithAuthorization_1(c) => {
            call.write()?;
            let signed = Signed::from_bytes(&c.signature);
            nothing(receive_with_authorization(storage, call.caller, &authorization!(c), &signed)?)
        }
        Calls::cancelAuthorization_0(c) => {
            call.write()?;
            let signed = Signed::new(c.v, c.r, c.s);
            nothing(cancel_authorization(storage, c.authorizer, c.nonce, &signed)?)
        }
        Calls::cancelAuthorization_1(c) => {
            call.write()?;
            let signed = Signed::from_bytes(&c.signature);
            nothing(cancel_authorization(storage, c.authorizer, c.nonce, &signed)?)
        }
        Calls::authorizationState(c) => {
            call.view()?;
            returns::<IOpen::authorizationStateCall>(&authorization_state(storage, c.authorizer, c.nonce)?)
        }
        Calls::release(c) => {
            call.write()?;
            returns::<IOpen::releaseCall>(&release(storage, c.vesting)?)
        }
        Calls::vestingCount(_) => {
            call.view()?;
            returns::<IOpen::vestingCountCall>(&vesting_count(storage)?)
        }
        Calls::vesting(c) => {
            call.view()?;
            returns::<IOpen::vestingCall>(&vesting(storage, c.id)?)
        }
        Calls::releasable(c) => {
            call.view()?;
            returns::<IOpen::releasableCall>(&releasable(storage, c.vesting)?)
        }
        Calls::supply(_) => {
            call.view()?;
            returns::<IOpen::supplyCall>(&supply(storage)?)
        }
    }
}

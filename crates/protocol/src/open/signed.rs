//! What a holder permits by signature: ERC-2612 allowances and ERC-3009 transfers.
//!
//! A permit uses the owner's next nonce, so permits come in their order; an authorisation has a nonce of its own choice and
//! is *consumed* once, by a transfer or a cancellation.

#[cfg(any(test, feature = "test-util"))]
use alloy_primitives::Bytes;
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolStruct;
use openledger_types::abi::IOpen;
use openledger_types::addresses::OPEN;
use openledger_types::authorization::{
    CancelAuthorization, Permit, ReceiveWithAuthorization, TransferWithAuthorization, open_domain,
};

use super::{approve, move_to_module, transfer};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::math::add;
use crate::signature::Signed;
use crate::storage::{Storage, emit};

/// Next nonce of an owner's permits.
const NONCES: Mapping<Address, Slot<U256>> = Mapping::new(OPEN, 1);
/// Authorisations that are used or cancelled: authoriser, then nonce.
const CONSUMED: Mapping<Address, Mapping<B256, Slot<bool>>> = Mapping::new(OPEN, 2);

/// Gas of hashing a message with its domain: less than 20 words, keccak256 of each at most once.
const DIGEST_GAS: u64 = 200;

/// What a holder lets somebody move: the message of both kinds of ERC-3009 transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorization {
    /// Whose OPEN it is.
    pub from: Address,
    /// Who gets it.
    pub to: Address,
    /// Wei.
    pub value: U256,
    /// Unix seconds after which it is good.
    pub valid_after: U256,
    /// Unix seconds before which it is good.
    pub valid_before: U256,
    /// Chosen by the holder, used once.
    pub nonce: B256,
}

impl Authorization {
    /// The message that lets anybody move it.
    pub const fn transfer(&self) -> TransferWithAuthorization {
        let Self { from, to, value, valid_after, valid_before, nonce } = *self;
        TransferWithAuthorization {
            from,
            to,
            value,
            validAfter: valid_after,
            validBefore: valid_before,
            nonce,
        }
    }

    /// The message that lets its receiver fetch it.
    pub const fn receipt(&self) -> ReceiveWithAuthorization {
        let Self { from, to, value, valid_after, valid_before, nonce } = *self;
        ReceiveWithAuthorization {
            from,
            to,
            value,
            validAfter: valid_after,
            validBefore: valid_before,
            nonce,
        }
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Authorization {
    /// The call that moves it, with the signature of [`Self::transfer`].
    pub(crate) fn transfer_call(&self, signature: Bytes) -> IOpen::transferWithAuthorization_1Call {
        let Self { from, to, value, valid_after, valid_before, nonce } = *self;
        let (after, before) = (valid_after, valid_before);
        IOpen::transferWithAuthorization_1Call {
            from,
            to,
            value,
            validAfter: after,
            validBefore: before,
            nonce,
            signature,
        }
    }

    /// The call that fetches it, with the signature of [`Self::receipt`].
    pub(crate) fn receive_call(&self, signature: Bytes) -> IOpen::receiveWithAuthorization_1Call {
        let moved = self.transfer_call(signature);
        IOpen::receiveWithAuthorization_1Call {
            from: moved.from,
            to: moved.to,
            value: moved.value,
            validAfter: moved.validAfter,
            validBefore: moved.validBefore,
            nonce: moved.nonce,
            signature: moved.signature,
        }
    }
}

/// Next nonce of an owner's permits.
///
/// # Errors
/// Those of the storage.
pub fn nonces(storage: &mut dyn Storage, owner: Address) -> Result<U256> {
    NONCES.at(owner).get(storage)
}

/// True if an authorisation is used or cancelled.
///
/// # Errors
/// Those of the storage.
pub fn authorization_state(storage: &mut dyn Storage, authorizer: Address, nonce: B256) -> Result<bool> {
    CONSUMED.at(authorizer).at(nonce).get(storage)
}

/// Sets an allowance that its owner has signed.
///
/// # Errors
/// `ERC2612ExpiredSignature`, `ERC2612InvalidSigner`, and those of [`approve`].
pub(crate) fn permit(
    storage: &mut dyn Storage,
    owner: Address,
    spender: Address,
    value: U256,
    deadline: U256,
    signed: &Signed,
) -> Result<()> {
    if U256::from(storage.block().timestamp) > deadline {
        return Err(revert(IOpen::ERC2612ExpiredSignature { deadline }));
    }
    let nonce = nonces(storage, owner)?;
    let digest = digest(storage, &Permit { owner, spender, value, nonce, deadline })?;
    let signer = signed.recover(storage, digest)?;
    if signer != Some(owner) {
        let signer = signer.unwrap_or_default();
        return Err(revert(IOpen::ERC2612InvalidSigner { signer, owner }));
    }
    let next = add(nonce, U256::ONE)?;
    NONCES.at(owner).set(storage, next)?;
    approve(storage, owner, spender, value)
}

/// Moves OPEN as its holder has signed, whoever calls.
///
/// # Errors
/// `ERC3009InvalidAuthorizationTime`, `ERC3009ConsumedAuthorization`, `ERC3009InvalidSignature`, and those of [`transfer`].
pub(crate) fn transfer_with_authorization(
    storage: &mut dyn Storage,
    authorization: &Authorization,
    signed: &Signed,
) -> Result<()> {
    use_authorization(storage, authorization, &authorization.transfer(), signed)?;
    let Authorization { from, to, value, .. } = *authorization;
    transfer(storage, from, to, value)
}

/// Moves OPEN as its holder has signed, to the caller.
///
/// # Errors
/// `ERC20InvalidReceiver` unless the caller is the receiver, and those of [`transfer_with_authorization`].
pub(crate) fn receive_with_authorization(
    storage: &mut dyn Storage,
    caller: Address,
    authorization: &Authorization,
    signed: &Signed,
) -> Result<()> {
    if caller != authorization.to {
        return Err(revert(IOpen::ERC20InvalidReceiver { receiver: authorization.to }));
    }
    use_authorization(storage, authorization, &authorization.receipt(), signed)?;
    let Authorization { from, to, value, .. } = *authorization;
    transfer(storage, from, to, value)
}

/// Moves OPEN as its holder has signed to its receiver, on whose behalf a module collects it.
///
/// # Errors
/// Those of [`transfer_with_authorization`].
pub(crate) fn collect(
    storage: &mut dyn Storage,
    authorization: &Authorization,
    module: Address,
    signed: &Signed,
) -> Result<()> {
    use_authorization(storage, authorization, &authorization.receipt(), signed)?;
    move_to_module(storage, authorization.from, module, authorization.value)
}

/// Makes an authorisation that is not used useless.
///
/// # Errors
/// `ERC3009ConsumedAuthorization`, `ERC3009InvalidSignature`.
pub(crate) fn cancel_authorization(
    storage: &mut dyn Storage,
    authorizer: Address,
    nonce: B256,
    signed: &Signed,
) -> Result<()> {
    consume(storage, authorizer, nonce, &CancelAuthorization { authorizer, nonce }, signed)?;
    emit(storage, OPEN, &IOpen::AuthorizationCanceled { authorizer, nonce })
}

fn use_authorization(
    storage: &mut dyn Storage,
    authorization: &Authorization,
    message: &impl SolStruct,
    signed: &Signed,
) -> Result<()> {
    let Authorization { from, valid_after, valid_before, nonce, .. } = *authorization;
    let now = U256::from(storage.block().timestamp);
    if now <= valid_after || now >= valid_before {
        let (after, before) = (valid_after, valid_before);
        return Err(revert(IOpen::ERC3009InvalidAuthorizationTime {
            validAfter: after,
            validBefore: before,
        }));
    }
    consume(storage, from, nonce, message, signed)?;
    emit(storage, OPEN, &IOpen::AuthorizationUsed { authorizer: from, nonce })
}

fn consume(
    storage: &mut dyn Storage,
    authorizer: Address,
    nonce: B256,
    message: &impl SolStruct,
    signed: &Signed,
) -> Result<()> {
    if authorization_state(storage, authorizer, nonce)? {
        return Err(revert(IOpen::ERC3009ConsumedAuthorization { authorizer, nonce }));
    }
    let digest = digest(storage, message)?;
    if signed.recover(storage, digest)? != Some(authorizer) {
        return Err(revert(IOpen::ERC3009InvalidSignature {}));
    }
    CONSUMED.at(authorizer).at(nonce).set(storage, true)
}

fn digest(storage: &mut dyn Storage, message: &impl SolStruct) -> Result<B256> {
    storage.charge(DIGEST_GAS)?;
    Ok(message.eip712_signing_hash(&open_domain(storage.block().chain_id)))
}

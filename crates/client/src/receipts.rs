//! Signatures on receipts.

use alloy_primitives::{Address, Bytes, Signature};
use openledger_types::receipt::Receipt;

use crate::wallet::Wallet;

/// Why a signature says nothing about a receipt.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// Not 65 bytes r, s, v.
    #[error("a signature has 65 bytes; this one has {got}")]
    Length {
        /// Its bytes.
        got: usize,
    },
    /// The second form of a signature, which anyone can make from the first.
    #[error("the signature's s is in the upper half of the curve's order; only the lower is accepted")]
    UpperS,
    /// No key could have made it.
    #[error("the bytes are not a signature by any key")]
    Invalid,
}

/// Signs a receipt for a chain: 65 bytes r, s, v over [`Receipt::id`].
pub fn sign_receipt(wallet: &Wallet, receipt: &Receipt, chain_id: u64) -> Bytes {
    Bytes::copy_from_slice(&wallet.sign_hash(&receipt.id(chain_id)))
}

/// Who signed a receipt. A changed receipt gives another account, so compare it with [`Receipt::operator`](Receipt).
///
/// # Errors
/// [`SignatureError`] if the bytes are no signature in its one accepted form.
pub fn recover_receipt_signer(
    receipt: &Receipt,
    signature: &[u8],
    chain_id: u64,
) -> Result<Address, SignatureError> {
    let bytes: &[u8; 65] =
        signature.try_into().map_err(|_length| SignatureError::Length { got: signature.len() })?;
    if !matches!(bytes[64], 27 | 28) {
        return Err(SignatureError::Invalid);
    }
    let signature = Signature::from_raw_array(bytes).map_err(|_form| SignatureError::Invalid)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureError::UpperS);
    }
    signature.recover_address_from_prehash(&receipt.id(chain_id)).map_err(|_curve| SignatureError::Invalid)
}

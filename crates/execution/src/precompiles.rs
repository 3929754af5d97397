//! The protocol's modules as precompiles.

use alloy_evm::precompiles::DynPrecompile;
use alloy_primitives::Address;

/// Every module with its address.
pub(crate) fn modules() -> impl Iterator<Item = (Address, DynPrecompile)> {
    std::iter::empty()
}

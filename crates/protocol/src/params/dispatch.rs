//! Selectors of [`IParams`].

use alloy_primitives::{Bytes, U256};
use openledger_types::abi::IParams::{self, IParamsCalls as Calls};

use super::{PARAMS, get, param_name};
use crate::dispatch::{decode, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    call.view()?;
    match decode(data)? {
        Calls::get(c) => returns::<IParams::getCall>(&get(storage, c.name)?),
        Calls::all(_) => {
            let names: Vec<_> = PARAMS.iter().map(|spec| param_name(spec.name)).collect();
            let values = names.iter().map(|name| get(storage, *name)).collect::<Result<_>>()?;
            returns::<IParams::allCall>(&IParams::allReturn {
                names,
                values,
                least: PARAMS.iter().map(|spec| U256::from(spec.least)).collect(),
                most: PARAMS.iter().map(|spec| U256::from(spec.most)).collect(),
            })
        }
    }
}

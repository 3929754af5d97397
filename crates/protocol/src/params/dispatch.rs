//! Selectors of [`IParams`].

use alloy_primitives::{Bytes, U256};
use openledger_types::abi::IParams::{self, IParamsCalls as Calls};

use super::{PARAMS, get, governor, param_name, schedule, scheduled};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::get(c) => {
            call.view()?;
            returns::<IParams::getCall>(&get(storage, c.name)?)
        }
        Calls::all(_) => {
            call.view()?;
            let names: Vec<_> = PARAMS.iter().map(|spec| param_name(spec.name)).collect();
            let values = names.iter().map(|name| get(storage, *name)).collect::<Result<_>>()?;
            returns::<IParams::allCall>(&IParams::allReturn {
                names,
                values,
                least: PARAMS.iter().map(|spec| U256::from(spec.least)).collect(),
                most: PARAMS.iter().map(|spec| U256::from(spec.most)).collect(),
            })
        }
        Calls::steps(_) => {
            call.view()?;
            let steps = PARAMS.iter().map(|spec| U256::from(spec.step)).collect();
            returns::<IParams::stepsCall>(&steps)
        }
        Calls::governor(_) => {
            call.view()?;
            returns::<IParams::governorCall>(&governor(storage)?)
        }
        Calls::scheduled(c) => {
            call.view()?;
            let (value, from) = scheduled(storage, c.name)?;
            returns::<IParams::scheduledCall>(&IParams::scheduledReturn { value, from })
        }
        Calls::schedule(c) => {
            call.write()?;
            nothing(schedule(storage, call.caller, &c.names, &c.values)?)
        }
    }
}

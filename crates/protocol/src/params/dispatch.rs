//! Selectors of [`IParams`].

use alloy_primitives::{Bytes, U256};
use openledger_types::abi::IParams::{self, IParamsCalls as Calls};

use super::{
    PARAMS, cancel_upgrade, epoch_seconds, get, get_at, governor, param_name, schedule, schedule_upgrade,
    scheduled, upgrade, upgrade_height,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::get(c) => {
            call.view()?;
            returns::<IParams::getCall>(&get(storage, c.name)?)
        }
        Calls::getAt(c) => {
            call.view()?;
            returns::<IParams::getAtCall>(&get_at(storage, c.name, c.time)?)
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
        Calls::epochSeconds(_) => {
            call.view()?;
            returns::<IParams::epochSecondsCall>(&epoch_seconds(storage)?)
        }
        Calls::scheduleUpgrade(c) => {
            call.write()?;
            nothing(schedule_upgrade(storage, call.caller, c.name, c.height)?)
        }
        Calls::cancelUpgrade(_) => {
            call.write()?;
            nothing(cancel_upgrade(storage, call.caller)?)
        }
        Calls::upgrade(_) => {
            call.view()?;
            let (name, height) = upgrade(storage)?;
            returns::<IParams::upgradeCall>(&IParams::upgradeReturn { name, height })
        }
        Calls::upgradeHeight(c) => {
            call.view()?;
            returns::<IParams::upgradeHeightCall>(&upgrade_height(storage, c.name)?)
        }
    }
}

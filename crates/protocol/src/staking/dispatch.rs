//! Selectors of [`IStaking`].

use alloy_primitives::Bytes;
use openledger_types::abi::IStaking::{self, IStakingCalls as Calls};

use super::{claim_reward, is_active, reward, stake, staker, start_unbonding, total_stake, unstake};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::stake(c) => {
            call.pay()?;
            nothing(stake(storage, call.caller, c.role, call.value)?)
        }
        Calls::startUnbonding(_) => {
            call.write()?;
            nothing(start_unbonding(storage, call.caller)?)
        }
        Calls::unstake(_) => {
            call.write()?;
            nothing(unstake(storage, call.caller)?)
        }
        Calls::claimReward(_) => {
            call.write()?;
            returns::<IStaking::claimRewardCall>(&claim_reward(storage, call.caller)?)
        }
        Calls::staker(c) => {
            call.view()?;
            returns::<IStaking::stakerCall>(&staker(storage, c.account)?)
        }
        Calls::isActive(c) => {
            call.view()?;
            returns::<IStaking::isActiveCall>(&is_active(storage, c.account, c.role)?)
        }
        Calls::totalStake(_) => {
            call.view()?;
            returns::<IStaking::totalStakeCall>(&total_stake(storage)?)
        }
        Calls::reward(c) => {
            call.view()?;
            returns::<IStaking::rewardCall>(&reward(storage, c.account)?)
        }
    }
}

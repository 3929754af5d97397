//! Selectors of [`IStaking`].

use alloy_primitives::aliases::U48;
use alloy_primitives::{B256, Bytes, FixedBytes, U256};
use openledger_types::abi::IStaking::{self, IStakingCalls as Calls};
use openledger_types::addresses::STAKING;
use openledger_types::authorization::{DOMAIN_VERSION, VOTES_DOMAIN_NAME};

use super::downtime;
use super::evidence;
use super::keys::{self, NetworkAddress};
use super::seats;
use super::{
    claim_delegation_reward, claim_reward, delegate, delegate_stake, delegates, delegation, is_active,
    nonces, past_total_supply, past_votes, refresh_votes, reward, set_commission, stake, staker,
    start_unbonding, total_stake, undelegate_stake, unjail, unstake, votes, votes_of, withdraw_delegation,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::signature::Signed;
use crate::storage::{Call, Storage};

/// The fields of the domain that there are (EIP-5267): name, version, chain id, contract.
const DOMAIN_FIELDS: FixedBytes<1> = FixedBytes([0x0f]);

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
        Calls::unjail(_) => {
            call.write()?;
            nothing(unjail(storage, call.caller)?)
        }
        Calls::setCommission(c) => {
            call.write()?;
            nothing(set_commission(storage, call.caller, c.ppm)?)
        }
        Calls::delegateStake(c) => {
            call.pay()?;
            nothing(delegate_stake(storage, call.caller, c.validator, call.value)?)
        }
        Calls::undelegateStake(c) => {
            call.write()?;
            nothing(undelegate_stake(storage, call.caller, c.validator, c.amount)?)
        }
        Calls::withdrawDelegation(c) => {
            call.write()?;
            let amount = withdraw_delegation(storage, call.caller, c.validator)?;
            returns::<IStaking::withdrawDelegationCall>(&amount)
        }
        Calls::claimDelegationReward(c) => {
            call.write()?;
            let amount = claim_delegation_reward(storage, call.caller, c.validator)?;
            returns::<IStaking::claimDelegationRewardCall>(&amount)
        }
        Calls::delegation(c) => {
            call.view()?;
            returns::<IStaking::delegationCall>(&delegation(storage, c.delegator, c.validator)?)
        }
        Calls::delegates(c) => {
            call.view()?;
            returns::<IStaking::delegatesCall>(&delegates(storage, c.account)?)
        }
        Calls::delegate(c) => {
            call.write()?;
            nothing(delegate(storage, call.caller, c.delegatee)?)
        }
        Calls::delegateBySig(c) => {
            call.write()?;
            let signed = Signed::new(c.v, c.r, c.s);
            nothing(votes::delegate_by_sig(storage, c.delegatee, c.nonce, c.expiry, &signed)?)
        }
        Calls::nonces(c) => {
            call.view()?;
            returns::<IStaking::noncesCall>(&nonces(storage, c.owner)?)
        }
        Calls::eip712Domain(_) => {
            call.view()?;
            returns::<IStaking::eip712DomainCall>(&IStaking::eip712DomainReturn {
                fields: DOMAIN_FIELDS,
                name: VOTES_DOMAIN_NAME.to_owned(),
                version: DOMAIN_VERSION.to_owned(),
                chainId: U256::from(storage.block().chain_id),
                verifyingContract: STAKING,
                salt: B256::ZERO,
                extensions: Vec::new(),
            })
        }
        Calls::getVotes(c) => {
            call.view()?;
            returns::<IStaking::getVotesCall>(&votes_of(storage, c.account)?)
        }
        Calls::getPastVotes(c) => {
            call.view()?;
            returns::<IStaking::getPastVotesCall>(&past_votes(storage, c.account, c.timepoint)?)
        }
        Calls::getPastTotalSupply(c) => {
            call.view()?;
            returns::<IStaking::getPastTotalSupplyCall>(&past_total_supply(storage, c.timepoint)?)
        }
        Calls::clock(_) => {
            call.view()?;
            returns::<IStaking::clockCall>(&U48::saturating_from(storage.block().number))
        }
        Calls::CLOCK_MODE(_) => {
            call.view()?;
            returns::<IStaking::CLOCK_MODECall>(&"mode=blocknumber&from=default".to_owned())
        }
        Calls::refreshVotes(c) => {
            call.write()?;
            nothing(refresh_votes(storage, c.delegator, c.validator)?)
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
        Calls::registerKey(c) => {
            call.write()?;
            let address = NetworkAddress { ip: c.ip, port: c.port };
            nothing(keys::register(storage, call.caller, c.key, &c.proof, address)?)
        }
        Calls::rotateKey(c) => {
            call.write()?;
            nothing(keys::rotate(storage, call.caller, c.key, &c.proof)?)
        }
        Calls::deregisterKey(_) => {
            call.write()?;
            nothing(keys::deregister(storage, call.caller)?)
        }
        Calls::setNetworkAddress(c) => {
            call.write()?;
            nothing(keys::set_address(storage, call.caller, NetworkAddress { ip: c.ip, port: c.port })?)
        }
        Calls::submitEvidence(c) => {
            call.write()?;
            evidence::submit(storage, &c.evidence)?;
            nothing(())
        }
        Calls::consensusKey(c) => {
            call.view()?;
            let (key, NetworkAddress { ip, port }) = keys::of(storage, c.account)?.unwrap_or_default();
            returns::<IStaking::consensusKeyCall>(&IStaking::consensusKeyReturn { key, ip, port })
        }
        Calls::keyOwner(c) => {
            call.view()?;
            returns::<IStaking::keyOwnerCall>(&keys::owner(storage, c.key)?)
        }
        Calls::missedViews(c) => {
            call.view()?;
            returns::<IStaking::missedViewsCall>(&downtime::missed(storage, c.epoch, c.account)?)
        }
        Calls::validatorSet(c) => {
            call.view()?;
            returns::<IStaking::validatorSetCall>(&seats::of(storage, c.epoch)?)
        }
        Calls::epochBlocks(_) => {
            call.view()?;
            returns::<IStaking::epochBlocksCall>(&seats::epoch_blocks(storage)?)
        }
    }
}

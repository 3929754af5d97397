//! Selectors of [`IChannels`].

use alloy_primitives::Bytes;
use alloy_sol_types::SolStruct;
use openledger_types::abi::ChannelConfig;
use openledger_types::abi::IChannels::{self, IChannelsCalls as Calls};
use openledger_types::addresses::OPEN;
use openledger_types::channel::{channels_domain, claim_batch};

use super::{
    MAX_CLAIMS, balance, check_count, claim, claim_with_signature, deposit, finalize_withdraw, id_of,
    initiate_withdraw, pending_withdrawal, receiver, refund, refund_digest, refund_nonce,
    refund_with_signature, seconds, settle, voucher_digest,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::{Result, revert};
use crate::storage::{Call, Storage};

/// Most calls of a `multicall`.
const MAX_CALLS: usize = 64;

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::multicall(c) => {
            call.write()?;
            check_count("calls", c.data.len(), MAX_CALLS)?;
            let mut results = Vec::with_capacity(c.data.len());
            for data in &c.data {
                if matches!(decode(data)?, Calls::multicall(_)) {
                    return Err(revert(IChannels::NestedMulticall {}));
                }
                results.push(dispatch(storage, call, data)?);
            }
            returns::<IChannels::multicallCall>(&results)
        }
        Calls::deposit(c) => {
            call.write()?;
            nothing(deposit(storage, call.caller, &c.config, c.amount, c.collector, &c.collectorData)?)
        }
        Calls::claim(c) => {
            call.write()?;
            nothing(claim(storage, call.caller, &c.voucherClaims)?)
        }
        Calls::claimWithSignature(c) => {
            call.write()?;
            nothing(claim_with_signature(storage, &c.voucherClaims, &c.authorizerSignature)?)
        }
        Calls::settle(c) => {
            call.write()?;
            nothing(settle(storage, call.caller, c.receiver, c.token)?)
        }
        Calls::initiateWithdraw(c) => {
            call.write()?;
            nothing(initiate_withdraw(storage, call.caller, &c.config, c.amount)?)
        }
        Calls::finalizeWithdraw(c) => {
            call.write()?;
            nothing(finalize_withdraw(storage, &c.config)?)
        }
        Calls::refund(c) => {
            call.write()?;
            nothing(refund(storage, call.caller, &c.config, c.amount)?)
        }
        Calls::refundWithSignature(c) => {
            call.write()?;
            let signature = &c.receiverAuthorizerSignature;
            nothing(refund_with_signature(storage, &c.config, c.amount, c.nonce, signature)?)
        }
        Calls::getChannelId(c) => {
            call.view()?;
            returns::<IChannels::getChannelIdCall>(&id_of(storage, &c.config)?)
        }
        Calls::CHANNEL_CONFIG_TYPEHASH(_) => {
            call.view()?;
            let zero = ChannelConfig {
                payer: OPEN,
                payerAuthorizer: OPEN,
                receiver: OPEN,
                receiverAuthorizer: OPEN,
                token: OPEN,
                withdrawDelay: seconds(0)?,
                salt: alloy_primitives::B256::ZERO,
            };
            returns::<IChannels::CHANNEL_CONFIG_TYPEHASHCall>(&zero.eip712_type_hash())
        }
        Calls::channels(c) => {
            call.view()?;
            let (balance, claimed) = balance(storage, c.channelId)?;
            returns::<IChannels::channelsCall>(&IChannels::channelsReturn { balance, totalClaimed: claimed })
        }
        Calls::pendingWithdrawals(c) => {
            call.view()?;
            let (amount, initiated_at) = pending_withdrawal(storage, c.channelId)?;
            returns::<IChannels::pendingWithdrawalsCall>(&IChannels::pendingWithdrawalsReturn {
                amount,
                initiatedAt: seconds(initiated_at)?,
            })
        }
        Calls::receivers(c) => {
            call.view()?;
            let (claimed, settled) =
                if c.token == OPEN { receiver(storage, c.receiver)? } else { Default::default() };
            returns::<IChannels::receiversCall>(&IChannels::receiversReturn {
                totalClaimed: claimed,
                totalSettled: settled,
            })
        }
        Calls::getVoucherDigest(c) => {
            call.view()?;
            let digest = voucher_digest(storage, c.channelId, c.maxClaimableAmount)?;
            returns::<IChannels::getVoucherDigestCall>(&digest)
        }
        Calls::getRefundDigest(c) => {
            call.view()?;
            let digest = refund_digest(storage, c.channelId, c.nonce, c.amount)?;
            returns::<IChannels::getRefundDigestCall>(&digest)
        }
        Calls::refundNonce(c) => {
            call.view()?;
            returns::<IChannels::refundNonceCall>(&refund_nonce(storage, c.channelId)?)
        }
        Calls::getClaimBatchDigest(c) => {
            call.view()?;
            check_count("claims", c.voucherClaims.len(), MAX_CLAIMS)?;
            let chain_id = storage.block().chain_id;
            let batch = claim_batch(&c.voucherClaims, chain_id);
            let digest = batch.eip712_signing_hash(&channels_domain(chain_id));
            returns::<IChannels::getClaimBatchDigestCall>(&digest)
        }
    }
}

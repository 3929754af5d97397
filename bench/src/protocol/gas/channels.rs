//! Gas of voucher channels.

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolStruct, SolValue};
use anyhow::Result;
use openledger_protocol::channels::ERC3009_COLLECTOR;
use openledger_types::abi::{ChannelConfig, ChannelVoucher, IChannels, VoucherClaim};
use openledger_types::addresses::{CHANNELS, OPEN};
use openledger_types::authorization::ReceiveWithAuthorization;
use openledger_types::channel::{Refund, Voucher, channel_id, channels_domain, claim_batch, deposit_nonce};

use super::{Meter, signature};
use crate::protocol::chain::{CHAIN_ID, account, hash, open};

/// Wei of an amount of OPEN, as a voucher has it.
fn wei(amount: u64) -> u128 {
    open(amount).to()
}

fn sign(signer: &PrivateKeySigner, message: &impl SolStruct) -> Result<Bytes> {
    let digest = message.eip712_signing_hash(&channels_domain(CHAIN_ID));
    Ok(signer.sign_hash_sync(&digest)?.as_bytes().to_vec().into())
}

/// A channel of the signer, which is its receiver's authorizer, too.
fn config(signer: &PrivateKeySigner, salt: u64) -> ChannelConfig {
    ChannelConfig {
        payer: signer.address(),
        payerAuthorizer: Address::ZERO,
        receiver: account(6),
        receiverAuthorizer: signer.address(),
        token: OPEN,
        withdrawDelay: U40::from(900),
        salt: hash(salt),
    }
}

fn voucher(signer: &PrivateKeySigner, config: &ChannelConfig, total: u128) -> Result<VoucherClaim> {
    let message = Voucher { channelId: channel_id(config, CHAIN_ID), maxClaimableAmount: total };
    Ok(VoucherClaim {
        voucher: ChannelVoucher { channel: config.clone(), maxClaimableAmount: total },
        signature: sign(signer, &message)?,
        totalClaimed: total,
    })
}

pub(super) fn measure(meter: &mut Meter, signer: &PrivateKeySigner) -> Result<()> {
    let (zero, config) = (U256::ZERO, config(signer, 1));
    let id = channel_id(&config, CHAIN_ID);
    for salt in 1..=2_u64 {
        let value = open(10);
        let message = ReceiveWithAuthorization {
            from: config.payer,
            to: ERC3009_COLLECTOR,
            value,
            validAfter: zero,
            validBefore: U256::MAX,
            nonce: deposit_nonce(id, U256::from(salt)),
        };
        let data = (zero, U256::MAX, U256::from(salt), signature(signer, &message)?).abi_encode_params();
        let call = IChannels::depositCall {
            config: config.clone(),
            amount: wei(10),
            collector: ERC3009_COLLECTOR,
            collectorData: data.into(),
        };
        meter.op("channels_deposit", 1, CHANNELS, zero, call)?;
    }
    // The second of each: what is written for the first time is dearer once only.
    for total in 1..=2 {
        let claims = vec![voucher(signer, &config, wei(total))?];
        meter.op("channels_claim", 6, CHANNELS, zero, IChannels::claimCall { voucherClaims: claims })?;
        let settle = IChannels::settleCall { receiver: account(6), token: OPEN };
        meter.op("channels_settle", 1, CHANNELS, zero, settle)?;
    }
    let claims = vec![voucher(signer, &config, wei(3))?];
    let authorizer = sign(signer, &claim_batch(&claims, CHAIN_ID))?;
    let call = IChannels::claimWithSignatureCall { voucherClaims: claims, authorizerSignature: authorizer };
    meter.op("channels_claimWithSignature", 1, CHANNELS, zero, call)?;
    let claims = vec![voucher(signer, &config, wei(4))?];
    let data = vec![
        IChannels::claimCall { voucherClaims: claims }.abi_encode().into(),
        IChannels::settleCall { receiver: account(6), token: OPEN }.abi_encode().into(),
    ];
    meter.op("channels_multicall_claim_settle", 6, CHANNELS, zero, IChannels::multicallCall { data })?;
    hundred(meter, signer)?;
    let refund = IChannels::refundCall { config: config.clone(), amount: wei(1) };
    meter.op("channels_refund", 6, CHANNELS, zero, refund)?;
    let message = Refund { channelId: id, nonce: zero, amount: wei(1) };
    let call = IChannels::refundWithSignatureCall {
        config: config.clone(),
        amount: wei(1),
        nonce: zero,
        receiverAuthorizerSignature: sign(signer, &message)?,
    };
    meter.op("channels_refundWithSignature", 1, CHANNELS, zero, call)?;
    let call = IChannels::initiateWithdrawCall { config: config.clone(), amount: wei(1) };
    meter.op("channels_initiateWithdraw", signer.address(), CHANNELS, zero, call)?;
    meter.chain.pass(901);
    meter.op("channels_finalizeWithdraw", 1, CHANNELS, zero, IChannels::finalizeWithdrawCall { config })
}

/// The last vouchers of a hundred channels in one call.
fn hundred(meter: &mut Meter, signer: &PrivateKeySigner) -> Result<()> {
    let mut claims = Vec::new();
    for salt in 100..200 {
        let config =
            ChannelConfig { payer: account(7), payerAuthorizer: signer.address(), ..config(signer, salt) };
        let call = IChannels::depositCall {
            config: config.clone(),
            amount: wei(1),
            collector: Address::ZERO,
            collectorData: Bytes::new(),
        };
        meter.chain.send(account(7), CHANNELS, U256::ZERO, &call)?;
        claims.push(voucher(signer, &config, wei(1))?);
    }
    let call = IChannels::claimCall { voucherClaims: claims };
    meter.op("channels_claim_100", 6, CHANNELS, U256::ZERO, call)
}

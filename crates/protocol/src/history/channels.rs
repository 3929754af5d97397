//! Voucher channels.

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use openledger_types::abi::{ChannelConfig, ChannelVoucher, IChannels, VoucherClaim};
use openledger_types::addresses::{CHANNELS, OPEN};
use openledger_types::authorization::open_domain;
use openledger_types::channel::{Refund, Voucher, channel_id, channels_domain, claim_batch, deposit_nonce};

use super::cast::{OPERATORS, PAYERS};
use super::{History, Operation};
use crate::channels::{self, ERC3009_COLLECTOR};
use crate::open::Authorization;
use crate::{Result, Storage};

/// A channel as its payer knows it.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    config: ChannelConfig,
    payer: usize,
    receiver: usize,
    /// The largest voucher that was signed, wei.
    signed: u128,
    /// What was claimed at the last check, wei.
    claimed: u128,
}

pub(super) const OPERATIONS: &[Operation] = &[
    ("channels.deposit", 6, |h| {
        let number = channel(h)?;
        let Channel { config, payer, .. } = h.channels[number].clone();
        let amount: u128 = h.amount().to();
        let (from, call) = if h.draws.chance(60) {
            (h.anyone(), authorised(h, &config, payer, amount))
        } else {
            (
                h.mostly(&[payer]),
                IChannels::depositCall {
                    config,
                    amount,
                    collector: Address::ZERO,
                    collectorData: Bytes::new(),
                },
            )
        };
        h.send(from, CHANNELS, call);
        Some(())
    }),
    ("channels.claim", 6, |h| {
        let number = known(h)?;
        let claim = voucher(h, number);
        let receiver = h.channels[number].receiver;
        let from = h.mostly(&[receiver]);
        h.send(from, CHANNELS, IChannels::claimCall { voucherClaims: vec![claim] });
        Some(())
    }),
    ("channels.claimWithSignature", 4, |h| {
        let number = known(h)?;
        let claims = vec![voucher(h, number)];
        let chain_id = h.storage.block.chain_id;
        let signer = h.mostly(&[h.channels[number].receiver]);
        let signature = h.signed(signer, &claim_batch(&claims, chain_id), &channels_domain(chain_id));
        let from = h.anyone();
        let call =
            IChannels::claimWithSignatureCall { voucherClaims: claims, authorizerSignature: signature };
        h.send(from, CHANNELS, call);
        Some(())
    }),
    ("channels.settle", 3, |h| {
        let number = known(h)?;
        let (from, receiver) = (h.anyone(), h.channels[number].config.receiver);
        h.send(from, CHANNELS, IChannels::settleCall { receiver, token: OPEN });
        Some(())
    }),
    ("channels.initiateWithdraw", 3, |h| {
        let number = known(h)?;
        let Channel { config, payer, .. } = h.channels[number].clone();
        let (from, amount) = (h.mostly(&[payer]), h.amount().to());
        h.send(from, CHANNELS, IChannels::initiateWithdrawCall { config, amount });
        Some(())
    }),
    ("channels.finalizeWithdraw", 4, |h| {
        let number = known(h)?;
        let config = h.channels[number].config.clone();
        let id = channel_id(&config, h.storage.block.chain_id);
        if channels::pending_withdrawal(&mut h.storage, id).ok()?.0 == 0 && h.draws.chance(90) {
            return None;
        }
        let from = h.anyone();
        h.send(from, CHANNELS, IChannels::finalizeWithdrawCall { config });
        Some(())
    }),
    ("channels.refund", 2, |h| {
        let number = known(h)?;
        let Channel { config, receiver, .. } = h.channels[number].clone();
        let (from, amount) = (h.mostly(&[receiver]), h.amount().to::<u128>() / 4);
        h.send(from, CHANNELS, IChannels::refundCall { config, amount });
        Some(())
    }),
    ("channels.refundWithSignature", 2, |h| {
        let number = known(h)?;
        let Channel { config, receiver, .. } = h.channels[number].clone();
        let chain_id = h.storage.block.chain_id;
        let id = channel_id(&config, chain_id);
        let mut nonce = channels::refund_nonce(&mut h.storage, id).ok()?;
        if h.draws.chance(15) {
            nonce += U256::ONE;
        }
        let (signer, amount) = (h.mostly(&[receiver]), h.amount().to::<u128>() / 4);
        let refund = Refund { channelId: id, nonce, amount };
        let signature = h.signed(signer, &refund, &channels_domain(chain_id));
        let from = h.anyone();
        let call = IChannels::refundWithSignatureCall {
            config,
            amount,
            nonce,
            receiverAuthorizerSignature: signature,
        };
        h.send(from, CHANNELS, call);
        Some(())
    }),
    ("channels.multicall", 3, |h| {
        let number = known(h)?;
        let claim = IChannels::claimCall { voucherClaims: vec![voucher(h, number)] };
        let Channel { config, receiver, .. } = h.channels[number].clone();
        let settle = IChannels::settleCall { receiver: config.receiver, token: OPEN };
        let from = h.mostly(&[receiver]);
        let data = vec![claim.abi_encode().into(), settle.abi_encode().into()];
        h.send(from, CHANNELS, IChannels::multicallCall { data });
        Some(())
    }),
];

/// A channel of this history, often a new one while there are few.
fn channel(h: &mut History<'_>) -> Option<usize> {
    if h.channels.len() < 4 && (h.channels.is_empty() || h.draws.chance(40)) {
        let (payer, receiver) = (h.mostly(PAYERS), h.mostly(OPERATORS));
        let config = ChannelConfig {
            payer: h.account(payer),
            payerAuthorizer: Address::ZERO,
            receiver: h.account(receiver),
            receiverAuthorizer: h.account(receiver),
            token: OPEN,
            withdrawDelay: U40::from(900),
            salt: h.draws.hash(),
        };
        h.channels.push(Channel { config, payer, receiver, signed: 0, claimed: 0 });
        return Some(h.channels.len() - 1);
    }
    known(h)
}

fn known(h: &mut History<'_>) -> Option<usize> {
    let all: Vec<_> = (0..h.channels.len()).collect();
    h.draws.pick(&all)
}

/// A deposit as clients of x402 authorise it.
fn authorised(
    h: &mut History<'_>,
    config: &ChannelConfig,
    payer: usize,
    amount: u128,
) -> IChannels::depositCall {
    let chain_id = h.storage.block.chain_id;
    let salt = U256::from_be_bytes(h.draws.hash().0);
    let before = U256::from(h.storage.block.timestamp + 100);
    let authorization = Authorization {
        from: config.payer,
        to: ERC3009_COLLECTOR,
        value: U256::from(amount),
        valid_after: U256::ZERO,
        valid_before: before,
        nonce: deposit_nonce(channel_id(config, chain_id), salt),
    };
    let signature = h.signed(payer, &authorization.receipt(), &open_domain(chain_id));
    let data = (U256::ZERO, before, salt, signature).abi_encode_params();
    IChannels::depositCall {
        config: config.clone(),
        amount,
        collector: ERC3009_COLLECTOR,
        collectorData: data.into(),
    }
}

/// The payer signs for a little more, mostly within what is there; the receiver mostly takes what is signed.
fn voucher(h: &mut History<'_>, number: usize) -> VoucherClaim {
    let Channel { config, payer, signed, .. } = h.channels[number].clone();
    let chain_id = h.storage.block.chain_id;
    let id = channel_id(&config, chain_id);
    let (balance, claimed) = channels::balance(&mut h.storage, id).unwrap_or_default();
    let more: u128 = h.amount().to::<u128>() / 8;
    let mut most = claimed + more;
    if h.draws.chance(85) {
        most = most.min(balance);
    }
    let forged = h.draws.chance(6);
    let signer = if forged { h.anyone() } else { payer };
    let message = Voucher { channelId: id, maxClaimableAmount: most };
    let signature = h.signed(signer, &message, &channels_domain(chain_id));
    if signer == payer {
        h.channels[number].signed = signed.max(most);
    }
    let total = if h.draws.chance(8) { most + 1 } else { most };
    VoucherClaim {
        voucher: ChannelVoucher { channel: config, maxClaimableAmount: most },
        signature,
        totalClaimed: total,
    }
}

impl History<'_> {
    /// The module holds what is not claimed and not settled; claims only grow, within vouchers and balance.
    pub(super) fn check_channels(&mut self) -> Result<()> {
        let mut owed = 0;
        for account in self.cast.accounts() {
            let (claimed, settled) = channels::receiver(&mut self.storage, *account)?;
            owed += claimed - settled;
        }
        let chain_id = self.storage.block.chain_id;
        for number in 0..self.channels.len() {
            let Channel { config, signed, claimed: before, .. } = self.channels[number].clone();
            let (balance, claimed) = channels::balance(&mut self.storage, channel_id(&config, chain_id))?;
            let holds = before <= claimed && claimed <= balance && claimed <= signed;
            self.require(holds, || {
                format!("{claimed} wei are claimed after {before}, of {balance}; {signed} were signed")
            });
            self.channels[number].claimed = claimed;
            owed += balance.saturating_sub(claimed);
        }
        let held = self.storage.balance(CHANNELS)?;
        self.require(held == U256::from(owed), || format!("channels hold {held} wei and owe {owed}"));
        Ok(())
    }
}

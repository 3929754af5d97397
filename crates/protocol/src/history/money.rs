//! OPEN and escrow.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{IEscrow, IOpen};
use openledger_types::addresses::{ESCROW, OPEN};
use openledger_types::authorization::{CancelAuthorization, Permit, open_domain};

use super::cast::{MEMBERS, OPERATORS, PAYERS};
use super::{History, Key, Operation};
use crate::open::Authorization;
use crate::{Storage, escrow, open};

pub(super) const OPERATIONS: &[Operation] = &[
    ("open.transfer", 2, |h| {
        let (from, to, value) = (h.anyone(), h.anyone(), h.amount());
        let to = if h.draws.chance(5) { ESCROW } else { h.account(to) };
        h.send(from, OPEN, IOpen::transferCall { to, value });
        Some(())
    }),
    ("open.approve", 1, |h| {
        let (owner, spender, value) = (h.anyone(), h.anyone(), h.amount());
        let call = IOpen::approveCall { spender: h.account(spender), value };
        if h.send(owner, OPEN, call).is_some() {
            h.allowances.insert((owner, spender));
        }
        Some(())
    }),
    ("open.transferFrom", 2, |h| {
        let pairs: Vec<_> = h.allowances.iter().copied().collect();
        let (owner, spender) = h.draws.pick(&pairs)?;
        let (from, to, mut value) = (h.account(owner), h.anyone(), h.amount());
        let allowance = open::allowance(&mut h.storage, from, h.cast.account(spender)).ok()?;
        if h.draws.chance(70) {
            value = value.min(allowance);
        }
        let call = IOpen::transferFromCall { from, to: h.account(to), value };
        let done = h.send(spender, OPEN, call).is_some();
        h.require(!done || value <= allowance, || "a spender took more than the owner signed".into());
        Some(())
    }),
    ("open.burn", 1, |h| {
        let (from, value) = (h.anyone(), h.amount());
        h.send(from, OPEN, IOpen::burnCall { value });
        Some(())
    }),
    ("open.permit", 2, |h| {
        let (owner, spender, value) = (h.anyone(), h.anyone(), h.amount());
        let deadline = U256::from(h.storage.block.timestamp + 100);
        let (from, to) = (h.account(owner), h.account(spender));
        let mut nonce = open::nonces(&mut h.storage, from).ok()?;
        if h.draws.chance(15) {
            nonce += U256::ONE;
        }
        let message = Permit { owner: from, spender: to, value, nonce, deadline };
        let signature = h.signed(owner, &message, &open_domain(h.storage.block.chain_id));
        let (r, s, v) = parts(&signature);
        let call = IOpen::permitCall { owner: from, spender: to, value, deadline, v, r, s };
        if h.send(spender, OPEN, call).is_some() {
            h.allowances.insert((owner, spender));
            let now = open::nonces(&mut h.storage, from).ok();
            h.require(now == nonce.checked_add(U256::ONE), || "a permit was used out of its order".into());
        }
        Some(())
    }),
    ("open.transferWithAuthorization", 2, |h| {
        let (from, to, value, nonce) = (h.anyone(), h.anyone(), h.amount(), nonce(h));
        let authorization = authorization(h, from, to, value, nonce.1);
        let signature = h.signed(from, &authorization.transfer(), &open_domain(h.storage.block.chain_id));
        let done = h.send(nonce.0, OPEN, authorization.transfer_call(signature)).is_some();
        consumed(h, done, authorization.from, nonce.1);
        Some(())
    }),
    ("open.receiveWithAuthorization", 2, |h| {
        let (from, to, value, nonce) = (h.anyone(), h.anyone(), h.amount(), nonce(h));
        let caller = h.mostly(&[to]);
        let authorization = authorization(h, from, to, value, nonce.1);
        let signature = h.signed(from, &authorization.receipt(), &open_domain(h.storage.block.chain_id));
        let done = h.send(caller, OPEN, authorization.receive_call(signature)).is_some();
        consumed(h, done, authorization.from, nonce.1);
        Some(())
    }),
    ("open.cancelAuthorization", 1, |h| {
        let (from, nonce) = (h.anyone(), nonce(h));
        let authorizer = h.account(from);
        let message = CancelAuthorization { authorizer, nonce: nonce.1 };
        let signature = h.signed(from, &message, &open_domain(h.storage.block.chain_id));
        let call = IOpen::cancelAuthorization_1Call { authorizer, nonce: nonce.1, signature };
        let done = h.send(nonce.0, OPEN, call).is_some();
        consumed(h, done, authorizer, nonce.1);
        Some(())
    }),
    ("open.release", 1, |h| {
        let (from, vesting) = (h.anyone(), U256::from(1 + h.draws.below(2)));
        if open::releasable(&mut h.storage, vesting).ok()?.is_zero() {
            let seconds = 10 + h.draws.below(90);
            h.later(seconds);
        }
        h.send(from, OPEN, IOpen::releaseCall { vesting });
        Some(())
    }),
    ("escrow.deposit", 2, |h| {
        let (from, amount) = (h.mostly(PAYERS), h.amount());
        let done = h.call(from, ESCROW, amount, IEscrow::depositCall {}).is_some();
        deposited(h, done, from, amount);
        Some(())
    }),
    ("escrow.depositFor", 1, |h| {
        let (from, payer, amount) = (h.anyone(), h.mostly(PAYERS), h.amount());
        let call = IEscrow::depositForCall { payer: h.account(payer) };
        let done = h.call(from, ESCROW, amount, call).is_some();
        deposited(h, done, payer, amount);
        Some(())
    }),
    ("escrow.authorise", 2, |h| {
        let (payer, operator) = (h.mostly(PAYERS), h.mostly(OPERATORS));
        let cap = h.amount() * U256::from(4);
        let seconds = if h.draws.chance(75) { 10_000_000 } else { 40 };
        authorise(h, payer, operator, cap, seconds);
        Some(())
    }),
    ("escrow.revoke", 1, |h| {
        let keys = h.keys.clone();
        let key = h.draws.recent(&keys)?;
        let payer = h.mostly(&[key.payer]);
        let done = h.send(payer, ESCROW, IEscrow::revokeCall { key: key.key }).is_some();
        h.require(!done || payer == key.payer, || "somebody else revoked a key".into());
        Some(())
    }),
    ("escrow.requestWithdrawal", 2, |h| {
        let (payer, mut amount) = (h.mostly(PAYERS), h.amount());
        let balance = escrow::balance_of(&mut h.storage, h.cast.account(payer)).ok()?;
        if h.draws.chance(80) {
            amount = amount.min(balance / U256::from(4));
        }
        h.send(payer, ESCROW, IEscrow::requestWithdrawalCall { amount });
        Some(())
    }),
    ("escrow.withdraw", 2, |h| {
        let payer = h.mostly(PAYERS);
        let account = h.account(payer);
        if escrow::withdrawal(&mut h.storage, account).ok()?.0.is_zero() && h.draws.chance(90) {
            return None;
        }
        let before = h.storage.balance(account).ok()?;
        if h.send(payer, ESCROW, IEscrow::withdrawCall {}).is_some() {
            let got = h.storage.balance(account).ok()? - before;
            h.flows.entry(account).or_default().1 += got;
        }
        Some(())
    }),
];

/// Signs for a key; the payer's word is what the key is held against.
pub(super) fn authorise(h: &mut History<'_>, payer: usize, operator: usize, cap: U256, seconds: u64) {
    let key = h.draws.hash();
    let expires_at = h.storage.block.timestamp + seconds;
    let call = IEscrow::authoriseCall { key, operator: h.account(operator), cap, expiresAt: expires_at };
    if h.send(payer, ESCROW, call).is_some() {
        h.keys.push(Key { key, payer, operator, cap });
    }
}

pub(super) fn deposited(h: &mut History<'_>, done: bool, payer: usize, amount: U256) {
    if done {
        let account = h.account(payer);
        h.flows.entry(account).or_default().0 += amount;
    }
}

/// Who sends, and a nonce: sometimes one that was used.
fn nonce(h: &mut History<'_>) -> (usize, B256) {
    let sender = h.draws.below(MEMBERS as u64) as usize;
    let used: Vec<_> = h.consumed.iter().map(|(_, nonce)| *nonce).collect();
    match h.draws.pick(&used) {
        Some(nonce) if h.draws.chance(25) => (sender, nonce),
        _ => (sender, h.draws.hash()),
    }
}

/// What `from` lets `to` have for the next hundred seconds.
fn authorization(h: &History<'_>, from: usize, to: usize, value: U256, nonce: B256) -> Authorization {
    Authorization {
        from: h.account(from),
        to: h.account(to),
        value,
        valid_after: U256::ZERO,
        valid_before: U256::from(h.storage.block.timestamp + 100),
        nonce,
    }
}

fn consumed(h: &mut History<'_>, done: bool, holder: Address, nonce: B256) {
    if done && !h.consumed.insert((holder, nonce)) {
        h.violate("an authorisation was used twice");
    }
}

/// `r`, `s` and `v` of a signature.
pub(super) fn parts(signature: &[u8]) -> (B256, B256, u8) {
    (B256::from_slice(&signature[..32]), B256::from_slice(&signature[32..64]), signature[64])
}

//! The end of an epoch of consensus, and double votes before the transactions of a block.

use alloy_primitives::{B256, Bytes};
use openledger_types::abi::{DoubleSign, Seat, Vote, VoteKind};

use super::{TestChain, account, genesis, open};
use crate::{
    Election, ExecutionError, Genesis, GenesisError, GenesisRole, GenesisStake, Turn, ValidatorSeat,
    candidates, execute_block_with, key_owner, validator_set,
};

const LENGTH: u64 = 4;

fn key(n: u8) -> B256 {
    B256::repeat_byte(n)
}

/// Accounts 1, 2 and 3 have seats; 1 and 2 have staked as validators.
fn seated(least_seats: u32) -> Genesis {
    let mut genesis = genesis();
    genesis.stakes.retain(|stake| stake.account == account(1));
    let stake = GenesisStake { account: account(2), role: GenesisRole::Validator, amount: open(200_000) };
    genesis.stakes.push(stake);
    genesis.validators = (1..=3)
        .map(|n| ValidatorSeat { account: account(n), consensus_key: format!("{:x}", key(n)) })
        .collect();
    genesis.election = Election { epoch_blocks: LENGTH, least_seats };
    genesis
}

fn seat(n: u8) -> Seat {
    Seat { account: account(n), key: key(n) }
}

#[test]
fn the_last_block_of_an_epoch_elects_the_validators_of_the_epoch_after_the_next() {
    let mut chain = TestChain::with(seated(2));
    let first = [1, 2, 3].map(seat);
    for epoch in [0, 1] {
        assert_eq!(validator_set(&chain.state, epoch).unwrap(), first);
    }
    assert_eq!(key_owner(&chain.state, key(3)).unwrap(), Some(account(3)));
    assert_eq!(key_owner(&chain.state, key(4)).unwrap(), None);
    assert_eq!(candidates(&chain.state).unwrap().len(), 3);
    while chain.env.number < LENGTH {
        assert!(validator_set(&chain.state, 2).unwrap().is_empty());
        chain.block(&[]);
    }
    // By stake, and without the one who has none.
    assert_eq!(validator_set(&chain.state, 2).unwrap(), [2, 1].map(seat));
    assert_eq!(validator_set(&chain.state, 1).unwrap(), first);
}

#[test]
fn too_few_candidates_leave_the_validators_of_the_genesis() {
    let mut chain = TestChain::with(seated(3));
    while chain.env.number < 3 * LENGTH {
        chain.block(&[]);
    }
    for epoch in 1..=4 {
        assert_eq!(validator_set(&chain.state, epoch).unwrap(), [1, 2, 3].map(seat), "epoch {epoch}");
    }
}

#[test]
fn a_seat_needs_a_key_of_its_own() {
    let refused = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis = seated(2);
        change(&mut genesis);
        genesis.state_writes().unwrap_err()
    };
    let seat = |error| assert!(matches!(error, GenesisError::Seat { .. }), "{error}");
    seat(refused(&|genesis| genesis.validators[0].consensus_key = "12".to_owned()));
    seat(refused(&|genesis| {
        genesis.validators[0].consensus_key = genesis.validators[1].consensus_key.clone()
    }));
    seat(refused(&|genesis| genesis.validators[0].account = account(2)));
    let election = |error| assert!(matches!(error, GenesisError::Election { .. }), "{error}");
    election(refused(&|genesis| genesis.election.epoch_blocks = 3));
    election(refused(&|genesis| genesis.election.least_seats = 0));
}

#[test]
fn a_block_with_false_evidence_is_invalid() {
    let chain = TestChain::with(seated(2));
    let vote = |kind| Vote { kind, parent: 0, payload: B256::ZERO, signature: Bytes::new() };
    let (first, second) = (vote(VoteKind::Nullify), vote(VoteKind::Finalize));
    let double = DoubleSign { key: key(1), epoch: 0, viewNumber: 1, first, second };
    let refused = execute_block_with(&chain.env, Turn::default(), &[double], &[], &chain.state);
    assert_eq!(refused, Err(ExecutionError::InvalidEvidence { index: 0, key: key(1) }));
}

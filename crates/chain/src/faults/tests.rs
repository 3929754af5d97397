use super::*;
use crate::tests::fixtures::{genesis, validator_key};
use alloy_primitives::{Address, U256};
use commonware_consensus::{
    simplex::types::{ConflictingFinalize, ConflictingNotarize, NullifyFinalize},
    types::{Epoch, Round, View},
};
use commonware_utils::ordered;
use openledger_execution::{
    BlockEnv, GenesisRole, GenesisStake, MapState, StateReader, Turn, execute_block_with, key_owner,
};
use openledger_types::{
    addresses::{BURN, STAKING},
    amount::ONE_OPEN,
};

const ROUND: Round = Round::new(Epoch::new(3), View::new(300));

fn scheme(genesis: &openledger_execution::Genesis, number: u8) -> Scheme {
    let keys: Vec<_> = (1..=4).map(|number| validator_key(number).public()).collect();
    let participants: ordered::Set<_> = keys.try_into().unwrap();
    Scheme::signer(&genesis.vote_domain(), participants, validator_key(number).private()).unwrap()
}

fn proposal(payload: u8) -> Proposal<Digest> {
    Proposal::new(ROUND, View::new(299), Digest([payload; 32]))
}

/// Votes as consensus signs and reports them, through the staking module.
#[test]
fn what_consensus_reports_the_chain_punishes() {
    let mut genesis = genesis(4);
    let stake = U256::from(100_000) * ONE_OPEN;
    let guilty = genesis.validators[1].account;
    genesis.stakes = vec![GenesisStake { account: guilty, role: GenesisRole::Validator, amount: stake }];
    *genesis.alloc.values_mut().next().unwrap() -= stake;
    let state = MapState::new(genesis.state_writes().unwrap());
    let signer = scheme(&genesis, 2);
    let key = B256::from_slice(validator_key(2).public().as_ref());
    assert_eq!(key_owner(&state, key).unwrap(), Some(guilty));

    let notarizes = [1, 2].map(|payload| Notarize::sign(&signer, proposal(payload)).unwrap());
    let finalizes = [1, 2].map(|payload| Finalize::sign(&signer, proposal(payload)).unwrap());
    let nullify = Nullify::sign::<Digest>(&signer, ROUND).unwrap();
    let finalize = finalizes[0].clone();
    let [one, two] = notarizes;
    let [three, four] = finalizes;
    let env = BlockEnv {
        chain_id: genesis.chain_id,
        number: 1,
        timestamp: genesis.timestamp,
        beneficiary: Address::ZERO,
        gas_limit: genesis.gas_limit,
        base_fee: genesis.base_fee,
        prevrandao: B256::ZERO,
        parent_hash: B256::ZERO,
    };
    let scheme = Arc::new(scheme(&genesis, 1));
    for activity in [
        Activity::ConflictingNotarize(ConflictingNotarize::new(one, two)),
        Activity::ConflictingFinalize(ConflictingFinalize::new(three, four)),
        Activity::NullifyFinalize(NullifyFinalize::new(nullify, finalize)),
    ] {
        let ledger = crate::tests::fixtures::ledger(genesis.clone());
        let mut watch = Watch { ledger: ledger.clone(), scheme: scheme.clone() };
        watch.report(activity.clone());
        // Again, as another node's view of the same fault.
        watch.report(activity);
        let shown = ledger.evidence.some(9);
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].key, shown[0].epoch, shown[0].viewNumber), (key, 3, 300));
        let outcome = execute_block_with(&env, Turn::default(), &shown, &[], &state).unwrap();
        let mut after = state.clone();
        after.apply(outcome.writes);
        let burnt = stake / U256::from(20);
        assert_eq!(after.account(BURN).unwrap().unwrap().balance, burnt);
        assert_eq!(after.account(STAKING).unwrap().unwrap().balance, stake - burnt);
        assert!(
            execute_block_with(&env, Turn::default(), &shown, &[], &after).is_err(),
            "once for an offence"
        );
        ledger.evidence.forget(&shown);
        assert!(ledger.evidence.some(9).is_empty());
    }
}

use super::*;
use crate::tests::fixtures::{genesis, validator_key};
use commonware_cryptography::certificate::Scheme as _;

fn key(number: u8) -> PublicKey {
    validator_key(number).public()
}

fn place(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn configured(own: u8, peers: &[u8], followers: &[u8]) -> Configured {
    let at = |numbers: &[u8]| numbers.iter().map(|n| (key(*n), place(1_000 + u16::from(*n)))).collect();
    Configured { own: (key(own), place(1)), peers: at(peers), followers: at(followers), room: NZUsize!(20) }
}

fn outlook(sets: &[(u64, &[u8])], addresses: &[(u8, Option<u16>)]) -> Outlook {
    let sets = sets.iter().map(|(epoch, set)| (*epoch, set.iter().map(|n| key(*n)).collect())).collect();
    let addresses = addresses.iter().map(|(n, port)| (key(*n), port.map(place))).collect();
    Outlook { sets, addresses }
}

#[test]
fn validators_of_this_and_the_next_epoch_are_asked_and_those_before_and_candidates_are_told() {
    let outlook = outlook(
        &[(4, &[1, 2]), (5, &[2, 3]), (6, &[3, 4])],
        &[(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, Some(4)), (5, Some(5)), (6, None)],
    );
    let peers = outlook.peers(5, &configured(2, &[7], &[8]));
    let keys = |list: &BTreeMap<PublicKey, SocketAddr>| list.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&peers.primary), [2, 3, 4, 7].map(key).into());
    // Nobody knows where the sixth is.
    assert_eq!(keys(&peers.secondary), [1, 5, 8].map(key).into());
}

#[test]
fn the_configuration_knows_better_than_the_state_where_a_node_is() {
    let outlook = outlook(&[(0, &[1, 2]), (1, &[1, 2])], &[(1, Some(1)), (2, Some(2))]);
    let peers = outlook.peers(0, &configured(1, &[2], &[]));
    assert_eq!(peers.primary, BTreeMap::from([(key(1), place(1)), (key(2), place(1_002))]));
    assert!(peers.secondary.is_empty());
}

#[test]
fn no_more_nodes_are_connected_than_there_is_room_for_and_validators_go_first() {
    let many: Vec<(u8, Option<u16>)> = (1..=90).map(|n| (n, Some(u16::from(n)))).collect();
    let set: Vec<u8> = (80..=90).collect();
    let peers = outlook(&[(3, &set)], &many).peers(3, &configured(100, &[], &[]));
    assert_eq!(peers.primary.len() + peers.secondary.len(), 20);
    assert!(set.iter().all(|n| peers.primary.contains_key(&key(*n))));
}

#[test]
fn a_key_votes_in_the_epochs_in_which_it_has_a_seat() {
    let schemes = Schemes::new(b"chain".to_vec(), Some(validator_key(2)));
    schemes.learn(Epoch::new(0), &[key(1)]).unwrap();
    schemes.learn(Epoch::new(1), &[key(1), key(2)]).unwrap();
    let votes = |epoch| schemes.scheme(Epoch::new(epoch)).map(|scheme| scheme.me().is_some());
    assert_eq!([votes(0), votes(1), votes(2)], [Some(false), Some(true), None]);
    // Certificates of long ago need not be checked any more.
    schemes.learn(Epoch::new(5), &[key(2)]).unwrap();
    assert_eq!([votes(1), votes(5)], [None, Some(true)]);
    assert!(schemes.learn(Epoch::new(6), &[key(1), key(1)]).is_err());
    let follows = Schemes::new(b"chain".to_vec(), None);
    follows.learn(Epoch::new(0), &[key(2)]).unwrap();
    assert!(follows.scheme(Epoch::new(0)).unwrap().me().is_none());
}

#[test]
fn what_an_earlier_process_knew_is_recalled() {
    let ledger = crate::tests::fixtures::ledger(genesis(1));
    let sets = BTreeMap::from([(6, vec![key(1)]), (7, vec![key(2)]), (8, vec![key(3)])]);
    ledger.index.put_validators(&sets).unwrap();
    let schemes = Schemes::new(b"chain".to_vec(), None);
    schemes.recall(&ledger.genesis, &ledger.index).unwrap();
    for (epoch, keys) in &sets {
        let scheme = schemes.scheme(Epoch::new(*epoch)).unwrap();
        assert_eq!(scheme.participants().iter().cloned().collect::<Vec<_>>(), *keys);
    }
}

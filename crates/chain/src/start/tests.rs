use super::*;
use crate::tests::fixtures::{genesis, validator_key};

const VALIDATORS: u8 = 4;

/// The first of four validators, which knows the others at ports 1, 2 and 3.
fn config() -> ChainConfig {
    let mut config = ChainConfig::new("unused", genesis(VALIDATORS), validator_key(1));
    config.listen = SocketAddr::from(([127, 0, 0, 1], 9));
    config.peers = (2..=VALIDATORS)
        .map(|number| (key(number), SocketAddr::from(([127, 0, 0, 1], u16::from(number) - 1))))
        .collect();
    config
}

fn key(number: u8) -> String {
    validator_key(number).public_hex()
}

/// What the addresses are refused for after `change`.
fn refused(change: impl FnOnce(&mut ChainConfig)) -> ChainError {
    let mut config = config();
    change(&mut config);
    members(&config).map(|_| ()).unwrap_err()
}

#[test]
fn an_address_that_others_cannot_use_is_refused_with_the_reason() {
    let seats = config().genesis.validators.len();
    let taken: BTreeSet<_> = (1..=VALIDATORS).map(|number| validator_key(number).public()).collect();
    assert_eq!(addresses(&config(), &taken).unwrap().peers.len(), seats - 1);

    let check = |change: fn(&mut ChainConfig), named: u8, reason: &str| {
        let error = refused(change).to_string();
        assert!(error.contains(reason) && error.contains(&key(named)), "{error}");
    };
    let lost = |config: &mut ChainConfig| {
        config.peers.remove(&key(3));
    };
    check(lost, 3, "no network address");
    check(|config| config.listen.set_port(0), 1, "have to know the port");
    check(|config| config.peers.get_mut(&key(2)).unwrap().set_port(0), 2, "have to know the port");
    check(|config| config.peers.get_mut(&key(4)).unwrap().set_port(9), 4, "another node");
    check(|config| config.peers.get_mut(&key(2)).unwrap().set_ip([0, 0, 0, 0].into()), 2, "name one");
    check(|config| config.followers.extend([(key(8), config.listen)]), 8, "another node");
    check(|config| config.followers.extend([(key(2), config.listen)]), 2, "does not only follow");
    check(|config| config.peers.extend([(key(9), config.listen)]), 9, "another node");
    let error = refused(|config| config.peers.extend([("12".into(), config.listen)]));
    assert!(error.to_string().contains("not an ed25519 public key"), "{error}");
}

#[test]
fn only_a_key_without_a_seat_follows() {
    let error = refused(|config| config.follow = true);
    assert!(matches!(error, ChainError::Seated { .. }), "{error}");
    // A key without a seat may be elected later; with nobody to follow until then it is a mistake.
    let mut joins = config();
    joins.signer = validator_key(9);
    joins.peers.insert(key(1), SocketAddr::from(([127, 0, 0, 1], 8)));
    assert_eq!(members(&joins).unwrap().configured.peers.len(), usize::from(VALIDATORS));
    let error = refused(|config| (config.signer, config.peers) = (validator_key(9), BTreeMap::new()));
    assert!(matches!(error, ChainError::NotAValidator { .. }), "{error}");
    let mut follower = config();
    follower.peers.insert(key(1), SocketAddr::from(([127, 0, 0, 1], 8)));
    (follower.signer, follower.follow) = (validator_key(9), true);
    follower.listen.set_port(0);
    let error = members(&follower).unwrap_err().to_string();
    assert!(error.contains("have to know the port"), "{error}");
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = refused(|config| config.listen = address);
    assert!(matches!(error, ChainError::Listen { address: named, .. } if named == address), "{error}");
}

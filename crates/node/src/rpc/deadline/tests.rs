use super::*;
use crate::{GenesisOptions, Node, NodeConfig, init};
use std::net::SocketAddr;

#[test]
fn a_call_that_reads_after_its_time_is_aborted_in_geths_words() {
    let home = tempfile::tempdir().unwrap();
    let owner = Address::repeat_byte(1);
    init(home.path(), &GenesisOptions::new(owner)).unwrap();
    let mut config = NodeConfig::new(home.path());
    config.http = SocketAddr::from(([127, 0, 0, 1], 0));
    let node = Node::start(config).unwrap();
    let mut state = TimedState::new(node.chain(), 0).unwrap();
    assert!(state.account(owner).unwrap().is_some());
    state.until = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
    for read in [state.account(owner).map(drop), state.storage(owner, U256::ZERO).map(drop)] {
        let refusal = failed(read.unwrap_err());
        assert_eq!((refusal.code(), refusal.message()), (-32000, "execution aborted (timeout = 5s)"));
    }
}

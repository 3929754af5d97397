//! A node for trying clients against: `cargo run -p openledger-node --example local_node -- FOLDER [PORT [GOVERNANCE]]`.
//!
//! The whole supply belongs to the account of the well-known first key of `anvil` and `hardhat`, so never put such a
//! node on a network. It runs until it is killed, and goes on in the same folder when started again. A governance is the
//! JSON of that part of the genesis, for windows shorter than those of a network.

use openledger_node::{GenesisOptions, Node, NodeConfig, init};
use std::{io::Write, net::SocketAddr, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: local_node FOLDER [PORT [GOVERNANCE]]")?);
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let owner = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse()?;
    let mut options = GenesisOptions::new(owner);
    if let Some(governance) = arguments.next() {
        options.governance = serde_json::from_str(&governance)?;
    }
    init(&folder, &options)?;
    let mut config = NodeConfig::new(&folder);
    config.http = SocketAddr::from(([127, 0, 0, 1], port));
    let node = Node::start(config)?;
    writeln!(std::io::stdout(), "{}", node.rpc_url())?;
    loop {
        std::thread::park();
    }
}

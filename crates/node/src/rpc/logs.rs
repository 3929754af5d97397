//! `eth_getLogs`.

use super::{
    blocks, convert,
    error::{self, Answer},
};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use openledger_chain::{ChainHandle, LogFilter, LogLimits};

pub(super) fn logs(chain: &ChainHandle, filter: &Filter) -> Answer<Vec<Log>> {
    let head = chain.head().header.number;
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = chain.number(hash).map_err(error::chain)?;
            let number = number.ok_or_else(|| error::server("unknown block"))?;
            (number, number)
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let from = from_block.map_or(head, |tag| blocks::height(chain, tag));
            let to = to_block.map_or(head, |tag| blocks::height(chain, tag));
            (from, to)
        }
    };
    if from > to {
        return Err(error::invalid("invalid block range params"));
    }
    within(chain, from, to, &wanted(filter))
}

/// Logs of a range of blocks.
pub(super) fn within(chain: &ChainHandle, from: u64, to: u64, filter: &LogFilter) -> Answer<Vec<Log>> {
    let found = chain.logs(from, to, filter, LogLimits::default()).map_err(error::chain)?;
    Ok(found.into_iter().map(convert::log).collect())
}

/// The addresses and topics of a filter.
pub(super) fn wanted(filter: &Filter) -> LogFilter {
    let mut addresses: Vec<_> = filter.address.iter().copied().collect();
    addresses.sort_unstable();
    let topics = filter.topics.iter().map(|topics| {
        let mut topics: Vec<_> = topics.iter().copied().collect();
        topics.sort_unstable();
        topics
    });
    LogFilter { addresses, topics: topics.collect() }
}

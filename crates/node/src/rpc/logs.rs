//! `eth_getLogs` and what log filters and subscriptions ask for.

use super::{
    blocks, convert,
    error::{self, Answer},
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::Log;
use openledger_chain::{ChainHandle, LogFilter, LogLimits};
use serde::Deserialize;

/// A log has no more.
const MAX_TOPICS: usize = 4;
/// geth's limit on the addresses of a query, and on the topics at one position.
const MAX_ALTERNATIVES: usize = 1000;

/// Which logs a request asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogQuery {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    block_hash: Option<B256>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<Option<B256>>>>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(item) => vec![item],
            Self::Many(items) => items,
        }
    }
}

impl LogQuery {
    /// The addresses and topics.
    ///
    /// # Errors
    /// If there are more than the limits allow.
    pub(super) fn filter(&self) -> Answer<LogFilter> {
        let addresses = self.address.clone().map(OneOrMany::into_vec).unwrap_or_default();
        bounded("addresses", addresses.len(), MAX_ALTERNATIVES)?;
        let given = self.topics.clone().unwrap_or_default();
        bounded("topics", given.len(), MAX_TOPICS)?;
        let mut topics = Vec::new();
        for position in given {
            let alternatives = position.map(OneOrMany::into_vec).unwrap_or_default();
            bounded("topics of one position", alternatives.len(), MAX_ALTERNATIVES)?;
            // A null among them stands for any topic, as no alternatives do.
            let named: Option<Vec<B256>> = alternatives.into_iter().collect();
            topics.push(named.unwrap_or_default());
        }
        Ok(LogFilter { addresses, topics })
    }

    /// The first and the last block, which may be above the head.
    ///
    /// # Errors
    /// If it names a range in two ways, or backwards, or a block that there is not.
    fn range(&self, chain: &ChainHandle) -> Answer<(u64, u64)> {
        self.check_range()?;
        if let Some(hash) = self.block_hash {
            let number = chain.number(hash).map_err(error::chain)?;
            let number = number.ok_or_else(|| error::server("unknown block"))?;
            return Ok((number, number));
        }
        let height = |tag: Option<BlockNumberOrTag>| blocks::height(chain, tag.unwrap_or_default());
        Ok((height(self.from_block), height(self.to_block)))
    }

    fn check_range(&self) -> Answer<()> {
        if self.block_hash.is_some() && (self.from_block.is_some() || self.to_block.is_some()) {
            return Err(error::invalid(
                "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
            ));
        }
        let ends = [self.from_block, self.to_block];
        if ends.contains(&Some(BlockNumberOrTag::Pending)) {
            return Err(error::server("pending logs are not supported"));
        }
        match ends {
            [Some(BlockNumberOrTag::Number(from)), Some(BlockNumberOrTag::Number(to))] if from > to => {
                Err(error::invalid("invalid block range params"))
            }
            _ => Ok(()),
        }
    }

    /// The bounds within which logs of new blocks are wanted.
    ///
    /// # Errors
    /// If no new block can be within them.
    pub(super) fn bounds(&self) -> Answer<(u64, u64)> {
        self.check_range()?;
        let from = match self.from_block {
            Some(BlockNumberOrTag::Number(from)) => from,
            _ => 0,
        };
        match self.to_block {
            None | Some(BlockNumberOrTag::Latest) => Ok((from, u64::MAX)),
            Some(BlockNumberOrTag::Number(to)) if self.from_block.is_some() => Ok((from, to)),
            Some(_) => Err(error::invalid("invalid block range params")),
        }
    }
}

fn bounded(what: &str, got: usize, limit: usize) -> Answer<()> {
    if got > limit {
        return Err(error::server(format!("exceed max {what}: {got} is over the limit of {limit}")));
    }
    Ok(())
}

pub(super) fn logs(chain: &ChainHandle, query: &LogQuery) -> Answer<Vec<Log>> {
    let (from, to) = query.range(chain)?;
    within(chain, from, to, &query.filter()?)
}

/// Logs of a range of blocks.
pub(super) fn within(chain: &ChainHandle, from: u64, to: u64, filter: &LogFilter) -> Answer<Vec<Log>> {
    let found = chain.logs(from, to, filter, LogLimits::default()).map_err(error::chain)?;
    Ok(found.into_iter().map(convert::log).collect())
}

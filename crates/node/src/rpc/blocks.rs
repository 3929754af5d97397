//! Blocks, transactions and receipts.

use super::{
    convert,
    error::{self, Answer},
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{Block, Header, Transaction, TransactionReceipt};
use openledger_chain::{ChainError, ChainHandle};

/// The height that a number or tag means; it may be above the head.
pub(super) fn height(chain: &ChainHandle, tag: BlockNumberOrTag) -> u64 {
    match tag {
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Earliest => 0,
        BlockNumberOrTag::Latest
        | BlockNumberOrTag::Safe
        | BlockNumberOrTag::Finalized
        | BlockNumberOrTag::Pending => chain.head().header.number,
    }
}

/// The height of a block that exists, or `None`.
///
/// # Errors
/// If this node does not keep it.
pub(super) fn find(chain: &ChainHandle, id: BlockId) -> Answer<Option<u64>> {
    match id {
        BlockId::Hash(hash) => chain.number(hash.block_hash).map_err(error::chain),
        BlockId::Number(tag) => {
            let number = height(chain, tag);
            let first = chain.first_block();
            // Of the checkpoint itself a node has the header and the state.
            if number.saturating_add(1) < first {
                return Err(error::chain(ChainError::Pruned { wanted: number, first }));
            }
            Ok((number <= chain.head().header.number).then_some(number))
        }
    }
}

/// The height whose state a call asks for.
///
/// # Errors
/// geth's `header not found`.
pub(super) fn existing(chain: &ChainHandle, id: BlockId) -> Answer<u64> {
    find(chain, id)?.ok_or_else(|| match id {
        BlockId::Hash(_) => error::server("header for hash not found"),
        BlockId::Number(_) => error::server("header not found"),
    })
}

pub(super) fn block(chain: &ChainHandle, id: BlockId, full: bool) -> Answer<Option<Block>> {
    let Some(number) = find(chain, id)? else { return Ok(None) };
    let block = chain.block(number).map_err(error::chain)?;
    Ok(block.map(|block| convert::block(block, full)))
}

pub(super) fn header(chain: &ChainHandle, id: BlockId) -> Answer<Option<Header>> {
    let Some(number) = find(chain, id)? else { return Ok(None) };
    Ok(chain.header(number).map_err(error::chain)?.map(convert::header))
}

pub(super) fn transaction_count(chain: &ChainHandle, id: BlockId) -> Answer<Option<u64>> {
    let Some(number) = find(chain, id)? else { return Ok(None) };
    Ok(chain.block(number).map_err(error::chain)?.map(|block| block.transactions.len() as u64))
}

pub(super) fn transaction(chain: &ChainHandle, hash: B256) -> Answer<Option<Transaction>> {
    if let Some(found) = chain.transaction(hash).map_err(error::chain)? {
        let position = u64::from(found.position);
        return Ok(Some(convert::transaction(found.transaction, &found.header, position)));
    }
    Ok(chain.waiting(hash).map(convert::waiting))
}

pub(super) fn transaction_at(chain: &ChainHandle, id: BlockId, index: u64) -> Answer<Option<Transaction>> {
    let Some(number) = find(chain, id)? else { return Ok(None) };
    let Some(block) = chain.block(number).map_err(error::chain)? else { return Ok(None) };
    let transaction = usize::try_from(index).ok().and_then(|index| block.transactions.into_iter().nth(index));
    Ok(transaction.map(|transaction| convert::transaction(transaction, &block.header, index)))
}

/// The transaction as it was signed, empty if there is none.
pub(super) fn raw_transaction(chain: &ChainHandle, hash: B256) -> Answer<Bytes> {
    let found = chain.transaction(hash).map_err(error::chain)?.map(|found| found.transaction);
    let transaction = found.or_else(|| chain.waiting(hash));
    Ok(transaction.map(|transaction| transaction.encoded_2718().into()).unwrap_or_default())
}

pub(super) fn raw_transaction_at(chain: &ChainHandle, id: BlockId, index: u64) -> Answer<Bytes> {
    let transaction = transaction_at(chain, id, index)?;
    Ok(transaction.map(|transaction| transaction.inner.encoded_2718().into()).unwrap_or_default())
}

pub(super) fn receipts(chain: &ChainHandle, id: BlockId) -> Answer<Option<Vec<TransactionReceipt>>> {
    let Some(number) = find(chain, id)? else { return Ok(None) };
    let block = chain.block(number).map_err(error::chain)?;
    let receipts = chain.receipts(number).map_err(error::chain)?;
    Ok(block.zip(receipts).map(|(block, receipts)| convert::receipts(&block, receipts)))
}

pub(super) fn receipt(chain: &ChainHandle, hash: B256) -> Answer<Option<TransactionReceipt>> {
    let Some((number, position)) = chain.place(hash).map_err(error::chain)? else { return Ok(None) };
    let receipts = receipts(chain, BlockId::number(number))?;
    Ok(receipts.and_then(|receipts| receipts.into_iter().nth(position as usize)))
}

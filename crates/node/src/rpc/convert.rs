//! From what the chain holds to what clients are shown.

use alloy_consensus::{
    Header as ConsensusHeader, ReceiptEnvelope, ReceiptWithBloom, Sealed, Transaction as _, TxEnvelope,
    transaction::Recovered, transaction::TxHashRef,
};
use alloy_primitives::U256;
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use openledger_chain::{FoundLog, IndexedBlock, IndexedHeader, IndexedReceipt};

pub(super) fn header(indexed: IndexedHeader) -> Header {
    let IndexedHeader { hash, header, size } = indexed;
    let sealed: Sealed<ConsensusHeader> = Sealed::new_unchecked(header, hash);
    Header::from_consensus(sealed, None, Some(U256::from(size)))
}

pub(super) fn block(block: IndexedBlock, full: bool) -> Block {
    let transactions = if full {
        let indexed = &block.header;
        BlockTransactions::Full(
            (0..).zip(block.transactions).map(|(index, tx)| transaction(tx, indexed, index)).collect(),
        )
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|tx| *tx.tx_hash()).collect())
    };
    Block::new(header(block.header), transactions)
}

pub(super) fn transaction(
    transaction: Recovered<TxEnvelope>,
    header: &IndexedHeader,
    index: u64,
) -> Transaction {
    Transaction {
        effective_gas_price: Some(transaction.effective_gas_price(header.header.base_fee_per_gas)),
        inner: transaction,
        block_hash: Some(header.hash),
        block_number: Some(header.header.number),
        transaction_index: Some(index),
        block_timestamp: Some(header.header.timestamp),
    }
}

pub(super) fn waiting(transaction: Recovered<TxEnvelope>) -> Transaction {
    Transaction {
        // geth shows the most it would pay.
        effective_gas_price: Some(transaction.max_fee_per_gas()),
        inner: transaction,
        block_hash: None,
        block_number: None,
        transaction_index: None,
        block_timestamp: None,
    }
}

pub(super) fn receipts(block: &IndexedBlock, receipts: Vec<IndexedReceipt>) -> Vec<TransactionReceipt> {
    let header = &block.header;
    let mut log_index = 0;
    (0..)
        .zip(block.transactions.iter().zip(receipts))
        .map(|(index, (transaction, IndexedReceipt { receipt, outcome }))| {
            let inner = with_places(receipt, |log| {
                let place = FoundLog {
                    log,
                    block: (header.header.number, header.hash, header.header.timestamp),
                    transaction: (*transaction.tx_hash(), index),
                    position: log_index,
                };
                log_index += 1;
                self::log(place)
            });
            TransactionReceipt {
                inner,
                transaction_hash: *transaction.tx_hash(),
                transaction_index: Some(index),
                block_hash: Some(header.hash),
                block_number: Some(header.header.number),
                gas_used: outcome.gas_used,
                effective_gas_price: outcome.effective_gas_price,
                blob_gas_used: None,
                blob_gas_price: None,
                from: transaction.signer(),
                to: transaction.to(),
                contract_address: outcome.contract_address,
            }
        })
        .collect()
}

fn with_places(
    receipt: ReceiptEnvelope,
    mut place: impl FnMut(alloy_primitives::Log) -> Log,
) -> ReceiptEnvelope<Log> {
    let mut convert = |receipt: ReceiptWithBloom<alloy_consensus::Receipt>| ReceiptWithBloom {
        logs_bloom: receipt.logs_bloom,
        receipt: alloy_consensus::Receipt {
            status: receipt.receipt.status,
            cumulative_gas_used: receipt.receipt.cumulative_gas_used,
            logs: receipt.receipt.logs.into_iter().map(&mut place).collect(),
        },
    };
    match receipt {
        ReceiptEnvelope::Legacy(receipt) => ReceiptEnvelope::Legacy(convert(receipt)),
        ReceiptEnvelope::Eip2930(receipt) => ReceiptEnvelope::Eip2930(convert(receipt)),
        ReceiptEnvelope::Eip1559(receipt) => ReceiptEnvelope::Eip1559(convert(receipt)),
        ReceiptEnvelope::Eip4844(receipt) => ReceiptEnvelope::Eip4844(convert(receipt)),
        ReceiptEnvelope::Eip7702(receipt) => ReceiptEnvelope::Eip7702(convert(receipt)),
    }
}

pub(super) fn log(found: FoundLog) -> Log {
    let (number, hash, timestamp) = found.block;
    let (transaction, index) = found.transaction;
    Log {
        inner: found.log,
        block_hash: Some(hash),
        block_number: Some(number),
        block_timestamp: Some(timestamp),
        transaction_hash: Some(transaction),
        transaction_index: Some(index),
        log_index: Some(found.position),
        removed: false,
    }
}

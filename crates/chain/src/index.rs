//! What clients ask for by hash or number: headers, transactions, receipts and logs, in one redb file.
//!
//! Nothing here is a source of truth. A block is written before its state is applied, so after a crash the index is
//! level with the state or ahead of it, and what is ahead is written again with the same content. A deleted file is
//! rebuilt by executing the stored blocks again, but for the handovers of past epochs.

use crate::{Block, ChainError, handover::Stored};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use alloy_sol_types::SolValue;
use commonware_cryptography::ed25519::PublicKey;
use openledger_execution::{BlockOutcome, Turn, TxOutcome};
use openledger_types::abi::DoubleSign;
use redb::{AccessGuard, Database, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Changes when what is stored changes; an older file is refused and rebuilt.
const FORMAT: u64 = 4;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
const NUMBERS: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("numbers");
const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
const TRANSACTIONS: TableDefinition<'_, [u8; 32], (u64, u32)> = TableDefinition::new("transactions");
const RECEIPTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("receipts");
/// ABI encoding of the double votes of a block that has some.
const EVIDENCE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("evidence");
/// Epoch, view and view of the parent of a block.
const TURNS: TableDefinition<'_, u64, (u64, u64, u64)> = TableDefinition::new("turns");
/// The keys of an epoch's seats, 32 bytes each.
const VALIDATORS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("validators");
/// What shows an epoch's validators to light clients. It cannot be made again later.
const HANDOVERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("handovers");

/// The block of the checkpoint that a node has started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) number: u64,
    pub(crate) hash: B256,
}

/// A header with its hash and what else a client is told of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedHeader {
    /// keccak256 of the header.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// Size of the block in bytes.
    pub size: u64,
}

/// A block with the senders of its transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedBlock {
    /// Its header.
    pub header: IndexedHeader,
    /// Its transactions in order.
    pub transactions: Vec<Recovered<TxEnvelope>>,
    /// Double votes that it punishes before them.
    pub evidence: Vec<DoubleSign>,
    /// Where it stands in consensus.
    pub turn: Turn,
}

/// A receipt and what the block header's price made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedReceipt {
    /// The receipt.
    pub receipt: ReceiptEnvelope,
    /// Gas of this transaction alone, price per gas and created contract.
    pub outcome: TxOutcome,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredHeader {
    hash: B256,
    size: u64,
    header: Header,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredTransaction {
    sender: Address,
    encoded: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredReceipt {
    encoded: Bytes,
    gas_used: u64,
    effective_gas_price: u128,
    /// 20 bytes, or none where no contract was created.
    contract: Bytes,
}

/// The index. All methods block on the disk for well under a millisecond, `put` for as long as the disk takes to
/// make a write durable.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    database: Database,
    /// As `meta` has it: every question about a block asks for it.
    base: Mutex<Option<Base>>,
}

impl Index {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`ChainError::Index`] naming the file if it is damaged or has another format;
    /// [`ChainError::OtherGenesis`] if it belongs to another chain.
    pub(crate) fn open(path: &Path, genesis: B256) -> Result<Self, ChainError> {
        let failed = |reason: String| ChainError::Index { path: path.to_owned(), reason };
        // redb asserts on what it reads, so damage can be a panic as well as an error.
        let opened = catch_unwind(AssertUnwindSafe(|| Database::create(path)))
            .map_err(|_panic| failed("the file is damaged".into()))?;
        let database = opened.map_err(|error| failed(error.to_string()))?;
        let mut index = Self { path: path.to_owned(), database, base: Mutex::default() };
        match index.meta("genesis")? {
            None => index.initialise(genesis)?,
            Some(found) if found != genesis.as_slice() => {
                return Err(ChainError::OtherGenesis {
                    folder: path.parent().unwrap_or(path).to_owned(),
                    found: B256::try_from(found.as_slice()).unwrap_or_default(),
                    expected: genesis,
                });
            }
            Some(_) => {}
        }
        let format = index.meta("format")?;
        if format.as_deref() != Some(FORMAT.to_be_bytes().as_slice()) {
            return Err(failed(format!("it is not of format {FORMAT}")));
        }
        index.base = Mutex::new(index.stored_base()?);
        Ok(index)
    }

    /// An index that is gone with the process.
    #[cfg(feature = "simulate")]
    pub(crate) fn in_memory(genesis: B256) -> Result<Self, ChainError> {
        let path = PathBuf::from("in memory");
        let database = Database::builder()
            .create_with_backend(redb::backends::InMemoryBackend::new())
            .map_err(|error| ChainError::Index { path: path.clone(), reason: error.to_string() })?;
        let index = Self { path, database, base: Mutex::default() };
        index.initialise(genesis)?;
        Ok(index)
    }

    pub(crate) fn failed(&self, error: impl std::fmt::Display) -> ChainError {
        ChainError::Index { path: self.path.clone(), reason: error.to_string() }
    }

    fn initialise(&self, genesis: B256) -> Result<(), ChainError> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut meta = write.open_table(META).map_err(|error| self.failed(error))?;
            meta.insert("genesis", genesis.as_slice()).map_err(|error| self.failed(error))?;
            meta.insert("format", FORMAT.to_be_bytes().as_slice()).map_err(|error| self.failed(error))?;
            // Reading a table that was never opened for writing is an error in redb.
            write.open_table(HEADERS).map_err(|error| self.failed(error))?;
            write.open_table(NUMBERS).map_err(|error| self.failed(error))?;
            write.open_table(BODIES).map_err(|error| self.failed(error))?;
            write.open_table(TRANSACTIONS).map_err(|error| self.failed(error))?;
            write.open_table(RECEIPTS).map_err(|error| self.failed(error))?;
            write.open_table(EVIDENCE).map_err(|error| self.failed(error))?;
            write.open_table(TURNS).map_err(|error| self.failed(error))?;
            write.open_table(VALIDATORS).map_err(|error| self.failed(error))?;
            write.open_table(HANDOVERS).map_err(|error| self.failed(error))?;
        }
        write.commit().map_err(|error| self.failed(error))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = match read.open_table(META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let value = table.get(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// Writes a block with what it did, and returns once that is on disk. Writing a block again changes nothing.
    pub(crate) fn put(
        &self,
        block: &Block,
        senders: &[Address],
        outcome: &BlockOutcome,
    ) -> Result<(), ChainError> {
        let number = block.number();
        let header = alloy_rlp::encode(StoredHeader {
            hash: block.hash(),
            size: block.encoded_size() as u64,
            header: block.header().clone(),
        });
        let body: Vec<_> = block
            .transactions()
            .iter()
            .zip(senders)
            .map(|(tx, sender)| StoredTransaction { sender: *sender, encoded: tx.encoded_2718().into() })
            .collect();
        let receipts: Vec<_> = outcome
            .receipts
            .iter()
            .zip(&outcome.transactions)
            .map(|(receipt, outcome)| StoredReceipt {
                encoded: receipt.encoded_2718().into(),
                gas_used: outcome.gas_used,
                effective_gas_price: outcome.effective_gas_price,
                contract: outcome
                    .contract_address
                    .map(|address| Bytes::copy_from_slice(address.as_slice()))
                    .unwrap_or_default(),
            })
            .collect();

        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut headers = write.open_table(HEADERS).map_err(|error| self.failed(error))?;
            headers.insert(number, header.as_slice()).map_err(|error| self.failed(error))?;
            let mut numbers = write.open_table(NUMBERS).map_err(|error| self.failed(error))?;
            numbers.insert(block.hash().0, number).map_err(|error| self.failed(error))?;
            let mut bodies = write.open_table(BODIES).map_err(|error| self.failed(error))?;
            bodies.insert(number, alloy_rlp::encode(&body).as_slice()).map_err(|error| self.failed(error))?;
            let mut transactions = write.open_table(TRANSACTIONS).map_err(|error| self.failed(error))?;
            for (position, hash) in (0..).zip(block.transaction_hashes()) {
                transactions.insert(hash.0, (number, position)).map_err(|error| self.failed(error))?;
            }
            if !block.seal().evidence.is_empty() {
                let mut stored = write.open_table(EVIDENCE).map_err(|error| self.failed(error))?;
                let encoded = block.seal().evidence.abi_encode();
                stored.insert(number, encoded.as_slice()).map_err(|error| self.failed(error))?;
            }
            let Turn { epoch, view, parent } = block.seal().turn();
            let mut turns = write.open_table(TURNS).map_err(|error| self.failed(error))?;
            turns.insert(number, (epoch, view, parent)).map_err(|error| self.failed(error))?;
            let mut stored = write.open_table(RECEIPTS).map_err(|error| self.failed(error))?;
            stored
                .insert(number, alloy_rlp::encode(&receipts).as_slice())
                .map_err(|error| self.failed(error))?;
        }
        write.commit().map_err(|error| self.failed(error))
    }

    /// Writes who votes in which epochs.
    pub(crate) fn put_validators(&self, sets: &BTreeMap<u64, Vec<PublicKey>>) -> Result<(), ChainError> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut table = write.open_table(VALIDATORS).map_err(|error| self.failed(error))?;
            for (epoch, keys) in sets {
                let bytes: Vec<u8> = keys.iter().flat_map(|key| key.iter().copied()).collect();
                table.insert(*epoch, bytes.as_slice()).map_err(|error| self.failed(error))?;
            }
        }
        write.commit().map_err(|error| self.failed(error))
    }

    /// Notes which block this node starts from.
    pub(crate) fn put_base(&self, base: Base) -> Result<(), ChainError> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut meta = write.open_table(META).map_err(|error| self.failed(error))?;
            let bytes = [base.number.to_be_bytes().as_slice(), base.hash.as_slice()].concat();
            meta.insert("base", bytes.as_slice()).map_err(|error| self.failed(error))?;
        }
        write.commit().map_err(|error| self.failed(error))?;
        *self.base.lock().expect("no code panics with this lock") = Some(base);
        Ok(())
    }

    /// The block that this node has started from; `None` if that is the genesis.
    pub(crate) fn base(&self) -> Option<Base> {
        *self.base.lock().expect("no code panics with this lock")
    }

    fn stored_base(&self) -> Result<Option<Base>, ChainError> {
        let Some(bytes) = self.meta("base")? else { return Ok(None) };
        let (number, hash) =
            bytes.split_first_chunk::<8>().ok_or_else(|| self.failed("its base is cut off"))?;
        let hash = B256::try_from(hash).map_err(|error| self.failed(error))?;
        Ok(Some(Base { number: u64::from_be_bytes(*number), hash }))
    }

    /// Writes headers of blocks whose content is not here, all or none.
    pub(crate) fn put_headers(&self, headers: &[IndexedHeader]) -> Result<(), ChainError> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut stored = write.open_table(HEADERS).map_err(|error| self.failed(error))?;
            let mut numbers = write.open_table(NUMBERS).map_err(|error| self.failed(error))?;
            for IndexedHeader { hash, header, size } in headers {
                let encoded =
                    alloy_rlp::encode(StoredHeader { hash: *hash, size: *size, header: header.clone() });
                stored.insert(header.number, encoded.as_slice()).map_err(|error| self.failed(error))?;
                numbers.insert(hash.0, header.number).map_err(|error| self.failed(error))?;
            }
        }
        write.commit().map_err(|error| self.failed(error))
    }

    /// Who votes in an epoch; `None` if that is not here.
    pub(crate) fn validators(&self, epoch: u64) -> Result<Option<Vec<B256>>, ChainError> {
        let keys = self.piece(VALIDATORS, epoch)?;
        Ok(keys.map(|keys| keys.chunks_exact(32).map(B256::from_slice).collect()))
    }

    /// Who votes in the newest epochs that are here, at most so many.
    pub(crate) fn last_validators(&self, count: usize) -> Result<Vec<(u64, Vec<B256>)>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = read.open_table(VALIDATORS).map_err(|error| self.failed(error))?;
        let newest = table.iter().map_err(|error| self.failed(error))?.rev().take(count);
        let set = |entry: Result<(AccessGuard<'_, u64>, AccessGuard<'_, &'static [u8]>), StorageError>| {
            let (epoch, keys) = entry.map_err(|error| self.failed(error))?;
            Ok((epoch.value(), keys.value().chunks_exact(32).map(B256::from_slice).collect()))
        };
        newest.map(set).collect()
    }

    /// Writes what shows the validators of an epoch.
    pub(crate) fn put_handover(&self, epoch: u64, handover: &Stored) -> Result<(), ChainError> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut table = write.open_table(HANDOVERS).map_err(|error| self.failed(error))?;
            let bytes = alloy_rlp::encode(handover);
            table.insert(epoch, bytes.as_slice()).map_err(|error| self.failed(error))?;
        }
        write.commit().map_err(|error| self.failed(error))
    }

    /// What shows the validators of an epoch; `None` if that is not here.
    pub(crate) fn handover(&self, epoch: u64) -> Result<Option<Stored>, ChainError> {
        self.piece(HANDOVERS, epoch)?.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// The highest block that is here; those below it are too.
    pub(crate) fn last(&self) -> Result<Option<u64>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let headers = read.open_table(HEADERS).map_err(|error| self.failed(error))?;
        let last = headers.last().map_err(|error| self.failed(error))?;
        Ok(last.map(|(number, _)| number.value()))
    }

    /// The number of the block with this hash.
    pub(crate) fn number(&self, hash: B256) -> Result<Option<u64>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let numbers = read.open_table(NUMBERS).map_err(|error| self.failed(error))?;
        let number = numbers.get(hash.0).map_err(|error| self.failed(error))?;
        Ok(number.map(|number| number.value()))
    }

    fn piece(
        &self,
        table: TableDefinition<'_, u64, &'static [u8]>,
        number: u64,
    ) -> Result<Option<Vec<u8>>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = read.open_table(table).map_err(|error| self.failed(error))?;
        let value = table.get(number).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The header of a block.
    pub(crate) fn header(&self, number: u64) -> Result<Option<IndexedHeader>, ChainError> {
        let Some(bytes) = self.piece(HEADERS, number)? else { return Ok(None) };
        let StoredHeader { hash, size, header } = self.decode(&bytes)?;
        Ok(Some(IndexedHeader { hash, header, size }))
    }

    /// The block at `from` or above that left the state with this root; `None` if none is here yet.
    pub(crate) fn with_root(&self, root: B256, from: u64) -> Result<Option<IndexedHeader>, ChainError> {
        let mut number = from;
        while let Some(block) = self.header(number)? {
            if block.header.state_root == root {
                return Ok(Some(block));
            }
            number += 1;
        }
        Ok(None)
    }

    /// A block.
    pub(crate) fn block(&self, number: u64) -> Result<Option<IndexedBlock>, ChainError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let Some(bytes) = self.piece(BODIES, number)? else { return Ok(None) };
        let stored: Vec<StoredTransaction> = self.decode(&bytes)?;
        let transactions = stored
            .into_iter()
            .map(|stored| {
                let transaction = TxEnvelope::decode_2718(&mut stored.encoded.as_ref())
                    .map_err(|error| self.failed(error))?;
                Ok(Recovered::new_unchecked(transaction, stored.sender))
            })
            .collect::<Result<_, ChainError>>()?;
        let evidence = self.piece(EVIDENCE, number)?;
        let evidence = evidence.map(|bytes| Vec::<DoubleSign>::abi_decode(&bytes)).transpose();
        let evidence = evidence.map_err(|error| self.failed(error))?.unwrap_or_default();
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let turns = read.open_table(TURNS).map_err(|error| self.failed(error))?;
        let turn =
            turns.get(number).map_err(|error| self.failed(error))?.map_or_else(Turn::default, |found| {
                let (epoch, view, parent) = found.value();
                Turn { epoch, view, parent }
            });
        Ok(Some(IndexedBlock { header, transactions, evidence, turn }))
    }

    /// The receipts of a block.
    pub(crate) fn receipts(&self, number: u64) -> Result<Option<Vec<IndexedReceipt>>, ChainError> {
        let Some(bytes) = self.piece(RECEIPTS, number)? else { return Ok(None) };
        let stored: Vec<StoredReceipt> = self.decode(&bytes)?;
        stored
            .into_iter()
            .map(|stored| {
                let receipt = ReceiptEnvelope::decode_2718(&mut stored.encoded.as_ref())
                    .map_err(|error| self.failed(error))?;
                let outcome = TxOutcome {
                    gas_used: stored.gas_used,
                    effective_gas_price: stored.effective_gas_price,
                    contract_address: Address::try_from(stored.contract.as_ref()).ok(),
                };
                Ok(IndexedReceipt { receipt, outcome })
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Block and position of a transaction.
    pub(crate) fn transaction(&self, hash: B256) -> Result<Option<(u64, u32)>, ChainError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = read.open_table(TRANSACTIONS).map_err(|error| self.failed(error))?;
        let place = table.get(hash.0).map_err(|error| self.failed(error))?;
        Ok(place.map(|place| place.value()))
    }

    fn decode<T: Decodable>(&self, mut bytes: &[u8]) -> Result<T, ChainError> {
        T::decode(&mut bytes).map_err(|error| self.failed(error))
    }
}

//! A block: an Ethereum header, the seal that consensus needs, and the transactions.
//!
//! ```text
//! block   = seal ‖ u32 length ‖ rlp(header) ‖ u32 count ‖ count x (u32 length ‖ EIP-2718 bytes)
//! seal    = consensus context (round, leader, parent view and digest) ‖ root of the state log ‖ state range (two varints)
//!           ‖ u8 count ‖ count x (u32 length ‖ ABI encoding of a double vote)
//! digest  = keccak256(rlp(header))           the Ethereum block hash, which certificates sign
//! ```
//!
//! The header commits to the rest: `extraData = keccak256(seal)` (32 bytes, because web3.py refuses more) and
//! `transactionsRoot` is the ordinary trie root. Decoding refuses a block in which either differs, so two different
//! bodies never share a digest.

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header, TxEnvelope, constants::EMPTY_ROOT_HASH, proofs::calculate_transaction_root,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_sol_types::SolValue;
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize, MaxEncodeSize, Read, ReadExt, Write,
};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context as SimplexContext,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digest as _, Digestible, ed25519, keccak256::Digest};
use commonware_runtime::BufMut;
use commonware_storage::mmr::Location;
use commonware_utils::range::NonEmptyRange;
use openledger_execution::Turn;
use openledger_types::abi::DoubleSign;
use std::sync::Arc;

/// What consensus says about a proposal: its round, its leader, and the parent it builds on.
pub(crate) type Context = SimplexContext<Digest, ed25519::PublicKey>;

/// Largest transaction that a block or the pool takes, as geth has it.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;
/// Largest sum of encoded transactions in one block. It bounds the messages that peers must accept, so it may not
/// shrink while stored blocks remain.
pub const MAX_BLOCK_TRANSACTION_BYTES: usize = 2 * 1024 * 1024;
/// The smallest transaction is over 100 bytes; this keeps a decoder from reserving memory for a false count.
const MAX_TRANSACTIONS: usize = MAX_BLOCK_TRANSACTION_BYTES / 64;
/// Double votes in one block. There is one for each key and epoch, and others can wait.
pub(crate) const MAX_EVIDENCE: usize = 4;
/// A double vote with two signatures is 672 bytes.
const MAX_EVIDENCE_BYTES: usize = 1024;
/// A header of this chain is below 600 bytes.
const MAX_HEADER_BYTES: usize = 1024;

/// What a block carries for consensus and state sync beside its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The context it was proposed in.
    pub(crate) context: Context,
    /// Root of the state log after this block, which state sync fetches against. The header's `stateRoot` covers it and
    /// which of its operations are current.
    pub(crate) log_root: Digest,
    /// Operations of the state log that a node needs after this block: the first, and their number in all.
    pub(crate) state_range: NonEmptyRange<Location>,
    /// Double votes that the block punishes before its transactions.
    pub(crate) evidence: Vec<DoubleSign>,
}

impl Write for Seal {
    fn write(&self, buf: &mut impl BufMut) {
        self.context.write(buf);
        self.log_root.write(buf);
        self.state_range.write(buf);
        u8::try_from(self.evidence.len()).expect("bounded by MAX_EVIDENCE").write(buf);
        for double in &self.evidence {
            write_piece(buf, &double.abi_encode());
        }
    }
}

impl EncodeSize for Seal {
    fn encode_size(&self) -> usize {
        let evidence: usize = self.evidence.iter().map(|double| 4 + double.abi_encoded_size()).sum();
        let fixed = self.context.encode_size() + self.log_root.encode_size() + self.state_range.encode_size();
        fixed + 1 + evidence
    }
}

impl Read for Seal {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (context, log_root) = (Context::read(buf)?, Digest::read(buf)?);
        let state_range = NonEmptyRange::read(buf)?;
        let count = usize::from(u8::read(buf)?);
        if count > MAX_EVIDENCE {
            return Err(CodecError::InvalidLength(count));
        }
        let evidence = (0..count).map(|_| read_evidence(buf)).collect::<Result<_, _>>()?;
        Ok(Self { context, log_root, state_range, evidence })
    }
}

impl Seal {
    /// Where the block stands in consensus.
    pub(crate) fn turn(&self) -> Turn {
        turn(&self.context)
    }

    /// What the header's `extraData` holds.
    pub(crate) fn commitment(&self) -> Bytes {
        Bytes::copy_from_slice(keccak256(self.encode()).as_slice())
    }
}

/// Where a proposal in this context stands in consensus.
pub(crate) fn turn(context: &Context) -> Turn {
    let (parent, _) = context.parent;
    Turn { epoch: context.round.epoch().get(), view: context.round.view().get(), parent: parent.get() }
}

/// A block of the chain. Cloning shares the contents.
#[derive(Clone, Debug)]
pub struct Block {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hash: B256,
    header: Header,
    seal: Seal,
    transactions: Vec<TxEnvelope>,
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.inner.hash == other.inner.hash
    }
}

impl Eq for Block {}

impl Block {
    /// Joins the parts; the header must already commit to the seal and the transactions.
    pub(crate) fn new(header: Header, seal: Seal, transactions: Vec<TxEnvelope>) -> Self {
        let hash = header.hash_slow();
        Self { inner: Arc::new(Inner { hash, header, seal, transactions }) }
    }

    /// Block zero. It holds no state: what genesis allots is written by block one, because the state log starts
    /// empty and state sync must be able to begin there. Its `mixHash` is the hash of the genesis file, so that two
    /// chains with different files differ from their first block on.
    pub(crate) fn genesis(
        config: &openledger_execution::Genesis,
        leader: ed25519::PublicKey,
        state_root: B256,
        log_root: Digest,
        state_range: NonEmptyRange<Location>,
    ) -> Self {
        let seal = Seal {
            context: Context {
                round: Round::new(Epoch::zero(), View::zero()),
                leader,
                parent: (View::zero(), Digest::EMPTY),
            },
            log_root,
            state_range,
            evidence: Vec::new(),
        };
        let header = Header {
            parent_hash: B256::ZERO,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: Address::ZERO,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            logs_bloom: Bloom::ZERO,
            difficulty: U256::ZERO,
            number: 0,
            gas_limit: config.gas_limit,
            gas_used: 0,
            timestamp: config.timestamp,
            extra_data: seal.commitment(),
            mix_hash: config.hash(),
            nonce: B64::ZERO,
            base_fee_per_gas: Some(config.base_fee),
            ..Header::default()
        };
        Self::new(header, seal, Vec::new())
    }

    /// keccak256(rlp(header)).
    pub fn hash(&self) -> B256 {
        self.inner.hash
    }

    /// The Ethereum header.
    pub fn header(&self) -> &Header {
        &self.inner.header
    }

    /// Height of the block.
    pub fn number(&self) -> u64 {
        self.inner.header.number
    }

    /// The transactions in order.
    pub fn transactions(&self) -> &[TxEnvelope] {
        &self.inner.transactions
    }

    /// Hash of each transaction, in order.
    pub fn transaction_hashes(&self) -> impl Iterator<Item = B256> + '_ {
        self.inner.transactions.iter().map(|tx| *tx.tx_hash())
    }

    /// Bytes of the block as nodes exchange it, which is what `eth_getBlock…` reports as its size.
    pub fn encoded_size(&self) -> usize {
        self.encode_size()
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.inner.seal
    }
}

/// The 32 bytes of `hash` as the digest type of the engine.
pub(crate) fn digest(hash: B256) -> Digest {
    Digest(hash.0)
}

/// The digest of the engine as an Ethereum hash.
pub(crate) fn hash(digest: &Digest) -> B256 {
    B256::new(digest.0)
}

/// Reads one length-prefixed piece of at most `limit` bytes.
fn read_piece(buf: &mut impl Buf, limit: usize, what: &'static str) -> Result<Vec<u8>, CodecError> {
    let length = u32::read(buf)? as usize;
    if length > limit {
        return Err(CodecError::InvalidLength(length));
    }
    if buf.remaining() < length {
        return Err(CodecError::EndOfBuffer);
    }
    let mut piece = vec![0; length];
    buf.copy_to_slice(&mut piece);
    if piece.is_empty() {
        return Err(CodecError::Invalid("block", what));
    }
    Ok(piece)
}

fn write_piece(buf: &mut impl BufMut, piece: &[u8]) {
    u32::try_from(piece.len()).expect("pieces are bounded by MAX_BLOCK_TRANSACTION_BYTES").write(buf);
    buf.put_slice(piece);
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.inner.seal.write(buf);
        write_piece(buf, &alloy_rlp::encode(&self.inner.header));
        u32::try_from(self.inner.transactions.len()).expect("bounded by MAX_TRANSACTIONS").write(buf);
        for transaction in &self.inner.transactions {
            write_transaction(buf, transaction);
        }
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let transactions: usize = self.inner.transactions.iter().map(|tx| 4 + tx.encode_2718_len()).sum();
        self.inner.seal.encode_size() + 4 + self.inner.header.length() + 4 + transactions
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let seal = Seal::read(buf)?;

        let encoded = read_piece(buf, MAX_HEADER_BYTES, "empty header")?;
        let header = Header::decode(&mut encoded.as_slice())
            .map_err(|error| CodecError::Wrapped("block header", Box::new(error)))?;
        if alloy_rlp::encode(&header) != encoded {
            return Err(CodecError::Invalid("block", "header is not in canonical form"));
        }
        if header.extra_data != seal.commitment() {
            return Err(CodecError::Invalid("block", "extraData is not the hash of the seal"));
        }

        let count = u32::read(buf)? as usize;
        if count > MAX_TRANSACTIONS {
            return Err(CodecError::InvalidLength(count));
        }
        let mut transactions = Vec::with_capacity(count);
        let mut total = 0;
        for _ in 0..count {
            let before = buf.remaining();
            transactions.push(read_transaction(buf)?);
            total += before - buf.remaining() - 4;
            if total > MAX_BLOCK_TRANSACTION_BYTES {
                return Err(CodecError::InvalidLength(total));
            }
        }
        if header.transactions_root != calculate_transaction_root(&transactions) {
            return Err(CodecError::Invalid("block", "transactionsRoot does not match the transactions"));
        }
        Ok(Self::new(header, seal, transactions))
    }
}

fn read_evidence(buf: &mut impl Buf) -> Result<DoubleSign, CodecError> {
    let encoded = read_piece(buf, MAX_EVIDENCE_BYTES, "empty double vote")?;
    let double = DoubleSign::abi_decode_validate(&encoded)
        .map_err(|error| CodecError::Wrapped("double vote", Box::new(error)))?;
    if double.abi_encode() != encoded {
        return Err(CodecError::Invalid("double vote", "not in canonical form"));
    }
    Ok(double)
}

/// Writes `u32 length ‖ EIP-2718 bytes`.
pub(crate) fn write_transaction(buf: &mut impl BufMut, transaction: &TxEnvelope) {
    let length = transaction.encode_2718_len();
    u32::try_from(length).expect("a transaction is bounded by MAX_TRANSACTION_BYTES").write(buf);
    transaction.encode_2718(buf);
}

/// Reads a transaction that [`write_transaction`] wrote.
///
/// # Errors
/// If it is longer than [`MAX_TRANSACTION_BYTES`], cut, or not in canonical form.
pub(crate) fn read_transaction(buf: &mut impl Buf) -> Result<TxEnvelope, CodecError> {
    let encoded = read_piece(buf, MAX_TRANSACTION_BYTES, "empty transaction")?;
    let mut rest = encoded.as_slice();
    let transaction = TxEnvelope::decode_2718(&mut rest)
        .map_err(|error| CodecError::Wrapped("transaction", Box::new(error)))?;
    if !rest.is_empty() || transaction.encoded_2718() != encoded {
        return Err(CodecError::Invalid("transaction", "not in canonical form"));
    }
    Ok(transaction)
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        digest(self.inner.hash)
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.inner.header.number)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Digest {
        digest(self.inner.header.parent_hash)
    }
}

impl CertifiableBlock for Block {
    type Context = Context;

    fn context(&self) -> Context {
        self.inner.seal.context.clone()
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        Context::MAX_ENCODE_SIZE
            + Digest::SIZE
            + NonEmptyRange::<Location>::MAX_ENCODE_SIZE
            + 1
            + MAX_EVIDENCE * (4 + MAX_EVIDENCE_BYTES)
            + 4
            + MAX_HEADER_BYTES
            + 4
            + MAX_TRANSACTIONS * 4
            + MAX_BLOCK_TRANSACTION_BYTES
    }
}

#[cfg(test)]
mod tests;

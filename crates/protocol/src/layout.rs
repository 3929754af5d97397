//! Storage as Solidity lays it out, so that `eth_getStorageAt`, `solc --storage-layout` and proofs agree.
//!
//! A [`Slot`] is a word or several values packed into one, the first in the low bits. A [`Mapping`] keeps the value of
//! `key` at `keccak256(key . slot)`. A [`Text`] of at most 31 bytes is one word (bytes on the left, twice the length in
//! the lowest byte); a longer one keeps `2 * length + 1` and its bytes from `keccak256(slot)` on. A [`List`] keeps its
//! length and its values, packed, from `keccak256(slot)` on.

use std::marker::PhantomData;

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::error::Result;
use crate::storage::Storage;

/// A value of at most one word.
pub trait Word: Sized {
    /// How many bits it takes.
    const BITS: usize;

    /// In the low bits.
    fn pack(self) -> U256;

    /// Out of a word whose other bits are zero.
    fn unpack(word: U256) -> Self;
}

/// A place in the storage of an account from which a value of this type is laid out.
pub trait Place {
    /// The value whose layout starts at `slot`.
    fn at(account: Address, slot: U256) -> Self;
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const BITS: usize = <$type>::BITS as usize;

            fn pack(self) -> U256 {
                U256::from(self)
            }

            fn unpack(word: U256) -> Self {
                word.wrapping_to()
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64, u128);

impl Word for U256 {
    const BITS: usize = 256;

    fn pack(self) -> U256 {
        self
    }

    fn unpack(word: U256) -> Self {
        word
    }
}

impl Word for B256 {
    const BITS: usize = 256;

    fn pack(self) -> U256 {
        self.into()
    }

    fn unpack(word: U256) -> Self {
        word.into()
    }
}

impl Word for bool {
    const BITS: usize = 8;

    fn pack(self) -> U256 {
        U256::from(self)
    }

    fn unpack(word: U256) -> Self {
        !word.is_zero()
    }
}

impl Word for Address {
    const BITS: usize = 160;

    fn pack(self) -> U256 {
        self.into_word().into()
    }

    fn unpack(word: U256) -> Self {
        Self::from_word(word.into())
    }
}

macro_rules! enums {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const BITS: usize = 8;

            fn pack(self) -> U256 {
                U256::from(self as u8)
            }

            fn unpack(word: U256) -> Self {
                Self::try_from(word.wrapping_to::<u8>()).expect("only values of the enum are ever stored")
            }
        }
    )*};
}
enums!(
    openledger_types::abi::Use,
    openledger_types::abi::Modality,
    openledger_types::abi::ContributionStatus,
    openledger_types::abi::Acceptance,
    openledger_types::abi::Ballot,
    openledger_types::abi::BatchStatus,
    openledger_types::abi::ChallengeStatus,
    openledger_types::abi::StakeRole
);

macro_rules! packed {
    ($(($($part:ident),+)),+) => {$(
        impl<$($part: Word),+> Word for ($($part,)+) {
            const BITS: usize = {
                let bits = 0 $(+ $part::BITS)+;
                assert!(bits <= 256, "packed values fit one slot");
                bits
            };

            fn pack(self) -> U256 {
                #[expect(non_snake_case, reason = "the parts are named after their types")]
                let ($($part,)+) = self;
                let mut word = U256::ZERO;
                let mut _shift = 0_usize;
                $(
                    word |= shifted_up($part.pack(), _shift);
                    _shift = _shift.saturating_add($part::BITS);
                )+
                word
            }

            fn unpack(word: U256) -> Self {
                let mut _rest = word;
                ($({
                    let part = $part::unpack(_rest & low_bits($part::BITS));
                    _rest = shifted_down(_rest, $part::BITS);
                    part
                },)+)
            }
        }
    )+};
}
packed!(
    (A, B),
    (A, B, C),
    (A, B, C, D),
    (A, B, C, D, E),
    (A, B, C, D, E, F),
    (A, B, C, D, E, F, G),
    (A, B, C, D, E, F, G, H)
);

/// A word without its low `bits` bits.
fn shifted_down(word: U256, bits: usize) -> U256 {
    if bits >= 256 { U256::ZERO } else { word.wrapping_shr(bits) }
}

/// A word moved up by `bits` bits.
fn shifted_up(word: U256, bits: usize) -> U256 {
    if bits >= 256 { U256::ZERO } else { word.wrapping_shl(bits) }
}

/// A word whose low `bits` bits are set.
fn low_bits(bits: usize) -> U256 {
    if bits >= 256 { U256::MAX } else { U256::MAX.wrapping_shr(256_usize.saturating_sub(bits)) }
}

/// One word of storage.
#[derive(Debug)]
pub struct Slot<T> {
    account: Address,
    slot: U256,
    value: PhantomData<T>,
}

impl<T> Slot<T> {
    /// The slot with this number.
    pub const fn new(account: Address, slot: u64) -> Self {
        Self { account, slot: U256::from_limbs([slot, 0, 0, 0]), value: PhantomData }
    }
}

impl<T> Place for Slot<T> {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot, value: PhantomData }
    }
}

impl<T: Word> Slot<T> {
    /// Its number among those of its account.
    pub const fn number(&self) -> U256 {
        self.slot
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn get(&self, storage: &mut dyn Storage) -> Result<T> {
        Ok(T::unpack(storage.sload(self.account, self.slot)?))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn set(&self, storage: &mut dyn Storage, value: T) -> Result<()> {
        storage.sstore(self.account, self.slot, value.pack())
    }
}

/// Values by key.
#[derive(Debug)]
pub struct Mapping<K, V> {
    account: Address,
    slot: U256,
    types: PhantomData<(K, V)>,
}

impl<K, V> Mapping<K, V> {
    /// The mapping at the slot with this number.
    pub const fn new(account: Address, slot: u64) -> Self {
        Self { account, slot: U256::from_limbs([slot, 0, 0, 0]), types: PhantomData }
    }
}

impl<K, V> Place for Mapping<K, V> {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot, types: PhantomData }
    }
}

impl<K: Word, V: Place> Mapping<K, V> {
    /// The place of the value of `key`.
    pub fn at(&self, key: K) -> V {
        let mut preimage = [0_u8; 64];
        let (low, high) = preimage.split_at_mut(32);
        low.copy_from_slice(&key.pack().to_be_bytes::<32>());
        high.copy_from_slice(&self.slot.to_be_bytes::<32>());
        V::at(self.account, keccak256(preimage).into())
    }
}

/// A string.
#[derive(Debug)]
pub struct Text {
    account: Address,
    slot: U256,
}

impl Place for Text {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot }
    }
}

impl Text {
    fn data(&self) -> U256 {
        keccak256(self.slot.to_be_bytes::<32>()).into()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn get(&self, storage: &mut dyn Storage) -> Result<String> {
        let head = storage.sload(self.account, self.slot)?;
        let bytes = if head.bit(0) {
            let length: usize = head.wrapping_shr(1).wrapping_to();
            let mut bytes = Vec::new();
            for word in 0..length.div_ceil(32) {
                let slot = self.data().wrapping_add(U256::from(word));
                bytes.extend_from_slice(&storage.sload(self.account, slot)?.to_be_bytes::<32>());
            }
            bytes.truncate(length);
            bytes
        } else {
            let length: usize = (head & U256::from(0xff)).wrapping_shr(1).wrapping_to();
            head.to_be_bytes::<32>().into_iter().take(length).collect()
        };
        Ok(String::from_utf8(bytes).expect("only strings are ever stored"))
    }

    /// Writes it over nothing: what a longer one left behind would stay.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn init(&self, storage: &mut dyn Storage, text: &str) -> Result<()> {
        let length = U256::from(text.len());
        if text.len() < 32 {
            let head = padded_word(text.as_bytes()) | length.wrapping_shl(1);
            return storage.sstore(self.account, self.slot, head);
        }
        storage.sstore(self.account, self.slot, length.wrapping_shl(1) | U256::ONE)?;
        for (index, chunk) in text.as_bytes().chunks(32).enumerate() {
            let slot = self.data().wrapping_add(U256::from(index));
            storage.sstore(self.account, slot, padded_word(chunk))?;
        }
        Ok(())
    }
}

/// At most 32 bytes at the left of a word.
fn padded_word(bytes: &[u8]) -> U256 {
    B256::right_padding_from(bytes).into()
}

/// A dynamic array of words, or of values that pack evenly into words.
#[derive(Debug)]
pub struct List<T> {
    account: Address,
    slot: U256,
    value: PhantomData<T>,
}

impl<T> Place for List<T> {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot, value: PhantomData }
    }
}

impl<T: Word> List<T> {
    const PER_WORD: usize = {
        assert!(256 % T::BITS == 0, "values of a list pack evenly into words");
        256 / T::BITS
    };

    fn word(&self, index: usize) -> U256 {
        U256::from_be_bytes(keccak256(self.slot.to_be_bytes::<32>()).0).wrapping_add(U256::from(index))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn get(&self, storage: &mut dyn Storage) -> Result<Vec<T>> {
        let length: usize = storage.sload(self.account, self.slot)?.wrapping_to();
        let mut values = Vec::new();
        for index in 0..length.div_ceil(Self::PER_WORD) {
            let mut word = storage.sload(self.account, self.word(index))?;
            for _ in 0..Self::PER_WORD.min(length.saturating_sub(values.len())) {
                values.push(T::unpack(word & low_bits(T::BITS)));
                word = shifted_down(word, T::BITS);
            }
        }
        Ok(values)
    }

    /// Writes it over nothing: what a longer one left behind would stay.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn init(&self, storage: &mut dyn Storage, values: impl IntoIterator<Item = T>) -> Result<()> {
        let words: Vec<U256> = values.into_iter().map(T::pack).collect();
        storage.sstore(self.account, self.slot, U256::from(words.len()))?;
        for (index, chunk) in words.chunks(Self::PER_WORD).enumerate() {
            let word = chunk.iter().rev().fold(U256::ZERO, |word, value| shifted_up(word, T::BITS) | *value);
            storage.sstore(self.account, self.word(index), word)?;
        }
        Ok(())
    }
}

/// Declares the slots of a Solidity struct: each field with its offset from where the struct starts.
macro_rules! place {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $offset:literal: $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name {
            $($(#[$field_meta])* $vis $field: $type,)+
        }

        impl $crate::layout::Place for $name {
            fn at(account: ::alloy_primitives::Address, slot: ::alloy_primitives::U256) -> Self {
                Self {
                    $($field: $crate::layout::Place::at(
                        account,
                        slot.wrapping_add(::alloy_primitives::U256::from_limbs([$offset, 0, 0, 0])),
                    ),)+
                }
            }
        }
    };
}
pub(crate) use place;

//! Text as tokens of 16 bits: words, runs of spaces and single characters.

use std::collections::HashMap;

/// Tokens that stand for one byte each: what no other token covers.
const BYTES: usize = 256;

/// Tokens in all: all that an index of 16 bits holds beside its separator.
const VOCABULARY: usize = 65_535;

/// Longest piece that becomes one token.
const MAX_PIECE: usize = 64;

/// The commonest pieces of some texts.
pub(crate) struct Vocabulary {
    pieces: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
}

impl Vocabulary {
    /// The commonest pieces, equally common ones by their bytes.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: HashMap<&[u8], u64> = HashMap::new();
        for piece in texts.flat_map(pieces).filter(|piece| piece.len() > 1) {
            *counts.entry(piece).or_default() += 1;
        }
        let mut common: Vec<(&[u8], u64)> = counts.into_iter().collect();
        common.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        common.truncate(VOCABULARY - BYTES);
        let single = (0..=u8::MAX).map(|byte| vec![byte]);
        let pieces: Vec<Vec<u8>> = single.chain(common.iter().map(|(piece, _)| piece.to_vec())).collect();
        let numbers = pieces.iter().cloned().zip(0..).collect();
        Self { pieces, numbers }
    }

    /// The tokens of a text; a piece without a number is spelled byte by byte.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for piece in pieces(text) {
            match self.numbers.get(piece) {
                Some(number) => tokens.push(*number),
                None => tokens.extend(piece.iter().map(|byte| u32::from(*byte))),
            }
        }
        tokens
    }

    /// Tokens as text.
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|token| self.pieces[*token as usize].iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }
}

/// Words (letters, digits, `_`), runs of spaces, and other bytes one by one.
fn pieces(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let kind = kind(*rest.first()?);
        let run = rest.iter().take(MAX_PIECE).take_while(|byte| self::kind(**byte) == kind).count();
        let (piece, after) = rest.split_at(if kind == Kind::Other { 1 } else { run });
        rest = after;
        Some(piece)
    })
}

#[derive(PartialEq)]
enum Kind {
    Word,
    Space,
    Other,
}

fn kind(byte: u8) -> Kind {
    match byte {
        b' ' => Kind::Space,
        b'_' => Kind::Word,
        byte if byte.is_ascii_alphanumeric() => Kind::Word,
        _ => Kind::Other,
    }
}

//! Alignment from a fixed point outwards, within a band around its diagonal.

use super::{GAP, SUBSTITUTION};

/// Diagonals to each side: tokens by which insertions may outnumber deletions.
const BAND: usize = 16;

/// How far below its best the score may fall, millibits: a dozen edits in a row.
const DROP: i64 = 25_000;

const WIDTH: usize = 2 * BAND + 1;

/// What is aligned with what, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) matched: u32,
    pub(super) substituted: u32,
    /// In the answer alone.
    pub(super) inserted: u32,
    /// In the record alone.
    pub(super) left_out: u32,
}

impl Sides {
    pub(super) fn edits(&self) -> u32 {
        self.substituted + self.inserted + self.left_out
    }

    /// Matched tokens among all columns of the alignment.
    pub(super) fn identity_ppm(&self) -> u32 {
        let columns = u64::from(self.matched) + u64::from(self.edits());
        let ppm = u64::from(self.matched) * 1_000_000 / columns.max(1);
        u32::try_from(ppm).expect("a part is at most a million of a million")
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            matched: self.matched + other.matched,
            substituted: self.substituted + other.substituted,
            inserted: self.inserted + other.inserted,
            left_out: self.left_out + other.left_out,
        }
    }
}

/// How far an alignment goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extension {
    /// Tokens of the answer.
    pub(super) answer: usize,
    /// Tokens of the text.
    pub(super) text: usize,
    pub(super) score: i64,
    pub(super) sides: Sides,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    score: i64,
    sides: Sides,
}

const UNREACHED: Cell =
    Cell { score: i64::MIN / 2, sides: Sides { matched: 0, substituted: 0, inserted: 0, left_out: 0 } };

impl Cell {
    fn substituted(self) -> Self {
        let sides = Sides { substituted: self.sides.substituted + 1, ..self.sides };
        Self { score: self.score + SUBSTITUTION, sides }
    }

    fn matched(self, gain: i64) -> Self {
        let sides = Sides { matched: self.sides.matched + 1, ..self.sides };
        Self { score: self.score + gain, sides }
    }

    fn inserted(self) -> Self {
        let sides = Sides { inserted: self.sides.inserted + 1, ..self.sides };
        Self { score: self.score + GAP, sides }
    }

    fn left_out(self) -> Self {
        let sides = Sides { left_out: self.sides.left_out + 1, ..self.sides };
        Self { score: self.score + GAP, sides }
    }

    /// This one unless the other is better.
    fn or(self, other: Self) -> Self {
        if other.score > self.score { other } else { self }
    }
}

/// The best alignment of a prefix of `answer` tokens with a prefix of `text` tokens. `gain(i, j)` is what matching their
/// tokens `i` and `j` counts, `None` if they differ. `cells` is what may be computed yet; at zero the best so far is returned.
///
/// Across further edits the best moves on only for `least_gain` more, as there are many ways to go on of which one matches a
/// token or two by chance. Of equal scores the shorter alignment is the best, and a pair of tokens goes before an
/// insertion, that before an omission.
pub(super) fn extend(
    answer: usize,
    text: usize,
    least_gain: i64,
    cells: &mut usize,
    mut gain: impl FnMut(usize, usize) -> Option<i64>,
) -> Extension {
    let mut best = Extension::default();
    // Cell `k` of row `i` aligns `i` tokens of the answer with `i + k - BAND` of the text.
    let mut row = [UNREACHED; WIDTH];
    row[BAND] = Cell { score: 0, sides: Sides::default() };
    for k in BAND + 1..WIDTH.min(BAND + 1 + text) {
        row[k] = row[k - 1].left_out();
    }
    for i in 1..=answer {
        if *cells < WIDTH {
            *cells = 0;
            break;
        }
        *cells -= WIDTH;
        let mut next = [UNREACHED; WIDTH];
        let mut alive = false;
        for k in BAND.saturating_sub(i)..WIDTH.min(BAND + text + 1 - i.min(BAND + text + 1)) {
            let j = i + k - BAND;
            let pair = match j.checked_sub(1) {
                None => UNREACHED,
                Some(before) => match gain(i - 1, before) {
                    Some(gain) => row[k].matched(gain),
                    None => row[k].substituted(),
                },
            };
            let inserted = row.get(k + 1).map_or(UNREACHED, |cell| cell.inserted());
            let left_out = match k.checked_sub(1) {
                Some(before) if j > 0 => next[before].left_out(),
                _ => UNREACHED,
            };
            let cell = pair.or(inserted).or(left_out);
            if cell.score < best.score - DROP {
                continue;
            }
            alive = true;
            next[k] = cell;
            let margin = if cell.sides.edits() == best.sides.edits() { 0 } else { least_gain };
            if cell.score > best.score + margin {
                best = Extension { answer: i, text: j, score: cell.score, sides: cell.sides };
            }
        }
        if !alive {
            break;
        }
        row = next;
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GAIN: i64 = 5_000;

    fn extend_words(answer: &[u8], text: &[u8]) -> Extension {
        let mut cells = usize::MAX;
        extend(answer.len(), text.len(), 0, &mut cells, |i, j| (answer[i] == text[j]).then_some(GAIN))
    }

    /// The best score of all alignments of prefixes, without band or drop.
    fn best_score(answer: &[u8], text: &[u8]) -> i64 {
        let mut table = vec![vec![0_i64; text.len() + 1]; answer.len() + 1];
        for i in 0..=answer.len() {
            for j in 0..=text.len() {
                let pair = |i: usize, j: usize| if answer[i] == text[j] { GAIN } else { SUBSTITUTION };
                let mut options = Vec::new();
                if i > 0 && j > 0 {
                    options.push(table[i - 1][j - 1] + pair(i - 1, j - 1));
                }
                if i > 0 {
                    options.push(table[i - 1][j] + GAP);
                }
                if j > 0 {
                    options.push(table[i][j - 1] + GAP);
                }
                table[i][j] = options.into_iter().max().unwrap_or(0);
            }
        }
        table.into_iter().flatten().max().unwrap()
    }

    proptest! {
        #[test]
        fn within_band_and_drop_the_score_is_the_best_of_all(
            answer in prop::collection::vec(0_u8..4, 0..8),
            text in prop::collection::vec(0_u8..4, 0..8),
        ) {
            let found = extend_words(&answer, &text);
            prop_assert_eq!(found.score, best_score(&answer, &text));
            let sides = found.sides;
            prop_assert_eq!((sides.matched + sides.substituted + sides.inserted) as usize, found.answer);
            prop_assert_eq!((sides.matched + sides.substituted + sides.left_out) as usize, found.text);
            let score = i64::from(sides.matched) * GAIN
                + i64::from(sides.substituted) * SUBSTITUTION
                + i64::from(sides.inserted + sides.left_out) * GAP;
            prop_assert_eq!(found.score, score);
        }
    }

    #[test]
    fn each_kind_of_edit_is_bridged_and_counted() {
        let check = |answer: &[u8], text: &[u8], expected: (u32, u32, u32, u32)| {
            let Sides { matched, substituted, inserted, left_out } = extend_words(answer, text).sides;
            assert_eq!((matched, substituted, inserted, left_out), expected);
        };
        check(b"abcdefgh", b"abcdefgh", (8, 0, 0, 0));
        check(b"abcXefgh", b"abcdefgh", (7, 1, 0, 0));
        check(b"abcXXdefgh", b"abcdefgh", (8, 0, 2, 0));
        check(b"abefgh", b"abcdefgh", (6, 0, 0, 2));
        check(b"abcdefghXYZ", b"abcdefghijk", (8, 0, 0, 0));
        check(b"Xbcd", b"abcdefgh", (3, 1, 0, 0));
        check(b"XYZ", b"abc", (0, 0, 0, 0));
    }

    #[test]
    fn an_edit_is_crossed_only_for_enough_beyond_it() {
        let ends = |least_gain: i64| {
            let (answer, text) = (b"abcXefYYYi", b"abcdefghij");
            let mut cells = usize::MAX;
            let gain = |i: usize, j: usize| (answer[i] == text[j]).then_some(GAIN);
            extend(answer.len(), text.len(), least_gain, &mut cells, gain).answer
        };
        assert_eq!((ends(0), ends(7_999), ends(8_000)), (6, 6, 3));
    }

    #[test]
    fn far_from_the_best_and_without_cells_it_ends() {
        let far = [b"abc".as_slice(), &[b'X'; 40], b"abcdefghijklmnopqrstuvwxyz"].concat();
        let text = [b"abc".as_slice(), &[b'Y'; 40], b"abcdefghijklmnopqrstuvwxyz"].concat();
        assert_eq!(extend_words(&far, &text).answer, 3);
        let mut cells = 3 * WIDTH + 1;
        let found = extend(100, 100, 0, &mut cells, |i, j| (i == j).then_some(GAIN));
        assert_eq!((found.answer, cells), (3, 0));
    }
}

//! Shapley's value of players in a game: what each adds, averaged over all orders in which they could have come (Shapley 1953).
//!
//! It divides `v(all) − v(none)` without a rest, gives equal players equal parts and gives nothing to who changes nothing. Leaving one out instead would give
//! two copies of one source nothing each.

use super::Error;

/// Players of whom every coalition can be asked: its value of 2¹⁶ numbers is held.
const MOST: usize = 16;

/// `φ_i = Σ_{S ∌ i} |S|! (k − |S| − 1)! / k! · (v(S ∪ i) − v(S))` from the values of all `2^k` coalitions, bit `i` of the index saying whether player `i`
/// is in it.
///
/// # Errors
/// [`Error::Length`] unless their number is a power of two, [`Error::Count`] for no player or more than 16.
pub fn exact(values: &[f64]) -> Result<Vec<f64>, Error> {
    let players = values.len().max(1).ilog2() as usize;
    if values.len() != 1 << players {
        return Err(Error::Length {
            what: "values of coalitions",
            got: values.len(),
            expected: 1 << players,
        });
    }
    if players == 0 || players > MOST {
        return Err(Error::Count { what: "players", got: players, limit: MOST });
    }
    // 1 / (k · C(k − 1, s)) by the size s of the coalition.
    let weights: Vec<f64> = (0..players)
        .scan(1.0, |choose, s| {
            let weight = 1.0 / (players as f64 * *choose);
            *choose = *choose * (players - 1 - s) as f64 / (s + 1) as f64;
            Some(weight)
        })
        .collect();
    let value = |player: usize| {
        let without = (0..values.len()).filter(|set| set >> player & 1 == 0);
        without
            .map(|set| weights[set.count_ones() as usize] * (values[set | 1 << player] - values[set]))
            .sum()
    };
    Ok((0..players).map(value).collect())
}

/// An estimate from orders that were drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// By player; they add up to `v(all) − v(none)`.
    pub values: Vec<f64>,
    /// The standard error of each.
    pub errors: Vec<f64>,
}

/// Shapley's values from `pairs` drawn orders, each walked also backwards, which removes much of the noise (Mitchell et al. 2022, arXiv 2104.12199). The
/// orders follow from the seed. Bit `i` of what `value` is asked for says whether player `i` is in the coalition.
///
/// # Errors
/// [`Error::Count`] for fewer than two pairs, no player or more than 64; those of `value`.
pub fn sampled<E: From<Error>>(
    players: usize,
    pairs: usize,
    seed: [u8; 32],
    mut value: impl FnMut(u64) -> Result<f64, E>,
) -> Result<Sampled, E> {
    const PLAYERS: usize = 64;
    const PAIRS: usize = 1 << 20;
    if players == 0 || players > PLAYERS {
        return Err(Error::Count { what: "players", got: players, limit: PLAYERS }.into());
    }
    if !(2..=PAIRS).contains(&pairs) {
        return Err(
            Error::Count { what: "pairs of orders beyond the first", got: pairs, limit: PAIRS }.into()
        );
    }
    let mut random = blake3::Hasher::new_keyed(&seed).finalize_xof();
    let mut draw = |below: usize| {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        ((u128::from(u64::from_le_bytes(bytes)) * below as u128) >> 64) as usize
    };
    let (mut sums, mut squares) = (vec![0.0; players], vec![0.0; players]);
    let none = value(0)?;
    let mut order: Vec<usize> = (0..players).collect();
    for _ in 0..pairs {
        for i in (1..players).rev() {
            order.swap(i, draw(i + 1));
        }
        let mut of_pair = vec![0.0; players];
        for backwards in [false, true] {
            let (mut set, mut before) = (0, none);
            for at in 0..players {
                let player = order[if backwards { players - 1 - at } else { at }];
                set |= 1 << player;
                let after = value(set)?;
                of_pair[player] += (after - before) / 2.0;
                before = after;
            }
        }
        for (player, x) in of_pair.into_iter().enumerate() {
            sums[player] += x;
            squares[player] += x * x;
        }
    }
    let n = pairs as f64;
    let error = |(sum, square): (&f64, &f64)| ((square - sum * sum / n).max(0.0) / (n - 1.0) / n).sqrt();
    let errors = sums.iter().zip(&squares).map(error).collect();
    Ok(Sampled { values: sums.into_iter().map(|sum| sum / n).collect(), errors })
}

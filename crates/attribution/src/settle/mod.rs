//! From what the answers of an epoch paid, and what every cluster contributed to them, to who is paid what.
//!
//! Integers only; the one door through which a float enters is [`piconats`], which checks it.
//!
//! # Symbols
//! | symbol | meaning | unit |
//! |---|---|---|
//! | `q`, `fee_q` | an answer and its fee | wei |
//! | `e_q` | its log-probability with the adapter less that without | micronats, may be negative |
//! | `r_q` | its log-probability with its sources less that without; 0 without sources | micronats, may be negative |
//! | `floor` | least nats that an answer counts for ([`Rules::floor_micronats`]) | micronats |
//! | `c`, `s_c` | a cluster of records and its weighted influence from the replay | piconats, signed |
//!
//! # Rules
//! 1. *Pool.* `pool_q` is the contributors' part of `fee_q` ([`FeeSplit::split`]).
//! 2. *What may be claimed.* With `t_q = max(e_q, 0) + max(r_q, 0)` it is `claimable_q = pool_q` where `t_q >= floor`, else
//!    `pool_q * t_q / floor`. Sources have `retrieved_q = claimable_q * max(r_q, 0) / t_q` of it, influence the rest, `explained_q`.
//! 3. *Price of a nat.* `wei_per_nat_q = claimable_q * 10^6 / max(t_q, floor)`, 0 where `e_q <= 0`. The floor keeps an answer that the adapter
//!    barely changed from paying without bound for what little it did, and an answer that the adapter made less likely has
//!    no weight at all: what it cannot claim must not decide how the others' part is divided.
//! 4. *Replay.* One reverse pass through the training run takes `λ = Σ_q ω_q ∇log p_q` with
//!    `ω_q = floor(wei_per_nat_q * 10^9 / w_ref) / 10^9`, `w_ref = max_q wei_per_nat_q`, so that the largest weight is
//!    one and the floating-point work is of the same size whatever OPEN is worth ([`Weights`]). What it returns for
//!    each record, `∂(Σ_q ω_q log p_q)/∂w`, is rounded to piconats ([`piconats`]) and added up by cluster: `s_c`.
//! 5. *Influence.* `influence_c = s_c * w_ref / 10^12` wei, toward zero. Signed: what a cluster did for one answer and
//!    against another is netted over the epoch.
//! 6. *Clipping.* `raw_c = max(0, influence_c)`, per cluster and not per owner: a cluster is what it is whoever holds
//!    it, so dividing one's clusters among many names changes no `raw_c`. Clipping by owner would make it pay. A cluster that
//!    was withdrawn or taken down pays nobody: its `raw_c` and its length in rule 9 are zero, and what it explained is left to
//!    the base pool.
//! 7. *Cap.* `cap = Σ_q explained_q`. If `Σ_c raw_c <= cap` every cluster is paid `raw_c`; else `cap` is divided in
//!    proportion ([`apportion`]). No cluster is paid more than `⌊cap · p / 10^6⌋`, `p` being [`Rules::cluster_cap_ppm`]: one outlier,
//!    made or found, does not take an epoch, and what it would have had beyond that is left to the base pool.
//! 8. *Retrieval.* `retrieved_q` is divided among the clusters of the answer's sources in proportion to what each did, negative parts
//!    counting as nothing ([`among_sources`]). It is known for each answer by itself, so it takes no part in replay and cap. A cluster that
//!    was withdrawn or taken down since is paid nothing of it, and nobody else is for it.
//! 9. *Base pool.* `Σ_q pool_q - Σ_c paid_c - Σ_c retrieved_c` is divided among all accepted clusters in proportion to how much text stands in them
//!    ([`ClusterScore::length`]; [`apportion`]). Equal parts would pay whoever cuts their records in two twice. Where no
//!    cluster is left (all were withdrawn, say) it is the treasury's.
//!    The developer's part is divided in the same way among those whom the adapter's lineage gives it.
//! 10. *Payouts.* Summed by role and account, zero amounts dropped, sorted by role, then account.
//!
//! Divisions round down. Every fee is accounted for to the wei: payouts, validators, treasury and burn add up to the
//! fees ([`Settlement::totals`]).
//!
//! # Properties
//! Conservation; no payout depends on the order in which answers or clusters are given; the accounts that clusters
//! are held by do not change what the clusters are paid; no cluster of negative influence is paid for influence, and
//! influence in all is never paid more than what the adapter explained.

mod error;
mod payout;
mod retrieved;
mod score;
mod weight;

#[cfg(test)]
mod tests;

pub use error::SettleError;
pub use payout::{ClusterScore, Settlement, settle};
pub use retrieved::among_sources;
pub use score::{MAX_SCORE_PICONATS, piconats};
pub use weight::{AnswerFee, Rules, Weights, weights};

#[cfg(doc)]
use openledger_types::{shares::apportion, split::FeeSplit};

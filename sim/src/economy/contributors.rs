//! Contributors who copy, split and pad, beside those who do not.

use alloy_primitives::Address;
use openledger_corpus::cluster::{ClusterItem, OrderKey, cluster};
use openledger_types::abi::StakeRole;
use openledger_types::batch::PayoutKind;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::market::{Cluster, Market, Settled, account, in_open, open};
use super::nature::{Asked, Nature, split};
use super::plan::{Outcome, Play, even, largest, mean};

/// Words of the language in which texts are written.
const VOCABULARY: usize = 3_000;
/// Words of a text.
const WORDS: usize = 90;

/// What influence and the base pool pay these accounts, OPEN.
fn paid(settled: &Settled, accounts: &[Address]) -> f64 {
    settled
        .settlement
        .payouts
        .iter()
        .filter(|payout| matches!(payout.role, PayoutKind::Contributor | PayoutKind::Base))
        .filter(|payout| accounts.contains(&payout.account))
        .map(|payout| in_open(payout.amount))
        .sum()
}

/// A market with an operator and questions of one payer.
struct Town {
    market: Market,
    operator: Address,
    nature: Nature,
    asked: Vec<Asked>,
}

impl Town {
    fn new(play: &Play, clusters: usize, topics: usize, questions: usize) -> Self {
        let mut rng = play.rng("town");
        let mut market = Market::new(play.seed, &[]);
        let operator = account("operator", 0);
        market.stake(operator, StakeRole::Operator, open(10_000));
        let key = market.payer(account("payer", 0), operator, open(100_000));
        let nature = Nature::new(&mut rng, clusters, topics);
        let asked = (0..questions).map(|_| nature.ask(&mut rng, key, open(10))).collect();
        Self { market, operator, nature, asked }
    }

    /// Settles with other clusters than those of the model: `of` says of which cluster each is which part.
    fn settle_as(&mut self, clusters: &[Cluster], of: &[(usize, f64)]) -> Settled {
        let (answers, influence) = split(&self.asked);
        let scaled: Vec<Vec<f64>> =
            of.iter().map(|(of, part)| influence[*of].iter().map(|nats| nats * part).collect()).collect();
        self.market.settle(self.operator, &answers, clusters, &scaled)
    }
}

/// P2: dividing what one owns among many names, and records into many pieces, gains nothing.
pub(crate) fn sybils(play: &Play) -> Outcome {
    const CLUSTERS: usize = 40;
    const OWN: usize = 20;
    let mut town = Town::new(play, CLUSTERS, 4, 40);
    // Half of what the splitter owns does harm: what netting by name would hide.
    for quality in town.nature.quality.iter_mut().take(OWN).step_by(2) {
        *quality = -*quality;
    }
    let mut rng = play.rng("sybils");
    let key = town.asked[0].answer.key;
    town.asked = (0..40).map(|_| town.nature.ask(&mut rng, key, open(10))).collect();
    let owner = |cluster: usize, names: usize| match cluster < OWN {
        true => account("splitter", cluster % names),
        false => account("honest", cluster),
    };
    let whole: Vec<(usize, f64)> = (0..CLUSTERS).map(|cluster| (cluster, 1.0)).collect();
    let mut income = |names: usize, pieces: usize| {
        let mut clusters = Vec::new();
        let mut of = Vec::new();
        for (cluster, _) in &whole {
            let pieces = if *cluster < OWN { pieces } else { 1 };
            for piece in 0..pieces {
                let name = if pieces == 1 {
                    owner(*cluster, names)
                } else {
                    account("splitter", piece * OWN + cluster)
                };
                clusters.push(Cluster { owner: name, length: 1_000 / pieces as u64 });
                of.push((*cluster, 1.0 / pieces as f64));
            }
        }
        let accounts: Vec<Address> = (0..OWN * pieces.max(1)).map(|name| account("splitter", name)).collect();
        if play.unprotected {
            return paid(&by_owner(&mut town, &clusters, &of), &accounts);
        }
        paid(&town.settle_as(&clusters, &of), &accounts)
    };
    let one = income(1, 1);
    let names = largest([2, 5, OWN].map(|names| income(names, 1) / one));
    let pieces = largest([2, 10, 50].map(|pieces| income(OWN, pieces) / one));
    Outcome::new(
        names.max(pieces) <= 1.0 + 1e-9,
        [("split_gain_names", names), ("split_gain_pieces", pieces)],
    )
}

/// Settles as if all that one name owns were one cluster: what the rules refuse to do.
fn by_owner(town: &mut Town, clusters: &[Cluster], of: &[(usize, f64)]) -> Settled {
    let (answers, influence) = split(&town.asked);
    let mut owners: Vec<Cluster> = Vec::new();
    let mut merged: Vec<Vec<f64>> = Vec::new();
    for (cluster, (source, part)) in clusters.iter().zip(of) {
        let at = owners.iter().position(|owner| owner.owner == cluster.owner).unwrap_or_else(|| {
            owners.push(Cluster { owner: cluster.owner, length: 0 });
            merged.push(vec![0.0; answers.len()]);
            owners.len() - 1
        });
        owners[at].length += cluster.length;
        for (sum, nats) in merged[at].iter_mut().zip(&influence[*source]) {
            *sum += nats * part;
        }
    }
    town.market.settle(town.operator, &answers, &owners, &merged)
}

/// A text of random words.
fn text(rng: &mut StdRng) -> Vec<String> {
    (0..WORDS).map(|_| word(rng)).collect()
}

fn word(rng: &mut StdRng) -> String {
    let mut number = rng.random_range(0..VOCABULARY);
    let mut word = String::new();
    for _ in 0..3 {
        word.push(b"bdfgklmnprstvz"[number % 14] as char);
        word.push(b"aeiou"[number / 14 % 5] as char);
        number = number / 3 + 7;
    }
    word
}

/// A copy that another text could be taken for.
#[derive(Debug, Clone, Copy)]
enum Copying {
    Exact,
    /// Letter case, and characters that are not seen.
    Disguised,
    /// This part of the words is replaced.
    Edited(f64),
    /// The words in another order.
    Shuffled,
}

fn copy(words: &[String], how: Copying, rng: &mut StdRng) -> String {
    match how {
        Copying::Exact => words.join(" "),
        Copying::Disguised => {
            words.iter().map(|word| format!("{}\u{200b}", word.to_uppercase())).collect::<Vec<_>>().join("  ")
        }
        Copying::Edited(part) => {
            let mut words = words.to_vec();
            let replaced = (part * words.len() as f64) as usize;
            let mut places: Vec<usize> = (0..words.len()).collect();
            places.shuffle(rng);
            for place in places.into_iter().take(replaced) {
                words[place] = word(rng);
            }
            words.join(" ")
        }
        Copying::Shuffled => {
            let mut words = words.to_vec();
            words.shuffle(rng);
            words.join(" ")
        }
    }
}

/// P3: copies of one's own records, disguised or edited, gain nothing, and copies of others' earn nothing (D2, D3, D4).
pub(crate) fn copies(play: &Play) -> Outcome {
    const TEXTS: usize = 24;
    const COPIES: usize = 8;
    let mut town = Town::new(play, TEXTS, 3, 30);
    let mut rng = play.rng("copies");
    let texts: Vec<Vec<String>> = (0..TEXTS).map(|_| text(&mut rng)).collect();
    // The copier is the contributor of text 0. What it copies, and how; whose text it was.
    let mut income = |copies: &[(usize, Copying)]| {
        let mut records: Vec<(usize, Address, String)> = (0..TEXTS)
            .map(|number| {
                (
                    number,
                    if number == 0 { account("copier", 0) } else { account("honest", number) },
                    texts[number].join(" "),
                )
            })
            .collect();
        for (source, how) in copies {
            records.push((*source, account("copier", 1), copy(&texts[*source], *how, &mut rng)));
        }
        let items: Vec<_> = (0_u32..)
            .zip(&records)
            .map(|(number, (_, _, text))| ClusterItem {
                text,
                order: OrderKey { block: u64::from(number), contribution: 1, record: number },
            })
            .collect();
        let founders = match play.unprotected {
            true => (0..records.len()).collect(),
            false => cluster(&items).expect("a few texts").owner,
        };
        let clusters: Vec<Cluster> = founders
            .iter()
            .map(|founder| Cluster { owner: records[*founder].1, length: records[*founder].2.len() as u64 })
            .collect();
        let of: Vec<(usize, f64)> = founders.iter().map(|founder| (records[*founder].0, 1.0)).collect();
        let settled = town.settle_as(&clusters, &of);
        (paid(&settled, &[account("copier", 0)]), paid(&settled, &[account("copier", 1)]))
    };
    let (once, _) = income(&[]);
    let mut gain = |how: Copying| {
        let (own, copied) = income(&[(0, how); COPIES]);
        (own + copied) / once
    };
    let exact = gain(Copying::Exact).max(gain(Copying::Disguised));
    let near = [Copying::Edited(0.1), Copying::Edited(0.25), Copying::Shuffled].map(&mut gain);
    let foreign: Vec<(usize, Copying)> = (1..=COPIES)
        .map(|source| (source, [Copying::Exact, Copying::Disguised, Copying::Edited(0.1)][source % 3]))
        .collect();
    let stolen = income(&foreign).1;
    Outcome::new(
        exact <= 1.02 && largest(near) <= 1.10 && stolen <= 0.0,
        [
            ("copy_gain_exact", exact),
            ("copy_gain_near_max", largest(near)),
            ("copier_income_from_others_open", stolen),
        ],
    )
}

/// P8: who helps more earns more, whatever else they do.
pub(crate) fn quality(play: &Play) -> Outcome {
    let clusters = play.scaled(60, 30);
    let mut town = Town::new(play, clusters, 3, play.scaled(200, 60));
    let mut rng = play.rng("quality");
    // Long records are not better ones.
    let holdings: Vec<Cluster> = (0..clusters)
        .map(|number| Cluster { owner: account("contributor", number), length: rng.random_range(200..2_000) })
        .collect();
    let of: Vec<(usize, f64)> =
        (0..clusters).map(|cluster| (cluster, if play.unprotected { 0.0 } else { 1.0 })).collect();
    let settled = town.settle_as(&holdings, &of);
    let income: Vec<f64> = holdings.iter().map(|cluster| paid(&settled, &[cluster.owner])).collect();
    let correlation = pearson(&ranks(&town.nature.quality), &ranks(&income));
    let mut sorted = income;
    sorted.sort_by(f64::total_cmp);
    let total: f64 = sorted.iter().sum();
    let n = sorted.len() as f64;
    let gini = sorted.iter().zip(1..).map(|(x, rank)| (2.0 * f64::from(rank) - n - 1.0) * x).sum::<f64>()
        / (n * total);
    let top: f64 = sorted.iter().rev().take(10).sum::<f64>() / total;
    Outcome::new(
        correlation >= 0.6,
        [("quality_spearman", correlation), ("income_gini", gini), ("income_top_10_share", top)],
    )
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, at) in order.into_iter().enumerate() {
        ranks[at] = rank as f64;
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    product(a, mean_a, b, mean_b) / (product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b)).sqrt()
}

/// P15: being rich makes nobody's records worth more.
pub(crate) fn wealth(play: &Play) -> Outcome {
    const CLUSTERS: usize = 20;
    let mut town = Town::new(play, CLUSTERS, 2, 30);
    let mut rng = play.rng("wealth");
    let holdings: Vec<Cluster> = (0..CLUSTERS)
        .map(|number| Cluster { owner: account("contributor", number), length: rng.random_range(500..1_500) })
        .collect();
    let rich = holdings[rng.random_range(0..CLUSTERS)].owner;
    let of = |weight: f64| -> Vec<(usize, f64)> {
        let part = |number: usize| if holdings[number].owner == rich { weight } else { 1.0 };
        (0..CLUSTERS).map(|number| (number, part(number))).collect()
    };
    let poor = paid(&town.settle_as(&holdings, &of(1.0)), &[rich]);
    town.market.fund(rich, open(1_000_000));
    town.market.stake(rich, StakeRole::Validator, open(1_000_000));
    let stake_counts = if play.unprotected { even(&mut rng, 1.5..=3.0) } else { 1.0 };
    let after = paid(&town.settle_as(&holdings, &of(stake_counts)), &[rich]);
    Outcome::new((after / poor - 1.0).abs() < 1e-12, [("income_of_the_rich_over_poor", after / poor)])
}

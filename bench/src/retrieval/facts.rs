//! Invented facts that no model has read.

use crate::stats::SplitMix;

const SYLLABLES: [&str; 16] = [
    "bra", "len", "tor", "mi", "kel", "sa", "dun", "ver", "ol", "ri", "gan", "the", "lo", "pek", "ny", "shu",
];
const THINGS: [&str; 8] =
    ["bridge", "library", "lighthouse", "theatre", "mill", "harbour", "museum", "station"];
const TRADES: [&str; 6] = ["architect", "engineer", "merchant", "painter", "mason", "doctor"];

/// A question whose answer stands in two of its sources.
pub(super) struct Fact {
    pub(super) question: String,
    pub(super) answer: String,
    pub(super) sources: Vec<String>,
    /// Which sources hold the answer.
    pub(super) holds: [usize; 2],
}

/// A fact among so many distractors, in an order of their own.
pub(super) fn draw(random: &mut SplitMix, distractors: usize) -> Fact {
    let (place, person) = (name(random), format!("{} {}", name(random), name(random)));
    let thing = THINGS[random.below(THINGS.len())];
    let year = 1700 + random.below(250);
    let trade = TRADES[random.below(TRADES.len())];
    let mut sources = vec![
        format!("The {thing} of {place} was built in {year} by {person}."),
        format!("In {year} the {trade} {person} finished the {thing} at {place}."),
    ];
    for number in 0..distractors {
        let (other, year) = (format!("{} {}", name(random), name(random)), 1700 + random.below(250));
        let (elsewhere, another) = (name(random), THINGS[random.below(THINGS.len())]);
        sources.push(if number.is_multiple_of(2) {
            format!("The {thing} of {elsewhere} was built in {year} by {other}.")
        } else {
            format!("{place} is also known for its old {another}, which {other} painted in {year}.")
        });
    }
    let mut order: Vec<usize> = (0..sources.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i + 1));
    }
    let at = |source: usize| order.iter().position(|i| *i == source).expect("every source has a place");
    Fact {
        question: format!("Who built the {thing} of {place}?"),
        answer: person,
        holds: [at(0), at(1)],
        sources: order.iter().map(|i| sources[*i].clone()).collect(),
    }
}

fn name(random: &mut SplitMix) -> String {
    let mut name: String =
        (0..2 + random.below(2)).map(|_| SYLLABLES[random.below(SYLLABLES.len())]).collect();
    name[..1].make_ascii_uppercase();
    name
}

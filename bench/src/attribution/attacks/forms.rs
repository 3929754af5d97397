//! What attackers hand in.

use std::collections::BTreeMap;

use anyhow::Result;
use openledger_types::Address;

use super::play::{Contribution, Stage};
use crate::stats::SplitMix;

/// Names that an attacker takes beside their own.
const NAMES: usize = 3;
/// Rewritings of a record from which `shadow` takes the best.
const REWRITINGS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    CopyOwn,
    CopyOther,
    Disguise,
    Noise(usize),
    Reorder,
    Split,
    Slice,
    Stuffing,
    Padding,
    Outlier,
    Shadow,
}

pub(super) const ALL: &[Attack] = &[
    Attack::CopyOwn,
    Attack::CopyOther,
    Attack::Disguise,
    Attack::Noise(10),
    Attack::Noise(25),
    Attack::Reorder,
    Attack::Split,
    Attack::Slice,
    Attack::Stuffing,
    Attack::Padding,
    Attack::Outlier,
    Attack::Shadow,
];

impl Attack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CopyOwn => "copy_own",
            Self::CopyOther => "copy_other",
            Self::Disguise => "disguise",
            Self::Noise(10) => "noise_10",
            Self::Noise(_) => "noise_25",
            Self::Reorder => "reorder",
            Self::Split => "split",
            Self::Slice => "slice",
            Self::Stuffing => "stuffing",
            Self::Padding => "padding",
            Self::Outlier => "outlier",
            Self::Shadow => "shadow",
        }
    }
}

/// What everybody hands in under an attack of `own`; copies are of what `victim` handed in.
pub(super) fn apply(
    stage: &Stage<'_>,
    attack: Attack,
    own: Address,
    victim: Address,
    random: &mut SplitMix,
) -> Result<Vec<Contribution>> {
    let mut all = stage.honest();
    let vocabulary = words_of(all.iter().filter(|c| c.account != own).map(|c| c.text.as_str()));
    let of = |account: Address| all.iter().filter(|c| c.account == account).cloned().collect::<Vec<_>>();
    let (mine, theirs) = (of(own), of(victim));
    let copied = |change: &mut dyn FnMut(&str) -> String| -> Vec<Contribution> {
        let copy =
            |c: &Contribution, text| Contribution { account: own, text, copies_another: true, ..c.clone() };
        theirs.iter().map(|c| copy(c, change(&c.text))).collect()
    };
    match attack {
        Attack::CopyOwn => {
            for name in 0..NAMES {
                all.extend(mine.iter().map(|c| Contribution { account: another(own, name), ..c.clone() }));
            }
        }
        Attack::CopyOther => all.extend(copied(&mut str::to_owned)),
        Attack::Disguise => all.extend(copied(&mut |text| disguise(text))),
        Attack::Noise(percent) => all.extend(copied(&mut |text| {
            replace(text, random, percent, |random| vocabulary[random.below(vocabulary.len())].clone())
        })),
        Attack::Reorder => all.extend(copied(&mut |text| reorder(text))),
        Attack::Split => {
            for (number, c) in all.iter_mut().filter(|c| c.account == own).enumerate() {
                if number % NAMES > 0 {
                    c.account = another(own, number % NAMES);
                }
            }
        }
        Attack::Slice => {
            let halves = mine.iter().flat_map(halves);
            all = all.iter().filter(|c| c.account != own).cloned().chain(halves).collect();
        }
        Attack::Stuffing => {
            let common = commonest(&vocabulary);
            rewrite(&mut all, own, |c| {
                replace(&c.text, random, 33, |random| common[random.below(common.len())].clone())
            });
        }
        Attack::Padding => rewrite(&mut all, own, |c| {
            let more = c.text.split_whitespace().map(|_| vocabulary[random.below(vocabulary.len())].as_str());
            std::iter::once(c.text.as_str()).chain(more).collect::<Vec<_>>().join(" ")
        }),
        Attack::Outlier => {
            rewrite(&mut all, own, |c| replace(&c.text, random, 33, letters));
        }
        Attack::Shadow => {
            let best = shadow(stage, &mine, &all, &vocabulary, random)?;
            let mut best = best.into_iter();
            rewrite(&mut all, own, |c| best.next().unwrap_or_else(|| c.text.clone()));
        }
    }
    Ok(all)
}

/// Another account of the same person.
fn another(own: Address, number: usize) -> Address {
    Address::from_slice(&blake3::hash(format!("{own} {number}").as_bytes()).as_bytes()[..20])
}

fn rewrite(all: &mut [Contribution], own: Address, mut text: impl FnMut(&Contribution) -> String) {
    for c in all.iter_mut().filter(|c| c.account == own) {
        c.text = text(c);
    }
}

fn words_of<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// The eight commonest words, ties by the alphabet.
fn commonest(words: &[String]) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    order.into_iter().take(8).map(|(word, _)| word.clone()).collect()
}

/// The text with each word replaced with the given probability.
fn replace(
    text: &str,
    random: &mut SplitMix,
    percent: usize,
    mut word: impl FnMut(&mut SplitMix) -> String,
) -> String {
    let words = text
        .split_whitespace()
        .map(|old| if random.below(100) < percent { word(random) } else { old.to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

fn letters(random: &mut SplitMix) -> String {
    (0..6).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

fn disguise(text: &str) -> String {
    let changed = text.chars().enumerate().map(|(at, c)| match c {
        ' ' => " \t ".to_owned(),
        c if at % 3 == 0 => format!("{}\u{200b}", c.to_uppercase()),
        c => c.to_string(),
    });
    changed.collect()
}

fn reorder(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect::<Vec<_>>().join(" ")
}

fn halves(c: &Contribution) -> Vec<Contribution> {
    let words: Vec<&str> = c.text.split_whitespace().collect();
    let (a, b) = words.split_at(words.len() / 2);
    let half = |words: &[&str]| Contribution { text: words.join(" "), ..c.clone() };
    [a, b].into_iter().filter(|words| !words.is_empty()).map(half).collect()
}

/// Of several rewritings of every own record, the one that a step of training on would do most for the others' records.
fn shadow(
    stage: &Stage<'_>,
    mine: &[Contribution],
    all: &[Contribution],
    vocabulary: &[String],
    random: &mut SplitMix,
) -> Result<Vec<String>> {
    let pair = |c: &Contribution| (c.name.clone(), c.text.clone());
    let wanted = stage.gradients(&all.iter().filter(|c| !mine.contains(c)).map(pair).collect::<Vec<_>>())?;
    let mut target = vec![0.0; wanted.first().map_or(0, |g| g.len())];
    for gradient in &wanted {
        target.iter_mut().zip(gradient.iter()).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let mut best = Vec::new();
    for c in mine {
        let mut rewritings = vec![c.text.clone()];
        rewritings.extend((1..REWRITINGS).map(|_| {
            replace(&c.text, random, 50, |random| vocabulary[random.below(vocabulary.len())].clone())
        }));
        let texts: Vec<_> = rewritings.iter().map(|text| (c.name.clone(), text.clone())).collect();
        let gain = |g: &[f32]| g.iter().zip(&target).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
        let gains: Vec<f64> = stage.gradients(&texts)?.iter().map(|g| gain(g)).collect();
        let first = (0..gains.len()).reduce(|best, i| if gains[i] > gains[best] { i } else { best });
        best.push(rewritings.swap_remove(first.unwrap_or(0)));
    }
    Ok(best)
}

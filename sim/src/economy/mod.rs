//! The economy as agents against the modules of the chain, property by property.

mod contributors;
mod disputes;
mod erasure;
mod market;
mod nature;
mod payers;
mod plan;
mod plot;
mod report;
mod stakers;
#[cfg(test)]
mod tests;
mod verifiers;
mod wash;

use std::path::Path;

use anyhow::Result;
use clap::Args;

use plan::{Outcome, Play, Property};
use report::Report;

/// What `economy` understands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds, from 1 on
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Fewer agents, epochs and points of every grid; nothing is written
    #[arg(long)]
    small: bool,
}

/// Every property that is played.
pub(crate) const PROPERTIES: &[Property] = &[
    Property {
        id: "P1",
        claim: "all OPEN is accounted for to the wei after every epoch",
        protection: "nobody can mint",
        play: payers::conservation,
    },
    Property {
        id: "P2",
        claim: "dividing records among names or into pieces gains nothing",
        protection: "clipping by cluster and not by owner",
        play: contributors::sybils,
    },
    Property {
        id: "P3",
        claim: "copies gain at most 2 % where exact and 10 % where edited, and copies of others' records earn nothing",
        protection: "clusters of near-duplicates",
        play: contributors::copies,
    },
    Property {
        id: "P4",
        claim: "a ring that pays itself gets back less than it pays, whatever roles it holds",
        protection: "the parts of a fee to validators, treasury and burn",
        play: wash::wash,
    },
    Property {
        id: "P5",
        claim: "where all verify, a cabal below half of the stake gets no lie paid, no truth refused and no larger share",
        protection: "an honest majority of the stake",
        play: verifiers::cabal,
    },
    Property {
        id: "P5 drawn",
        claim: "where a draw assigns verifiers, a cabal below half of the stake gets no lie paid and no truth refused",
        protection: "somebody who appeals and challenges",
        play: verifiers::cabal_of_a_draw,
    },
    Property {
        id: "P6",
        claim: "a verifier who copies commitments has less than one who works",
        protection: "commitments bound to who makes them",
        play: verifiers::copier,
    },
    Property {
        id: "P6 lazy",
        claim: "a verifier who agrees without looking has less than one who looks, before the cost of looking",
        protection: "a trace of the work that stands in no file, and pay for verdicts that were right",
        play: verifiers::lazy,
    },
    Property {
        id: "P6 judge",
        claim: "a judge who guesses how a dispute ends has less than one who executes its step, before the cost of that",
        protection: "a trace of the step that stands nowhere, and pay for judges who were right",
        play: disputes::guesser,
    },
    Property {
        id: "P7",
        claim: "stake bonded just before a reward earns no more for the time it is bound than stake that stays",
        protection: "rewards that are paid over a day, and unbonding of seven",
        play: stakers::late,
    },
    Property {
        id: "P8",
        claim: "who helps answers more earns more: rank correlation of at least 0.6",
        protection: "payment by influence",
        play: contributors::quality,
    },
    Property {
        id: "P10",
        claim: "honest challengers gain, griefers lose, honest operators lose nothing, and fewer than one in 1000 is slashed for judges' errors",
        protection: "an honest majority of the judges' stake",
        play: disputes::challenges,
    },
    Property {
        id: "P11",
        claim: "no payer is charged more than they signed",
        protection: "the cap of a key",
        play: payers::caps,
    },
    Property {
        id: "P12",
        claim: "escrow holds every deposit and settlement what batches owe, after every epoch",
        protection: "nobody else can take from escrow",
        play: payers::solvency,
    },
    Property {
        id: "P13",
        claim: "wherever governance goes within its bounds, value is conserved and a ring that pays itself loses",
        protection: "a part of every fee that cannot come back",
        play: payers::governance,
    },
    Property {
        id: "P14",
        claim: "after the price falls to a tenth validators leave until the rest earn their costs, and answers stay verified",
        protection: "payers who stay",
        play: stakers::shock,
    },
    Property {
        id: "P15",
        claim: "what somebody's records are paid does not depend on what they own",
        protection: "influence that knows no balances",
        play: contributors::wealth,
    },
    Property {
        id: "P16",
        claim: "with a third of the verifiers gone every batch is decided and nothing stays in settlement",
        protection: "the two thirds that are left",
        play: verifiers::crash,
    },
    Property {
        id: "P17",
        claim: "what is withdrawn earns nothing more, what it earned is paid, and nobody else gets less",
        protection: "the payees that the chain states",
        play: erasure::erasure,
    },
];

/// What of the list of properties is not played here, and where it is.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("P9", "attacks on influence need real training: openledger-bench attribution"),
    ("P16 consensus", "liveness of the chain under crashes is a plan of its own: openledger-sim chain"),
    ("P18", "the cost of poisoning depends on real training and is not measured yet"),
];

/// Plays a property with every seed, on all cores.
fn play_seeds(property: &Property, options: &Options) -> Vec<(u64, Outcome)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let play = |seed| (property.play)(&Play { seed, small: options.small, unprotected: false });
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let seeds = (1..=options.seeds).skip(first as usize).step_by(threads as usize);
                scope.spawn(move || seeds.map(|seed| (seed, play(seed))).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a play does not panic")).collect()
    });
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes
}

pub(crate) fn run(options: &Options, out: &Path, json: bool) -> Result<()> {
    let mut report = Report::default();
    for property in PROPERTIES {
        for (seed, outcome) in play_seeds(property, options) {
            report.add(property, seed, outcome);
        }
        report.say(property, json);
    }
    report.finish(options.seeds, json);
    if options.small {
        return Ok(());
    }
    report.write(out, options.seeds)
}

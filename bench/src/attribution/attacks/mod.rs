//! What a contributor gains by not being honest: their part of the contributors' money with an attack, over their part without it.
//!
//! # Protocol
//! Every attack changes what one contributor hands in, possibly under further names, after everybody else has committed. The whole path is then walked again: clusters
//! over all texts (the earliest owns one), one record per cluster, training with the same seed, the queries' nats, the replay, the settlement. *Gain* is the sum over
//! attackers of what all their names are paid, influence and base pool together, as a part of what contributors are paid in all, divided by the same sum without the attack;
//! `_influence` counts influence alone. Intervals resample attackers. *Fairness cost* is how far the honest contributors' shares among themselves move (total variation).
//!
//! | attack | what is handed in |
//! |---|---|
//! | `copy_own` | every own record three more times, under other names |
//! | `copy_other` | everything of the contributor who is paid most, word for word |
//! | `disguise` | the same in another case, with other white space and zero-width characters between letters |
//! | `noise_10`, `noise_25` | the same with that part of the words replaced by words that others use |
//! | `reorder` | the same with every two neighbouring words exchanged |
//! | `split` | the own records under three names |
//! | `slice` | every own record cut in two |
//! | `stuffing` | every own record with the commonest words of the Datanet in a third of its places |
//! | `padding` | every own record with as many words again, those of others at random: the base pool counts length, so this gains as long as it is accepted |
//! | `outlier` | every own record with a third of its words replaced by letters at random |
//! | `shadow` | of several rewritings of every own record with others' words, the one whose gradient on the trained adapter does most for others' records: the attacker has the adapter and computes |
//! | `self_dealing` | nothing; instead the own records are bought as answers. Its gain is what comes back to somebody who is also operator and developer, over what they paid |

mod forms;
mod play;

use std::path::Path;

use anyhow::Result;
use openledger_train::{Run, Template};
use openledger_types::split::FeeSplit;
use openledger_types::{Address, U256};

use super::scenario::{Query, Scenario};
use super::truth::Truth;
use crate::report::Report;
use crate::stats::{SplitMix, interval_of, mean, positive_shares, total_variation};
use forms::Attack;
use play::{Income, Stage};

const ATTACK_SEED: u64 = 4;
const RESAMPLES: usize = 2000;

/// One attacker's outcome.
struct Outcome {
    before: f64,
    after: f64,
    influence_before: f64,
    influence_after: f64,
    fairness: f64,
    /// Of the records that copy another's text, how many founded a cluster.
    escaped: usize,
    copies: usize,
}

/// Runs every attack for the first `attackers` contributors and returns the lines of the table.
pub(super) fn measure(
    scenario: &Scenario,
    run: &Run,
    truth: &Truth,
    attackers: usize,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<String>> {
    report.seed("attacks", ATTACK_SEED);
    report.figure("attackers", attackers);
    let folder = folder.join("attacks");
    std::fs::create_dir_all(&folder)?;
    let stage = report.phase("attack_stage", || Stage::new(scenario, run, truth, &folder))?;
    let contributions = stage.honest();
    let honest = report.phase("attack_baseline", || stage.play(&contributions, &[]))?;
    let merged = contributions.len() - honest.founders.len();
    report.figure("false_merge", merged as f64 / contributions.len() as f64);
    let mut table = vec![format!(
        "{:<13} {:>6} {:>17} {:>10} {:>9} {:>12}",
        "attack", "gain", "95 %", "influence", "fairness", "false split"
    )];
    for attack in forms::ALL {
        let outcomes = report.phase(&format!("attack_{}", attack.name()), || {
            (0..attackers).map(|a| outcome(&stage, &honest, *attack, a)).collect::<Result<Vec<_>>>()
        })?;
        table.push(judge(attack.name(), &outcomes, report));
    }
    let dealt = report.phase("attack_self_dealing", || {
        (0..attackers).map(|a| self_dealing(&stage, &honest, a)).collect::<Result<Vec<_>>>()
    })?;
    let most = dealt.iter().copied().fold(f64::MIN, f64::max);
    report.figure("gain_self_dealing", most);
    report.table("gain_self_dealing_by_attacker", &dealt);
    table.push(format!("{:<13} {most:>6.3}  largest of {attackers}", "self_dealing"));
    Ok(table)
}

fn outcome(stage: &Stage<'_>, honest: &Income, attack: Attack, attacker: usize) -> Result<Outcome> {
    let mut random = SplitMix(ATTACK_SEED + attacker as u64);
    let own = stage.account(attacker);
    let richest = (0..stage.contributors()).filter(|c| *c != attacker).max_by(|a, b| {
        honest.share(&[stage.account(*a)]).total_cmp(&honest.share(&[stage.account(*b)])).then(b.cmp(a))
    });
    let victim = stage.account(richest.unwrap_or(attacker));
    let contributions = forms::apply(stage, attack, own, victim, &mut random)?;
    let names: Vec<Address> = std::iter::once(own)
        .chain(contributions.iter().map(|c| c.account).filter(|a| !stage.is_honest(*a)))
        .collect();
    let after = stage.play(&contributions, &[])?;
    let others: Vec<Address> =
        (0..stage.contributors()).map(|c| stage.account(c)).filter(|a| *a != own).collect();
    let among = |income: &Income| {
        positive_shares(&others.iter().map(|a| income.share(std::slice::from_ref(a))).collect::<Vec<_>>())
    };
    let copies: Vec<usize> = (0..contributions.len()).filter(|c| contributions[*c].copies_another).collect();
    Ok(Outcome {
        before: honest.share(&[own]),
        after: after.share(&names),
        influence_before: honest.influence_share(&[own]),
        influence_after: after.influence_share(&names),
        fairness: total_variation(&among(honest), &among(&after)),
        escaped: copies.iter().filter(|c| after.founders.contains(c)).count(),
        copies: copies.len(),
    })
}

fn judge(name: &str, outcomes: &[Outcome], report: &mut Report) -> String {
    let ratio = |picked: &[usize], after: &dyn Fn(&Outcome) -> f64, before: &dyn Fn(&Outcome) -> f64| {
        let sum = |of: &dyn Fn(&Outcome) -> f64| picked.iter().map(|i| of(&outcomes[*i])).sum::<f64>();
        sum(after) / sum(before).max(f64::MIN_POSITIVE)
    };
    let all: Vec<usize> = (0..outcomes.len()).collect();
    let mut random = SplitMix(ATTACK_SEED);
    let resampled = (0..RESAMPLES)
        .map(|_| {
            let picked: Vec<usize> = all.iter().map(|_| random.below(all.len())).collect();
            ratio(&picked, &|o| o.after, &|o| o.before)
        })
        .collect();
    let gain = interval_of(ratio(&all, &|o| o.after, &|o| o.before), resampled);
    let influence = ratio(&all, &|o| o.influence_after, &|o| o.influence_before);
    let fairness = mean(&outcomes.iter().map(|o| o.fairness).collect::<Vec<_>>());
    report.interval(&format!("gain_{name}"), gain);
    report.figure(format!("gain_{name}_influence"), influence);
    report.figure(format!("fairness_{name}"), fairness);
    let each: Vec<[f64; 2]> = outcomes.iter().map(|o| [o.before, o.after]).collect();
    report.table(&format!("shares_{name}"), each);
    let copies: usize = outcomes.iter().map(|o| o.copies).sum();
    let split =
        (copies > 0).then(|| outcomes.iter().map(|o| o.escaped).sum::<usize>() as f64 / copies as f64);
    if let Some(split) = split {
        report.figure(format!("false_split_{name}"), split);
    }
    format!(
        "{name:<13} {:>6.3} [{:>6.3}, {:>6.3}] {influence:>10.3} {fairness:>9.4} {:>12}",
        gain.mean,
        gain.low,
        gain.high,
        split.map_or("-".into(), |s| format!("{s:.3}"))
    )
}

/// What comes back of the fees for answers that repeat the attacker's own records, contributors', operator's and developer's parts together.
fn self_dealing(stage: &Stage<'_>, honest: &Income, attacker: usize) -> Result<f64> {
    let own = stage.account(attacker);
    let template: Template = stage.template();
    let bought: Vec<Query> = stage
        .honest()
        .into_iter()
        .filter(|c| c.account == own)
        .map(|c| Query { contributor: attacker, question: template.question(&c.name), text: c.text })
        .collect();
    let after = stage.play(&stage.honest(), &bought)?;
    let fees = super::money::FEE_WEI as f64 * bought.len() as f64;
    let split = FeeSplit::GENESIS.split(U256::from(super::money::FEE_WEI));
    let ring = f64::from(split.operator + split.developer) * bought.len() as f64;
    Ok((after.wei(own) - honest.wei(own) + ring) / fees)
}

//! The table of all governed numbers.

use openledger_types::batch::MAX_APPEALS;

use crate::settlement::{MAX_RECEIPTS, MAX_STEPS};

/// A governed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamSpec {
    /// ASCII, at most 32 bytes.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// At genesis, unless the genesis says otherwise.
    pub default: u128,
    /// The least it may ever be.
    pub least: u128,
    /// The most it may ever be.
    pub most: u128,
    /// The most it may change from one epoch to the next.
    pub step: u128,
    /// What it is.
    pub meaning: &'static str,
}

/// Wei in one OPEN.
const OPEN: u128 = 1_000_000_000_000_000_000;

/// A day, in seconds.
const DAY: u128 = 86_400;

const fn param(
    name: &'static str,
    unit: &'static str,
    default: u128,
    (least, most): (u128, u128),
    step: u128,
    meaning: &'static str,
) -> ParamSpec {
    ParamSpec { name, unit, default, least, most, step, meaning }
}

/// Every governed number, in the order in which `all` lists them.
pub const PARAMS: &[ParamSpec] = &[
    param(
        "contributors_ppm",
        "ppm",
        400_000,
        (300_000, 800_000),
        50_000,
        "part of a fee to contributors and the base pool",
    ),
    param(
        "operator_ppm",
        "ppm",
        300_000,
        (50_000, 500_000),
        50_000,
        "part of a fee to who served the answer",
    ),
    param("developer_ppm", "ppm", 150_000, (0, 300_000), 50_000, "part of a fee to who trained the adapter"),
    param("validators_ppm", "ppm", 60_000, (0, 200_000), 20_000, "part of a fee to validators, by stake"),
    param(
        "treasury_ppm",
        "ppm",
        40_000,
        (0, 100_000),
        20_000,
        "part of a fee to the treasury, beside what rounding leaves",
    ),
    param(
        "burn_ppm",
        "ppm",
        50_000,
        (10_000, 200_000),
        20_000,
        "part of a fee that is burnt: what a ring that pays itself cannot get back",
    ),
    param(
        "verify_window",
        "blocks",
        3_600,
        (1, 100_000),
        1_800,
        "after a batch, in which verdicts are committed",
    ),
    param(
        "reveal_window",
        "blocks",
        600,
        (1, 100_000),
        600,
        "after the verify window, in which verdicts are revealed",
    ),
    param(
        "challenge_window",
        "blocks",
        600,
        (0, 100_000),
        600,
        "after the verdicts or the last challenge, in which a batch that would be paid can be challenged",
    ),
    param(
        "appeal_window",
        "blocks",
        600,
        (0, 100_000),
        600,
        "after the verdicts or the last challenge, in which what a drawn panel decided can be appealed",
    ),
    param("move_window", "blocks", 600, (2, 100_000), 600, "for one move of a challenge"),
    param(
        "challenge_bond",
        "wei",
        100 * OPEN,
        (OPEN, 1_000_000 * OPEN),
        100 * OPEN,
        "of a challenge, which the loser pays",
    ),
    param(
        "appeal_bond",
        "wei",
        100 * OPEN,
        (OPEN, 1_000_000 * OPEN),
        100 * OPEN,
        "of a first appeal, four times as much of each further one; who appealed in vain loses it to the verifiers",
    ),
    param(
        "verifiers_per_batch",
        "accounts",
        16,
        (1, 1_000),
        16,
        "verifiers and validators that the draw assigns, on average",
    ),
    param("sampled_receipts", "receipts", 32, (1, 10_000), 32, "of a batch, which the draw samples"),
    param(
        "verifier_share",
        "ppm",
        500_000,
        (0, 1_000_000),
        100_000,
        "of the validators' part of a batch's fees, to the verdicts that were right",
    ),
    param(
        "operator_slash",
        "ppm",
        100_000,
        (10_000, 500_000),
        50_000,
        "part of an operator's stake lost for a refuted batch",
    ),
    param(
        "verifier_slash",
        "ppm",
        10_000,
        (0, 100_000),
        10_000,
        "part of a stake lost by silence or a refuted verdict",
    ),
    param(
        "curator_slash",
        "ppm",
        50_000,
        (0, 200_000),
        20_000,
        "part of a curator's stake lost for a vote to take in what was taken down",
    ),
    param(
        "reward_seconds",
        "seconds",
        DAY,
        (1, 30 * DAY),
        DAY,
        "over which a reward is paid to the stake of each second",
    ),
    param(
        "withdrawal_delay",
        "seconds",
        2 * DAY,
        (60, 30 * DAY),
        DAY,
        "from asking for a deposit back to getting it; not below settle_grace",
    ),
    param(
        "settle_grace",
        "seconds",
        DAY,
        (60, 30 * DAY),
        DAY,
        "after a key ended, in which earlier answers are charged",
    ),
    param(
        "validator_stake",
        "wei",
        10_000 * OPEN,
        (OPEN, 10_000_000 * OPEN),
        5_000 * OPEN,
        "least of a validator",
    ),
    param(
        "validator_seats",
        "seats",
        64,
        (4, 100),
        8,
        "of validators that an epoch of consensus has at most, by stake",
    ),
    param(
        "double_sign_slash",
        "ppm",
        50_000,
        (10_000, 1_000_000),
        50_000,
        "part of a validator's stake that is burnt when it has voted twice",
    ),
    param(
        "downtime_views",
        "views",
        20,
        (1, 1_000),
        20,
        "that a validator has to lead in an epoch of consensus before it can be absent",
    ),
    param(
        "downtime_part",
        "ppm",
        500_000,
        (100_000, 1_000_000),
        100_000,
        "of the views that a validator leads in an epoch; whoever misses more is absent",
    ),
    param(
        "downtime_slash",
        "ppm",
        1_000,
        (0, 10_000),
        1_000,
        "part of a validator's stake that is burnt when it was absent in an epoch",
    ),
    param(
        "operator_stake",
        "wei",
        1_000 * OPEN,
        (OPEN, 10_000_000 * OPEN),
        500 * OPEN,
        "least of an operator",
    ),
    param(
        "verifier_stake",
        "wei",
        1_000 * OPEN,
        (OPEN, 10_000_000 * OPEN),
        500 * OPEN,
        "least of a verifier",
    ),
    param(
        "unbonding_seconds",
        "seconds",
        7 * DAY,
        (60, 60 * DAY),
        DAY,
        "from leaving to getting the stake back; longer than the longest dispute",
    ),
    param(
        "deployment_fee",
        "wei",
        OPEN,
        (0, 10_000 * OPEN),
        10 * OPEN,
        "of an adapter's publication, to the treasury",
    ),
    param(
        "influence_floor_micronats",
        "micronats",
        100_000,
        (1_000, 10_000_000),
        50_000,
        "least explained nats by which the contributors' part of an answer is divided",
    ),
    param(
        "cluster_cap",
        "ppm",
        250_000,
        (10_000, 1_000_000),
        50_000,
        "the most of what influence may claim in a batch that one cluster is paid",
    ),
];

/// Numbers that may not be below others: work that was served before a payer asks for the deposit back, or ended a key,
/// can be charged as long as the grace.
pub(super) const AT_LEAST: &[(&str, &str)] = &[("withdrawal_delay", "settle_grace")];

/// The number that has to be longer than the longest dispute: who did something wrong in one can be slashed after its end.
pub(super) const UNBONDING: &str = "unbonding_seconds";

/// Seconds that a block is given: twice the time after which an empty one is proposed.
pub(super) const BLOCK_SECONDS: u64 = 2;

/// How often the longest dispute waits for each window: every panel is appealed from, after each of them a challenge is fought through
/// every move to its judges, and the batch is final after a last challenge window. Longer ones cost the bond of one more lost challenge
/// each time.
pub(super) const DISPUTE: &[(&str, u64)] = &[
    ("verify_window", 2 * PANELS),
    ("reveal_window", 2 * PANELS),
    ("appeal_window", PANELS),
    ("move_window", PANELS * MOVES),
    ("challenge_window", 1),
];

/// Panels of a batch that is appealed as often as it can be.
const PANELS: u64 = MAX_APPEALS as u64 + 1;

/// Moves of a challenge of a batch with the most steps: two for each halving.
const MOVES: u64 = 2 * (MAX_RECEIPTS + MAX_STEPS).next_power_of_two().ilog2() as u64;

/// How long an epoch of governed numbers is unless the genesis says otherwise: a day of UTC, seconds.
pub const EPOCH_SECONDS: u64 = 86_400;

/// The table as the document `PARAMS.md` has it.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Governed numbers\n\nGenerated from `src/params/table.rs`; a test holds them equal. A change is scheduled by the \
         governor for the start of\nthe next epoch (a day of UTC), within the range and by at most the step. The parts of a \
         fee (names ending in `_ppm`) always\nadd up to 1000000.\n\n| name | unit | default | least | most | step | meaning \
         |\n|---|---|---|---|---|---|---|\n",
    );
    for ParamSpec { name, unit, default, least, most, step, meaning } in PARAMS {
        let row = format!("| `{name}` | {unit} | {default} | {least} | {most} | {step} | {meaning} |\n");
        text.push_str(&row);
    }
    text
}

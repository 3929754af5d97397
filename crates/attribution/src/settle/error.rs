use alloy_primitives::U256;
use openledger_types::split::SplitError;

/// Why an epoch cannot be settled.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SettleError {
    /// The governed parts of a fee do not make a whole.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The floor under the nats of an answer must be positive.
    #[error("the floor under an answer's nats is 0 micronats; it must be at least 1")]
    ZeroFloor,
    /// More than one batch takes.
    #[error("{got} {what} are more than the limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The fees are more than all OPEN there is.
    #[error("the fees of the batch pass {limit} wei, the whole supply, at answer {answer}")]
    Fees {
        /// Number of the answer at which they do.
        answer: usize,
        /// The supply.
        limit: U256,
    },
    /// A score is no number that a settlement can be made from.
    #[error("influence of {got} nats is not within ±{limit} nats: the replay diverged")]
    Score {
        /// The score, nats.
        got: f64,
        /// Largest magnitude, nats.
        limit: f64,
    },
    /// The scores of a cluster's records add up to too much.
    #[error("cluster {cluster} has {got} piconats of influence, more than {limit} in magnitude")]
    ClusterScore {
        /// The cluster.
        cluster: u32,
        /// Its score.
        got: i128,
        /// Largest magnitude.
        limit: i128,
    },
    /// A cluster is given twice.
    #[error("cluster {cluster} is given twice")]
    DuplicateCluster {
        /// The cluster.
        cluster: u32,
    },
    /// Clusters are said to have more as sources than sources may claim.
    #[error("clusters have more than {limit} wei as sources, which is what the answers' sources may claim")]
    Retrieved {
        /// What sources may claim, wei.
        limit: U256,
    },
    /// Nobody has a part of the developer's income.
    #[error("nobody is given who shares the developer's part")]
    NoDevelopers,
}

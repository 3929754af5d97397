/// What can go wrong when sources are looked for or credited.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model or the encoder refused a computation.
    #[error(transparent)]
    Model(#[from] openledger_model::Error),
    /// Two lengths that must be equal are not.
    #[error("{what}: got {got}, expected {expected}")]
    Length {
        /// Which length.
        what: &'static str,
        /// Its value.
        got: usize,
        /// The value needed.
        expected: usize,
    },
    /// A count is outside its bounds.
    #[error("{what}: got {got}, accepted is 1 to {limit}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The count.
        got: usize,
        /// The largest accepted.
        limit: usize,
    },
}

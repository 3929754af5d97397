//! Whose fault an error is: what cannot be computed because of what an operator posted is a difference, what fails on this machine is not.

use openledger_attribution::influence::Error as Influence;
use openledger_attribution::retrieval::Error as Retrieval;
use openledger_model::Error as Model;
use openledger_serve::Error as Serve;

use super::Difference;
use crate::{Result, WorkerError};

/// An error met while an answer was made again.
pub(super) fn of_the_answer(error: WorkerError, at: &str) -> Result<Difference> {
    let posted = match &error {
        WorkerError::Serve(error) => is_serve_fault(error),
        WorkerError::Model(error) | WorkerError::Retrieval(Retrieval::Model(error)) => is_model_fault(error),
        _ => false,
    };
    if !posted {
        return Err(error);
    }
    Ok(Difference::new(format!("{at}request and response"), "what the model can be given", error))
}

/// An error met while answers were settled.
pub(crate) fn of_the_batch(error: WorkerError) -> Result<Difference> {
    let expected = match &error {
        WorkerError::Influence(Influence::FalseStep { .. }) => "the gradients that the run has",
        WorkerError::Influence(Influence::Model(model)) if is_model_fault(model) => {
            "what the model can be given"
        }
        WorkerError::Influence(Influence::Length { .. }) | WorkerError::Settle(_) => {
            "answers that can be settled"
        }
        _ => return Err(error),
    };
    let field = if matches!(error, WorkerError::Influence(Influence::FalseStep { .. })) {
        "transcript"
    } else {
        "answers"
    };
    Ok(Difference::new(field, expected, error))
}

fn is_serve_fault(error: &Serve) -> bool {
    match error {
        Serve::Context { .. }
        | Serve::EmptyPrompt
        | Serve::Sampling { .. }
        | Serve::Stop { .. }
        | Serve::ResponseFormat { .. }
        | Serve::NotFinite { .. } => true,
        Serve::Model(error) => is_model_fault(error),
        _ => false,
    }
}

fn is_model_fault(error: &Model) -> bool {
    matches!(error, Model::Token { .. } | Model::Context { .. } | Model::Length { .. } | Model::Tokenizer(_))
}

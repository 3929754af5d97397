//! Answers made again.

use std::sync::Arc;

use alloy_primitives::B256;
use openledger_corpus::blob::Blobs;
use openledger_model::Adapter;
use openledger_serve::{Engine, Outcome};
use openledger_train::Run;
use openledger_types::receipt::Answer;

use super::sources::Sourcing;
use super::{Difference, fault, first_difference};
use crate::develop::remake;
use crate::lineage::Lineage;
use crate::operator::{Evidence, attribute, in_the_models_words};
use crate::sources::credit;
use crate::{Machine, Result};

/// Adapter and evidence, made from lineage and transcript alone.
pub(super) struct Executor {
    engine: Engine,
    adapter: Arc<Adapter>,
    evidence: Evidence,
    sourcing: Option<Sourcing>,
}

impl Executor {
    /// Answers that asked for sources need `sourcing`.
    pub(super) fn new(
        machine: &Machine,
        lineage: &Lineage,
        blobs: &Blobs,
        run: &Run,
        sourcing: Option<Sourcing>,
    ) -> Result<Self> {
        let (adapter, evidence) = remake(machine, lineage, blobs, run)?;
        let engine = Engine::new(machine.model.clone(), machine.tokenizer.clone(), machine.pool.clone());
        Ok(Self { engine, adapter: Arc::new(adapter), evidence, sourcing })
    }

    /// Sources, prompt, tokens, text, end and attribution of one answer, or the first of them that differs; `at` is put before the names of its fields.
    /// The hash is that of the [logits](openledger_serve::Reexecution::logits); of an answer with sources BLAKE3 of that and of what
    /// [crediting them](crate::sources::Credited::work) takes.
    pub(super) fn check(&self, answer: &Answer, at: &str) -> Result<Result<B256, Difference>> {
        match self.made_again(answer, at) {
            Err(error) => fault::of_the_answer(error, at).map(Err),
            made => made,
        }
    }

    fn made_again(&self, answer: &Answer, at: &str) -> Result<Result<B256, Difference>> {
        let (request, response) = (&answer.request, &answer.response);
        let tokenizer = self.engine.tokenizer();
        let found = match (&request.retrieval, &self.sourcing) {
            (Some(_), Some(sourcing)) => match sourcing.find(&self.engine, answer, at)? {
                Ok(found) => Some((found, &sourcing.library)),
                Err(difference) => return Ok(Err(difference)),
            },
            _ => None,
        };
        let context = found.as_ref().and_then(|(found, _)| found.context.as_ref());
        let prompt = match context {
            Some(context) => context.prompt(),
            None => {
                let messages: Vec<_> = request.messages.iter().map(in_the_models_words).collect();
                tokenizer.chat(&messages)?
            }
        };
        if let Some(difference) =
            first_difference(&format!("{at}request.prompt_tokens"), &prompt, &request.prompt_tokens)
        {
            return Ok(Err(difference));
        }
        let again =
            self.engine.reexecute(Some(&self.adapter), &prompt, &request.sampling, &response.tokens)?;
        if let Some(wrong) = again.difference {
            let field = format!("{at}response.tokens[{}]", wrong.position);
            return Ok(Err(Difference::new(field, shown(wrong.expected), shown(wrong.got))));
        }
        let said = Outcome::of(tokenizer, &request.sampling, &response.tokens);
        let spoken =
            first_difference(&format!("{at}response.text"), &said.text, &response.text).or_else(|| {
                let field = format!("{at}response.finish_reason");
                first_difference(&field, &said.finish_reason, &response.finish_reason)
            });
        if let Some(difference) = spoken {
            return Ok(Err(difference));
        }
        let (mut trace, mut sources) = (again.logits, Vec::new());
        if let (Some(context), Some((found, library))) = (context, &found) {
            let credited = credit(&self.engine, context, &response.tokens)?;
            sources = library.credits(&found.retrieval, &credited.nanonats);
            trace = B256::from(*blake3::hash(&[trace.0, credited.work.0].concat()).as_bytes());
        }
        let (salt, said) = (answer.attribution.salt, &response.tokens);
        let made = attribute(&self.engine, &self.adapter, &self.evidence, salt, &prompt, said, sources)?;
        Ok(first_difference(&format!("{at}attribution"), &made, &answer.attribution).map_or(Ok(trace), Err))
    }
}

fn shown(token: Option<u32>) -> String {
    token.map_or_else(|| "the end".to_owned(), |token| token.to_string())
}

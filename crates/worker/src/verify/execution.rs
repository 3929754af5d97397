//! Answers made again.

use std::sync::Arc;

use alloy_primitives::B256;
use openledger_corpus::blob::Blobs;
use openledger_model::Adapter;
use openledger_serve::{Engine, Outcome};
use openledger_train::Run;
use openledger_types::receipt::Answer;

use super::{Difference, fault, first_difference};
use crate::develop::remake;
use crate::lineage::Lineage;
use crate::operator::{Evidence, attribute, in_the_models_words};
use crate::{Machine, Result};

/// Adapter and evidence, made from lineage and transcript alone.
pub(super) struct Executor {
    engine: Engine,
    adapter: Arc<Adapter>,
    evidence: Evidence,
}

impl Executor {
    pub(super) fn new(machine: &Machine, lineage: &Lineage, blobs: &Blobs, run: &Run) -> Result<Self> {
        let (adapter, evidence) = remake(machine, lineage, blobs, run)?;
        let engine = Engine::new(machine.model.clone(), machine.tokenizer.clone(), machine.pool.clone());
        Ok(Self { engine, adapter: Arc::new(adapter), evidence })
    }

    /// Prompt, tokens, text, end and attribution of one answer, or the first of them that differs; `at` is put before the names of its fields.
    /// The hash is that of the [logits](openledger_serve::Reexecution::logits).
    pub(super) fn check(&self, answer: &Answer, at: &str) -> Result<Result<B256, Difference>> {
        match self.made_again(answer, at) {
            Err(error) => fault::of_the_answer(error, at).map(Err),
            made => made,
        }
    }

    fn made_again(&self, answer: &Answer, at: &str) -> Result<Result<B256, Difference>> {
        let (request, response) = (&answer.request, &answer.response);
        let tokenizer = self.engine.tokenizer();
        let messages: Vec<_> = request.messages.iter().map(in_the_models_words).collect();
        let prompt = tokenizer.chat(&messages)?;
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
        let salt = answer.attribution.salt;
        let made = attribute(&self.engine, &self.adapter, &self.evidence, salt, &prompt, &response.tokens)?;
        Ok(first_difference(&format!("{at}attribution"), &made, &answer.attribution)
            .map_or(Ok(again.logits), Err))
    }
}

fn shown(token: Option<u32>) -> String {
    token.map_or_else(|| "the end".to_owned(), |token| token.to_string())
}

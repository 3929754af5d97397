//! Selectors of [`ISettlement`].

use alloy_primitives::Bytes;
use openledger_types::abi::ISettlement::{self, ISettlementCalls as Calls};

use super::{
    PayoutClaim, appeal, appeal_of, batch, batch_count, batch_of, bisect, challenge, challenge_count,
    challenge_of, choose, claim, claim_and_stake, claim_step, claim_verdict, claimed, commit_step,
    commit_verdict, draw, finalise, is_assigned, post, punish, punish_step, resolve, reveal_step,
    reveal_verdict, seed, verdict,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::post(c) => {
            call.write()?;
            returns::<ISettlement::postCall>(&post(storage, call.caller, &c.batch)?)
        }
        Calls::commitVerdict(c) => {
            call.write()?;
            nothing(commit_verdict(storage, call.caller, c.batch, c.commitment)?)
        }
        Calls::revealVerdict(c) => {
            call.write()?;
            nothing(reveal_verdict(storage, call.caller, c.batch, c.digest, c.trace, c.salt)?)
        }
        Calls::finalise(c) => {
            call.write()?;
            nothing(finalise(storage, c.batch)?)
        }
        Calls::claim(c) => {
            call.write()?;
            let line = PayoutClaim { index: c.index, account: c.account, role: c.role, amount: c.amount };
            nothing(claim(storage, c.batch, &line, &c.proof)?)
        }
        Calls::claimAndStake(c) => {
            call.write()?;
            let (account, validator) = (call.caller, c.validator);
            let line = PayoutClaim { index: c.index, account, role: c.role, amount: c.amount };
            nothing(claim_and_stake(storage, c.batch, &line, &c.proof, validator)?)
        }
        Calls::draw(c) => {
            call.write()?;
            returns::<ISettlement::drawCall>(&draw(storage, c.batch)?)
        }
        Calls::challenge(c) => {
            call.pay()?;
            returns::<ISettlement::challengeCall>(&challenge(storage, call.caller, c.batch, call.value)?)
        }
        Calls::appeal(c) => {
            call.pay()?;
            returns::<ISettlement::appealCall>(&appeal(storage, call.caller, c.batch, call.value)?)
        }
        Calls::appealOf(c) => {
            call.view()?;
            returns::<ISettlement::appealOfCall>(&appeal_of(storage, c.batch, c.round)?)
        }
        Calls::claimVerdict(c) => {
            call.write()?;
            returns::<ISettlement::claimVerdictCall>(&claim_verdict(storage, c.batch, c.verifier)?)
        }
        Calls::bisect(c) => {
            call.write()?;
            nothing(bisect(storage, call.caller, c.challenge, c.state)?)
        }
        Calls::choose(c) => {
            call.write()?;
            nothing(choose(storage, call.caller, c.challenge, c.agrees)?)
        }
        Calls::commitStep(c) => {
            call.write()?;
            nothing(commit_step(storage, call.caller, c.challenge, c.commitment)?)
        }
        Calls::revealStep(c) => {
            call.write()?;
            nothing(reveal_step(storage, call.caller, c.challenge, c.upheld, c.trace, c.salt)?)
        }
        Calls::resolve(c) => {
            call.write()?;
            nothing(resolve(storage, c.challenge)?)
        }
        Calls::claimStep(c) => {
            call.write()?;
            returns::<ISettlement::claimStepCall>(&claim_step(storage, c.challenge, c.verifier)?)
        }
        Calls::punishStep(c) => {
            call.write()?;
            nothing(punish_step(storage, c.challenge, c.verifier)?)
        }
        Calls::punish(c) => {
            call.write()?;
            nothing(punish(storage, c.batch, c.verifier)?)
        }
        Calls::seed(c) => {
            call.view()?;
            returns::<ISettlement::seedCall>(&seed(storage, c.batch)?)
        }
        Calls::isAssigned(c) => {
            call.view()?;
            returns::<ISettlement::isAssignedCall>(&is_assigned(storage, c.batch, c.verifier)?)
        }
        Calls::challengeCount(_) => {
            call.view()?;
            returns::<ISettlement::challengeCountCall>(&challenge_count(storage)?)
        }
        Calls::challengeOf(c) => {
            call.view()?;
            returns::<ISettlement::challengeOfCall>(&challenge_of(storage, c.id)?)
        }
        Calls::batchCount(_) => {
            call.view()?;
            returns::<ISettlement::batchCountCall>(&batch_count(storage)?)
        }
        Calls::batch(c) => {
            call.view()?;
            returns::<ISettlement::batchCall>(&batch(storage, c.id)?)
        }
        Calls::batchOf(c) => {
            call.view()?;
            returns::<ISettlement::batchOfCall>(&batch_of(storage, c.operator, c.epoch, c.adapter)?)
        }
        Calls::claimed(c) => {
            call.view()?;
            returns::<ISettlement::claimedCall>(&claimed(storage, c.batch, c.index)?)
        }
        Calls::verdict(c) => {
            call.view()?;
            let (commitment, digest) = verdict(storage, c.batch, c.verifier)?;
            returns::<ISettlement::verdictCall>(&ISettlement::verdictReturn { commitment, digest })
        }
    }
}

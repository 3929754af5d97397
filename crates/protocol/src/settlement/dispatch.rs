//! Selectors of [`ISettlement`].

use alloy_primitives::Bytes;
use openledger_types::abi::ISettlement::{self, ISettlementCalls as Calls};

use super::{
    PayoutClaim, batch, batch_count, batch_of, claim, claimed, commit_verdict, finalise, post,
    reveal_verdict, verdict,
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
            nothing(reveal_verdict(storage, call.caller, c.batch, c.digest, c.salt)?)
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

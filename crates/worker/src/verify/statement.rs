//! What can be compared without computing: hashes, signatures, sums, the chain.

use alloy_primitives::U256;
use openledger_client::{Client, recover_receipt_signer};
use openledger_corpus::merkle::records_root;
use openledger_types::abi::StakeRole;
use openledger_types::batch::BatchFile;
use openledger_types::receipt::{Answer, document_hash};

use super::{Difference, roots};
use crate::Result;

/// Hashes, fee, counts and signature of an answer.
pub(super) fn documents(answer: &Answer, chain_id: u64) -> Option<Difference> {
    let receipt = &answer.receipt;
    let counts = |tokens: &[u32]| u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    Difference::between("request (its hash)", receipt.requestHash, document_hash(&answer.request))
        .or_else(|| {
            Difference::between("response (its hash)", receipt.responseHash, document_hash(&answer.response))
        })
        .or_else(|| {
            Difference::between(
                "attribution (its hash)",
                receipt.attributionHash,
                document_hash(&answer.attribution),
            )
        })
        .or_else(|| {
            let got = counts(&answer.request.prompt_tokens);
            Difference::between("receipt.promptTokens", got, receipt.promptTokens)
        })
        .or_else(|| {
            let got = counts(&answer.response.tokens);
            Difference::between("receipt.completionTokens", got, receipt.completionTokens)
        })
        .or_else(|| {
            let expected = receipt.expected_fee().unwrap_or(U256::MAX);
            Difference::between("receipt.fee", expected, receipt.fee)
        })
        .or_else(|| match recover_receipt_signer(receipt, &answer.signature, chain_id) {
            Ok(signer) => Difference::between(
                "signature (who signed the receipt as it stands)",
                receipt.operator,
                signer,
            ),
            Err(error) => Some(Difference::new("signature", "65 bytes r, s, v of the operator", error)),
        })
}

/// What an answer says of its adapter, against the chain.
pub(super) async fn on_chain(client: &Client, answer: &Answer) -> Result<Option<Difference>> {
    let receipt = &answer.receipt;
    let adapter = client.models().adapter(receipt.adapter).await?;
    let base = client.models().base(adapter.base).await?;
    let mut manifests = Vec::with_capacity(adapter.datanets.len());
    for named in &adapter.datanets {
        manifests.push(client.datanets().version(named.datanet, named.version).await?.manifestHash);
    }
    let operator = client.staking().staker(receipt.operator).await?;
    let authorisation = client.escrow().authorisation(receipt.key).await?;
    Ok(Difference::between("receipt.adapterHash", adapter.adapterHash, receipt.adapterHash)
        .or_else(|| Difference::between("receipt.baseHash", base.fileHash, receipt.baseHash))
        .or_else(|| {
            Difference::between("receipt.datanetsRoot", records_root(&manifests), receipt.datanetsRoot)
        })
        .or_else(|| Difference::between("receipt.payer (of the key)", authorisation.payer, receipt.payer))
        .or_else(|| {
            Difference::between("receipt.operator (of the key)", authorisation.operator, receipt.operator)
        })
        .or_else(|| {
            (operator.role != StakeRole::Operator)
                .then(|| Difference::new("receipt.operator", "a staked operator", receipt.operator))
        }))
}

/// What a batch file gives, against what was posted.
pub(super) async fn batch(client: &Client, id: U256, file: &BatchFile) -> Result<Option<Difference>> {
    let posted = client.settlement().batch(id).await?;
    let (receipts, fees, payouts, hash) = roots(file);
    let totals = file.parts.totals(file.base);
    let amounts = [
        ("totals.contributors", posted.totals.contributors, totals.contributors),
        ("totals.base", posted.totals.base, totals.base),
        ("totals.operator", posted.totals.operator, totals.operator),
        ("totals.developer", posted.totals.developer, totals.developer),
        ("totals.validators", posted.totals.validators, totals.validators),
        ("totals.treasury", posted.totals.treasury, totals.treasury),
        ("totals.burn", posted.totals.burn, totals.burn),
        ("fees", posted.fees, fees),
        ("adapter", posted.adapter, file.adapter),
        ("epoch", U256::from(posted.epoch), U256::from(file.epoch)),
        ("chain_id", U256::from(client.chain_id()), U256::from(file.chain_id)),
    ];
    Ok(Difference::between("batch.fileHash", posted.fileHash, hash)
        .or_else(|| Difference::between("batch.receiptsRoot", posted.receiptsRoot, receipts))
        .or_else(|| Difference::between("batch.payoutsRoot", posted.payoutsRoot, payouts))
        .or_else(|| Difference::between("batch.operator", posted.operator, file.operator))
        .or_else(|| {
            amounts.into_iter().find_map(|(field, expected, got)| {
                Difference::between(&format!("batch.{field}"), expected, got)
            })
        })
        .or_else(|| {
            let out_of_place = |(at, answer): (usize, &Answer)| {
                let receipt = &answer.receipt;
                let expected = (file.operator, file.epoch, file.adapter, at);
                let got = (receipt.operator, receipt.epoch, receipt.adapter, receipt.sequence as usize);
                (expected != got).then(|| {
                    let field = format!("answers[{at}].receipt (operator, epoch, adapter, sequence)");
                    Difference::new(field, format!("{expected:?}"), format!("{got:?}"))
                })
            };
            file.answers.iter().enumerate().find_map(out_of_place)
        }))
}

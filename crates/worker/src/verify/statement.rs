//! What can be compared without computing: hashes, signatures, sums, the chain.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use openledger_client::{Client, Filter, recover_receipt_signer};
use openledger_corpus::merkle::records_root;
use openledger_types::abi::{Authorisation, IEscrow, IModels, StakeRole};
use openledger_types::batch::BatchFile;
use openledger_types::receipt::{Answer, document_hash};

use super::Difference;
use super::batch::roots;
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

/// What the chain says of one adapter and of whoever its answers name, each read once.
pub(super) struct OnChain {
    adapter_hash: B256,
    base_hash: B256,
    datanets_root: B256,
    /// Every price that the adapter ever had, wei per token of prompt and answer.
    prices: BTreeSet<(U256, U256)>,
    roles: BTreeMap<Address, StakeRole>,
    keys: BTreeMap<B256, Authorisation>,
}

impl OnChain {
    pub(super) async fn load(client: &Client, adapter: U256) -> Result<Self> {
        let head = client.block_number().await?;
        let prices = client
            .models()
            .events::<IModels::PriceSet>(Filter::new().topic1(B256::from(adapter)), 0, head)
            .await?;
        let adapter = client.models().adapter(adapter).await?;
        let base = client.models().base(adapter.base).await?;
        let mut manifests = Vec::with_capacity(adapter.datanets.len());
        for named in &adapter.datanets {
            manifests.push(client.datanets().version(named.datanet, named.version).await?.manifestHash);
        }
        Ok(Self {
            adapter_hash: adapter.adapterHash,
            base_hash: base.fileHash,
            datanets_root: records_root(&manifests),
            prices: prices.into_iter().map(|set| (set.data.inputPrice, set.data.outputPrice)).collect(),
            roles: BTreeMap::new(),
            keys: BTreeMap::new(),
        })
    }

    /// What a receipt says of its adapter, price, key and operator.
    pub(super) async fn check(&mut self, client: &Client, answer: &Answer) -> Result<Option<Difference>> {
        let receipt = &answer.receipt;
        let role = match self.roles.entry(receipt.operator) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(client.staking().staker(receipt.operator).await?.role),
        };
        let authorisation = match self.keys.entry(receipt.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(client.escrow().authorisation(receipt.key).await?),
        };
        let price = (receipt.inputPrice, receipt.outputPrice);
        Ok(Difference::between("receipt.adapterHash", self.adapter_hash, receipt.adapterHash)
            .or_else(|| Difference::between("receipt.baseHash", self.base_hash, receipt.baseHash))
            .or_else(|| Difference::between("receipt.datanetsRoot", self.datanets_root, receipt.datanetsRoot))
            .or_else(|| {
                (!self.prices.contains(&price)).then(|| {
                    let expected = format!("one that the adapter had: {:?}", self.prices);
                    Difference::new("receipt (inputPrice, outputPrice)", expected, format!("{price:?}"))
                })
            })
            .or_else(|| Difference::between("receipt.payer (of the key)", authorisation.payer, receipt.payer))
            .or_else(|| {
                Difference::between("receipt.operator (of the key)", authorisation.operator, receipt.operator)
            })
            .or_else(|| {
                (role != StakeRole::Operator)
                    .then(|| Difference::new("receipt.operator", "a staked operator", receipt.operator))
            }))
    }
}

/// What each key was charged for a batch, against its receipts.
pub(super) async fn charges(client: &Client, id: U256, file: &BatchFile) -> Result<Option<Difference>> {
    let block = client.settlement().batch(id).await?.postedAt;
    let filter = || Filter::new().topic3(B256::from(id));
    let charged = client.escrow().events::<IEscrow::Charged>(filter(), block, block).await?;
    let uncollected = client.escrow().events::<IEscrow::Uncollected>(filter(), block, block).await?;
    let mut posted: BTreeMap<B256, U256> = BTreeMap::new();
    for event in charged {
        *posted.entry(event.data.key).or_default() += event.data.amount;
    }
    for event in uncollected {
        *posted.entry(event.data.key).or_default() += event.data.amount;
    }
    let mut owed: BTreeMap<B256, U256> = BTreeMap::new();
    for answer in file.answers.iter().filter(|answer| !answer.receipt.fee.is_zero()) {
        let sum = owed.entry(answer.receipt.key).or_default();
        *sum = sum.saturating_add(answer.receipt.fee);
    }
    let keys: BTreeSet<B256> = posted.keys().chain(owed.keys()).copied().collect();
    Ok(keys.into_iter().find_map(|key| {
        let of = |amounts: &BTreeMap<B256, U256>| amounts.get(&key).copied().unwrap_or_default();
        Difference::between(&format!("charge of key {key}"), of(&owed), of(&posted))
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
        ("receipts", U256::from(posted.receipts), U256::from(file.answers.len())),
        ("payouts", U256::from(posted.payouts), U256::from(file.payouts.len())),
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
        .or_else(|| file.answers.iter().enumerate().find_map(|(at, answer)| place(file, at, answer))))
}

/// Whether an answer stands where its receipt says.
pub(super) fn place(file: &BatchFile, at: usize, answer: &Answer) -> Option<Difference> {
    let receipt = &answer.receipt;
    let expected = (file.operator, file.epoch, file.adapter, at);
    let got = (receipt.operator, receipt.epoch, receipt.adapter, receipt.sequence as usize);
    (expected != got).then(|| {
        let field = format!("answers[{at}].receipt (operator, epoch, adapter, sequence)");
        Difference::new(field, format!("{expected:?}"), format!("{got:?}"))
    })
}

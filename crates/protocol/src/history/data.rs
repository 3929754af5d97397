//! Datanets, models and the governed numbers.

use alloy_primitives::{B256, U256};
use openledger_types::abi::{
    ContributionStatus, DatanetRef, IDatanets, IModels, IParams, Modality, Terms, Use,
};
use openledger_types::addresses::{DATANETS, MODELS, PARAMS as MODULE};

use super::cast::{DEVELOPER, GOVERNOR, OWNER};
use super::{History, Operation};
use crate::datanets::{self, Reveal};
use crate::params::{self, PARAMS, ParamSpec};

/// What there is to work on.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) datanets: Vec<U256>,
    pub(super) versions: Vec<DatanetRef>,
    pub(super) commitments: Vec<(usize, Reveal)>,
    pub(super) contributions: Vec<U256>,
    /// Those that a curator voted to take in.
    pub(super) voted_in: Vec<U256>,
    pub(super) bases: Vec<U256>,
    pub(super) trainings: Vec<B256>,
    pub(super) adapters: Vec<U256>,
}

pub(super) const OPERATIONS: &[Operation] = &[
    ("datanets.create", 1, |h| {
        let owner = h.mostly(&[OWNER]);
        let terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };
        let license = if h.draws.chance(90) { "MIT" } else { "none at all" };
        let call = IDatanets::createCall {
            name: "notes".into(),
            license: license.into(),
            modality: Modality::Text,
            terms,
        };
        if let Some(datanet) = h.send(owner, DATANETS, call) {
            h.data.datanets.push(datanet);
        }
        Some(())
    }),
    ("datanets.commit", 3, |h| {
        let datanets = h.data.datanets.clone();
        let datanet = h.draws.recent(&datanets)?;
        let contributor = h.anyone();
        let reveal = Reveal {
            datanet,
            records_root: h.draws.hash(),
            file_hash: h.draws.hash(),
            records: 1 + h.draws.below(9) as u32,
            salt: h.draws.hash(),
        };
        let commitment = reveal.commitment(h.account(contributor));
        if h.send(contributor, DATANETS, IDatanets::commitCall { datanet, commitment }).is_some() {
            h.data.commitments.push((contributor, reveal));
        }
        Some(())
    }),
    ("datanets.reveal", 5, |h| {
        let commitments = h.data.commitments.clone();
        let (contributor, reveal) = h.draws.recent(&commitments)?;
        let open = datanets::commitment_block(&mut h.storage, reveal.commitment(h.cast.account(contributor)));
        if open == Ok(0) && h.draws.chance(90) {
            return None;
        }
        let from = h.mostly(&[contributor]);
        let Reveal { datanet, records_root, file_hash, records, salt } = reveal;
        let call =
            IDatanets::revealCall { datanet, recordsRoot: records_root, fileHash: file_hash, records, salt };
        let bond = datanets::policy::policy(&mut h.storage, datanet).map_or(U256::ZERO, |policy| policy.bond);
        if let Some(contribution) = h.call(from, DATANETS, bond, call) {
            h.require(from == contributor, || "somebody revealed what another had committed".into());
            h.data.contributions.push(contribution);
        }
        Some(())
    }),
    ("datanets.accept", 2, |h| {
        let contribution = waiting(h)?;
        let from = h.mostly(&[OWNER]);
        h.send(from, DATANETS, IDatanets::acceptCall { contribution });
        Some(())
    }),
    ("datanets.reject", 2, |h| {
        let contribution = waiting(h)?;
        let from = h.mostly(&[OWNER]);
        h.send(from, DATANETS, IDatanets::rejectCall { contribution, reason: "spam".into() });
        Some(())
    }),
    ("datanets.publishVersion", 1, |h| {
        let datanets = h.data.datanets.clone();
        let datanet = h.draws.recent(&datanets)?;
        let from = h.mostly(&[OWNER]);
        let call = IDatanets::publishVersionCall {
            datanet,
            manifestHash: h.draws.hash(),
            recordsRoot: h.draws.hash(),
            records: 10,
            clusters: 8,
        };
        if let Some(version) = h.send(from, DATANETS, call) {
            h.data.versions.push(DatanetRef { datanet, version });
        }
        Some(())
    }),
    ("models.registerBase", 1, |h| {
        let (from, file_hash) = (h.anyone(), h.draws.hash());
        let call =
            IModels::registerBaseCall { name: "tiny".into(), license: "MIT".into(), fileHash: file_hash };
        if let Some(base) = h.send(from, MODELS, call) {
            h.data.bases.push(base);
        }
        Some(())
    }),
    ("models.commitTraining", 1, |h| {
        let manifest = match h.draws.pick(&h.data.trainings) {
            Some(known) if h.draws.chance(10) => known,
            _ => h.draws.hash(),
        };
        let call = IModels::commitTrainingCall { manifestHash: manifest };
        if h.send(DEVELOPER, MODELS, call).is_some() {
            h.data.trainings.push(manifest);
        }
        Some(())
    }),
    ("models.publishAdapter", 2, |h| {
        let (trainings, versions, bases) =
            (h.data.trainings.clone(), h.data.versions.clone(), h.data.bases.clone());
        let call = IModels::publishAdapterCall {
            base: h.draws.recent(&bases)?,
            manifestHash: h.draws.recent(&trainings)?,
            adapterHash: h.draws.hash(),
            transcriptHash: h.draws.hash(),
            datanets: vec![h.draws.recent(&versions)?],
            inputPrice: h.amount() / U256::from(1_000_000),
            outputPrice: h.amount() / U256::from(1_000_000),
        };
        let from = h.mostly(&[DEVELOPER]);
        let fee = params::get(&mut h.storage, params::param_name("deployment_fee")).unwrap_or_default();
        if let Some(adapter) = h.call(from, MODELS, fee, call) {
            h.require(from == DEVELOPER, || "somebody published what another trained".into());
            h.data.adapters.push(adapter);
        }
        Some(())
    }),
    ("models.setPrice", 1, |h| {
        let adapters = h.data.adapters.clone();
        let call = IModels::setPriceCall {
            adapter: h.draws.recent(&adapters)?,
            inputPrice: h.amount() / U256::from(1_000),
            outputPrice: h.amount() / U256::from(1_000),
        };
        let from = h.mostly(&[DEVELOPER]);
        h.send(from, MODELS, call);
        Some(())
    }),
    ("models.retire", 1, |h| {
        // The first adapter goes on, so that the market does.
        let adapters = h.data.adapters.get(1..).unwrap_or_default().to_vec();
        let adapter = h.draws.recent(&adapters)?;
        let from = h.mostly(&[DEVELOPER]);
        h.send(from, MODELS, IModels::retireCall { adapter });
        Some(())
    }),
    ("params.schedule", 3, |h| {
        let (names, values) = changes(h)?;
        let from = h.mostly(&[GOVERNOR]);
        let call = IParams::scheduleCall { names, values };
        let done = h.send(from, MODULE, call).is_some();
        h.require(!done || from == GOVERNOR, || "somebody else changed a governed number".into());
        Some(())
    }),
];

/// A contribution, mostly one that waits for a decision.
fn waiting(h: &mut History<'_>) -> Option<U256> {
    let all = h.data.contributions.clone();
    if h.draws.chance(5) {
        return h.draws.pick(&all);
    }
    let pending = all.into_iter().filter(|id| {
        datanets::contribution(&mut h.storage, *id)
            .is_ok_and(|read| read.status == ContributionStatus::Pending)
    });
    let pending: Vec<_> = pending.collect();
    h.draws.pick(&pending)
}

/// Two governed numbers: a part of the fee moved from one role to another, or a step of one; sometimes anything.
fn changes(h: &mut History<'_>) -> Option<(Vec<B256>, Vec<U256>)> {
    let wild = h.draws.chance(20);
    let parts: Vec<usize> = (0..PARAMS.len()).filter(|i| PARAMS[*i].name.ends_with("_ppm")).collect();
    let other: Vec<usize> = (0..PARAMS.len()).filter(|i| !parts.contains(i)).collect();
    let (a, b, by) = if h.draws.chance(40) {
        let (a, b) = (h.draws.pick(&parts)?, h.draws.pick(&parts)?);
        (a, b, U256::from(h.draws.below(15_000)))
    } else {
        let a = h.draws.pick(&other)?;
        (a, a, U256::from(PARAMS[a].step) * U256::from(h.draws.below(101)) / U256::from(100))
    };
    let mut changes = Vec::new();
    for (index, up) in [(a, true), (b, false)] {
        let ParamSpec { name, least, most, .. } = PARAMS[index];
        let name = params::param_name(name);
        let current = params::get(&mut h.storage, name).ok()?;
        let (least, most) = (U256::from(least), U256::from(most));
        let value = if wild {
            least + (most - least) * U256::from(h.draws.below(111)) / U256::from(100)
        } else if (a == b && h.draws.chance(50)) || (a != b && up) {
            current + by
        } else {
            current.saturating_sub(by)
        };
        changes.push((name, value));
        if a == b {
            break;
        }
    }
    Some(changes.into_iter().unzip())
}

/// A Datanet with a version and an adapter that was trained on it.
pub(super) fn open_market(h: &mut History<'_>) {
    const FIRST: [&str; 6] = [
        "datanets.create",
        "datanets.publishVersion",
        "models.registerBase",
        "models.commitTraining",
        "wait",
        "models.publishAdapter",
    ];
    for name in FIRST {
        match OPERATIONS.iter().find(|operation| operation.0 == name) {
            Some((_, _, attempt)) => while attempt(h).is_some() && !h.data.has(name) {},
            None => h.advance(1),
        }
    }
}

impl Data {
    fn has(&self, made_by: &str) -> bool {
        match made_by {
            "datanets.create" => !self.datanets.is_empty(),
            "datanets.publishVersion" => !self.versions.is_empty(),
            "models.registerBase" => !self.bases.is_empty(),
            "models.commitTraining" => !self.trainings.is_empty(),
            _ => !self.adapters.is_empty(),
        }
    }
}

//! One epoch, from what was handed in to what is paid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use openledger_attribution::influence::{ReplayOptions, replay};
use openledger_corpus::cluster::{ClusterItem, OrderKey, cluster};
use openledger_model::{Lora, Pool};
use openledger_train::{
    HeldOut, Options, Run, Template, TrainingRecord, TrainingSet, Trajectory, Transcript, train,
};
use openledger_types::batch::PayoutKind;
use openledger_types::{Address, B256};

use super::super::money::Epoch;
use super::super::objective;
use super::super::scenario::{Query, Scenario};
use super::super::truth::{self, Truth};
use crate::cache;

/// A record as it is handed in; its place in the list is when it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contribution {
    /// Whose it is.
    pub(super) account: Address,
    /// What the training question asks about.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// Whether it was made from somebody else's record.
    pub(super) copies_another: bool,
}

/// What an epoch paid the contributors.
pub(super) struct Income {
    influence: BTreeMap<Address, f64>,
    base: BTreeMap<Address, f64>,
    /// The contributions that own a cluster.
    pub(super) founders: BTreeSet<usize>,
}

impl Income {
    /// Wei of both kinds.
    pub(super) fn wei(&self, account: Address) -> f64 {
        let of = |map: &BTreeMap<Address, f64>| map.get(&account).copied().unwrap_or(0.0);
        of(&self.influence) + of(&self.base)
    }

    /// The part of all that contributors are paid which goes to these accounts, each counted once.
    pub(super) fn share(&self, accounts: &[Address]) -> f64 {
        let all: f64 = self.influence.values().chain(self.base.values()).sum();
        let accounts: BTreeSet<&Address> = accounts.iter().collect();
        accounts.into_iter().map(|a| self.wei(*a)).sum::<f64>() / all.max(f64::MIN_POSITIVE)
    }

    /// The same of what influence pays.
    pub(super) fn influence_share(&self, accounts: &[Address]) -> f64 {
        let all: f64 = self.influence.values().sum();
        let accounts: BTreeSet<&Address> = accounts.iter().collect();
        let theirs: f64 = accounts.into_iter().filter_map(|a| self.influence.get(a)).sum();
        theirs / all.max(f64::MIN_POSITIVE)
    }
}

/// What stays the same over all attacks.
pub(super) struct Stage<'a> {
    scenario: &'a Scenario,
    pool: Pool,
    folder: PathBuf,
    held_out: HeldOut,
    /// The run of honest contributors and what became of it, which an attacker may use.
    run: &'a Run,
    truth: &'a Truth,
}

impl<'a> Stage<'a> {
    pub(super) fn new(scenario: &'a Scenario, run: &'a Run, truth: &'a Truth, folder: &Path) -> Result<Self> {
        let pool = run.pool().clone();
        let held_out = scenario.held_out(&pool)?;
        Ok(Self { scenario, pool, folder: folder.to_owned(), held_out, run, truth })
    }

    /// What everybody hands in who is honest.
    pub(super) fn honest(&self) -> Vec<Contribution> {
        let records = self.scenario.set.records().iter();
        records
            .map(|r| Contribution {
                account: r.contributor,
                name: r.name.clone(),
                text: r.text.clone(),
                copies_another: false,
            })
            .collect()
    }

    pub(super) fn contributors(&self) -> usize {
        self.scenario.contributors.len()
    }

    pub(super) fn account(&self, contributor: usize) -> Address {
        self.scenario.contributors[contributor].address
    }

    pub(super) fn is_honest(&self, account: Address) -> bool {
        self.scenario.contributors.iter().any(|c| c.address == account)
    }

    pub(super) fn template(&self) -> Template {
        self.scenario.manifest.recipe.template
    }

    /// `∇ log p` of texts at the honest adapter, each as the answer to its training question.
    pub(super) fn gradients(&self, texts: &[(String, String)]) -> Result<Vec<Arc<[f32]>>> {
        let queries: Vec<Query> = texts
            .iter()
            .map(|(name, text)| Query {
                contributor: 0,
                question: self.template().question(name),
                text: text.clone(),
            })
            .collect();
        let held_out = self.scenario.held_out_of(queries.iter(), &self.pool)?;
        truth::log_p_gradients(self.run, &held_out, &self.truth.theta)
    }

    /// Walks the whole path; `bought` are answers paid for beside the queries. What it finds is kept.
    pub(super) fn play(&self, contributions: &[Contribution], bought: &[Query]) -> Result<Income> {
        let items: Vec<ClusterItem<'_>> = (0..)
            .zip(contributions)
            .map(|(at, c)| ClusterItem {
                text: &c.text,
                order: OrderKey { block: 0, contribution: at, record: 0 },
            })
            .collect();
        let clusters = cluster(&items)?;
        let founders: BTreeSet<usize> = (0..contributions.len()).filter(|c| clusters.is_owner(*c)).collect();
        let set = TrainingSet::new(
            founders
                .iter()
                .map(|at| TrainingRecord {
                    record: B256::from(*blake3::hash(contributions[*at].text.as_bytes()).as_bytes()),
                    cluster: clusters.cluster[*at],
                    contributor: contributions[*at].account,
                    name: contributions[*at].name.clone(),
                    text: contributions[*at].text.clone(),
                })
                .collect(),
        )?;
        let accounts: Vec<Address> =
            contributions.iter().map(|c| c.account).collect::<BTreeSet<_>>().into_iter().collect();
        let paid =
            cache::vector(&self.folder.join(key(&set, bought, &accounts)), 2 * accounts.len(), || {
                self.settle(&set, bought, &accounts)
            })?;
        let (influence, base) = paid.split_at(accounts.len());
        let by_account = |amounts: &[f64]| accounts.iter().copied().zip(amounts.iter().copied()).collect();
        Ok(Income { influence: by_account(influence), base: by_account(base), founders })
    }

    /// Wei of influence by account, then of the base pool.
    fn settle(&self, set: &TrainingSet, bought: &[Query], accounts: &[Address]) -> Result<Vec<f64>> {
        let run = self.scenario.prepare_set(&self.pool, set)?;
        let transcript = self.folder.join("attack.transcript");
        if transcript.exists() {
            std::fs::remove_file(&transcript)?;
        }
        let options = Options { transcript: Some(&transcript), ..Options::default() };
        let theta = train(&run, options, &mut |_| ())?.state.theta;
        let lora = || Some(Lora { config: run.lora(), theta: &theta });
        let mut explained = less(&self.truth.base, &self.held_out.losses(lora())?);
        let mut gradients = truth::log_p_gradients(&run, &self.held_out, &theta)?;
        if !bought.is_empty() {
            let bought = self.scenario.held_out_of(bought.iter(), &self.pool)?;
            explained.extend(less(&bought.losses(None)?, &bought.losses(lora())?));
            gradients.extend(truth::log_p_gradients(&run, &bought, &theta)?);
        }
        let epoch = Epoch::of(&explained)?;
        let mut trajectory = Trajectory::new(&run, Transcript::open(&transcript)?, None)?;
        let target = objective(&epoch, &gradients, run.layout().len())?;
        let scores = replay(&mut trajectory, &target, ReplayOptions::default(), &mut |_, _| ())?;
        let settlement = epoch.settlement(set, &scores)?;
        let paid = |role: PayoutKind, account: Address| -> f64 {
            let to = settlement.payouts.iter().filter(|p| p.role == role && p.account == account);
            to.map(|p| f64::from(p.amount)).sum()
        };
        let roles = [PayoutKind::Contributor, PayoutKind::Base];
        Ok(roles.iter().flat_map(|role| accounts.iter().map(|a| paid(*role, *a))).collect())
    }
}

fn less(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn key(set: &TrainingSet, bought: &[Query], accounts: &[Address]) -> String {
    let mut hasher = blake3::Hasher::new();
    accounts.iter().for_each(|a| {
        hasher.update(a.as_slice());
    });
    for record in set.records() {
        hasher.update(record.record.as_slice());
        hasher.update(record.contributor.as_slice());
        hasher.update(&record.cluster.to_le_bytes());
        hasher.update(record.name.as_bytes());
    }
    for query in bought {
        hasher.update(query.question.as_bytes());
        hasher.update(query.text.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

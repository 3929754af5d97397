//! Policies, votes, curation, rights, withdrawals and takedowns; adapters as tokens and on top of each other.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{Acceptance, Ballot, ContributionStatus, IDatanets, IModels, Policy, Terms, Use};
use openledger_types::addresses::{DATANETS, MODELS};
use openledger_types::amount::ONE_OPEN;

use super::cast::{DEVELOPER, GOVERNOR, OWNER};
use super::{History, Operation};
use crate::datanets::{self, Reveal, removal, rights};
use crate::{Result, Storage, models, params};

pub(super) const OPERATIONS: &[Operation] = &[
    ("datanets.setPolicy", 2, |h| {
        let datanet = recent_datanet(h)?;
        let acceptance = h.draws.pick(&[Acceptance::Owner, Acceptance::Curators, Acceptance::Open])?;
        let bond = if h.draws.chance(50) { h.amount() } else { U256::ZERO };
        let policy = Policy { acceptance, bond, period: 60 + h.draws.below(60) };
        let from = h.mostly(&[OWNER]);
        h.send(from, DATANETS, IDatanets::setPolicyCall { datanet, policy });
        Some(())
    }),
    ("datanets.rejectSpam", 8, |h| {
        let contribution = with_status(h, ContributionStatus::Pending)?;
        let from = h.mostly(&[OWNER]);
        h.send(from, DATANETS, IDatanets::rejectSpamCall { contribution, reason: "spam".into() });
        Some(())
    }),
    ("datanets.vote", 4, |h| {
        let contribution = match voted_on(h) {
            Some(contribution) => contribution,
            None => call_curators(h)?,
        };
        let ballot = h.draws.pick(&[Ballot::Accept, Ballot::Accept, Ballot::Reject, Ballot::Spam])?;
        let datanet = datanets::contribution(&mut h.storage, contribution).ok()?.datanet;
        let curators: Vec<usize> = (0..h.cast.accounts().len())
            .filter(|member| {
                let account = h.cast.account(*member);
                datanets::curation::curator(&mut h.storage, datanet, account).is_ok_and(|c| !c.0.is_zero())
            })
            .collect();
        let from = h.mostly(&curators);
        let done = h.send(from, DATANETS, IDatanets::voteCall { contribution, ballot }).is_some();
        if done && ballot == Ballot::Accept {
            h.data.voted_in.push(contribution);
        }
        Some(())
    }),
    ("datanets.decide", 2, |h| {
        let contribution = voted_on(h).or_else(|| with_status(h, ContributionStatus::Pending))?;
        let from = h.anyone();
        h.send(from, DATANETS, IDatanets::decideCall { contribution });
        Some(())
    }),
    ("datanets.setTerms", 1, |h| {
        let (contribution, from, terms) = terms(h)?;
        h.send(from, DATANETS, IDatanets::setTermsCall { contribution, terms });
        Some(())
    }),
    ("datanets.setRecordTerms", 1, |h| {
        let (contribution, from, terms) = terms(h)?;
        let record = h.draws.below(4) as u32;
        h.send(from, DATANETS, IDatanets::setRecordTermsCall { contribution, record, terms });
        Some(())
    }),
    ("datanets.withdraw", 1, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let holder = holder(h, contribution)?;
        let from = h.mostly(&[holder]);
        h.send(from, DATANETS, IDatanets::withdrawCall { contribution });
        Some(())
    }),
    ("datanets.takedown", 3, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let from = h.anyone();
        h.call(
            from,
            DATANETS,
            removal::TAKEDOWN_BOND,
            IDatanets::takedownCall { contribution, reason: "it is mine".into() },
        );
        Some(())
    }),
    ("datanets.counterNotice", 6, |h| {
        let contribution = under_takedown(h, false)?;
        let holder = holder(h, contribution)?;
        let from = h.mostly(&[holder]);
        let call = IDatanets::counterNoticeCall { contribution, statement: "it is not".into() };
        h.call(from, DATANETS, removal::TAKEDOWN_BOND, call);
        Some(())
    }),
    ("datanets.upholdTakedown", 8, |h| {
        let contribution = under_takedown(h, true)?;
        let from = h.mostly(&[GOVERNOR]);
        h.send(from, DATANETS, IDatanets::upholdTakedownCall { contribution });
        Some(())
    }),
    ("datanets.resolveTakedown", 1, |h| {
        let countered = h.draws.chance(50);
        let contribution = under_takedown(h, countered)?;
        let from = h.anyone();
        h.send(from, DATANETS, IDatanets::resolveTakedownCall { contribution });
        Some(())
    }),
    ("datanets.curate", 2, |h| {
        let (datanet, from, amount) = (recent_datanet(h)?, h.anyone(), h.amount());
        h.call(from, DATANETS, amount, IDatanets::curateCall { datanet });
        Some(())
    }),
    ("datanets.uncurate", 2, |h| {
        let (datanet, amount) = (recent_datanet(h)?, h.amount());
        let curators: Vec<usize> = (0..h.cast.accounts().len())
            .filter(|member| {
                let account = h.cast.account(*member);
                datanets::curation::curator(&mut h.storage, datanet, account).is_ok_and(|c| !c.0.is_zero())
            })
            .collect();
        let from = h.mostly(&curators);
        let account = h.account(from);
        let (stake, _, _) = datanets::curation::curator(&mut h.storage, datanet, account).ok()?;
        let amount = if h.draws.chance(60) { stake } else { amount };
        h.send(from, DATANETS, IDatanets::uncurateCall { datanet, amount });
        Some(())
    }),
    ("datanets.withdrawCuration", 1, |h| {
        let datanet = recent_datanet(h)?;
        let leaving: Vec<usize> = (0..h.cast.accounts().len())
            .filter(|member| {
                let account = h.cast.account(*member);
                datanets::curation::leaving(&mut h.storage, datanet, account).is_ok_and(|l| !l.0.is_zero())
            })
            .collect();
        if leaving.is_empty() && h.draws.chance(90) {
            return None;
        }
        let from = h.mostly(&leaving);
        h.send(from, DATANETS, IDatanets::withdrawCurationCall { datanet });
        Some(())
    }),
    ("datanets.slashCurator", 3, |h| {
        let contribution = with_status(h, ContributionStatus::TakenDown).or_else(|| condemn(h))?;
        let at_fault: Vec<usize> = (0..h.cast.accounts().len())
            .filter(|member| {
                let account = h.cast.account(*member);
                h.storage.probe(|s| datanets::policy::slash_curator(s, contribution, account).is_ok())
            })
            .collect();
        if at_fault.is_empty() && h.draws.chance(90) {
            return None;
        }
        let (from, curator) = (h.anyone(), h.mostly(&at_fault));
        let curator = h.account(curator);
        h.send(from, DATANETS, IDatanets::slashCuratorCall { contribution, curator });
        Some(())
    }),
    ("datanets.claimCuration", 1, |h| {
        let (datanet, from) = (recent_datanet(h)?, h.anyone());
        h.send(from, DATANETS, IDatanets::claimCurationCall { datanet });
        Some(())
    }),
    // What settlement would pay onto the royalty account.
    ("datanets.royalty", 3, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let (from, amount) = (h.anyone(), h.amount());
        let from = h.account(from);
        h.storage.transfer(from, rights::royalty_account(contribution), amount).ok()?;
        h.tallies.entry("datanets.royalty").or_default().succeeded += 1;
        Some(())
    }),
    ("datanets.collect", 3, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let from = h.anyone();
        h.send(from, DATANETS, IDatanets::collectCall { contribution });
        Some(())
    }),
    ("datanets.claimRoyalty", 2, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let (from, account) = (h.anyone(), h.anyone());
        let account = h.account(account);
        h.send(from, DATANETS, IDatanets::claimRoyaltyCall { contribution, account });
        Some(())
    }),
    ("datanets.safeTransferFrom", 2, |h| {
        let contribution = with_status(h, ContributionStatus::Accepted)?;
        let holder = holder(h, contribution)?;
        let from = h.mostly(&[holder]);
        let to = h.anyone();
        let value = if h.draws.chance(30) { rights::UNITS } else { U256::from(h.draws.below(1_000_000)) };
        let call = IDatanets::safeTransferFromCall {
            from: h.account(holder),
            to: h.account(to),
            id: contribution,
            value,
            data: Default::default(),
        };
        h.send(from, DATANETS, call);
        Some(())
    }),
    ("models.transferFrom", 1, |h| {
        let adapters = h.data.adapters.clone();
        let adapter = h.draws.recent(&adapters)?;
        let owner = owner(h, adapter)?;
        let (from, to) = (h.mostly(&[owner]), h.anyone());
        let call = IModels::transferFromCall { from: h.account(owner), to: h.account(to), tokenId: adapter };
        h.send(from, MODELS, call);
        Some(())
    }),
    ("models.approve", 1, |h| {
        let adapters = h.data.adapters.clone();
        let adapter = h.draws.recent(&adapters)?;
        let owner = owner(h, adapter)?;
        let (from, to) = (h.mostly(&[owner]), h.anyone());
        h.send(from, MODELS, IModels::approveCall { to: h.account(to), tokenId: adapter });
        Some(())
    }),
    ("models.setRoyalty", 1, |h| {
        let adapters = h.data.adapters.clone();
        let adapter = h.draws.recent(&adapters)?;
        let owner = owner(h, adapter)?;
        let from = h.mostly(&[owner]);
        let ppm = h.draws.below(600_000) as u32;
        h.send(from, MODELS, IModels::setRoyaltyCall { adapter, ppm });
        Some(())
    }),
    ("models.publishDerived", 2, |h| {
        let (adapters, trainings, versions) =
            (h.data.adapters.clone(), h.data.trainings.clone(), h.data.versions.clone());
        let call = IModels::publishDerivedCall {
            parent: h.draws.recent(&adapters)?,
            sharePpm: h.draws.below(550_000) as u32,
            manifestHash: h.draws.recent(&trainings)?,
            adapterHash: h.draws.hash(),
            transcriptHash: h.draws.hash(),
            datanets: vec![h.draws.recent(&versions)?],
            inputPrice: U256::ONE,
            outputPrice: U256::ONE,
        };
        let fee = params::get(&mut h.storage, params::param_name("deployment_fee")).unwrap_or_default();
        if let Some(adapter) = h.call(DEVELOPER, MODELS, fee, call) {
            h.data.adapters.push(adapter);
        }
        Some(())
    }),
];

impl History<'_> {
    /// Datanets' balance is its books; a right has a million units; the parts of an adapter's income are a whole.
    pub(super) fn check_nets(&mut self) -> Result<()> {
        let accounts = self.cast.accounts();
        let scaled = datanets::scaled_debts(&mut self.storage, accounts)?;
        let held = self.storage.balance(DATANETS)?;
        self.require(scaled == held * ONE_OPEN, || {
            format!("datanets holds {held} wei and owes {scaled} e-18")
        });
        for contribution in self.data.contributions.clone() {
            let mut sum = U256::ZERO;
            for account in accounts {
                sum += rights::units(&mut self.storage, contribution, *account)?;
            }
            let whole = sum.is_zero() || sum == rights::UNITS;
            self.require(whole, || format!("the right to contribution {contribution} has {sum} units"));
        }
        let now = self.storage.block.timestamp;
        for adapter in self.data.adapters.clone() {
            let parts = models::lineage::income_at(&mut self.storage, adapter, now)?;
            let whole: u32 = parts.iter().map(|(_, part)| part).sum();
            let all_owned = parts.iter().all(|(account, _)| accounts.contains(account));
            self.require(whole == 1_000_000 && all_owned, || {
                format!("income of adapter {adapter}: {parts:?}")
            });
        }
        Ok(())
    }
}

fn recent_datanet(h: &mut History<'_>) -> Option<U256> {
    let datanets = h.data.datanets.clone();
    h.draws.recent(&datanets)
}

fn with_status(h: &mut History<'_>, status: ContributionStatus) -> Option<U256> {
    let all = h.data.contributions.clone();
    let some: Vec<U256> = all
        .into_iter()
        .filter(|id| datanets::contribution(&mut h.storage, *id).is_ok_and(|read| read.status == status))
        .collect();
    h.draws.pick(&some)
}

/// A contribution that curators vote on.
fn voted_on(h: &mut History<'_>) -> Option<U256> {
    let all = h.data.contributions.clone();
    let some: Vec<U256> = all
        .into_iter()
        .filter(|id| {
            let pending = datanets::contribution(&mut h.storage, *id)
                .is_ok_and(|read| read.status == ContributionStatus::Pending);
            pending
                && datanets::policy::decision(&mut h.storage, *id)
                    .is_ok_and(|read| read.acceptance == Acceptance::Curators)
        })
        .collect();
    h.draws.pick(&some)
}

/// Has something that curators voted in taken down, by a claim that nobody counters.
fn condemn(h: &mut History<'_>) -> Option<U256> {
    if h.draws.chance(60) {
        return None;
    }
    let mut voted_in = h.data.voted_in.clone();
    voted_in.retain(|id| {
        datanets::contribution(&mut h.storage, *id).is_ok_and(|c| c.status == ContributionStatus::Accepted)
    });
    let contribution = h.draws.pick(&voted_in)?;
    let from = h.anyone();
    let operation = std::mem::replace(&mut h.operation, "datanets.takedown");
    let takedown = IDatanets::takedownCall { contribution, reason: "it is mine".into() };
    h.call(from, DATANETS, removal::TAKEDOWN_BOND, takedown);
    h.later(removal::NOTICE_SECONDS + 1);
    h.operation = "datanets.resolveTakedown";
    h.send(from, DATANETS, IDatanets::resolveTakedownCall { contribution });
    h.operation = operation;
    Some(contribution)
}

/// Has a Datanet's curators decide over a new contribution.
fn call_curators(h: &mut History<'_>) -> Option<U256> {
    let operation = h.operation;
    let datanet = recent_datanet(h)?;
    let (curator, contributor) = (h.anyone(), h.anyone());
    h.operation = "datanets.setPolicy";
    let policy = Policy { acceptance: Acceptance::Curators, bond: h.amount(), period: 600 };
    h.send(OWNER, DATANETS, IDatanets::setPolicyCall { datanet, policy: policy.clone() })?;
    h.operation = "datanets.curate";
    h.call(curator, DATANETS, ONE_OPEN, IDatanets::curateCall { datanet })?;
    h.operation = "datanets.commit";
    let reveal = Reveal {
        datanet,
        records_root: h.draws.hash(),
        file_hash: h.draws.hash(),
        records: 4,
        salt: h.draws.hash(),
    };
    let commitment = reveal.commitment(h.account(contributor));
    h.send(contributor, DATANETS, IDatanets::commitCall { datanet, commitment })?;
    h.advance(1);
    h.operation = "datanets.reveal";
    let Reveal { datanet, records_root, file_hash, records, salt } = reveal;
    let call =
        IDatanets::revealCall { datanet, recordsRoot: records_root, fileHash: file_hash, records, salt };
    let contribution = h.call(contributor, DATANETS, policy.bond, call)?;
    h.data.contributions.push(contribution);
    h.operation = operation;
    Some(contribution)
}

fn under_takedown(h: &mut History<'_>, countered: bool) -> Option<U256> {
    let all = h.data.contributions.clone();
    let some: Vec<U256> = all
        .into_iter()
        .filter(|id| {
            removal::takedown_of(&mut h.storage, *id)
                .is_ok_and(|open| !open.claimant.is_zero() && open.defender.is_zero() != countered)
        })
        .collect();
    h.draws.pick(&some)
}

/// A member who holds a part of the right.
fn holder(h: &mut History<'_>, contribution: U256) -> Option<usize> {
    let members: Vec<usize> = (0..h.cast.accounts().len())
        .filter(|member| {
            let account = h.cast.account(*member);
            rights::units(&mut h.storage, contribution, account).is_ok_and(|units| !units.is_zero())
        })
        .collect();
    h.draws.pick(&members)
}

fn owner(h: &mut History<'_>, adapter: U256) -> Option<usize> {
    let owner: Address = models::token::owner_of(&mut h.storage, adapter).ok()?;
    h.cast.member(owner)
}

fn terms(h: &mut History<'_>) -> Option<(U256, usize, Terms)> {
    let all = h.data.contributions.clone();
    let contribution = h.draws.recent(&all)?;
    let contributor = datanets::contribution(&mut h.storage, contribution).ok()?.contributor;
    let contributor = h.cast.member(contributor)?;
    let from = h.mostly(&[contributor]);
    let train = h.draws.pick(&[Use::Deny, Use::Limit, Use::Allow])?;
    Some((contribution, from, Terms { train, infer: Use::Limit, crawl: Use::Deny }))
}

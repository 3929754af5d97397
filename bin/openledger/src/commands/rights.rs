//! Commands over Datanets beside contributing: policy, votes, curation, rights and removal.

use alloy_primitives::U256;
use anyhow::Result;
use openledger_client::Client;
use openledger_types::abi::{Acceptance, Ballot, IDatanets, Policy};
use openledger_types::amount::{ONE_OPEN, format_open, parse_open};
use serde_json::json;

use crate::args::{AcceptanceArg, BallotArg, DatanetCommand};
use crate::local::Local;
use crate::show::Show;

/// Bond of a claim and of its answer, wei: 10 OPEN.
const TAKEDOWN_BOND: U256 = ONE_OPEN.wrapping_mul(U256::from_limbs([10, 0, 0, 0]));

pub(super) async fn run(local: &Local, client: &Client, command: DatanetCommand, show: &Show) -> Result<()> {
    let datanets = client.datanets();
    match command {
        DatanetCommand::Policy { datanet, acceptance, bond, period, from } => {
            let acceptance = match acceptance {
                AcceptanceArg::Owner => Acceptance::Owner,
                AcceptanceArg::Curators => Acceptance::Curators,
                AcceptanceArg::Open => Acceptance::Open,
            };
            let policy = Policy { acceptance, bond: parse_open(&bond)?, period };
            let call = IDatanets::setPolicyCall { datanet: U256::from(datanet), policy };
            datanets.transact(&local.unlock(&from)?, &call).await?;
            show.line(format!(
                "Datanet {datanet}: {acceptance:?} decides, bond {bond} OPEN, period {period} s"
            ));
            show.result(&json!({ "datanet": datanet.to_string(), "bond": bond, "period": period }));
        }
        DatanetCommand::Vote { contribution, ballot, from } => {
            let ballot = match ballot {
                BallotArg::Accept => Ballot::Accept,
                BallotArg::Reject => Ballot::Reject,
                BallotArg::Spam => Ballot::Spam,
            };
            let call = IDatanets::voteCall { contribution: U256::from(contribution), ballot };
            let voted = datanets.transact_for::<IDatanets::Voted, _>(&local.unlock(&from)?, &call).await?;
            show.line(format!(
                "voted over contribution {contribution} with {} OPEN",
                format_open(voted.stake)
            ));
            show.result(
                &json!({ "contribution": contribution.to_string(), "stake_wei": voted.stake.to_string() }),
            );
        }
        DatanetCommand::Decide { contribution, from } => {
            let call = IDatanets::decideCall { contribution: U256::from(contribution) };
            datanets.transact(&local.unlock(&from)?, &call).await?;
            status(client, contribution, show).await?;
        }
        DatanetCommand::Withdraw { contribution, from } => {
            let call = IDatanets::withdrawCall { contribution: U256::from(contribution) };
            datanets.transact(&local.unlock(&from)?, &call).await?;
            status(client, contribution, show).await?;
        }
        DatanetCommand::Takedown { contribution, reason, counter, from } => {
            let (wallet, contribution) = (local.unlock(&from)?, U256::from(contribution));
            if counter {
                let call = IDatanets::counterNoticeCall { contribution, statement: reason };
                datanets.pay(&wallet, &call, TAKEDOWN_BOND).await?;
            } else {
                let call = IDatanets::takedownCall { contribution, reason };
                datanets.pay(&wallet, &call, TAKEDOWN_BOND).await?;
            }
            let open = datanets.call(&IDatanets::takedownOfCall { contribution }).await?;
            show.line(format!(
                "claim of {} against contribution {contribution}; its present stage ends at {} (unix seconds)",
                open.claimant, open.until
            ));
            show.result(&json!({
                "contribution": contribution.to_string(), "claimant": open.claimant, "defender": open.defender,
                "until": open.until,
            }));
        }
        DatanetCommand::Curate { datanet, amount, leave, withdraw, from } => {
            let (wallet, datanet) = (local.unlock(&from)?, U256::from(datanet));
            let wei = amount.as_deref().map(parse_open).transpose()?.unwrap_or_default();
            if withdraw {
                datanets.transact(&wallet, &IDatanets::withdrawCurationCall { datanet }).await?;
            } else if leave {
                datanets.transact(&wallet, &IDatanets::uncurateCall { datanet, amount: wei }).await?;
            } else {
                datanets.pay(&wallet, &IDatanets::curateCall { datanet }, wei).await?;
            }
            let account = wallet.address();
            let own = datanets.call(&IDatanets::curatorCall { datanet, account }).await?;
            let leaving = datanets.call(&IDatanets::leavingCall { datanet, account }).await?;
            show.line(format!(
                "{} OPEN at stake on Datanet {datanet}, {} OPEN leaving until {} (unix seconds), {} OPEN earned",
                format_open(own.stake),
                format_open(leaving.amount),
                leaving.until,
                format_open(own.reward)
            ));
            show.result(&json!({
                "datanet": datanet.to_string(), "stake_wei": own.stake.to_string(),
                "leaving_wei": leaving.amount.to_string(), "leaving_until": leaving.until,
                "reward_wei": own.reward.to_string(),
            }));
        }
        DatanetCommand::Transfer { contribution, to, units, from } => {
            let (wallet, to) = (local.unlock(&from)?, local.address(&to)?);
            let id = U256::from(contribution);
            let call = IDatanets::safeTransferFromCall {
                from: wallet.address(),
                to,
                id,
                value: U256::from(units),
                data: Default::default(),
            };
            datanets.transact(&wallet, &call).await?;
            let payee = datanets.call(&IDatanets::payeeCall { contribution: id }).await?;
            show.line(format!("{to} has {units} units more of contribution {contribution}; it pays {payee}"));
            show.result(&json!({ "contribution": contribution.to_string(), "to": to, "payee": payee }));
        }
        DatanetCommand::Royalty { contribution, from } => {
            let (wallet, contribution) = (local.unlock(&from)?, U256::from(contribution));
            datanets.transact(&wallet, &IDatanets::collectCall { contribution }).await?;
            let call = IDatanets::claimRoyaltyCall { contribution, account: wallet.address() };
            let claimed = datanets.transact_for::<IDatanets::RoyaltyClaimed, _>(&wallet, &call).await?;
            show.line(format!("claimed {} OPEN", format_open(claimed.amount)));
            show.result(&json!({ "account": claimed.account, "wei": claimed.amount.to_string() }));
        }
        other => unreachable!("`datanet` itself runs {other:?}"),
    }
    Ok(())
}

async fn status(client: &Client, contribution: u64, show: &Show) -> Result<()> {
    let read = client.datanets().contribution(U256::from(contribution)).await?;
    let status = format!("{:?}", read.status).to_ascii_lowercase();
    show.line(format!("contribution {contribution} is {status}"));
    show.result(&json!({ "contribution": contribution.to_string(), "status": status }));
    Ok(())
}

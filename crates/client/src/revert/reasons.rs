//! One sentence for each error of the modules: what is wrong, and what can be done where that is not plain.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolInterface;
use openledger_types::abi::IChannels::IChannelsErrors;
use openledger_types::abi::IDatanets::IDatanetsErrors;
use openledger_types::abi::IEscrow::IEscrowErrors;
use openledger_types::abi::IModels::IModelsErrors;
use openledger_types::abi::IOpen::IOpenErrors;
use openledger_types::abi::IParams::IParamsErrors;
use openledger_types::abi::ISettlement::ISettlementErrors;
use openledger_types::abi::IStaking::IStakingErrors;
use openledger_types::abi::{Acceptance, BatchStatus, ChallengeStatus, ContributionStatus, StakeRole};
use openledger_types::amount::format_open;

/// The errors of one module.
pub(super) trait Reason: SolInterface {
    /// The name of the error with this selector.
    fn error_name(selector: [u8; 4]) -> Option<&'static str>;
    /// The sentence.
    fn reason(&self) -> String;
}

impl Reason for IChannelsErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        let wei = |amount: u128| open(U256::from(amount));
        match self {
            Self::ZeroAmount(_) => "the amount is zero; a channel moves at least one wei".into(),
            Self::InvalidConfig(e) => format!(
                "the channel's {} is not one that a channel can have: accounts are not zero, the token is OPEN, the \
                 delay is from 900 to 2592000 seconds",
                e.field
            ),
            Self::WrongCollector(e) => format!(
                "{} collects no deposits; name the ERC-3009 collector of x402, or the zero address if the payer sends",
                e.collector
            ),
            Self::InvalidCollectorData(_) => {
                "the collector's data is not abi.encode(validAfter, validBefore, salt, signature)".into()
            }
            Self::NotParty(e) => format!("{} has no such right over channel {}", e.caller, e.channelId),
            Self::InvalidVoucher(e) => {
                format!("the voucher of channel {} is not signed by its payer or its authorizer", e.channelId)
            }
            Self::InvalidAuthorizer(e) => format!("the signature is not that of {}", e.authorizer),
            Self::AboveVoucher(e) => format!(
                "{} are claimed in all of channel {}; the voucher is for {}",
                wei(e.totalClaimed),
                e.channelId,
                wei(e.maxClaimableAmount)
            ),
            Self::AboveBalance(e) => format!(
                "{} are claimed in all of channel {}; {} are in it",
                wei(e.totalClaimed),
                e.channelId,
                wei(e.balance)
            ),
            Self::WrongNonce(e) => {
                format!("the refund has nonce {}; that of channel {} is {}", e.nonce, e.channelId, e.expected)
            }
            Self::NothingLeft(e) => format!("channel {} has nothing that is not claimed", e.channelId),
            Self::NoWithdraw(e) => format!("nothing was asked back from channel {}", e.channelId),
            Self::WithdrawPending(e) => {
                format!("it can be taken out from {}", utc(e.availableAt.to()))
            }
            Self::TooMany(e) => format!("{} {} are too many; the limit is {}", e.count, e.what, e.limit),
            Self::NestedMulticall(_) => "a multicall is not made of multicalls".into(),
        }
    }
}

impl Reason for IOpenErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::ERC20InsufficientBalance(e) => {
                format!(
                    "{} holds {}, less than the {} to be moved",
                    e.sender,
                    open(e.balance),
                    open(e.needed)
                )
            }
            Self::ERC20InsufficientAllowance(e) => format!(
                "{} may still spend {} for the owner, less than {}; let the owner approve more",
                e.spender,
                open(e.allowance),
                open(e.needed)
            ),
            Self::ERC20InvalidReceiver(e) => format!("{} cannot receive OPEN", e.receiver),
            Self::ERC20InvalidSpender(e) => format!("{} cannot be allowed to spend", e.spender),
            Self::ERC2612ExpiredSignature(e) => {
                format!("the permit was good until {}; have a new one signed", at(e.deadline))
            }
            Self::ERC2612InvalidSigner(e) => format!(
                "the permit is not signed by {} with its next nonce; the signature is of {}",
                e.owner, e.signer
            ),
            Self::ERC3009InvalidSignature(_) => {
                "the authorisation is not signed by its holder's key over exactly these values".to_owned()
            }
            Self::ERC3009ConsumedAuthorization(e) => {
                format!("{} has used or cancelled the authorisation {} already", e.authorizer, e.nonce)
            }
            Self::ERC3009InvalidAuthorizationTime(e) => format!(
                "the authorisation is good after {} and before {}",
                at(e.validAfter),
                at(e.validBefore)
            ),
            Self::UnknownVesting(e) => format!("there is no vesting schedule {}", e.vesting),
            Self::NothingToRelease(e) => {
                format!("nothing of vesting schedule {} can be released now", e.vesting)
            }
        }
    }
}

impl Reason for IDatanetsErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::UnknownDatanet(e) => format!("there is no Datanet {}", e.datanet),
            Self::UnknownContribution(e) => format!("there is no contribution {}", e.contribution),
            Self::UnknownCommitment(e) => format!(
                "nobody committed to {}; commit first, and reveal the same values from the same account",
                e.commitment
            ),
            Self::CommitmentExists(e) => format!("{} is committed already; reveal it", e.commitment),
            Self::RevealTooEarly(e) => {
                format!("committed in block {}; it can be revealed from the next block on", e.committedAt)
            }
            Self::NotOwner(e) => {
                format!("only the Datanet's owner {} may do this, not {}", e.owner, e.caller)
            }
            Self::NotPending(e) => {
                format!("contribution {} is {}, no longer pending", e.contribution, contribution(e.status))
            }
            Self::InvalidName(e) => length("a Datanet's name", e.length, e.limit),
            Self::UnknownVersion(e) => format!("Datanet {} has no version {}", e.datanet, e.version),
            Self::InvalidLicense(e) => license(&e.license),
            Self::InvalidCount(e) => format!("{} is not a possible number of records here", e.count),
            Self::InvalidReason(e) => length("a reason", e.length, e.limit),
            Self::TrainingDenied(e) => {
                format!("the terms of Datanet {} do not allow training on it", e.datanet)
            }
            Self::InvalidPolicy(e) => format!(
                "a policy has a bond of at most {} and a period of {} to {} seconds; this one has {} and {}",
                open(e.bondLimit),
                e.least,
                e.most,
                open(e.bond),
                e.period
            ),
            Self::WrongBond(e) => format!("the bond is {}, not {}", open(e.needed), open(e.bond)),
            Self::NotYours(e) => format!(
                "contribution {} is decided by {}",
                e.contribution,
                match e.acceptance {
                    Acceptance::Owner => "the Datanet's owner",
                    Acceptance::Curators => "the vote of the Datanet's curators",
                    Acceptance::Open => "the end of its period, unless the owner rejects it before",
                    Acceptance::__Invalid => "no known policy",
                }
            ),
            Self::OwnerDecides(e) => {
                format!("contribution {} is for the Datanet's owner to decide", e.contribution)
            }
            Self::PeriodOpen(e) => format!("the period is open until {}", utc(e.until)),
            Self::PeriodOver(e) => format!("the period is over since {}", utc(e.since)),
            Self::NotCurator(e) => {
                format!("{} had no stake on the Datanet before the contribution was revealed", e.account)
            }
            Self::AlreadyVoted(e) => format!("{} has voted already", e.curator),
            Self::NotAccepted(e) => {
                format!("contribution {} is {}, not accepted", e.contribution, contribution(e.status))
            }
            Self::NotContributor(e) => {
                format!("only the contributor {} may do this, not {}", e.contributor, e.caller)
            }
            Self::UnknownRecord(e) => {
                format!("contribution {} has no record {}; records count from 0", e.contribution, e.record)
            }
            Self::NotSoleHolder(e) => {
                format!(
                    "only who holds the whole right to contribution {} may do this, not {}",
                    e.contribution, e.caller
                )
            }
            Self::TakedownOpen(e) => {
                format!(
                    "somebody claims that contribution {} should not be there; wait for the decision",
                    e.contribution
                )
            }
            Self::NoTakedown(e) => format!("there is no such claim against contribution {}", e.contribution),
            Self::Countered(e) => format!("{} has answered the claim already", e.defender),
            Self::NotGovernor(e) => format!("only the governor {} may do this, not {}", e.governor, e.caller),
            Self::ZeroAmount(_) => "the amount is zero, or nothing is left of it after the tax".to_owned(),
            Self::StillLeaving(e) => {
                format!("{} are on their way out until {}", open(e.amount), utc(e.until))
            }
            Self::NothingToSlash(e) => format!(
                "{} did not vote to take in contribution {}, or it was not taken down, or that is slashed already",
                e.curator, e.contribution
            ),
            Self::InsufficientCuration(e) => {
                format!("{} are at stake on this Datanet, not {}", open(e.stake), open(e.needed))
            }
            Self::ERC1155InsufficientBalance(e) => format!(
                "{} holds {} of the 1000000 units of the right to contribution {}; {} are needed",
                e.sender, e.balance, e.tokenId, e.needed
            ),
            Self::ERC1155InvalidReceiver(e) => format!("{} cannot hold a right", e.receiver),
            Self::ERC1155InvalidOperator(e) => format!("{} cannot be an operator", e.operator),
            Self::ERC1155MissingApprovalForAll(e) => {
                format!("{} has not let {} move its rights", e.owner, e.operator)
            }
            Self::ERC1155InvalidArrayLength(e) => {
                format!("{} ids and {} values do not go together", e.idsLength, e.valuesLength)
            }
        }
    }
}

impl Reason for IModelsErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::UnknownBase(e) => format!("there is no base model {}", e.base),
            Self::BaseExists(e) => format!("this file is registered already, as base model {}", e.base),
            Self::UnknownAdapter(e) => format!("there is no adapter {}", e.adapter),
            Self::AdapterExists(e) => {
                format!("these parameters are published already, as adapter {}", e.adapter)
            }
            Self::NotDeveloper(e) => {
                format!("only the developer {} may do this, not {}", e.developer, e.caller)
            }
            Self::TrainingNotCommitted(e) => format!(
                "no training with manifest {} was committed by this account in an earlier block; commit it before training",
                e.manifestHash
            ),
            Self::TrainingExists(e) => {
                format!("training with manifest {} is committed already", e.manifestHash)
            }
            Self::NoDatanets(_) => {
                "an adapter names at least one Datanet version it was trained on".to_owned()
            }
            Self::TooManyDatanets(e) => format!("{} Datanets are named; at most {} can be", e.count, e.limit),
            Self::InvalidName(e) => length("a base model's name", e.length, e.limit),
            Self::InvalidLicense(e) => license(&e.license),
            Self::PriceTooHigh(e) => {
                format!("a price of {} a token is above the limit of {}", open(e.price), open(e.limit))
            }
            Self::WrongFee(e) => format!("the deployment fee is {}, not {}", open(e.needed), open(e.fee)),
            Self::NotOwner(e) => {
                format!("only the adapter's owner {} may do this, not {}", e.owner, e.caller)
            }
            Self::InvalidShare(e) => {
                format!(
                    "a share is from {} to {} parts per million here; this one is {}",
                    e.least, e.most, e.ppm
                )
            }
            Self::TooDeep(e) => format!("{} adapters would stand above it; at most {} can", e.depth, e.limit),
            Self::ParentRetired(e) => format!("adapter {} is retired; nothing new can stand on it", e.parent),
            Self::ERC721InvalidOwner(e) => format!("{} owns nothing", e.owner),
            Self::ERC721NonexistentToken(e) => format!("there is no adapter {}", e.tokenId),
            Self::ERC721IncorrectOwner(e) => {
                format!("adapter {} belongs to {}, not to {}", e.tokenId, e.owner, e.sender)
            }
            Self::ERC721InvalidReceiver(e) => format!("{} cannot own an adapter", e.receiver),
            Self::ERC721InsufficientApproval(e) => {
                format!("{} may not move adapter {}", e.operator, e.tokenId)
            }
            Self::ERC721InvalidApprover(e) => format!("{} may not let others move this adapter", e.approver),
            Self::ERC721InvalidOperator(e) => format!("{} cannot be an operator", e.operator),
        }
    }
}

impl Reason for IEscrowErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::ZeroAmount(_) => "the amount is zero".to_owned(),
            Self::InsufficientDeposit(e) => format!(
                "{} has {} in escrow and {} are needed; deposit at least {}",
                e.payer,
                open(e.balance),
                open(e.needed),
                open(e.needed.saturating_sub(e.balance))
            ),
            Self::NoWithdrawal(e) => format!("{} has requested no withdrawal; request it first", e.payer),
            Self::WithdrawalPending(e) => {
                format!("a withdrawal is under way and can be taken out from {}", utc(e.availableAt))
            }
            Self::UnknownKey(e) => format!("no API key has the hash {}; authorise it first", e.key),
            Self::KeyExists(e) => format!("the API key {} is authorised already; use a new one", e.key),
            Self::NotPayer(e) => format!("only the key's payer {} may do this, not {}", e.payer, e.caller),
            Self::WrongOperator(e) => {
                format!("the API key {} may be charged by {}, not by {}", e.key, e.operator, e.caller)
            }
            Self::CapExceeded(e) => format!(
                "the API key {} may spend {} in all and has spent {}; {} more is over its cap",
                e.key,
                open(e.cap),
                open(e.spent),
                open(e.needed)
            ),
            Self::KeyRevoked(e) => format!("the API key {} was revoked at {}", e.key, utc(e.revokedAt)),
            Self::InvalidExpiry(e) => {
                format!("{} cannot be when a key expires: it is past", utc(e.expiresAt))
            }
        }
    }
}

impl Reason for ISettlementErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::UnknownBatch(e) => format!("there is no batch {}", e.batch),
            Self::NotOperator(e) => {
                format!("{} is no active operator; stake as an operator first", e.caller)
            }
            Self::NotVerifier(e) => format!(
                "{} may not give a verdict here; stake as a verifier or validator, and not on one's own batch",
                e.caller
            ),
            Self::AdapterRetired(e) => format!("adapter {} is retired", e.adapter),
            Self::EpochAlreadyPosted(e) => {
                format!("a batch of adapter {} for epoch {} is posted already", e.adapter, e.epoch)
            }
            Self::EmptyBatch(_) => "a batch holds at least one receipt".to_owned(),
            Self::SettledAtOutOfRange(e) => format!(
                "a batch is settled with the governed numbers of a time from {} to {}, not of {}",
                utc(e.least),
                utc(e.most),
                utc(e.settledAt)
            ),
            Self::TooMany(e) => format!("{} {}; at most {} are allowed", e.count, e.what, e.limit),
            Self::DuplicateCharge(e) => {
                format!("the API key {} is charged twice; add its receipts up to one charge", e.key)
            }
            Self::FeesMismatch(e) => {
                format!("the charges add up to {}, not to the fees of {}", open(e.charges), open(e.fees))
            }
            Self::TotalsMismatch(e) => {
                format!("the roles' totals add up to {}, not to the fees of {}", open(e.totals), open(e.fees))
            }
            Self::SplitOutOfBounds(e) => format!(
                "the total of role {} is {}; the governed split permits {} to {}",
                e.role,
                open(e.got),
                open(e.least),
                open(e.most)
            ),
            Self::WrongStatus(e) => format!("batch {} is {}", e.batch, batch(e.status)),
            Self::WindowOpen(e) => {
                format!("this can be done after block {}, when the window closes", e.until)
            }
            Self::WindowClosed(e) => format!("the window for this closed with block {}", e.since),
            Self::VerdictExists(e) => format!("{} has given this verdict already", e.verifier),
            Self::NoVerdict(e) => format!("{} has committed no verdict; commit before revealing", e.verifier),
            Self::WrongReveal(e) => format!(
                "what is revealed hashes to {}, but {} was committed; reveal the same digest and salt",
                e.got, e.commitment
            ),
            Self::NotAssigned(e) => {
                format!("the draw did not assign batch {} to {}; others verify it", e.batch, e.verifier)
            }
            Self::UnknownChallenge(e) => format!("there is no challenge {}", e.challenge),
            Self::WrongChallengeStatus(e) => {
                format!("challenge {} is {}", e.challenge, challenge(e.status))
            }
            Self::ChallengeOpen(e) => {
                format!("challenge {} of this batch is not decided; resolve it first", e.challenge)
            }
            Self::NotYourMove(e) => format!("the next move is that of {}, not of {}", e.mover, e.caller),
            Self::WrongBond(e) => {
                format!("it takes a bond of exactly {}; {} were sent", open(e.needed), open(e.bond))
            }
            Self::NotBonded(e) => {
                format!("{} has nothing at stake; whoever appeals is bonded in some role", e.caller)
            }
            Self::NoLargerPanel(e) => {
                format!("batch {} cannot be appealed: everybody who could be asked was", e.batch)
            }
            Self::NothingEarned(e) => {
                format!("no verdict of {} on batch {} is still to be paid", e.verifier, e.batch)
            }
            Self::NoStepEarned(e) => {
                format!(
                    "no verdict of {} on the step of challenge {} is still to be paid",
                    e.verifier, e.challenge
                )
            }
            Self::NoStepFault(e) => {
                format!(
                    "{} did nothing about the step of challenge {} that is slashed",
                    e.verifier, e.challenge
                )
            }
            Self::NothingToPunish(e) => {
                format!("{} did nothing about batch {} that is slashed", e.verifier, e.batch)
            }
            Self::AlreadyClaimed(e) => format!("payout {} of this batch is claimed already", e.index),
            Self::InvalidProof(e) => {
                format!("the proof does not lead to the batch's payouts root {}", e.root)
            }
        }
    }
}

impl Reason for IStakingErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::InvalidRole(e) => format!("'{}' is not a role to stake for here", role(e.role)),
            Self::RoleTaken(e) => {
                format!("{} is staked as {} already; an account has one role", e.account, role(e.role))
            }
            Self::StakeTooSmall(e) => {
                format!("the stake would be {}; this role takes at least {}", open(e.stake), open(e.least))
            }
            Self::NotStaked(e) => format!("{} has no stake", e.account),
            Self::AlreadyUnbonding(e) => format!("{} is unbonding already", e.account),
            Self::StillBonded(e) => match e.availableAt {
                0 => "the stake is bonded; start unbonding first".to_owned(),
                at => format!("the stake can be taken out from {}", utc(at)),
            },
            Self::StakeLocked(e) => {
                format!(
                    "{} batches that this operator posted are not decided yet; finalise them first",
                    e.batches
                )
            }
            Self::NotValidator(e) => {
                format!("{} is no active validator; delegate to one that is bonded and not jailed", e.account)
            }
            Self::ZeroAmount(_) => "the amount is zero".to_owned(),
            Self::InvalidCommission(e) => {
                format!("a commission of {} ppm is more than the {} ppm that are allowed now", e.ppm, e.most)
            }
            Self::TooSoon(e) => format!("this can be done again from {}", utc(e.availableAt)),
            Self::InsufficientDelegation(e) => {
                format!("the delegation is worth {}, less than {}", open(e.stake), open(e.needed))
            }
            Self::NothingLeaving(e) => {
                format!("{} takes nothing back from {}; undelegate first", e.delegator, e.validator)
            }
            Self::InJail(e) => format!("{} is jailed until {}", e.account, at(U256::from(e.until))),
            Self::NotJailed(e) => format!("{} is not jailed", e.account),
            Self::ERC5805FutureLookup(e) => {
                format!("block {} is not past: the clock stands at {}", e.timepoint, e.clock)
            }
            Self::VotesExpiredSignature(e) => {
                format!("the signature was good until {}; have a new one signed", at(e.expiry))
            }
            Self::InvalidAccountNonce(e) => {
                format!("the next nonce of {} is {}; have that one signed", e.account, e.currentNonce)
            }
            Self::InvalidSignature(_) => "the signature is nobody's over exactly these values".to_owned(),
            Self::KeyUsed(e) => format!("the key {} was registered before; make a new one", e.key),
            Self::InvalidKeyProof(e) => {
                format!("the proof is not a signature of the key {} over this chain and the account", e.key)
            }
            Self::InvalidNetworkAddress(e) => {
                format!("no node can be reached at the address {} and port {}", e.ip, e.port)
            }
            Self::HasKey(e) => format!("{} has registered the key {} already; rotate it", e.account, e.key),
            Self::NoKey(e) => format!("{} has registered no key", e.account),
            Self::UnknownKey(e) => format!("nobody has ever registered the key {}", e.key),
            Self::AlreadyPunished(e) => {
                format!("the key {} was punished for epoch {} already", e.key, e.epoch)
            }
            Self::InvalidEvidence(_) => {
                "the votes do not contradict each other, or the key did not sign them on this chain"
                    .to_owned()
            }
            Self::TooManyKeys(e) => format!("there are {} candidates for seats already", e.limit),
        }
    }
}

impl Reason for IParamsErrors {
    fn error_name(selector: [u8; 4]) -> Option<&'static str> {
        Self::name_by_selector(selector)
    }
    fn reason(&self) -> String {
        match self {
            Self::UnknownParam(e) => format!("there is no parameter '{}'", ascii(&e.name)),
            Self::NotGovernor(e) => {
                format!("only the governor {} changes parameters, not {}", e.governor, e.caller)
            }
            Self::OutOfRange(e) => {
                format!("'{}' may be from {} to {}, not {}", ascii(&e.name), e.least, e.most, e.value)
            }
            Self::StepTooLarge(e) => format!(
                "'{}' is {} and changes by at most {} an epoch, not to {}",
                ascii(&e.name),
                e.current,
                e.step,
                e.value
            ),
            Self::SplitNotWhole(e) => {
                format!("the parts of a fee would add up to {} ppm, not 1000000", e.sum)
            }
            Self::BelowOther(e) => format!(
                "'{}' would be {}, below '{}' of {}",
                ascii(&e.name),
                e.value,
                ascii(&e.other),
                e.least
            ),
            Self::FutureLookup(e) => {
                format!("{} is still to come; it is {}", utc(e.time), utc(e.now))
            }
            Self::UnbondingTooShort(e) => format!(
                "stake would be out after {} seconds, and the longest dispute takes {}",
                e.value, e.dispute
            ),
            Self::InvalidCount(e) => {
                format!(
                    "{} names and {} values; as many of both, 1 to {}, are needed",
                    e.names, e.values, e.limit
                )
            }
            Self::InvalidUpgrade(e) if e.name.is_zero() => "an upgrade needs a name".to_owned(),
            Self::InvalidUpgrade(e) => format!("an upgrade '{}' was scheduled before", ascii(&e.name)),
            Self::UpgradeTooSoon(e) => {
                format!("an upgrade needs notice: at block {} at the earliest, not {}", e.least, e.height)
            }
            Self::UpgradePending(e) => {
                format!("upgrade '{}' waits for block {}; cancel it first", ascii(&e.name), e.height)
            }
            Self::NoUpgrade(_) => "no upgrade waits".to_owned(),
        }
    }
}

fn open(wei: U256) -> String {
    format!("{} OPEN", format_open(wei))
}

/// A name as text.
fn ascii(name: &B256) -> String {
    let name: Vec<u8> = name.iter().copied().take_while(|b| *b != 0).collect();
    name.escape_ascii().to_string()
}

/// A time that may be any number: as a date, or far away.
fn at(seconds: U256) -> String {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds < 1 << 40 => utc(seconds),
        _ => "the end of time".to_owned(),
    }
}

fn length(what: &str, got: U256, limit: U256) -> String {
    format!("{what} has 1 to {limit} bytes; this one has {got}")
}

fn license(got: &str) -> String {
    let shown: String = got.chars().take(64).collect();
    format!("'{shown}' is not a licence that is known here: write an SPDX expression, as MIT OR Apache-2.0")
}

fn contribution(status: ContributionStatus) -> &'static str {
    match status {
        ContributionStatus::None => "unknown",
        ContributionStatus::Pending => "pending",
        ContributionStatus::Accepted => "accepted",
        ContributionStatus::Rejected => "rejected",
        ContributionStatus::Withdrawn => "withdrawn",
        ContributionStatus::TakenDown => "taken down",
        ContributionStatus::__Invalid => "in no known status",
    }
}

fn batch(status: BatchStatus) -> &'static str {
    match status {
        BatchStatus::None => "unknown",
        BatchStatus::Posted => "posted and not yet finalised",
        BatchStatus::Finalised => "finalised",
        BatchStatus::Refused => "refused",
        BatchStatus::__Invalid => "in no known status",
    }
}

fn challenge(status: ChallengeStatus) -> &'static str {
    match status {
        ChallengeStatus::None => "unknown",
        ChallengeStatus::Bisecting => "waiting for the operator's state halfway",
        ChallengeStatus::Choosing => "waiting for the challenger's choice",
        ChallengeStatus::Judging => "being judged by verifiers",
        ChallengeStatus::OperatorWon => "decided for the operator",
        ChallengeStatus::ChallengerWon => "decided for the challenger",
        ChallengeStatus::Undecided => "over without a verdict",
        ChallengeStatus::__Invalid => "in no known status",
    }
}

fn role(role: StakeRole) -> &'static str {
    match role {
        StakeRole::None => "none",
        StakeRole::Validator => "validator",
        StakeRole::Operator => "operator",
        StakeRole::Verifier => "verifier",
        StakeRole::__Invalid => "unknown",
    }
}

/// Unix seconds as a date: days to civil date after Hinnant, *chrono-Compatible Low-Level Date Algorithms*.
pub(super) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Eras of 400 years, counted from 1 March of the year 0.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

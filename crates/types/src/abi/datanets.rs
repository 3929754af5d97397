//! Datanets, contributions, rights and curation.

use alloy_sol_types::sol;

sol! {
    /// Whether a use is permitted by the terms of a Datanet.
    #[derive(Debug, PartialEq, Eq)]
    enum Use { Deny, Limit, Allow }

    #[derive(Debug, PartialEq, Eq)]
    enum Modality { Text, Conversation, Image, Audio, Table }

    #[derive(Debug, PartialEq, Eq)]
    /// Withdrawn and taken down are tombstones: hashes and the block of the commitment stay.
    enum ContributionStatus { None, Pending, Accepted, Rejected, Withdrawn, TakenDown }

    /// Who decides over contributions: the owner; curators by stake; or nobody, unless the owner rejects in time.
    #[derive(Debug, PartialEq, Eq)]
    enum Acceptance { Owner, Curators, Open }

    #[derive(Debug, PartialEq, Eq)]
    enum Ballot { None, Accept, Reject, Spam }

    /// How a Datanet takes contributions in. What is revealed under it is decided under it.
    #[derive(Debug, PartialEq, Eq)]
    struct Policy {
        Acceptance acceptance;
        uint256 bond;  // wei, paid with a reveal; back unless the contribution is rejected as spam, which burns it
        uint64 period; // seconds for curators to vote, or for the owner to reject under the open policy
    }

    /// The decision over a contribution so far.
    #[derive(Debug, PartialEq, Eq)]
    struct Decision {
        Acceptance acceptance;
        uint256 bond;       // wei, 0 once it is back or burnt
        uint64 revealedAt;  // unix seconds
        uint64 until;       // unix seconds when the period ends
        uint256 acceptStake; // wei of curators behind each ballot
        uint256 rejectStake;
        uint256 spamStake;
    }

    /// An open claim that a contribution should not be there; zeros if there is none.
    #[derive(Debug, PartialEq, Eq)]
    struct Takedown {
        address claimant;
        address defender; // who countered, zero if nobody did
        uint256 bond;     // wei, of each side
        uint64 until;     // unix seconds: to counter, then for the governor to uphold
    }

    /// What curators have at stake on a Datanet and what they earn.
    #[derive(Debug, PartialEq, Eq)]
    struct Curation {
        uint256 stake;     // wei of all curators
        uint256 streaming; // wei of income that is still to be paid to them
        uint64 until;      // unix seconds when all of it is
        uint256 revenue;   // wei that royalties of the Datanet have collected in all
        uint256 yielded;   // wei of it that went to curators
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Terms { Use train; Use infer; Use crawl; }

    #[derive(Debug, PartialEq, Eq)]
    struct Datanet {
        address owner;
        string name;
        /// SPDX expression.
        string license;
        Modality modality;
        Terms terms;
        uint32 versions;
        uint64 createdAt; // block number
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Contribution {
        uint256 datanet;
        address contributor;
        /// Merkle root over the salted record hashes.
        bytes32 recordsRoot;
        /// Content hash of the contribution file.
        bytes32 fileHash;
        uint32 records;
        ContributionStatus status;
        uint64 committedAt; // block number of the commitment: what decides who was first
    }

    #[derive(Debug, PartialEq, Eq)]
    struct DatanetVersion {
        /// Content hash of the version's manifest file.
        bytes32 manifestHash;
        /// Merkle root over the record hashes of the manifest.
        bytes32 recordsRoot;
        uint32 records;
        uint32 clusters;
        uint64 publishedAt; // block number
    }

    /// Datanets: owner, licence and terms; contributions as commit, then reveal; versions as Merkle roots; curation; royalty
    /// rights as ERC-1155, of which a contribution has 1000000 and whose income is OPEN. Errors of ERC-1155 are those of
    /// ERC-6093. Receivers are not called: a module runs no code of others.
    #[derive(Debug, PartialEq, Eq)]
    interface IDatanets {
        event Created(uint256 indexed datanet, address indexed owner, string name, string license);
        event Committed(uint256 indexed datanet, address indexed contributor, bytes32 indexed commitment);
        event Revealed(uint256 indexed datanet, uint256 indexed contribution, address indexed contributor, bytes32 recordsRoot, bytes32 fileHash, uint32 records);
        event Accepted(uint256 indexed datanet, uint256 indexed contribution);
        event Rejected(uint256 indexed datanet, uint256 indexed contribution, string reason);
        event PolicySet(uint256 indexed datanet, Acceptance acceptance, uint256 bond, uint64 period);
        event Voted(uint256 indexed contribution, address indexed curator, Ballot ballot, uint256 stake);
        event BondReturned(uint256 indexed contribution, address indexed contributor, uint256 amount);
        event BondBurnt(uint256 indexed contribution, address indexed contributor, uint256 amount);
        event TermsSet(uint256 indexed contribution, Terms terms);
        event RecordTermsSet(uint256 indexed contribution, uint32 indexed record, Terms terms);
        event Withdrawn(uint256 indexed datanet, uint256 indexed contribution);
        event TakedownFiled(uint256 indexed contribution, address indexed claimant, uint256 bond, string reason);
        event TakedownCountered(uint256 indexed contribution, address indexed defender, string statement);
        event TakedownResolved(uint256 indexed datanet, uint256 indexed contribution, bool upheld);
        event Curated(uint256 indexed datanet, address indexed curator, uint256 amount, uint256 tax);
        /// `until`: unix seconds when it is out.
        event Uncurated(uint256 indexed datanet, address indexed curator, uint256 amount, uint64 until);
        event CurationWithdrawn(uint256 indexed datanet, address indexed curator, uint256 amount);
        event CuratorSlashed(uint256 indexed contribution, address indexed curator, uint256 amount);
        event CurationClaimed(uint256 indexed datanet, address indexed curator, uint256 amount);
        event RoyaltyCollected(uint256 indexed datanet, uint256 indexed contribution, uint256 income, uint256 toCurators);
        event RoyaltyClaimed(uint256 indexed contribution, address indexed account, uint256 amount);
        event PayeeChanged(uint256 indexed contribution, address indexed payee);
        event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
        event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);
        event ApprovalForAll(address indexed account, address indexed operator, bool approved);
        event VersionPublished(uint256 indexed datanet, uint32 indexed version, bytes32 manifestHash, bytes32 recordsRoot, uint32 records, uint32 clusters);

        error UnknownDatanet(uint256 datanet);
        error UnknownVersion(uint256 datanet, uint32 version);
        error UnknownContribution(uint256 contribution);
        error UnknownCommitment(bytes32 commitment);
        error CommitmentExists(bytes32 commitment);
        /// A reveal may not be in the block of its commitment.
        error RevealTooEarly(uint64 committedAt);
        error NotOwner(address caller, address owner);
        error NotPending(uint256 contribution, ContributionStatus status);
        error InvalidName(uint256 length, uint256 limit);
        error InvalidLicense(string license);
        error InvalidCount(uint32 count);
        error InvalidReason(uint256 length, uint256 limit);
        error TrainingDenied(uint256 datanet);
        error InvalidPolicy(uint256 bond, uint256 bondLimit, uint64 period, uint64 least, uint64 most);
        error WrongBond(uint256 bond, uint256 needed);
        /// This policy has others decide, or the curators' vote is not over.
        error NotYours(uint256 contribution, Acceptance acceptance);
        /// The owner decides: the policy says so, or no curator voted.
        error OwnerDecides(uint256 contribution);
        error PeriodOpen(uint64 until);
        error PeriodOver(uint64 since);
        error NotCurator(address account);
        error AlreadyVoted(address curator);
        error NotAccepted(uint256 contribution, ContributionStatus status);
        error NotContributor(address caller, address contributor);
        error UnknownRecord(uint256 contribution, uint32 record);
        /// Only who holds the whole right may do this.
        error NotSoleHolder(address caller, uint256 contribution);
        error TakedownOpen(uint256 contribution);
        error NoTakedown(uint256 contribution);
        error Countered(address defender);
        error NotGovernor(address caller, address governor);
        error ZeroAmount();
        error InsufficientCuration(uint256 stake, uint256 needed);
        error StillLeaving(uint256 amount, uint64 until);
        error NothingToSlash(uint256 contribution, address curator);
        error ERC1155InsufficientBalance(address sender, uint256 balance, uint256 needed, uint256 tokenId);
        error ERC1155InvalidReceiver(address receiver);
        error ERC1155InvalidOperator(address operator);
        error ERC1155MissingApprovalForAll(address operator, address owner);
        error ERC1155InvalidArrayLength(uint256 idsLength, uint256 valuesLength);

        function create(string calldata name, string calldata license, Modality modality, Terms calldata terms) external returns (uint256 datanet);
        /// `commitment` = keccak256(abi.encode(contributor, datanet, recordsRoot, fileHash, records, salt)): bound to the committer.
        function commit(uint256 datanet, bytes32 commitment) external;
        /// The value is the bond of the Datanet's policy.
        function reveal(uint256 datanet, bytes32 recordsRoot, bytes32 fileHash, uint32 records, bytes32 salt) external payable returns (uint256 contribution);
        /// By the owner, unless curators decide.
        function accept(uint256 contribution) external;
        function reject(uint256 contribution, string calldata reason) external;
        /// Rejects and burns the bond.
        function rejectSpam(uint256 contribution, string calldata reason) external;

        /// A Datanet begins with the owner deciding, no bond and a period of three days.
        function setPolicy(uint256 datanet, Policy calldata policy) external;
        function policy(uint256 datanet) external view returns (Policy memory);
        /// By a curator who had a stake on the Datanet before the reveal.
        function vote(uint256 contribution, Ballot ballot) external;
        /// Whoever calls: takes in what nobody rejected in time (open), or does what the curators voted, once more than half of
        /// their stake agrees or the period is over.
        function decide(uint256 contribution) external;
        function decision(uint256 contribution) external view returns (Decision memory);

        /// Terms of a contribution, by its contributor; what is narrower of Datanet, contribution and record holds.
        function setTerms(uint256 contribution, Terms calldata terms) external;
        /// Terms of one record, counted from 0 in the contribution's file.
        function setRecordTerms(uint256 contribution, uint32 record, Terms calldata terms) external;
        function termsOf(uint256 contribution, uint32 record) external view returns (Terms memory);
        /// How many records have terms of their own.
        function recordTermsCount(uint256 contribution) external view returns (uint32);

        /// Takes one's records out, by who holds the whole right: nothing accrues from now on, what was earned stays.
        function withdraw(uint256 contribution) external;
        /// Claims that a contribution should not be there, with a bond of 10 OPEN. What it earns is held until that is decided.
        function takedown(uint256 contribution, string calldata reason) external payable;
        /// By a holder of the right, with the same bond, within 14 days.
        function counterNotice(uint256 contribution, string calldata statement) external payable;
        /// By the governor, within 14 days of a counter-notice.
        function upholdTakedown(uint256 contribution) external;
        /// After the time to counter: without a counter-notice the contribution goes; with one that nobody overruled it stays.
        function resolveTakedown(uint256 contribution) external;
        function takedownOf(uint256 contribution) external view returns (Takedown memory);

        /// Stakes the value on a Datanet, less a tax of 1 % that is burnt. Curators get a tenth of what contributors earn here,
        /// paid over seven days by stake and second.
        function curate(uint256 datanet) external payable;
        /// Lets stake leave: it votes and earns no more, and is out after 30 days, in which it is at risk. What is leaving already
        /// waits as long again.
        function uncurate(uint256 datanet, uint256 amount) external;
        function withdrawCuration(uint256 datanet) external returns (uint256 amount);
        function leaving(uint256 datanet, address account) external view returns (uint256 amount, uint64 until);
        /// Slashes a curator who voted to take in what was taken down, whoever calls, once.
        function slashCurator(uint256 contribution, address curator) external returns (uint256 amount);
        function claimCuration(uint256 datanet) external returns (uint256 amount);
        function curation(uint256 datanet) external view returns (Curation memory);
        function curator(uint256 datanet, address account) external view returns (uint256 stake, uint64 since, uint256 reward);

        /// Whom the credit of a contribution is paid to: the holder of the whole right; the royalty account where the right is
        /// divided, curators have a part or a takedown is open; nobody (zero) where it is gone.
        function payee(uint256 contribution) external view returns (address);
        /// The same at a time in the past, unix seconds: what operators and verifiers settle by.
        function payeeAt(uint256 contribution, uint64 time) external view returns (address);
        /// An account of the contribution that nobody has a key of.
        function royaltyAccount(uint256 contribution) external view returns (address);
        /// Divides what lies on the royalty account, whoever calls.
        function collect(uint256 contribution) external returns (uint256 income);
        /// Pays an account its part of what was collected, whoever calls.
        function claimRoyalty(uint256 contribution, address account) external returns (uint256 amount);
        function royalty(uint256 contribution, address account) external view returns (uint256);

        function balanceOf(address account, uint256 id) external view returns (uint256);
        function balanceOfBatch(address[] calldata accounts, uint256[] calldata ids) external view returns (uint256[] memory);
        function setApprovalForAll(address operator, bool approved) external;
        function isApprovedForAll(address account, address operator) external view returns (bool);
        function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes calldata data) external;
        function safeBatchTransferFrom(address from, address to, uint256[] calldata ids, uint256[] calldata values, bytes calldata data) external;
        function uri(uint256 id) external view returns (string memory);
        function supportsInterface(bytes4 interfaceId) external view returns (bool);

        function publishVersion(uint256 datanet, bytes32 manifestHash, bytes32 recordsRoot, uint32 records, uint32 clusters) external returns (uint32 version);

        function datanetCount() external view returns (uint256);
        function contributionCount() external view returns (uint256);
        function datanet(uint256 id) external view returns (Datanet memory);
        function contribution(uint256 id) external view returns (Contribution memory);
        /// Versions count from 1.
        function version(uint256 datanet, uint32 number) external view returns (DatanetVersion memory);
        /// Block number of a commitment, 0 if there is none or it has been revealed.
        function commitmentBlock(bytes32 commitment) external view returns (uint64);
    }
}

//! Batches of receipts, verdicts, challenges and claims.

use alloy_sol_types::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    enum BatchStatus { None, Posted, Finalised, Refused }

    #[derive(Debug, PartialEq, Eq)]
    struct Charge { bytes32 key; uint256 amount; }

    /// Where the fees of a batch go, wei. The parts add up to the fees exactly.
    #[derive(Debug, PartialEq, Eq)]
    struct RoleTotals {
        uint256 contributors; // paid by influence
        uint256 base;         // the contributors' part that influence left unexplained, by accepted clusters
        uint256 operator;
        uint256 developer;
        uint256 validators;
        uint256 treasury;     // with every rounding remainder
        uint256 burn;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct BatchPost {
        uint64 epoch;
        uint256 adapter;
        /// Merkle-sum root over the receipts with their fees.
        bytes32 receiptsRoot;
        uint32 receipts;
        /// Of its settlement: one per receipt, one per step of the adapter's training run, one for the payouts.
        uint32 steps;
        uint256 fees;
        RoleTotals totals;
        /// Merkle root over the payouts (index, account, role, amount) to contributors, base pool, operator and developer.
        bytes32 payoutsRoot;
        uint32 payouts;
        /// Content hash of the batch file.
        bytes32 fileHash;
        /// Unix seconds of the governed numbers that it was settled with, under which it is verified, disputed and paid, too. At most
        /// an epoch of governed numbers ago.
        uint64 settledAt;
        Charge[] charges;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Batch {
        address operator;
        uint64 epoch;
        uint256 adapter;
        bytes32 receiptsRoot;
        uint32 receipts;
        uint32 steps;      // of its settlement
        uint256 fees;
        RoleTotals totals;
        bytes32 payoutsRoot;
        uint32 payouts;
        bytes32 fileHash;
        BatchStatus status;
        uint64 postedAt;   // block number
        uint32 agree;      // verdicts revealed that agree, of the panel that was asked last
        uint32 disagree;
        uint256 claimed;   // wei
        uint256 agreeStake;    // wei at stake behind the verdicts that agree
        uint256 disagreeStake;
        uint256 forfeited; // wei of the fees that the operator paid, for keys that ended too long ago
        uint32 round;      // of the panel that was asked last: how often the batch was appealed
        uint256 pot;       // wei that verdicts which were right have still to be paid
        uint64 settledAt;  // unix seconds of the governed numbers that hold for it
    }

    /// An appeal from what a drawn panel decided to a larger one.
    #[derive(Debug, PartialEq, Eq)]
    struct Appeal {
        address appellant;
        uint256 bond;           // wei
        uint64 openedAt;        // block number
        bool contestsPayment;   // whether what was decided before would have paid the batch
        uint256 prize;          // wei of slashed verdicts that are still for the appellant
        uint256 agreeStake;     // wei at stake behind the verdicts of the panel that it asked
        uint256 disagreeStake;
    }

    /// Who moves: the operator while bisecting, the challenger while choosing, verifiers while judging.
    #[derive(Debug, PartialEq, Eq)]
    enum ChallengeStatus { None, Bisecting, Choosing, Judging, OperatorWon, ChallengerWon, Undecided }

    /// A dispute over a batch as a computation of `receipts + steps` steps. Both sides agree on `lowState` after `low` steps; the
    /// operator claims `highState` after `high` steps, which the challenger denies.
    #[derive(Debug, PartialEq, Eq)]
    struct Challenge {
        uint256 batch;
        address challenger;
        uint256 bond; // wei
        ChallengeStatus status;
        uint32 low;
        uint32 high;
        bytes32 lowState;
        bytes32 highState;
        bytes32 middleState;   // what the operator claims halfway; zero while it has not said
        uint64 deadline;       // last block for the move that is due, or for commitments while judging
        uint256 upheldStake;   // wei at stake behind the verdicts for the operator
        uint256 refutedStake;
        uint256 pot;           // wei that verdicts which were right have still to be paid
    }

    #[derive(Debug, PartialEq, Eq)]
    enum PayoutRole { Contributor, Base, Operator, Developer }

    /// Batches of receipts: post, sampled verification, challenge, finalise, claim.
    #[derive(Debug, PartialEq, Eq)]
    interface ISettlement {
        event Posted(uint256 indexed batch, address indexed operator, uint256 indexed adapter, uint64 epoch, bytes32 receiptsRoot, bytes32 payoutsRoot, bytes32 fileHash, uint256 fees);
        event VerdictCommitted(uint256 indexed batch, address indexed verifier, bytes32 commitment);
        event VerdictRevealed(uint256 indexed batch, address indexed verifier, bytes32 digest, bool agrees);
        event Finalised(uint256 indexed batch, uint256 fees, uint256 burnt);
        event Refused(uint256 indexed batch, uint32 agree, uint32 disagree);
        event Claimed(uint256 indexed batch, uint256 indexed index, address indexed account, PayoutRole role, uint256 amount);
        event Drawn(uint256 indexed batch, bytes32 seed);
        event Challenged(uint256 indexed challenge, uint256 indexed batch, address indexed challenger, uint256 bond);
        event Bisected(uint256 indexed challenge, uint32 middle, bytes32 state);
        event Chosen(uint256 indexed challenge, bool agrees, uint32 low, uint32 high);
        event StepCommitted(uint256 indexed challenge, address indexed verifier, bytes32 commitment);
        event StepRevealed(uint256 indexed challenge, address indexed verifier, bool upheld);
        event StepPaid(uint256 indexed challenge, address indexed verifier, uint256 amount);
        event StepPunished(uint256 indexed challenge, address indexed verifier, uint256 amount);
        event Resolved(uint256 indexed challenge, uint256 indexed batch, ChallengeStatus status, uint256 paid);
        /// `contestsPayment`: what was decided before would have paid the batch.
        event Appealed(uint256 indexed batch, uint32 indexed round, address indexed appellant, uint256 bond, bool contestsPayment);
        /// `returned` is the bond, or 0 if the appeal was in vain.
        event AppealSettled(uint256 indexed batch, uint32 indexed round, address indexed appellant, uint256 returned);
        event VerdictPaid(uint256 indexed batch, address indexed verifier, uint256 amount);
        event Punished(uint256 indexed batch, address indexed verifier, uint256 amount);

        error UnknownBatch(uint256 batch);
        error NotOperator(address caller);
        error NotVerifier(address caller);
        error AdapterRetired(uint256 adapter);
        error EpochAlreadyPosted(uint64 epoch, uint256 adapter);
        error EmptyBatch();
        /// Governed numbers of the future, or of more than an epoch ago.
        error SettledAtOutOfRange(uint64 settledAt, uint64 least, uint64 most);
        error TooMany(string what, uint256 count, uint256 limit);
        error FeesMismatch(uint256 fees, uint256 charges);
        error DuplicateCharge(bytes32 key);
        error TotalsMismatch(uint256 fees, uint256 totals);
        /// A role's total is outside what the governed split permits.
        error SplitOutOfBounds(string role, uint256 got, uint256 least, uint256 most);
        error WrongStatus(uint256 batch, BatchStatus status);
        error WindowOpen(uint64 until);
        error WindowClosed(uint64 since);
        error VerdictExists(address verifier);
        error NoVerdict(address verifier);
        error WrongReveal(bytes32 commitment, bytes32 got);
        /// The draw did not assign the batch to this verifier.
        error NotAssigned(address verifier, uint256 batch);
        error UnknownChallenge(uint256 challenge);
        error WrongChallengeStatus(uint256 challenge, ChallengeStatus status);
        error ChallengeOpen(uint256 challenge);
        error NotYourMove(address caller, address mover);
        error WrongBond(uint256 bond, uint256 needed);
        /// Whoever appeals has something at stake.
        error NotBonded(address caller);
        /// Everybody was asked, or the batch was appealed as often as it can be.
        error NoLargerPanel(uint256 batch);
        /// No verdict of the verifier says what became of the batch, or it is paid.
        error NothingEarned(uint256 batch, address verifier);
        /// No verdict of the verifier on the step says how the challenge ended, or not with the trace of most, or it is paid.
        error NoStepEarned(uint256 challenge, address verifier);
        error NoStepFault(uint256 challenge, address verifier);
        error NothingToPunish(uint256 batch, address verifier);
        error AlreadyClaimed(uint256 index);
        error InvalidProof(bytes32 root);

        function post(BatchPost calldata batch) external returns (uint256 id);
        /// `commitment` = keccak256(abi.encode(verifier, registeredAt, batch, digest, trace, salt)): a copier has nothing to copy.
        function commitVerdict(uint256 batch, bytes32 commitment) external;
        /// `digest` = keccak256(abi.encode(receiptsRoot, payoutsRoot, fileHash)) as the verifier computed them; `trace` = the hash of
        /// what it met on the way, which stands in no file: who agrees without looking does not know it.
        function revealVerdict(uint256 batch, bytes32 digest, bytes32 trace, bytes32 salt) external;
        /// Fixes the seed that assigns verifiers and samples receipts, from the hash of the block that holds the post. From the
        /// next block on; a commitment does it, too.
        function draw(uint256 batch) external returns (bytes32 seed);
        /// After the windows: pays out (more stake agrees than not) or refuses, refunds the payers and slashes the operator if
        /// verdicts said so.
        function finalise(uint256 batch) external;
        /// Pays `account`, whoever calls. The leaf is keccak256(keccak256(abi.encode(index, account, role, amount))).
        function claim(uint256 batch, uint256 index, address account, PayoutRole role, uint256 amount, bytes32[] calldata proof) external;
        /// Claims the caller's own payout and delegates it to a validator.
        function claimAndStake(uint256 batch, uint256 index, PayoutRole role, uint256 amount, bytes32[] calldata proof, address validator) external;

        /// Disputes a posted batch. The value is the bond: it goes to the operator, and a part to judges, if the challenger loses.
        function challenge(uint256 batch) external payable returns (uint256 id);
        /// The operator's move: the state halfway, after (low + high) / 2 steps.
        function bisect(uint256 challenge, bytes32 state) external;
        /// The challenger's move: whether that state is right, so that the dispute is about the other half.
        function choose(uint256 challenge, bool agrees) external;
        /// `commitment` = keccak256(abi.encode(verifier, registeredAt, challenge, upheld, trace, salt)) over the one step that is left.
        function commitStep(uint256 challenge, bytes32 commitment) external;
        /// `trace` = the hash of what the verifier met when it executed the step, which stands nowhere; zero, of a step that is false,
        /// if the step was not shown to it.
        function revealStep(uint256 challenge, bool upheld, bytes32 trace, bytes32 salt) external;
        /// Ends a challenge by who missed a move, or by the stake behind the verdicts.
        function resolve(uint256 challenge) external;
        /// Pays a verifier its part, by stake, for a verdict on the step that says how the challenge ended, with the trace that most
        /// stake on its side met, whoever calls.
        function claimStep(uint256 challenge, address verifier) external returns (uint256 amount);
        /// Slashes a verifier who committed to a verdict on the step of an ended challenge and did not reveal it, or who said how it
        /// ended with a trace that less stake stands behind than behind another.
        function punishStep(uint256 challenge, address verifier) external;
        /// Asks a larger panel, or everybody, about a batch that a drawn panel decided. The value is the bond: it goes to the verdicts
        /// that were right if the batch ends as it was decided before. The panel commits and reveals as the first did.
        function appeal(uint256 batch) external payable returns (uint32 round);
        /// The appeal that asked the panel of a round, from 1 on; zeros if there was none.
        function appealOf(uint256 batch, uint32 round) external view returns (Appeal memory);
        /// Pays a verifier its part of the fees, by stake, for verdicts that say what became of a batch, whoever calls.
        function claimVerdict(uint256 batch, address verifier) external returns (uint256 amount);

        /// Slashes a verifier who committed and did not reveal, agreed with a batch of which judges found a step false that it had to
        /// execute, agreed with one that is final with a trace that less stake stands behind than behind another, or whose verdict a later panel overturned.
        function punish(uint256 batch, address verifier) external;

        function batchCount() external view returns (uint256);
        function batch(uint256 id) external view returns (Batch memory);
        function batchOf(address operator, uint64 epoch, uint256 adapter) external view returns (uint256);
        function claimed(uint256 batch, uint256 index) external view returns (bool);
        /// Of the panel that was asked last.
        function verdict(uint256 batch, address verifier) external view returns (bytes32 commitment, bytes32 digest);
        /// The seed of the draw; zero before it.
        function seed(uint256 batch) external view returns (bytes32);
        /// True if an active verifier or validator who was bonded at the post may give a verdict. Before the draw nobody knows
        /// unless all are assigned.
        function isAssigned(uint256 batch, address verifier) external view returns (bool);
        function challengeCount() external view returns (uint256);
        function challengeOf(uint256 id) external view returns (Challenge memory);
    }
}

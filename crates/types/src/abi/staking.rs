//! Validators, operators, verifiers, delegation and votes.

use alloy_sol_types::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    enum StakeRole { None, Validator, Operator, Verifier }

    #[derive(Debug, PartialEq, Eq)]
    struct Staker {
        StakeRole role;
        uint256 stake;
        uint64 registeredAt; // block number
        uint64 unbondingAt;  // unix seconds when the stake can be taken out, 0 while bonded
        uint64 jailedUntil;  // unix seconds from which it can return, 0 if not jailed
        uint32 locks;        // posted batches that are not decided: the stake cannot be taken out
        uint32 commissionPpm; // part of its delegators' rewards that a validator keeps
        uint256 delegated;   // what others delegate to it, wei
    }

    /// What somebody delegates to a validator.
    #[derive(Debug, PartialEq, Eq)]
    struct Delegation {
        uint256 stake;      // wei, after slashes
        uint256 reward;     // wei that can be claimed
        uint256 leaving;    // wei that unbonds, after slashes
        uint64 availableAt; // unix seconds when what unbonds can be taken out
    }

    #[derive(Debug, PartialEq, Eq)]
    enum VoteKind { Notarize, Nullify, Finalize }

    /// A vote of consensus.
    #[derive(Debug, PartialEq, Eq)]
    struct Vote {
        VoteKind kind;
        uint64 parent;   // view of the parent; 0 to nullify
        bytes32 payload; // hash of the block; 0 to nullify
        bytes signature; // 64 bytes
    }

    /// Two votes of one key that contradict each other.
    #[derive(Debug, PartialEq, Eq)]
    struct DoubleSign {
        bytes32 key;
        uint64 epoch;
        uint64 viewNumber;
        Vote first;
        Vote second;
    }

    /// Who orders blocks in an epoch, and the ed25519 key that votes for it.
    #[derive(Debug, PartialEq, Eq)]
    struct Seat {
        address account;
        bytes32 key;
    }

    /// Validators, operators and verifiers with their stake; delegation to validators; the validators' part of fees by stake;
    /// votes over staked OPEN (ERC-5805, clock of ERC-6372). Errors of votes are OpenZeppelin's.
    #[derive(Debug, PartialEq, Eq)]
    interface IStaking {
        event Staked(address indexed account, StakeRole role, uint256 amount, uint256 stake);
        event UnbondingStarted(address indexed account, uint64 availableAt);
        event Unstaked(address indexed account, uint256 amount);
        event Rewarded(uint256 amount, uint256 totalStake);
        event RewardClaimed(address indexed account, uint256 amount);
        event CommissionSet(address indexed validator, uint32 ppm);
        event StakeDelegated(address indexed delegator, address indexed validator, uint256 amount);
        event UndelegationStarted(address indexed delegator, address indexed validator, uint256 amount, uint64 availableAt);
        event DelegationWithdrawn(address indexed delegator, address indexed validator, uint256 amount);
        event DelegationRewardClaimed(address indexed delegator, address indexed validator, uint256 amount);
        /// What was taken from the account's own stake, from what is delegated to it and from what unbonds from it, wei.
        event Slashed(address indexed account, uint256 own, uint256 delegated, uint256 leaving);
        /// An operator pays for answers that were settled too late to be charged, out of its stake; a refused batch gives it back.
        event Forfeited(address indexed account, uint256 amount);
        event Returned(address indexed account, uint256 amount);
        event Jailed(address indexed account, uint64 until);
        event Unjailed(address indexed account);
        event DelegateChanged(address indexed delegator, address indexed fromDelegate, address indexed toDelegate);
        event DelegateVotesChanged(address indexed delegate, uint256 previousVotes, uint256 newVotes);
        event KeySet(address indexed account, bytes32 indexed key);
        event KeyRemoved(address indexed account, bytes32 indexed key);
        event NetworkAddressSet(address indexed account, bytes16 ip, uint16 port);

        /// A validator was passed over in too many of the views of an epoch that it led.
        event Absent(address indexed account, uint64 epoch, uint64 missed, uint64 led, uint256 burnt);
        event DoubleSigned(address indexed account, bytes32 indexed key, uint64 epoch, uint256 burnt);

        error InvalidRole(StakeRole role);
        error RoleTaken(address account, StakeRole role);
        error StakeTooSmall(uint256 stake, uint256 least);
        error NotStaked(address account);
        error AlreadyUnbonding(address account);
        error StillBonded(uint64 availableAt);
        error StakeLocked(uint32 batches);
        error NotValidator(address account);
        error ZeroAmount();
        error InvalidCommission(uint32 ppm, uint32 most);
        error TooSoon(uint64 availableAt);
        error InsufficientDelegation(uint256 stake, uint256 needed);
        error NothingLeaving(address delegator, address validator);
        error InJail(address account, uint64 until);
        error NotJailed(address account);
        error ERC5805FutureLookup(uint256 timepoint, uint48 clock);
        error VotesExpiredSignature(uint256 expiry);
        error InvalidAccountNonce(address account, uint256 currentNonce);
        error InvalidSignature();
        /// Each key belongs to one account for ever.
        error KeyUsed(bytes32 key);
        /// The proof is not the key's signature over this chain and this account.
        error InvalidKeyProof(bytes32 key);
        error InvalidNetworkAddress(bytes16 ip, uint16 port);
        error HasKey(address account, bytes32 key);
        error NoKey(address account);
        error TooManyKeys(uint32 limit);
        error UnknownKey(bytes32 key);
        error AlreadyPunished(bytes32 key, uint64 epoch);
        /// The votes do not contradict each other, or are not signed by the key on this chain.
        error InvalidEvidence();

        function stake(StakeRole role) external payable;
        function startUnbonding() external;
        function unstake() external;
        function claimReward() external returns (uint256);
        /// Back from jail, once its time is over and the stake is enough again.
        function unjail() external;

        /// At most 500000. Once somebody delegates, it rises by at most 10000 a day.
        function setCommission(uint32 ppm) external;
        /// Bonds the value with a validator: it earns and is slashed with the validator's own stake.
        function delegateStake(address validator) external payable;
        /// Starts to unbond; a second call adds to the first and starts the time anew. Slashed until it is taken out.
        function undelegateStake(address validator, uint256 amount) external;
        function withdrawDelegation(address validator) external returns (uint256);
        function claimDelegationReward(address validator) external returns (uint256);
        function delegation(address delegator, address validator) external view returns (Delegation memory);

        /// Whose votes follow what `account` holds at stake: its own until it names somebody else.
        function delegates(address account) external view returns (address);
        function delegate(address delegatee) external;
        function delegateBySig(address delegatee, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s) external;
        function nonces(address owner) external view returns (uint256);
        function eip712Domain() external view returns (bytes1 fields, string memory name, string memory version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] memory extensions);
        function getVotes(address account) external view returns (uint256);
        function getPastVotes(address account, uint256 timepoint) external view returns (uint256);
        function getPastTotalSupply(uint256 timepoint) external view returns (uint256);
        function clock() external view returns (uint48);
        function CLOCK_MODE() external view returns (string memory);
        /// After a slash, takes the votes of a delegation down to what it is worth.
        function refreshVotes(address delegator, address validator) external;

        function staker(address account) external view returns (Staker memory);
        /// True if the account is bonded in this role with at least the least stake.
        function isActive(address account, StakeRole role) external view returns (bool);
        /// Bonded stake of validators with what is delegated to them, wei.
        function totalStake() external view returns (uint256);
        function reward(address account) external view returns (uint256);

        /// Makes a bonded validator a candidate for a seat: the ed25519 key that votes, the key's signature of 64 bytes over
        /// the chain and the account, and where its node listens (an IPv4 address as `::ffff:a.b.c.d`).
        function registerKey(bytes32 key, bytes calldata proof, bytes16 ip, uint16 port) external;
        /// Puts another key in the place of the registered one; it votes from the next set that is elected.
        function rotateKey(bytes32 key, bytes calldata proof) external;
        /// No candidate any more; the seats of sets that are elected already stay.
        function deregisterKey() external;
        function setNetworkAddress(bytes16 ip, uint16 port) external;
        /// Zeros if the account has no key.
        function consensusKey(address account) external view returns (bytes32 key, bytes16 ip, uint16 port);
        /// Whose a key is or was; zero if it was never registered.
        function keyOwner(bytes32 key) external view returns (address);
        /// Burns a part of the stake of who voted twice, also while it unbonds, and jails the account for ever. Anybody can show it.
        function submitEvidence(DoubleSign calldata evidence) external;
        /// The seats of an epoch of consensus: those of the last, the current and the next two are kept, others are empty.
        function validatorSet(uint64 epoch) external view returns (Seat[] memory);
        /// Views of a kept epoch in which the account was to lead and was passed over.
        function missedViews(uint64 epoch, address account) external view returns (uint64);
        /// Blocks of an epoch of consensus: epoch `n` is the blocks from `n * epochBlocks` on.
        function epochBlocks() external view returns (uint64);
    }
}

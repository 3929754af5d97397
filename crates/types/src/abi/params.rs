//! Governed numbers and upgrades.

use alloy_sol_types::sol;

sol! {
    /// Every governed number. Names are ASCII in a bytes32, left-aligned.
    #[derive(Debug, PartialEq, Eq)]
    interface IParams {
        event Scheduled(bytes32 indexed name, uint256 value, uint64 from);
        event UpgradeScheduled(bytes32 indexed name, uint64 height);
        event UpgradeCancelled(bytes32 indexed name);

        error UnknownParam(bytes32 name);
        error FutureLookup(uint64 time, uint64 now);
        error NotGovernor(address caller, address governor);
        error OutOfRange(bytes32 name, uint256 value, uint256 least, uint256 most);
        error StepTooLarge(bytes32 name, uint256 value, uint256 current, uint256 step);
        /// The parts of a fee must make a whole.
        error SplitNotWhole(uint256 sum);
        /// `name` may not be below `other`.
        error BelowOther(bytes32 name, uint256 value, bytes32 other, uint256 least);
        /// Stake could be out before the longest dispute is over, which takes so many seconds.
        error UnbondingTooShort(uint256 value, uint256 dispute);
        error InvalidCount(uint256 names, uint256 values, uint256 limit);
        error InvalidUpgrade(bytes32 name);
        /// Nodes need a notice.
        error UpgradeTooSoon(uint64 height, uint64 least);
        error UpgradePending(bytes32 name, uint64 height);
        error NoUpgrade();

        function get(bytes32 name) external view returns (uint256);
        /// What it was at a time that has passed, unix seconds.
        function getAt(bytes32 name, uint64 time) external view returns (uint256);
        /// Names, values and the hard range of each, in one stated order.
        function all() external view returns (bytes32[] memory names, uint256[] memory values, uint256[] memory least, uint256[] memory most);
        /// The most that each may change from one epoch to the next, in the order of `all`.
        function steps() external view returns (uint256[] memory);
        /// Who may schedule changes; zero if nobody may.
        function governor() external view returns (address);
        /// What is scheduled, and from which time; zeros if nothing is.
        function scheduled(bytes32 name) external view returns (uint256 value, uint64 from);
        /// Changes all of these at the start of the next epoch, or none.
        function schedule(bytes32[] calldata names, uint256[] calldata values) external;
        /// Seconds of an epoch: a day of UTC unless the genesis says otherwise.
        function epochSeconds() external view returns (uint64);

        /// Changes the protocol at a height: a node that does not know the upgrade stops before it.
        function scheduleUpgrade(bytes32 name, uint64 height) external;
        /// Takes back the upgrade that is scheduled, before its height.
        function cancelUpgrade() external;
        /// The upgrade that was scheduled last; zeros if there is none.
        function upgrade() external view returns (bytes32 name, uint64 height);
        /// From which height an upgrade holds; 0 if it was never scheduled.
        function upgradeHeight(bytes32 name) external view returns (uint64);
    }
}

//! Voucher channels of x402 `batch-settlement`.

use alloy_sol_types::sol;

sol! {
    /// A channel: who pays, who is paid, who signs for each, and how long a payer waits for what is left. Its id is the EIP-712
    /// hash of this.
    #[derive(Debug, PartialEq, Eq)]
    struct ChannelConfig {
        address payer;
        /// Whose vouchers count; the payer's own if zero.
        address payerAuthorizer;
        address receiver;
        /// Who may claim and refund beside the receiver, itself or by signature.
        address receiverAuthorizer;
        /// OPEN.
        address token;
        uint40 withdrawDelay; // seconds, from 900 to 2592000
        bytes32 salt;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct ChannelVoucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount; // wei in all, over the life of the channel
    }

    #[derive(Debug, PartialEq, Eq)]
    struct VoucherClaim {
        ChannelVoucher voucher;
        bytes signature;
        uint128 totalClaimed; // wei in all that the receiver takes, at most what the voucher permits
    }

    /// Cumulative vouchers over OPEN with the functions and the signing domain of `x402BatchSettlement`, at its address: clients of
    /// x402 `batch-settlement` work unmodified. Signatures are of accounts with a key (no EIP-1271). Of the events, `Settled` is
    /// that contract's own.
    #[derive(Debug, PartialEq, Eq)]
    interface IChannels {
        event ChannelDeposited(bytes32 indexed channelId, address indexed payer, uint128 amount, uint128 balance);
        event ChannelClaimed(bytes32 indexed channelId, address indexed receiver, uint128 amount, uint128 totalClaimed);
        event ChannelRefunded(bytes32 indexed channelId, address indexed payer, uint128 amount);
        event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 availableAt);
        event WithdrawFinalized(bytes32 indexed channelId, address indexed payer, uint128 amount);
        event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);

        error ZeroAmount();
        /// `field` is the first that is wrong.
        error InvalidConfig(string field);
        /// Deposits come through the ERC-3009 collector of x402, or from the payer itself with the zero address for a collector.
        error WrongCollector(address collector);
        error InvalidCollectorData();
        error NotParty(address caller, bytes32 channelId);
        error InvalidVoucher(bytes32 channelId);
        error InvalidAuthorizer(address authorizer);
        error AboveVoucher(bytes32 channelId, uint128 totalClaimed, uint128 maxClaimableAmount);
        error AboveBalance(bytes32 channelId, uint128 totalClaimed, uint128 balance);
        error WrongNonce(bytes32 channelId, uint256 nonce, uint256 expected);
        error NothingLeft(bytes32 channelId);
        error NoWithdraw(bytes32 channelId);
        error WithdrawPending(uint40 availableAt);
        error TooMany(string what, uint256 count, uint256 limit);
        error NestedMulticall();

        /// Several calls of this contract by the same caller, all or none; at most 64.
        function multicall(bytes[] calldata data) external returns (bytes[] memory results);
        /// With the ERC-3009 collector, `collectorData` = abi.encode(validAfter, validBefore, salt, signature) of a
        /// `ReceiveWithAuthorization` to the collector whose nonce is keccak256(abi.encode(channelId, salt)).
        function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData) external;
        /// By the receiver or its authorizer of every channel. What is claimed already is passed over. At most 256.
        function claim(VoucherClaim[] calldata voucherClaims) external;
        /// By anybody, with the signature of the one authorizer of all channels.
        function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;
        /// Pays a receiver what it has claimed, whoever calls; nothing if that is nothing.
        function settle(address receiver, address token) external;
        /// By the payer: what is not claimed by then can be taken out after the channel's delay. A second call replaces the first.
        function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;
        function finalizeWithdraw(ChannelConfig calldata config) external;
        /// By the receiver or its authorizer: gives back at most what is not claimed, and ends a withdrawal that waits.
        function refund(ChannelConfig calldata config, uint128 amount) external;
        function refundWithSignature(ChannelConfig calldata config, uint128 amount, uint256 nonce, bytes calldata receiverAuthorizerSignature) external;

        function getChannelId(ChannelConfig calldata config) external view returns (bytes32);
        function CHANNEL_CONFIG_TYPEHASH() external view returns (bytes32);
        /// `balance` = deposited less given back; what is left to claim is `balance` − `totalClaimed`.
        function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);
        function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);
        function receivers(address receiver, address token) external view returns (uint128 totalClaimed, uint128 totalSettled);
        function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);
        function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);
        function refundNonce(bytes32 channelId) external view returns (uint256);
        function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);
    }
}

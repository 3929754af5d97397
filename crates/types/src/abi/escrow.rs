//! Payers' deposits and authorisations.

use alloy_sol_types::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct Authorisation {
        address payer;
        address operator;
        /// The most that may ever be charged to this key, wei.
        uint256 cap;
        uint256 spent;
        uint64 expiresAt; // unix seconds, for requests
        uint64 revokedAt; // unix seconds, 0 if not revoked
    }

    /// Payers' deposits and the capped authorisations that API keys stand for.
    #[derive(Debug, PartialEq, Eq)]
    interface IEscrow {
        event Deposited(address indexed payer, address indexed from, uint256 amount, uint256 balance);
        event WithdrawalRequested(address indexed payer, uint256 amount, uint64 availableAt);
        event Withdrawn(address indexed payer, uint256 amount);
        event Authorised(bytes32 indexed key, address indexed payer, address indexed operator, uint256 cap, uint64 expiresAt);
        event Revoked(bytes32 indexed key, uint64 at);
        event Charged(bytes32 indexed key, address indexed payer, uint256 amount, uint256 indexed batch);
        event Refunded(bytes32 indexed key, address indexed payer, uint256 amount, uint256 indexed batch);
        /// The key ended too long ago; the operator pays.
        event Uncollected(bytes32 indexed key, address indexed payer, uint256 amount, uint256 indexed batch);

        error ZeroAmount();
        error InsufficientDeposit(address payer, uint256 balance, uint256 needed);
        error NoWithdrawal(address payer);
        error WithdrawalPending(uint64 availableAt);
        error UnknownKey(bytes32 key);
        error KeyExists(bytes32 key);
        error NotPayer(address caller, address payer);
        error WrongOperator(bytes32 key, address operator, address caller);
        error CapExceeded(bytes32 key, uint256 cap, uint256 spent, uint256 needed);
        error KeyRevoked(bytes32 key, uint64 revokedAt);
        error InvalidExpiry(uint64 expiresAt);

        function deposit() external payable;
        function depositFor(address payer) external payable;
        /// Sets the amount aside; it can be taken out after the withdrawal delay, so that served work is always paid.
        function requestWithdrawal(uint256 amount) external;
        function withdraw() external;
        /// `key` = keccak256 of the API key's bytes.
        function authorise(bytes32 key, address operator, uint256 cap, uint64 expiresAt) external;
        /// Requests made after this block's time are not paid; those made before still settle.
        function revoke(bytes32 key) external;

        /// What can still be charged: the deposit less what a withdrawal has set aside.
        function balanceOf(address payer) external view returns (uint256);
        function withdrawal(address payer) external view returns (uint256 amount, uint64 availableAt);
        function authorisation(bytes32 key) external view returns (Authorisation memory);
    }
}

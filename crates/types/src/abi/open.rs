//! OPEN: the ERC-20 face of the native coin, vesting schedules and the supply.

use alloy_sol_types::sol;

sol! {
    /// An allocation of the genesis that becomes free with time: nothing before `cliff`, then linearly from `start` to `end`.
    #[derive(Debug, PartialEq, Eq)]
    struct Vesting {
        address beneficiary;
        uint256 amount;   // wei
        uint256 released; // wei
        uint64 start;     // unix seconds
        uint64 cliff;     // unix seconds
        uint64 end;       // unix seconds
    }

    /// Where all OPEN is, wei. `genesis` = `burnt` + `total`; `total` is the sum of all that follow it.
    #[derive(Debug, PartialEq, Eq)]
    struct Supply {
        uint256 genesis;
        uint256 burnt;
        uint256 total;
        uint256 vesting;     // in vesting schedules, not yet released
        uint256 treasury;
        uint256 datanets;    // bonds, curators' stakes and royalties not yet claimed
        uint256 escrow;      // payers' deposits, in voucher channels too
        uint256 settlement;  // posted batches, bonds of challenges and unclaimed payouts
        uint256 staking;     // stakes and unclaimed rewards
        uint256 circulating; // all other accounts
    }

    /// ERC-20 over the native balance: one balance, two interfaces, with ERC-2612, ERC-3009 and EIP-5267. Errors are those of
    /// ERC-6093 and of OpenZeppelin's contracts. Signatures are of accounts with a key: contracts cannot sign (EIP-1271).
    #[derive(Debug, PartialEq, Eq)]
    interface IOpen {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event Approval(address indexed owner, address indexed spender, uint256 value);
        event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
        event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);
        event VestingReleased(uint256 indexed vesting, address indexed beneficiary, uint256 amount);

        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InvalidSpender(address spender);
        error ERC2612ExpiredSignature(uint256 deadline);
        error ERC2612InvalidSigner(address signer, address owner);
        error ERC3009InvalidSignature();
        error ERC3009ConsumedAuthorization(address authorizer, bytes32 nonce);
        error ERC3009InvalidAuthorizationTime(uint256 validAfter, uint256 validBefore);
        error UnknownVesting(uint256 vesting);
        error NothingToRelease(uint256 vesting);

        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
        /// Genesis supply less what has been burnt.
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function transfer(address to, uint256 value) external returns (bool);
        function approve(address spender, uint256 value) external returns (bool);
        function transferFrom(address from, address to, uint256 value) external returns (bool);
        function burn(uint256 value) external;

        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function nonces(address owner) external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function eip712Domain() external view returns (bytes1 fields, string memory name, string memory version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] memory extensions);

        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes calldata signature) external;
        /// Only `to` may call: nobody can take the call out of the mempool and make it alone.
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes calldata signature) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external;
        /// True if the nonce is used or cancelled.
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);

        /// Pays what has vested to the beneficiary, whoever calls.
        function release(uint256 vesting) external returns (uint256 amount);
        /// Schedules count from 1.
        function vestingCount() external view returns (uint256);
        function vesting(uint256 id) external view returns (Vesting memory);
        function releasable(uint256 vesting) external view returns (uint256);
        function supply() external view returns (Supply memory);
    }
}

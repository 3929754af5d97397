//! Base models and adapters.

use alloy_sol_types::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct BaseModel {
        string name;
        /// SPDX expression.
        string license;
        /// SHA-256 of the model file, as its publisher states it.
        bytes32 fileHash;
        address registrant;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct DatanetRef { uint256 datanet; uint32 version; }

    #[derive(Debug, PartialEq, Eq)]
    struct Adapter {
        uint256 base;
        /// Content hash of the training manifest, committed before the seed was known.
        bytes32 manifestHash;
        /// Content hash of the adapter's parameters.
        bytes32 adapterHash;
        /// Content hash of the training transcript that attribution replays.
        bytes32 transcriptHash;
        DatanetRef[] datanets;
        /// Wei per prompt token.
        uint256 inputPrice;
        /// Wei per completion token.
        uint256 outputPrice;
        /// Who trained it.
        address developer;
        bool retired;
    }

    /// Where an adapter comes from, and what those that come from it owe.
    #[derive(Debug, PartialEq, Eq)]
    struct Lineage {
        uint256 parent;      // adapter that it was trained on top of, 0 if on the base alone
        uint32 sharePpm;     // part of the developer's income that goes to the parent's owner
        uint32 royaltyPpm;   // least part that an adapter on top of this one shares
        uint32 depth;        // adapters above it
    }

    /// Base models and adapters. An adapter is an ERC-721 token, whose owner has the developer's income, sets the price and
    /// retires it. Errors of ERC-721 are those of ERC-6093. Receivers are not called: a module runs no code of others.
    #[derive(Debug, PartialEq, Eq)]
    interface IModels {
        event BaseRegistered(uint256 indexed base, bytes32 indexed fileHash, string name);
        event TrainingCommitted(bytes32 indexed manifestHash, address indexed developer);
        event AdapterPublished(uint256 indexed adapter, address indexed developer, bytes32 indexed adapterHash, uint256 base, bytes32 manifestHash);
        event PriceSet(uint256 indexed adapter, uint256 inputPrice, uint256 outputPrice);
        event Retired(uint256 indexed adapter);
        event Derived(uint256 indexed adapter, uint256 indexed parent, uint32 sharePpm);
        event RoyaltySet(uint256 indexed adapter, uint32 ppm);
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
        event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

        error UnknownBase(uint256 base);
        error BaseExists(uint256 base);
        error UnknownAdapter(uint256 adapter);
        error AdapterExists(uint256 adapter);
        /// Only who committed the training may publish it.
        error NotDeveloper(address caller, address developer);
        error TrainingNotCommitted(bytes32 manifestHash);
        error TrainingExists(bytes32 manifestHash);
        error NoDatanets();
        error TooManyDatanets(uint256 count, uint256 limit);
        error InvalidName(uint256 length, uint256 limit);
        error InvalidLicense(string license);
        error PriceTooHigh(uint256 price, uint256 limit);
        error WrongFee(uint256 fee, uint256 needed);
        error NotOwner(address caller, address owner);
        /// A share is at least what the parent asks for, and no share is above half.
        error InvalidShare(uint32 ppm, uint32 least, uint32 most);
        error TooDeep(uint32 depth, uint32 limit);
        error ParentRetired(uint256 parent);
        error ERC721InvalidOwner(address owner);
        error ERC721NonexistentToken(uint256 tokenId);
        error ERC721IncorrectOwner(address sender, uint256 tokenId, address owner);
        error ERC721InvalidReceiver(address receiver);
        error ERC721InsufficientApproval(address operator, uint256 tokenId);
        error ERC721InvalidApprover(address approver);
        error ERC721InvalidOperator(address operator);

        function registerBase(string calldata name, string calldata license, bytes32 fileHash) external returns (uint256 base);
        /// Commits a training manifest. The seed of the run is keccak256(manifestHash, hash of the block that holds this call),
        /// which nobody knows when they commit.
        function commitTraining(bytes32 manifestHash) external;
        function publishAdapter(uint256 base, bytes32 manifestHash, bytes32 adapterHash, bytes32 transcriptHash, DatanetRef[] calldata datanets, uint256 inputPrice, uint256 outputPrice) external payable returns (uint256 adapter);
        /// Publishes an adapter that was trained on top of another one, whose owner gets `sharePpm` of the developer's income. The
        /// value of both is the deployment fee, which goes to the treasury.
        function publishDerived(uint256 parent, uint32 sharePpm, bytes32 manifestHash, bytes32 adapterHash, bytes32 transcriptHash, DatanetRef[] calldata datanets, uint256 inputPrice, uint256 outputPrice) external payable returns (uint256 adapter);
        /// What adapters on top of this one share at least, at most half; for those published from now on.
        function setRoyalty(uint256 adapter, uint32 ppm) external;
        function setPrice(uint256 adapter, uint256 inputPrice, uint256 outputPrice) external;
        function retire(uint256 adapter) external;

        function baseCount() external view returns (uint256);
        function adapterCount() external view returns (uint256);
        function base(uint256 id) external view returns (BaseModel memory);
        function adapter(uint256 id) external view returns (Adapter memory);
        /// 0 if no adapter has this hash.
        function adapterByHash(bytes32 adapterHash) external view returns (uint256);
        /// 0 if no base has this file hash.
        function baseByHash(bytes32 fileHash) external view returns (uint256);
        /// Who committed a manifest and in which block; zeros if nobody did.
        function training(bytes32 manifestHash) external view returns (address developer, uint64 committedAt);
        function lineage(uint256 adapter) external view returns (Lineage memory);
        /// Who shares the developer's income and in which parts per million, at a time in the past, unix seconds: the owner, then
        /// the owners of the adapters that it stands on. The parts add up to 1000000.
        function incomeAt(uint256 adapter, uint64 time) external view returns (address[] memory accounts, uint32[] memory parts);

        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function tokenURI(uint256 tokenId) external view returns (string memory);
        function balanceOf(address owner) external view returns (uint256);
        function ownerOf(uint256 tokenId) external view returns (address);
        function approve(address to, uint256 tokenId) external;
        function getApproved(uint256 tokenId) external view returns (address);
        function setApprovalForAll(address operator, bool approved) external;
        function isApprovedForAll(address owner, address operator) external view returns (bool);
        function transferFrom(address from, address to, uint256 tokenId) external;
        function safeTransferFrom(address from, address to, uint256 tokenId) external;
        function safeTransferFrom(address from, address to, uint256 tokenId, bytes calldata data) external;
        function supportsInterface(bytes4 interfaceId) external view returns (bool);
    }
}

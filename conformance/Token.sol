// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// The token that client scripts deploy: OpenZeppelin's, with transfers by EIP-712 signature.
contract Token is ERC20, ERC20Permit {
    constructor(uint256 supply) ERC20("Conformance", "CNF") ERC20Permit("Conformance") {
        _mint(msg.sender, supply);
    }
}

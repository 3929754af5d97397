// Prints the vectors of crates/protocol/src/open/tests.rs: ERC-2612 and ERC-3009 messages signed on chain 7 by ethers 6.17.0.
import { TypedDataEncoder, Wallet } from "ethers";

const wallet = new Wallet("0x" + "42".repeat(32));
const domain = {
  name: "OpenLedger", version: "1", chainId: 7, verifyingContract: "0x4f50454e00000000000000000000000000000001",
};
const spender = "0x" + "02".repeat(20);
const nonce = "0x" + "09".repeat(32);
const value = 5n * 10n ** 18n;
const authorization = { from: wallet.address, to: spender, value, validAfter: 999999, validBefore: 1000001, nonce };
const fields = (text) => text.split(", ").map((field) => {
  const [type, name] = field.split(" ");
  return { name, type };
});
const transfer = "address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce";
const messages = {
  Permit: [
    "address owner, address spender, uint256 value, uint256 nonce, uint256 deadline",
    { owner: wallet.address, spender, value, nonce: 0, deadline: 1000000 },
  ],
  TransferWithAuthorization: [transfer, authorization],
  ReceiveWithAuthorization: [transfer, authorization],
  CancelAuthorization: ["address authorizer, bytes32 nonce", { authorizer: wallet.address, nonce }],
};

console.log("signer", wallet.address);
console.log("domain", TypedDataEncoder.hashDomain(domain));
for (const [name, [types, message]] of Object.entries(messages)) {
  console.log(name, await wallet.signTypedData(domain, { [name]: fields(types) }, message));
}

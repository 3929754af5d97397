// ethers, unmodified: fees, a transfer, an OpenZeppelin token, its events over WebSocket, a permit (EIP-712), tags, refusals.
import { readFileSync } from "node:fs";
import {
  Contract, ContractFactory, JsonRpcProvider, NonceManager, Signature, Wallet, WebSocketProvider, isError, parseEther,
} from "ethers";

const [rpc, key, tokenFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(tokenFile, "utf8"));
const check = (condition, text) => {
  if (!condition) throw new Error(`ethers: ${text}`);
};
const rejected = async (promise, code) => {
  try {
    await promise;
  } catch (error) {
    check(isError(error, code), `${code} was expected, not ${error.code}: ${error.message}`);
    return error;
  }
  throw new Error(`ethers: what should be ${code} was accepted`);
};
const within = (seconds, what, start) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`ethers: no ${what} within ${seconds} s`)), seconds * 1000);
    start((value) => (clearTimeout(timer), resolve(value)));
  });

const provider = new JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 50 });
const socket = new WebSocketProvider(rpc.replace("http", "ws"));
const { chainId } = await provider.getNetwork();
const owner = new Wallet(key, provider);
const sender = new NonceManager(owner);
const friend = Wallet.createRandom(provider);

// Fees, a transfer, and the tags that make reorganisations impossible to see.
const fees = await provider.getFeeData();
check(fees.maxFeePerGas > fees.maxPriorityFeePerGas, "the most is not above the tip");
check((await provider.estimateGas({ from: owner.address, to: friend.address, value: 1n })) === 21000n, "a transfer is 21,000 gas");
const sent = await (await sender.sendTransaction({ to: friend.address, value: parseEther("2") })).wait();
check(sent.status === 1 && (await provider.getBalance(friend.address)) === parseEther("2"), "the transfer did not arrive");
for (const tag of ["safe", "finalized", "latest"]) {
  check((await provider.getBlock(tag)).number >= sent.blockNumber, `${tag} is behind a receipt that was shown`);
  check((await provider.getBalance(friend.address, tag)) === parseEther("2"), `${tag} does not know the transfer`);
}

// An OpenZeppelin token, and its events over WebSocket.
const supply = parseEther("1000000");
const deployed = await new ContractFactory(abi, bytecode, sender).deploy(supply);
await deployed.waitForDeployment();
const address = await deployed.getAddress();
const token = new Contract(address, abi, sender);
check((await token.balanceOf(owner.address)) === supply, "the deployer does not have the supply");
const heard = within(20, "event", (done) => new Contract(address, abi, socket).on("Transfer", (...event) => done(event)));
const head = within(20, "head", (done) => socket.on("block", done));
await new Promise((resolve) => setTimeout(resolve, 500));
const moved = await (await token.transfer(friend.address, 7n)).wait();
const [from, to, value, { log }] = await heard;
check(from === owner.address && to === friend.address && value === 7n, "the event is not the transfer's");
check(log.transactionHash === moved.hash, "the event is of another transaction");
check((await head) > 0, "no head was announced");
const found = await token.queryFilter(token.filters.Transfer(null, friend.address), moved.blockNumber);
check(found.length === 1 && found[0].index === log.index, "eth_getLogs and the subscription differ");

// One connection may hear so much and no more.
const eager = new WebSocketProvider(rpc.replace("http", "ws"));
const subscribed = [];
for (let count = 0; count < 64; count++) subscribed.push(await eager.send("eth_subscribe", ["newHeads"]));
check(new Set(subscribed).size === 64, "two subscriptions have one name");
const toomany = await eager.send("eth_subscribe", ["newHeads"]).then(() => null, (error) => error.error ?? error);
check(/Too many subscriptions/.test(toomany?.message) && /limit of 64/.test(toomany?.data), `the 65th: ${toomany?.message}`);
check(await eager.send("eth_unsubscribe", [subscribed[0]]), "a subscription could not be ended");
await eager.send("eth_subscribe", ["newHeads"]);

// EIP-712: the friend's permit, sent by the owner.
const deadline = 2n ** 64n;
const { name, version } = await token.eip712Domain();
const signature = Signature.from(await friend.signTypedData(
  { name, version, chainId, verifyingContract: address },
  { Permit: ["owner", "spender"].map((field) => ({ name: field, type: "address" }))
    .concat(["value", "nonce", "deadline"].map((field) => ({ name: field, type: "uint256" }))) },
  { owner: friend.address, spender: owner.address, value: 5n, nonce: 0n, deadline },
));
await (await token.permit(friend.address, owner.address, 5n, deadline, signature.v, signature.r, signature.s)).wait();
check((await token.allowance(friend.address, owner.address)) === 5n, "the permit did not count");

// Refusals.
const poor = Wallet.createRandom(provider);
await rejected(poor.sendTransaction({ to: owner.address, value: 1n }), "INSUFFICIENT_FUNDS");
await rejected(owner.sendTransaction({ to: owner.address, nonce: 0 }), "NONCE_EXPIRED");
const revert = await rejected(token.connect(poor).transfer.staticCall(owner.address, 1n), "CALL_EXCEPTION");
check(revert.revert?.name === "ERC20InsufficientBalance", `the revert is ${revert.message}`);
console.log(`ethers: ${await provider.getBlockNumber()} blocks, token ${address}`);
process.exit(0);

// viem, unmodified: fees, a transfer, an OpenZeppelin token, its events over WebSocket, a permit, tags, traces, refusals.
import { readFileSync } from "node:fs";
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, defineChain, http, parseEther,
  parseSignature, webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const [rpc, key, tokenFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(tokenFile, "utf8"));
const check = (condition, text) => {
  if (!condition) throw new Error(`viem: ${text}`);
};
const rejected = async (promise, text) => {
  try {
    await promise;
  } catch (error) {
    check(error instanceof BaseError, `${text}: ${error}`);
    return error;
  }
  throw new Error(`viem: ${text} was accepted`);
};

const id = await createPublicClient({ transport: http(rpc) }).getChainId();
const chain = defineChain({
  id, name: "OpenLedger", nativeCurrency: { name: "OPEN", symbol: "OPEN", decimals: 18 },
  rpcUrls: { default: { http: [rpc], webSocket: [rpc.replace("http", "ws")] } },
});
const owner = privateKeyToAccount(key);
const client = createPublicClient({ chain, transport: http(undefined, { batch: true }), pollingInterval: 50, cacheTime: 0 });
const socket = createPublicClient({ chain, transport: webSocket() });
const wallet = createWalletClient({ account: owner, chain, transport: http() });
const mined = async (hash) => {
  const receipt = await client.waitForTransactionReceipt({ hash });
  check(receipt.status === "success", `${hash} failed`);
  return receipt;
};

// Fees and a transfer.
const fees = await client.estimateFeesPerGas();
check(fees.maxFeePerGas > fees.maxPriorityFeePerGas, "the most is not above the tip");
const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [10, 90] });
check(history.baseFeePerGas.length === history.gasUsedRatio.length + 1, "fee history has the wrong length");
const friend = privateKeyToAccount(generatePrivateKey());
check((await client.estimateGas({ account: owner, to: friend.address, value: 1n })) === 21000n, "a transfer is 21,000 gas");
const sent = await mined(await wallet.sendTransaction({ to: friend.address, value: parseEther("2") }));
check(sent.gasUsed === 21000n, "a transfer used other than 21,000 gas");
check((await client.getBalance({ address: friend.address })) === parseEther("2"), "the transfer did not arrive");

// Finality: what was shown is final, whatever it is called.
for (const blockTag of ["safe", "finalized", "latest"]) {
  const block = await client.getBlock({ blockTag });
  check(block.number >= sent.blockNumber, `${blockTag} is behind a receipt that was shown`);
  const nonce = await client.getTransactionCount({ address: owner.address, blockTag });
  check(nonce >= 1, `${blockTag} does not count the transfer`);
}
const block = await client.getBlock({ blockHash: sent.blockHash, includeTransactions: true });
check(block.transactions.some((transaction) => transaction.hash === sent.transactionHash), "the block lacks the transfer");

// An OpenZeppelin token and its events over WebSocket.
const supply = parseEther("1000000");
const { contractAddress: token } = await mined(await wallet.deployContract({ abi, bytecode, args: [supply] }));
const read = (functionName, ...args) => client.readContract({ address: token, abi, functionName, args });
check((await read("balanceOf", owner.address)) === supply, "the deployer does not have the supply");
const heard = new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error("viem: no event within 20 s")), 20_000);
  socket.watchContractEvent({
    address: token, abi, eventName: "Transfer", onError: reject,
    onLogs: ([log]) => (clearTimeout(timer), resolve(log)),
  });
});
const heads = new Promise((resolve, reject) => socket.watchBlocks({ onBlock: resolve, onError: reject }));
await new Promise((resolve) => setTimeout(resolve, 500));
const { request } = await client.simulateContract({
  account: owner, address: token, abi, functionName: "transfer", args: [friend.address, 7n],
});
const moved = await mined(await wallet.writeContract(request));
const event = await heard;
check(event.transactionHash === moved.transactionHash && event.args.value === 7n, "the event is not the transfer's");
check((await heads).number > 0n, "no head was announced");
const found = await client.getContractEvents({ address: token, abi, eventName: "Transfer", fromBlock: moved.blockNumber });
check(found.length === 1 && found[0].logIndex === event.logIndex, "eth_getLogs and the subscription differ");
const filter = await client.createContractEventFilter({ address: token, abi, eventName: "Transfer" });
check((await client.getFilterChanges({ filter })).length === 0, "a new filter is not empty");

// EIP-712: the friend's permit, sent by the owner.
const deadline = 2n ** 64n;
const permit = { owner: friend.address, spender: owner.address, value: 5n, nonce: 0n, deadline };
const signature = await friend.signTypedData({
  domain: { name: "Conformance", version: "1", chainId: id, verifyingContract: token },
  types: {
    Permit: [
      { name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" },
      { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" },
    ],
  },
  primaryType: "Permit", message: permit,
});
const { r, s, yParity } = parseSignature(signature);
const permitArgs = [friend.address, owner.address, 5n, deadline, 27 + yParity, r, s];
await mined(await wallet.writeContract({ address: token, abi, functionName: "permit", args: permitArgs }));
check((await read("allowance", friend.address, owner.address)) === 5n, "the permit did not count");

// State overrides, access lists, delegation, traces.
const stranger = privateKeyToAccount(generatePrivateKey());
await client.call({
  account: stranger, to: friend.address, value: 1n, stateOverride: [{ address: stranger.address, balance: 1n }],
});
const { accessList } = await client.createAccessList({ account: owner.address, to: token, data: "0x18160ddd" });
check(accessList.some((entry) => entry.address.toLowerCase() === token.toLowerCase()), "the access list lacks the token");
await mined(await wallet.sendTransaction({ to: friend.address, value: 1n, type: "eip2930", accessList }));
await mined(await wallet.sendTransaction({ to: friend.address, value: 1n, type: "legacy" }));
const authorization = await createWalletClient({ account: friend, chain, transport: http() }).signAuthorization({
  contractAddress: token,
});
await mined(await wallet.sendTransaction({ to: friend.address, data: "0x18160ddd", authorizationList: [authorization] }));
const code = await client.getCode({ address: friend.address });
check(code === `0xef0100${token.slice(2).toLowerCase()}`, `the delegation left ${code}`);
const trace = await client.request({
  method: "debug_traceTransaction", params: [moved.transactionHash, { tracer: "callTracer" }],
});
check(trace.to === token.toLowerCase() && BigInt(trace.gasUsed) === moved.gasUsed, "the trace is not the transaction's");
const before = await client.request({
  method: "debug_traceCall",
  params: [{ from: owner.address, to: token, data: "0x18160ddd" }, "latest", { tracer: "prestateTracer" }],
});
check(before[token.toLowerCase()]?.code?.length > 2, "the state before a call lacks the code of the token");
check(BigInt(before[owner.address.toLowerCase()].balance) > 0n, "the state before a call lacks its sender");

// Refusals.
const poor = createWalletClient({ account: stranger, chain, transport: http() });
const funds = await rejected(poor.sendTransaction({ to: owner.address, value: 1n }), "a transfer without funds");
check(/insufficient funds|exceeds the balance/i.test(funds.message), funds.message);
const over = await rejected(
  client.simulateContract({ account: stranger, address: token, abi, functionName: "transfer", args: [owner.address, 1n] }),
  "a token transfer without tokens",
);
const revert = over.walk((error) => error instanceof ContractFunctionRevertedError);
check(revert?.data?.errorName === "ERC20InsufficientBalance", `the revert is ${over.message}`);
const used = await rejected(wallet.sendTransaction({ to: owner.address, nonce: 0 }), "a used nonce");
check(/nonce/i.test(used.message), used.message);
console.log(`viem: ${await client.getBlockNumber()} blocks, token ${token}`);
process.exit(0);

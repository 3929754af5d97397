// Real answers against the OpenRPC document of the execution API, as the package `@metamask/api-specs` publishes it, with ajv.
// What the document does not hold and this node answers has a schema here, made of the document's own components.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import { ContractFactory, JsonRpcProvider, NonceManager, Wallet, toQuantity } from "ethers";

const [rpc, key, tokenFile] = process.argv.slice(2);
const published = createRequire(import.meta.url)("@metamask/api-specs");
const document = published.methods ? published : published.default;
// The specification has moved on since the package: logs have the time of their block, and an empty list of results may be
// of any kind.
const { Log, FilterResults } = document.components.schemas;
Log.properties.blockTimestamp ??= { $ref: "#/components/schemas/uint" };
if (FilterResults.oneOf) [FilterResults.anyOf, FilterResults.oneOf] = [FilterResults.oneOf, undefined];
const check = (condition, text) => {
  if (!condition) throw new Error(`openrpc: ${text}`);
};

// OpenRPC's schemas are of draft 7.
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema({ $id: "doc", ...document });
const ref = (name) => ({ $ref: `doc#/components/schemas/${name}` });
const orNull = (schema) => ({ oneOf: [{ type: "null" }, schema] });
const list = (schema, minItems = 0) => ({ type: "array", items: schema, minItems });
const object = (properties, required = Object.keys(properties)) => ({ type: "object", required, properties });
const closed = (properties, required) => ({ ...object(properties, required), additionalProperties: false });
const values = (schema) => ({ type: "object", additionalProperties: schema });

const uint = ref("uint");
const hash = ref("hash32");
const bytes = ref("bytes");
const address = ref("address");
const block = JSON.parse(JSON.stringify(document.components.schemas.Block).replaceAll('"#/', '"doc#/'));
const header = closed(
  Object.fromEntries(Object.entries(block.properties).filter(([name]) => !["transactions", "uncles", "withdrawals"].includes(name))),
  block.required.filter((name) => !["transactions", "uncles", "size"].includes(name)),
);
const entry = closed({
  key: hash, value: bytes, nextKey: hash, location: uint, leaves: uint, inactivePeaks: uint, chunk: hash,
  partialChunk: orNull(hash), logRoot: hash, digests: list(hash),
});
const proof = closed({
  address, block: closed({ number: uint, hash }), headers: list(bytes, 1), nonce: uint, balance: uint, codeHash: hash,
  certificate: closed({
    epoch: uint, view: uint, parentView: uint, block: hash,
    signatures: list(closed({ signer: uint, signature: { type: "string", pattern: "^0x[0-9a-f]{128}$" } }), 1),
  }),
  accountProof: entry, storageProof: list(closed({ key: uint, value: uint, proof: entry })),
});
const frame = {
  $id: "frame",
  ...object({ type: { type: "string" }, from: address, to: address, gas: uint, gasUsed: uint, input: bytes, calls: list({ $ref: "frame" }) },
    ["type", "from", "gas", "gasUsed", "input"]),
};
const opcodes = object({
  gas: { type: "integer" }, failed: { type: "boolean" }, returnValue: { type: "string" },
  structLogs: list(object({ pc: { type: "integer" }, op: { type: "string" }, gas: { type: "integer" }, gasCost: { type: "integer" },
    depth: { type: "integer" } })),
});
const account = object({ balance: uint, nonce: { type: "integer" }, code: bytes, storage: values(hash) }, []);
const trace = { anyOf: [frame, opcodes, values(account), closed({ pre: values(account), post: values(account) })] };
const byNonce = values(values(ref("TransactionSigned")));
const own = {
  web3_sha3: hash, net_version: { type: "string", pattern: "^[0-9]+$" }, net_listening: { type: "boolean" }, net_peerCount: uint,
  eth_getHeaderByNumber: orNull(header), eth_getHeaderByHash: orNull(header),
  eth_getBlockReceipts: orNull(list(ref("ReceiptInfo"))),
  eth_getUncleByBlockNumberAndIndex: { type: "null" }, eth_getUncleByBlockHashAndIndex: { type: "null" },
  eth_getRawTransactionByHash: bytes, eth_getRawTransactionByBlockNumberAndIndex: bytes, eth_getRawTransactionByBlockHashAndIndex: bytes,
  eth_createAccessList: closed({ accessList: ref("AccessList"), gasUsed: uint, error: { type: "string" } }, ["accessList", "gasUsed"]),
  eth_maxPriorityFeePerGas: uint, eth_blobBaseFee: uint,
  txpool_status: closed({ pending: uint, queued: uint }), txpool_content: closed({ pending: byNonce, queued: byNonce }),
  txpool_contentFrom: closed({ pending: values(ref("TransactionSigned")), queued: values(ref("TransactionSigned")) }),
  txpool_inspect: closed({ pending: values(values({ type: "string" })), queued: values(values({ type: "string" })) }),
  debug_traceTransaction: trace, debug_traceCall: trace,
  debug_traceBlockByNumber: list(object({ txHash: hash, result: trace })), debug_traceBlockByHash: list(object({ txHash: hash, result: trace })),
  debug_getRawTransaction: bytes, debug_getRawHeader: bytes, debug_getRawBlock: bytes, debug_getRawReceipts: list(bytes),
  openledger_getProof: proof,
  openledger_getHandovers: list(closed({ epoch: uint, validators: list(hash, 1), proof })),
};
const of = (method) => {
  const index = document.methods.findIndex((described) => described.name === method);
  check(index >= 0 || own[method], `${method} has no schema`);
  return index >= 0 ? { $ref: `doc#/methods/${index}/result/schema` } : own[method];
};
const validators = new Map();
const validator = (method) => {
  if (!validators.has(method)) {
    if (!ajv.getSchema("frame")) ajv.addSchema(frame);
    const schema = JSON.parse(JSON.stringify(of(method)), (name, value) => (value?.$id === "frame" ? { $ref: "frame" } : value));
    validators.set(method, ajv.compile(schema));
  }
  return validators.get(method);
};

// Something of every kind to ask for.
const provider = new JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 50 });
const owner = new NonceManager(new Wallet(key, provider));
const { abi, bytecode } = JSON.parse(readFileSync(tokenFile, "utf8"));
const token = await new ContractFactory(abi, bytecode, owner).deploy(10n ** 24n);
await token.waitForDeployment();
const me = await owner.getAddress();
const at = await token.getAddress();
const sent = [];
for (const fields of [
  { type: 0 }, { type: 1, accessList: [{ address: at, storageKeys: [`0x${"00".repeat(32)}`] }] }, { type: 2 },
]) sent.push(await (await owner.sendTransaction({ to: me, value: 1n, gasLimit: 60_000n, ...fields })).wait());
sent.push(await (await token.transfer("0x00000000000000000000000000000000000000aa", 5n)).wait());
const deployed = await token.deploymentTransaction().wait();
const last = sent.at(-1);
// Of an account of its own: one of the owner's would be included, and take a nonce, when this runs on the same chain again.
const patient = Wallet.createRandom(provider);
await (await owner.sendTransaction({ to: patient.address, value: 10n ** 18n })).wait();
const gap = await patient.sendTransaction({ to: me, value: 1n, gasLimit: 21_000n, nonce: 5 });

let id = 0;
const ask = async (method, params) => {
  id += 1;
  const answer = await fetch(rpc, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
  });
  return answer.json();
};
const filters = {};
for (const [name, params] of [["eth_newFilter", [{ fromBlock: "0x0", address: at }]], ["eth_newBlockFilter", []], ["eth_newPendingTransactionFilter", []]]) {
  filters[name] = (await ask(name, params)).result;
}
const number = toQuantity(last.blockNumber);
const none = `0x${"00".repeat(31)}ff`;
const call = { from: me, to: at, data: token.interface.encodeFunctionData("transfer", [me, 1n]) };
const far = "0xffffffff";
const calls = [
  ["web3_clientVersion", []], ["web3_sha3", ["0x00"]], ["net_version", []], ["net_listening", []], ["net_peerCount", []],
  ["eth_chainId", []], ["eth_syncing", []], ["eth_accounts", []], ["eth_blockNumber", []],
  ...["earliest", "finalized", "safe", "latest", "pending", number, far].flatMap((tag) => [
    ["eth_getBlockByNumber", [tag, false]], ["eth_getBlockByNumber", [tag, true]], ["eth_getHeaderByNumber", [tag]],
    ["eth_getBlockTransactionCountByNumber", [tag]], ["eth_getUncleCountByBlockNumber", [tag]], ["eth_getBlockReceipts", [tag]],
    ["eth_getUncleByBlockNumberAndIndex", [tag, "0x0"]], ["eth_getTransactionByBlockNumberAndIndex", [tag, "0x0"]],
    ["eth_getRawTransactionByBlockNumberAndIndex", [tag, "0x0"]],
  ]),
  ...[last.blockHash, deployed.blockHash, none].flatMap((of) => [
    ["eth_getBlockByHash", [of, false]], ["eth_getBlockByHash", [of, true]], ["eth_getHeaderByHash", [of]],
    ["eth_getBlockTransactionCountByHash", [of]], ["eth_getUncleCountByBlockHash", [of]], ["eth_getBlockReceipts", [of]],
    ["eth_getUncleByBlockHashAndIndex", [of, "0x0"]], ["eth_getTransactionByBlockHashAndIndex", [of, "0x0"]],
    ["eth_getTransactionByBlockHashAndIndex", [of, far]], ["eth_getRawTransactionByBlockHashAndIndex", [of, "0x0"]],
  ]),
  ...[...sent.map((receipt) => receipt.hash), deployed.hash, none].flatMap((of) => [
    ["eth_getTransactionByHash", [of]], ["eth_getTransactionReceipt", [of]], ["eth_getRawTransactionByHash", [of]],
    ["debug_getRawTransaction", [of]],
  ]),
  ["eth_getBalance", [me, "latest"]], ["eth_getTransactionCount", [me, "pending"]], ["eth_getCode", [at, "latest"]],
  ["eth_getCode", [me, "latest"]], ["eth_getStorageAt", [at, "0x0", "latest"]], ["eth_getStorageAt", [at, "0x2", number]],
  ["eth_call", [call, "latest"]], ["eth_call", [call, "latest", { [me]: { balance: "0x1" } }]], ["eth_estimateGas", [call]],
  ["eth_createAccessList", [call, "latest"]],
  ["eth_gasPrice", []], ["eth_maxPriorityFeePerGas", []], ["eth_blobBaseFee", []],
  ["eth_feeHistory", ["0x4", "latest", [10, 90]]], ["eth_feeHistory", ["0x4", "latest", []]],
  ["eth_getLogs", [{ fromBlock: "0x0", address: at }]], ["eth_getLogs", [{ blockHash: last.blockHash }]], ["eth_getLogs", [{ fromBlock: far }]],
  ["eth_newFilter", [{ address: at, topics: [[none, last.logs[0].topics[0]], null] }]], ["eth_newBlockFilter", []], ["eth_newPendingTransactionFilter", []],
  ["eth_getFilterLogs", [filters.eth_newFilter]],
  ...Object.values(filters).flatMap((filter) => [["eth_getFilterChanges", [filter]], ["eth_uninstallFilter", [filter]], ["eth_uninstallFilter", [filter]]]),
  ["txpool_status", []], ["txpool_content", []], ["txpool_contentFrom", [me]], ["txpool_contentFrom", [patient.address]], ["txpool_inspect", []],
  ...[undefined, { tracer: "callTracer" }, { tracer: "prestateTracer" }, { tracer: "prestateTracer", tracerConfig: { diffMode: true } }]
    .flatMap((options) => [
      ["debug_traceTransaction", [last.hash, options]], ["debug_traceCall", [call, "latest", options]],
      ["debug_traceBlockByNumber", [number, options]], ["debug_traceBlockByHash", [last.blockHash, options]],
    ]),
  ["debug_getRawHeader", [number]], ["debug_getRawBlock", [number]], ["debug_getRawReceipts", [number]],
  ["openledger_getProof", [at, ["0x0", "0x2"], "latest"]], ["openledger_getProof", [me, [], "latest"]],
  ["openledger_getHandovers", ["0x2", "0x1"]],
];

const asked = new Map();
const wrong = [];
for (const [method, params] of calls) {
  const answer = await ask(method, params.filter((param) => param !== undefined));
  const valid = validator(method);
  if (answer.error || !valid(answer.result)) {
    wrong.push(`${method} ${JSON.stringify(params)}: ${JSON.stringify(answer.error ?? valid.errors.slice(0, 4))} in ${JSON.stringify(answer.result)?.slice(0, 400)}`);
  }
  const seen = asked.get(method) ?? { null: 0, other: 0 };
  seen[answer.result === null ? "null" : "other"] += 1;
  asked.set(method, seen);
}
check(wrong.length === 0, `${wrong.length} answers do not fit:\n${wrong.join("\n")}`);

// What waits for a block is in none; but for that, it is a transaction.
const waiting = (await ask("eth_getTransactionByHash", [gap.hash])).result;
const place = ["blockHash", "blockNumber", "transactionIndex"];
check(place.every((name) => waiting[name] === null), `a waiting transaction has a place: ${JSON.stringify(waiting)}`);
const placed = { ...waiting, blockHash: none, blockNumber: "0x1", transactionIndex: "0x0" };
check(validator("eth_getTransactionByHash")(placed), `a waiting transaction: ${JSON.stringify(placed)}`);
check((await ask("eth_getTransactionReceipt", [gap.hash])).result === null, "a waiting transaction has a receipt");

// EIP-7702, which the document does not know yet: an account of its own that behaves as the token from now on.
const delegating = Wallet.createRandom(provider);
const authorization = await delegating.authorize({ address: at, nonce: 0, chainId: (await provider.getNetwork()).chainId });
const delegation = await (await owner.sendTransaction({
  type: 4, to: delegating.address, data: "0x18160ddd", gasLimit: 100_000n, authorizationList: [authorization],
})).wait();
const setCode = ajv.compile(object({
  type: { const: "0x4" }, hash, blockHash: hash, blockNumber: uint, transactionIndex: uint, from: address, to: address, nonce: uint, gas: uint,
  value: uint, input: bytes, chainId: uint, maxFeePerGas: uint, maxPriorityFeePerGas: uint, accessList: ref("AccessList"),
  r: uint, s: uint, yParity: uint,
  authorizationList: list(closed({ chainId: uint, address, nonce: uint, yParity: uint, r: uint, s: uint }), 1),
}));
const signed = (await ask("eth_getTransactionByHash", [delegation.hash])).result;
check(setCode(signed), `a transaction of type 4: ${JSON.stringify(setCode.errors)} in ${JSON.stringify(signed)}`);
check(validator("eth_getTransactionReceipt")((await ask("eth_getTransactionReceipt", [delegation.hash])).result), "the receipt of type 4");
const delegated = (await ask("eth_getCode", [delegating.address, "latest"])).result;
check(delegated === `0xef0100${at.slice(2).toLowerCase()}`, `the code of a delegating account is ${delegated}`);

// A schema that takes everything would prove nothing.
const receipt = (await ask("eth_getTransactionReceipt", [last.hash])).result;
for (const change of [{ status: 1 }, { gasUsed: "21000" }, { logsBloom: "0x00" }, { surprise: "0x1" }, { blockHash: null }]) {
  check(!validator("eth_getTransactionReceipt")({ ...receipt, ...change }), `a receipt with ${JSON.stringify(change)} fits`);
}
for (const method of ["eth_getBlockByHash", "eth_getBlockByNumber", "eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockReceipts"]) {
  check(asked.get(method).null > 0 && asked.get(method).other > 0, `${method} was not asked for what is and what is not`);
}

// What the document describes and is not asked above: what a wallet answers, and these.
const elsewhere = new Set([
  "eth_subscribe", "eth_unsubscribe", // viem.mjs, over WebSocket
  "eth_sendRawTransaction", // every script
]);
const refused = new Map([
  ["eth_getProof", -32004], ["eth_coinbase", -32601], ["eth_sendTransaction", -32601], ["eth_requestAccounts", -32601],
  ["eth_signTypedData_v4", -32601], ["eth_decrypt", -32601], ["eth_getEncryptionPublicKey", -32601], ["personal_sign", -32601],
]);
for (const { name } of document.methods) {
  if (asked.has(name) || elsewhere.has(name) || name.startsWith("wallet_")) continue;
  check(refused.has(name), `${name} is described and nothing is known of it here`);
  check((await ask(name, [me, [], "latest"])).error?.code === refused.get(name), `${name} is refused in another way`);
}
provider.destroy();
console.log(`openrpc: ${calls.length} answers of ${asked.size} methods fit their schemas`);

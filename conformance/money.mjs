// ethers, unmodified, makes every operation of OPEN, escrow, settlement, staking, params and channels by its ABI:
// money.mjs RPC KEY ABI_FILE
import { generateKeyPairSync, sign as signWith } from "node:crypto";
import { AbiCoder, Signature, TypedDataEncoder, Wallet, ZeroAddress, ZeroHash, encodeBytes32String, hexlify, id, keccak256, parseEther } from "ethers";
import { check, connect } from "./calls.mjs";

const [rpc, key, abiFile] = process.argv.slice(2);
const { provider, bank, person, module, send, read, refused, later, finish } = connect(rpc, key, abiFile, [
  "IOpen",
  "IEscrow",
  "ISettlement",
  "IStaking",
  "IParams",
  "IChannels",
]);
const [open, datanets, models, escrow, settlement, staking, params, channels] = [
  "IOpen", "IDatanets", "IModels", "IEscrow", "ISettlement", "IStaking", "IParams", "IChannels",
].map(module);
const coder = AbiCoder.defaultAbiCoder();
const { chainId } = await provider.getNetwork();
const [alice, bob, carol] = await Promise.all([person("30000"), person("30000"), person("30000")]);
const [aliceAt, bobAt, carolAt] = await Promise.all([alice, bob, carol].map((who) => who.getAddress()));
const ONE = parseEther("1");
const now = async () => BigInt((await provider.getBlock("latest")).timestamp);

// OPEN: ERC-20, ERC-2612, ERC-3009.
const token = open(alice);
check((await read(token, "name")) === "OpenLedger" && (await read(token, "symbol")) === "OPEN", "name and symbol");
check((await read(token, "decimals")) === 18n, "decimals");
check((await read(token, "balanceOf", aliceAt)) === (await provider.getBalance(aliceAt)), "one balance, two interfaces");
const supply = await read(token, "supply");
check(supply.total === (await read(token, "totalSupply")), "the supply adds up");
await send(token, "transfer", bobAt, 5n);
await send(token, "approve", bobAt, 7n);
check((await read(token, "allowance", aliceAt, bobAt)) === 7n, "allowance");
await send(open(bob), "transferFrom", aliceAt, carolAt, 3n);
await send(token, "burn", 1n);
const domain = {
  name: "OpenLedger", version: "1", chainId, verifyingContract: token.target,
};
check((await read(token, "DOMAIN_SEPARATOR")) === TypedDataEncoder.hashDomain(domain), "domain separator");
check((await read(token, "eip712Domain")).verifyingContract === token.target, "EIP-5267");
const fields = (text) => text.split(", ").map((field) => ({ type: field.split(" ")[0], name: field.split(" ")[1] }));
const sign = async (who, of, name, text, message) =>
  who.signer.signTypedData(of, { [name]: fields(text) }, message);
const nonce = await read(token, "nonces", aliceAt);
const permit = { owner: aliceAt, spender: bobAt, value: 9n, nonce, deadline: (await now()) + 1000n };
const permitted = Signature.from(
  await sign(alice, domain, "Permit", "address owner, address spender, uint256 value, uint256 nonce, uint256 deadline", permit),
);
await send(open(bob), "permit", aliceAt, bobAt, 9n, permit.deadline, permitted.v, permitted.r, permitted.s);
const transfer = "address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce";
const until = (await now()) + 1000n;
const authorise = async (name, number) => {
  const message = { from: aliceAt, to: bobAt, value: 2n, validAfter: 0n, validBefore: until, nonce: id(`${name} ${number} ${Date.now()}`) };
  const signature = Signature.from(await sign(alice, domain, name, transfer, message));
  return { args: [aliceAt, bobAt, 2n, 0n, until, message.nonce], signature, nonce: message.nonce };
};
const head = "address,address,uint256,uint256,uint256,bytes32";
for (const [call, name] of [["transferWithAuthorization", "TransferWithAuthorization"], ["receiveWithAuthorization", "ReceiveWithAuthorization"]]) {
  const parts = await authorise(name, 1);
  await send(open(bob), `${call}(${head},uint8,bytes32,bytes32)`, ...parts.args, parts.signature.v, parts.signature.r, parts.signature.s);
  const whole = await authorise(name, 2);
  await send(open(bob), `${call}(${head},bytes)`, ...whole.args, whole.signature.serialized);
  check(await read(token, "authorizationState", aliceAt, whole.nonce), "a nonce is used");
}
for (const [number, split] of [[1, true], [2, false]]) {
  const cancelled = id(`cancel ${number} ${Date.now()}`);
  const signature = Signature.from(await sign(alice, domain, "CancelAuthorization", "address authorizer, bytes32 nonce", { authorizer: aliceAt, nonce: cancelled }));
  if (split) await send(open(bob), "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)", aliceAt, cancelled, signature.v, signature.r, signature.s);
  else await send(open(bob), "cancelAuthorization(address,bytes32,bytes)", aliceAt, cancelled, signature.serialized);
}
const count = await read(token, "vestingCount");
for (const name of ["release", "vesting", "releasable"]) await refused(token, "UnknownVesting", name, count + 1n);

// Escrow.
await send(escrow(alice), "deposit", { value: ONE * 10n });
await send(escrow(bob), "depositFor", aliceAt, { value: ONE });
check((await read(escrow(alice), "balanceOf", aliceAt)) === ONE * 11n, "deposits");
const apiKey = id(`key ${Date.now()}`);
await send(escrow(alice), "authorise", apiKey, bobAt, ONE * 5n, (await now()) + 100000n);
check((await read(escrow(alice), "authorisation", apiKey)).cap === ONE * 5n, "authorisation");
await send(escrow(alice), "requestWithdrawal", ONE);
check((await read(escrow(alice), "withdrawal", aliceAt)).amount === ONE, "withdrawal");
await refused(escrow(alice), "WithdrawalPending", "withdraw");
const other = id(`other ${Date.now()}`);
await send(escrow(alice), "authorise", other, bobAt, ONE, (await now()) + 1000n);
await send(escrow(alice), "revoke", other);

// Staking: an operator, a verifier, delegation, votes.
const [VALIDATOR, OPERATOR, VERIFIER] = [1, 2, 3];
await send(staking(bob), "stake", OPERATOR, { value: ONE * 2000n });
await send(staking(carol), "stake", VERIFIER, { value: ONE * 2000n });
check(await read(staking(bob), "isActive", bobAt, OPERATOR), "an operator");
const registered = (await read(staking(carol), "staker", carolAt)).registeredAt;
const validator = await person("20000");
const validatorAt = await validator.getAddress();
await send(staking(validator), "stake", VALIDATOR, { value: ONE * 10000n });
await send(staking(validator), "setCommission", 50000);
await send(staking(alice), "delegateStake", validatorAt, { value: ONE * 5n });
check((await read(staking(alice), "delegation", aliceAt, validatorAt)).stake === ONE * 5n, "delegation");
check((await read(staking(alice), "totalStake")) >= ONE * 10005n, "total stake");
await send(staking(alice), "undelegateStake", validatorAt, ONE);
await refused(staking(alice), "StillBonded", "withdrawDelegation", validatorAt);
await send(staking(alice), "claimDelegationReward", validatorAt);
await send(staking(validator), "claimReward");
check((await read(staking(validator), "reward", validatorAt)) === 0n, "no reward yet");
// A node's key with the proof that it is held, an ed25519 signature: length of domain, domain, chain, account.
const consensusKey = (account) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const domain = Buffer.from("openledger-consensus-key");
  const chain = Buffer.alloc(8);
  chain.writeBigUInt64BE(chainId);
  const message = Buffer.concat([Buffer.from([domain.length]), domain, chain, Buffer.from(account.slice(2), "hex")]);
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return [hexlify(raw), hexlify(signWith(null, message, privateKey))];
};
const [nodeKey, proof] = consensusKey(validatorAt);
const place = "0x00000000000000000000ffffc0000201";
await refused(staking(validator), "InvalidKeyProof", "registerKey", nodeKey, consensusKey(validatorAt)[1], place, 26656);
await send(staking(validator), "registerKey", nodeKey, proof, place, 26656);
await send(staking(validator), "setNetworkAddress", place, 26657);
check((await read(staking(alice), "consensusKey", validatorAt)).port === 26657n, "network address");
const next = consensusKey(validatorAt);
await send(staking(validator), "rotateKey", ...next);
check((await read(staking(alice), "keyOwner", nodeKey)) === validatorAt, "a key has one owner for ever");
await send(staking(validator), "deregisterKey");
check((await read(staking(alice), "validatorSet", 0)).length === 1, "the validator of the genesis");
check((await read(staking(alice), "epochBlocks")) === 3600n, "blocks of an epoch");
check((await read(staking(alice), "missedViews", 0, validatorAt)) === 0n, "views missed by who has no seat");
const vote = { kind: 0, parent: 0, payload: ZeroHash, signature: "0x" };
const double = { key: nodeKey, epoch: 0, viewNumber: 1, first: vote, second: vote };
await refused(staking(alice), "InvalidEvidence", "submitEvidence", double);
await send(staking(alice), "delegate", bobAt);
check((await read(staking(alice), "delegates", aliceAt)) === bobAt, "delegate");
await send(staking(bob), "refreshVotes", aliceAt, validatorAt);
check((await read(staking(bob), "getVotes", bobAt)) === ONE * 2004n, "votes");
const votes = await read(staking(bob), "eip712Domain");
const votesDomain = { name: votes.name, version: votes.version, chainId, verifyingContract: votes.verifyingContract };
const ballot = { delegatee: carolAt, nonce: await read(staking(alice), "nonces", aliceAt), expiry: until };
const named = Signature.from(await sign(alice, votesDomain, "Delegation", "address delegatee, uint256 nonce, uint256 expiry", ballot));
await send(staking(bob), "delegateBySig", carolAt, ballot.nonce, until, named.v, named.r, named.s);
const clock = await read(staking(bob), "clock");
check((await read(staking(bob), "CLOCK_MODE")).startsWith("mode=blocknumber"), "clock mode");
check((await read(staking(bob), "getPastVotes", bobAt, clock - 1n)) >= 0n, "past votes");
check((await read(staking(bob), "getPastTotalSupply", clock - 1n)) > 0n, "past total");
await refused(staking(bob), "NotJailed", "unjail");
await refused(staking(bob), "StillBonded", "unstake");

// Settlement: an adapter, a batch of one answer, a verdict, an appeal that there is nobody for, a challenge.
const stamp = Date.now();
const { Created } = await send(datanets(alice), "create", "money", "MIT", 0, { train: 2, infer: 2, crawl: 0 });
await send(datanets(alice), "publishVersion", Created.datanet, id("manifest"), id("root"), 3, 2);
const { BaseRegistered } = await send(models(alice), "registerBase", "tiny", "MIT", id(`base ${stamp}`));
await send(models(alice), "commitTraining", id(`training ${stamp}`));
await later();
const fee = await read(params(alice), "get", encodeBytes32String("deployment_fee"));
const { AdapterPublished } = await send(
  models(alice), "publishAdapter", BaseRegistered.base, id(`training ${stamp}`), id(`adapter ${stamp}`), id("transcript"),
  [{ datanet: Created.datanet, version: 1 }], 1, 2, { value: fee },
);
const { adapter } = AdapterPublished;
const fees = ONE;
const part = async (name) => (fees * (await read(params(alice), "get", encodeBytes32String(`${name}_ppm`)))) / 1000000n;
const totals = { contributors: 0n, base: await part("contributors") };
for (const role of ["operator", "developer", "validators", "burn"]) totals[role] = await part(role);
totals.treasury = fees - Object.values(totals).reduce((sum, value) => sum + value, 0n);
const leaf = keccak256(keccak256(coder.encode(["uint256", "address", "uint8", "uint256"], [0, carolAt, 1, totals.base])));
// The numbers hold that held when it was settled: now, in the newest block.
const settledAt = await now();
const batch = {
  epoch: 1, adapter, settledAt, receiptsRoot: id("receipts"), receipts: 1, steps: 1, fees, totals, payoutsRoot: leaf, payouts: 1,
  fileHash: id("file"), charges: [{ key: apiKey, amount: fees }],
};
await refused(settlement(alice), "NotOperator", "post", batch);
await refused(settlement(bob), "SettledAtOutOfRange", "post", { ...batch, settledAt: settledAt + 10000n });
const { Posted } = await send(settlement(bob), "post", batch);
const posted = Posted.batch;
check((await read(settlement(bob), "batchOf", bobAt, 1, adapter)) === posted, "batchOf");
check((await read(settlement(bob), "batchCount")) >= posted, "batches are counted");
check((await read(settlement(bob), "batch", posted)).round === 0n, "nobody has appealed");
await later();
await send(settlement(alice), "draw", posted);
check((await read(settlement(alice), "seed", posted)) !== ZeroHash, "seed");
check(await read(settlement(alice), "isAssigned", posted, carolAt), "assigned");
const digest = keccak256(coder.encode(["bytes32", "bytes32", "bytes32"], [batch.receiptsRoot, batch.payoutsRoot, batch.fileHash]));
const commitment = keccak256(
  coder.encode(["address", "uint64", "uint256", "bytes32", "bytes32", "bytes32"], [carolAt, registered, posted, digest, id("trace"), id("salt")]),
);
await send(settlement(carol), "commitVerdict", posted, commitment);
await later();
await send(settlement(carol), "revealVerdict", posted, digest, id("trace"), id("salt"));
check((await read(settlement(carol), "verdict", posted, carolAt)).digest === digest, "verdict");
await refused(settlement(carol), "NoLargerPanel", "appeal", posted);
check((await read(settlement(carol), "appealOf", posted, 1)).appellant === ZeroAddress, "no appeal");
await refused(settlement(carol), "WrongStatus", "claimVerdict", posted, carolAt);
await refused(settlement(carol), "NothingToPunish", "punish", posted, carolAt);
await refused(settlement(carol), "WindowOpen", "finalise", posted);
await refused(settlement(carol), "WrongStatus", "claim", posted, 0, carolAt, 1, totals.base, []);
await refused(settlement(carol), "WrongStatus", "claimAndStake", posted, 0, 1, totals.base, [], validatorAt);
check(!(await read(settlement(carol), "claimed", posted, 0)), "not claimed");
const challengeBond = await read(params(alice), "get", encodeBytes32String("challenge_bond"));
await refused(settlement(alice), "WrongBond", "challenge", posted, { value: 1n });
const { Challenged } = await send(settlement(alice), "challenge", posted, { value: challengeBond });
const challenge = Challenged.challenge;
check((await read(settlement(alice), "challengeCount")) >= challenge, "challenges are counted");
await send(settlement(bob), "bisect", challenge, id("state"));
await send(settlement(alice), "choose", challenge, true);
const step = keccak256(coder.encode(["address", "uint64", "uint256", "bool", "bytes32", "bytes32"], [carolAt, registered, challenge, true, id("trace"), id("salt")]));
await send(settlement(carol), "commitStep", challenge, step);
await refused(settlement(carol), "WindowOpen", "revealStep", challenge, true, id("trace"), id("salt"));
await refused(settlement(carol), "WindowOpen", "resolve", challenge);
check((await read(settlement(carol), "challengeOf", challenge)).status === 3n, "judging");
await refused(settlement(carol), "WrongChallengeStatus", "claimStep", challenge, carolAt);
await refused(settlement(carol), "NoStepFault", "punishStep", challenge, carolAt);
await send(staking(carol), "startUnbonding");

// Params.
const all = await read(params(alice), "all");
check((await read(params(alice), "getAt", encodeBytes32String("deployment_fee"), settledAt)) === fee, "the fee of that time");
await refused(params(alice), "FutureLookup", "getAt", encodeBytes32String("deployment_fee"), settledAt + 10000n);
check(all.names.length === (await read(params(alice), "steps")).length, "steps");
check((await read(params(alice), "epochSeconds")) > 0n, "epoch");
const governor = await read(params(alice), "governor");
check(governor !== ZeroAddress, "governor");
await read(params(alice), "scheduled", all.names[0]);
for (const [name, ...args] of [["schedule", [all.names[0]], [1]], ["scheduleUpgrade", all.names[0], 1], ["cancelUpgrade"]]) {
  await refused(params(alice), "NotGovernor", name, ...args);
}
check((await read(params(alice), "upgrade")).height === 0n, "no upgrade");
check((await read(params(alice), "upgradeHeight", all.names[0])) === 0n, "no upgrade of that name");

// Channels.
const payer = Wallet.createRandom();
const config = {
  payer: aliceAt, payerAuthorizer: payer.address, receiver: bobAt, receiverAuthorizer: carolAt, token: token.target,
  withdrawDelay: 900, salt: id(`channel ${stamp}`),
};
const channel = await read(channels(alice), "getChannelId", config);
check((await read(channels(alice), "CHANNEL_CONFIG_TYPEHASH")) !== ZeroHash, "type hash");
await send(channels(alice), "deposit", config, ONE * 3n, ZeroAddress, "0x");
check((await read(channels(alice), "channels", channel)).balance === ONE * 3n, "a channel");
const voucher = async (total) => {
  const digest = await read(channels(alice), "getVoucherDigest", channel, total);
  return { voucher: { channel: config, maxClaimableAmount: total }, signature: payer.signingKey.sign(digest).serialized, totalClaimed: total };
};
await refused(channels(alice), "NotParty", "claim", [await voucher(ONE)]);
await send(channels(bob), "claim", [await voucher(ONE)]);
const signedBy = (who, digest) => who.signer.signingKey.sign(digest).serialized;
const claims = [await voucher(ONE * 2n)];
await send(channels(alice), "claimWithSignature", claims, signedBy(carol, await read(channels(alice), "getClaimBatchDigest", claims)));
await send(channels(alice), "settle", bobAt, token.target);
check((await read(channels(alice), "receivers", bobAt, token.target)).totalSettled === ONE * 2n, "settled");
const refundNonce = await read(channels(alice), "refundNonce", channel);
const refund = await read(channels(alice), "getRefundDigest", channel, refundNonce, 5n);
await send(channels(alice), "refundWithSignature", config, 5n, refundNonce, signedBy(carol, refund));
await send(channels(bob), "refund", config, 5n);
await send(channels(alice), "initiateWithdraw", config, 7n);
check((await read(channels(alice), "pendingWithdrawals", channel)).amount === 7n, "a withdrawal waits");
await refused(channels(alice), "WithdrawPending", "finalizeWithdraw", config);
const calls = [["claim", [[await voucher(ONE * 2n + 1n)]]], ["settle", [bobAt, token.target]]];
await send(channels(bob), "multicall", calls.map(([name, args]) => channels(bob).interface.encodeFunctionData(name, args)));

finish();

// The published client and facilitator of x402 `batch-settlement` (@x402/evm), unmodified, against a node: a deposit by ERC-3009,
// vouchers, claim, settle, refund and withdrawal.
// x402.mjs <rpc> <private key that owns everything>
import assert from "node:assert/strict";
import { createPublicClient, createWalletClient, defineChain, getContract, http, parseEther, publicActions } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { claimBatchTypes, toFacilitatorEvmSigner } from "@x402/evm";
import {
  BatchSettlementEvmScheme as ClientScheme,
  computeChannelId,
  signVoucher,
} from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as FacilitatorScheme } from "@x402/evm/batch-settlement/facilitator";

const [url, key] = process.argv.slice(2);
const OPEN = "0x4f50454e00000000000000000000000000000001";
const CHANNELS = "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003";
const probe = createPublicClient({ transport: http(url) });
const id = await probe.getChainId();
const chain = defineChain({
  id,
  name: "OpenLedger",
  nativeCurrency: { name: "OPEN", symbol: "OPEN", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const network = `eip155:${id}`;
const wallet = (secret) =>
  createWalletClient({ account: privateKeyToAccount(secret), chain, transport: http(url), pollingInterval: 200 }).extend(
    publicActions,
  );
const bank = wallet(key);
const [payer, receiver, authorizer, relayer] = Array.from({ length: 4 }, () => wallet(generatePrivateKey()));
for (const who of [payer, receiver, relayer]) {
  const hash = await bank.sendTransaction({ to: who.account.address, value: parseEther("20") });
  await bank.waitForTransactionReceipt({ hash });
}

const requirements = (amount) => ({
  scheme: "batch-settlement",
  network,
  asset: OPEN,
  amount: String(amount),
  payTo: receiver.account.address,
  maxTimeoutSeconds: 300,
  extra: {
    name: "OpenLedger",
    version: "1",
    receiverAuthorizer: authorizer.account.address,
    withdrawDelay: 900,
    assetTransferMethod: "eip3009",
  },
});

// The facilitator reads through Multicall3 and sends the module's transactions.
const facilitatorSigner = toFacilitatorEvmSigner({ ...relayer, address: relayer.account.address });
const authorizerSigner = {
  address: authorizer.account.address,
  signTypedData: (data) => authorizer.account.signTypedData(data),
};
const facilitator = new FacilitatorScheme(facilitatorSigner, authorizerSigner);
const client = new ClientScheme({
  address: payer.account.address,
  signTypedData: (data) => payer.account.signTypedData(data),
  readContract: (call) => payer.readContract(call),
});
const ONE = parseEther("1");
const done = (result, what) => {
  assert.equal(result.success, true, `${what}: ${result.errorReason} ${result.errorMessage}`);
  return result;
};

// The first payment deposits, with a voucher for the first request.
const terms = requirements(ONE);
const first = await client.createPaymentPayload(2, terms);
const payment = (payload) => ({ x402Version: 2, accepted: terms, payload });
const verified = await facilitator.verify(payment(first.payload), terms);
assert.equal(verified.isValid, true, `verify: ${verified.invalidReason} ${verified.invalidMessage}`);
done(await facilitator.settle(payment(first.payload), terms), "deposit");
const config = first.payload.channelConfig;
const channelId = computeChannelId(config, network);
const deposited = BigInt(first.payload.deposit.amount);

const abi = [
  "function channels(bytes32) view returns (uint128 balance, uint128 totalClaimed)",
  "function receivers(address, address) view returns (uint128 totalClaimed, uint128 totalSettled)",
  "function pendingWithdrawals(bytes32) view returns (uint128 amount, uint40 initiatedAt)",
  "function refundNonce(bytes32) view returns (uint256)",
  "function getVoucherDigest(bytes32, uint128) view returns (bytes32)",
  "function CHANNEL_CONFIG_TYPEHASH() view returns (bytes32)",
  "struct ChannelConfig { address payer; address payerAuthorizer; address receiver; address receiverAuthorizer; address token; uint40 withdrawDelay; bytes32 salt; }",
  "function getChannelId(ChannelConfig config) view returns (bytes32)",
  "function initiateWithdraw(ChannelConfig config, uint128 amount)",
  "function finalizeWithdraw(ChannelConfig config)",
];
const { parseAbi, keccak256, toHex, hashTypedData } = await import("viem");
const channels = getContract({ address: CHANNELS, abi: parseAbi(abi), client: payer });
assert.equal(await channels.read.getChannelId([config]), channelId);
assert.deepEqual(await channels.read.channels([channelId]), [deposited, 0n]);
const fields =
  "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)";
assert.equal(await channels.read.CHANNEL_CONFIG_TYPEHASH(), keccak256(toHex(fields)));

// A larger voucher is claimed by the receiver's authorizer, through the facilitator, which sends claimWithSignature.
const voucher = await signVoucher(payer.account, channelId, String(3n * ONE), network);
const domain = { name: "x402 Batch Settlement", version: "1", chainId: id, verifyingContract: CHANNELS };
const types = { Voucher: [{ name: "channelId", type: "bytes32" }, { name: "maxClaimableAmount", type: "uint128" }] };
assert.equal(
  await channels.read.getVoucherDigest([channelId, 3n * ONE]),
  hashTypedData({ domain, types, primaryType: "Voucher", message: { channelId, maxClaimableAmount: 3n * ONE } }),
);
const claims = [
  { voucher: { channel: config, maxClaimableAmount: String(3n * ONE) }, signature: voucher.signature, totalClaimed: String(2n * ONE) },
];
const claimAuthorizerSignature = await authorizer.account.signTypedData({
  domain,
  types: claimBatchTypes,
  primaryType: "ClaimBatch",
  message: { claims: [{ channelId, maxClaimableAmount: 3n * ONE, totalClaimed: 2n * ONE }] },
});
done(await facilitator.settle(payment({ type: "claim", claims, claimAuthorizerSignature }), terms), "claim");
assert.deepEqual(await channels.read.channels([channelId]), [deposited, 2n * ONE]);

// What is claimed is paid to the receiver.
const before = await payer.getBalance({ address: receiver.account.address });
const settle = { type: "settle", receiver: receiver.account.address, token: OPEN };
done(await facilitator.settle(payment(settle), terms), "settle");
assert.equal((await payer.getBalance({ address: receiver.account.address })) - before, 2n * ONE);
assert.deepEqual(await channels.read.receivers([receiver.account.address, OPEN]), [2n * ONE, 2n * ONE]);

// The rest goes back: a part by refund, a part asked for by the payer, which takes its delay.
const nonce = await channels.read.refundNonce([channelId]);
const refundAmount = ONE / 2n;
const refundAuthorizerSignature = await authorizer.account.signTypedData({
  domain,
  types: {
    Refund: [
      { name: "channelId", type: "bytes32" },
      { name: "nonce", type: "uint256" },
      { name: "amount", type: "uint128" },
    ],
  },
  primaryType: "Refund",
  message: { channelId, nonce, amount: refundAmount },
});
const left = await signVoucher(payer.account, channelId, String(2n * ONE), network);
const refund = {
  type: "refund",
  channelConfig: config,
  voucher: left,
  amount: String(refundAmount),
  refundNonce: String(nonce),
  claims: [],
  refundAuthorizerSignature,
};
done(await facilitator.settle(payment(refund), terms), "refund");
assert.deepEqual(await channels.read.channels([channelId]), [deposited - refundAmount, 2n * ONE]);
const ask = await channels.write.initiateWithdraw([config, ONE / 4n]);
await payer.waitForTransactionReceipt({ hash: ask });
const [amount, initiatedAt] = await channels.read.pendingWithdrawals([channelId]);
assert.equal(amount, ONE / 4n);
assert.ok(initiatedAt > 0);
await assert.rejects(payer.simulateContract({ address: CHANNELS, abi: parseAbi(abi), functionName: "finalizeWithdraw", args: [config], account: payer.account }));
console.log(`x402 batch-settlement on chain ${id}: deposit ${deposited} wei, claimed 2 OPEN, settled, refunded, withdrawal under way`);

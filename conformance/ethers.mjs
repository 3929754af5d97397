// ethers reads balances, module views and module events, and sends a transfer.
import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, Wallet, parseEther } from "ethers";

const [rpc, account, demoFile] = process.argv.slice(2);
const demo = JSON.parse(readFileSync(demoFile, "utf8"));
const provider = new JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1 });
const check = (condition, text) => {
  if (!condition) throw new Error(text);
};

const balance = await provider.getBalance(account);
const open = new Contract(
  "0x4f50454e00000000000000000000000000000001",
  ["function balanceOf(address) view returns (uint256)", "function totalSupply() view returns (uint256)",
    "function symbol() view returns (string)"],
  provider,
);
check((await open.balanceOf(account)) === balance, "the ERC-20 face and the native balance differ");
check((await open.symbol()) === "OPEN", "the symbol is not OPEN");
const burnt = await provider.getBalance("0x4f50454e000000000000000000000000000000f2");
check((await open.totalSupply()) + burnt === 10n ** 27n, "supply and burnt do not add up to the genesis supply");

const settlement = new Contract(
  "0x4f50454e00000000000000000000000000000005",
  ["event Finalised(uint256 indexed batch, uint256 fees, uint256 burnt)",
    "event Claimed(uint256 indexed batch, uint256 indexed index, address indexed account, uint8 role, uint256 amount)",
    "function batchCount() view returns (uint256)"],
  provider,
);
const finalised = await settlement.queryFilter(settlement.filters.Finalised(), 0);
check(finalised.some((event) => event.args.fees.toString() === demo.fee_wei), "no Finalised event has the demo's fees");
const claims = await settlement.queryFilter(settlement.filters.Claimed(BigInt(demo.batch)), 0);
const claimed = claims.reduce((sum, event) => sum + event.args.amount, 0n);
const due = demo.paid
  .filter((line) => ["contributor", "base_pool", "operator", "developer"].includes(line.role))
  .reduce((sum, line) => sum + BigInt(line.wei), 0n);
check(claimed === due, `claimed ${claimed}, due ${due}`);

const poor = Wallet.createRandom(provider);
try {
  await poor.sendTransaction({ to: account, value: parseEther("1") });
  throw new Error("a transfer without funds was accepted");
} catch (error) {
  check(error.code === "INSUFFICIENT_FUNDS", `a transfer without funds: ${error.code} ${error.message}`);
}
console.log(balance.toString());

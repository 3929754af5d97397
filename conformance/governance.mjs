// OpenZeppelin's Governor and timelock of the genesis through ethers: a change of a governed number, a payment of the
// treasury, a proposal that the guardian cancels. node governance.mjs RPC KEY
import { Contract, Interface, JsonRpcProvider, NonceManager, Wallet, encodeBytes32String, id, parseEther } from "ethers";

const [rpc, key] = process.argv.slice(2);
const provider = new JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 100 });
const owner = new NonceManager(new Wallet(key, provider));
const ownerAddress = await owner.getAddress();
const guardian = new Wallet("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d", provider);
const module = (number) => `0x4f50454e000000000000000000000000000000${number}`;
const [stakingAt, paramsAt, treasury, governorAt] = ["06", "07", "f1", "f3"].map(module);
const check = (condition, text) => {
  if (!condition) throw new Error(text);
};
const done = async (transaction) => {
  const receipt = await (await transaction).wait();
  check(receipt.status === 1, `transaction ${receipt.hash} failed`);
  return receipt;
};
const fails = async (call, name) => {
  try {
    await call;
  } catch (error) {
    check(!name || error.revert?.name === name, `${error.revert?.name ?? error.shortMessage}, not ${name}`);
    return;
  }
  throw new Error(`a call that must fail (${name}) succeeded`);
};

const params = new Contract(
  paramsAt,
  ["function get(bytes32) view returns (uint256)", "function governor() view returns (address)",
    "function scheduled(bytes32) view returns (uint256 value, uint64 from)",
    "function schedule(bytes32[] names, uint256[] values)", "error NotGovernor(address caller, address governor)",
    "error OutOfRange(bytes32 name, uint256 value, uint256 least, uint256 most)"],
  owner,
);
const staking = new Contract(
  stakingAt,
  ["function stake(uint8 role) payable", "function getVotes(address) view returns (uint256)",
    "function getPastTotalSupply(uint256) view returns (uint256)", "function clock() view returns (uint48)",
    "function CLOCK_MODE() view returns (string)"],
  owner,
);
const proposalTypes = "address[] targets, uint256[] values, bytes[] calldatas";
const governor = new Contract(
  governorAt,
  [`function propose(${proposalTypes}, string description) returns (uint256)`,
    `function queue(${proposalTypes}, bytes32 descriptionHash) returns (uint256)`,
    `function execute(${proposalTypes}, bytes32 descriptionHash) payable returns (uint256)`,
    `function hashProposal(${proposalTypes}, bytes32 descriptionHash) view returns (uint256)`,
    "function castVote(uint256 proposalId, uint8 support) returns (uint256)",
    "function state(uint256) view returns (uint8)", "function proposalSnapshot(uint256) view returns (uint256)",
    "function proposalDeadline(uint256) view returns (uint256)", "function proposalEta(uint256) view returns (uint256)",
    "function quorum(uint256) view returns (uint256)", "function timelock() view returns (address)",
    "error GovernorInsufficientProposerVotes(address proposer, uint256 votes, uint256 threshold)"],
  owner,
);
const timelock = new Contract(
  treasury,
  ["function cancel(bytes32 id)", "function getMinDelay() view returns (uint256)",
    `function hashOperationBatch(address[] targets, uint256[] values, bytes[] payloads, bytes32 predecessor, bytes32 salt) pure returns (bytes32)`,
    "function schedule(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt, uint256 delay)",
    "error AccessControlUnauthorizedAccount(address account, bytes32 neededRole)"],
  guardian,
);

const states = ["pending", "active", "canceled", "defeated", "succeeded", "queued", "expired", "executed"];
const state = async (proposal) => states[Number(await governor.state(proposal))];
// Time passes with transactions: a block for each.
const tick = () => done(owner.sendTransaction({ to: ownerAddress, value: 1n }));
const past = async (block) => {
  while ((await provider.getBlockNumber()) <= Number(block)) await tick();
};
const until = async (condition) => {
  for (let waited = 0; !(await condition()); waited += 1) {
    check(waited < 200, "it takes too long");
    await tick();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

check((await params.governor()).toLowerCase() === treasury, "the timelock does not own the governed numbers");
check((await governor.timelock()).toLowerCase() === treasury, "the Governor has another timelock");
check((await timelock.getMinDelay()) === 4n, "the timelock is not as the genesis says");
check((await staking.CLOCK_MODE()) === "mode=blocknumber&from=default", "the clock of votes is another");

const move = encodeBytes32String("move_window");
const change = (value) => [paramsAt, 0n, params.interface.encodeFunctionData("schedule", [[move], [value]])];
const pack = (calls) => [0, 1, 2].map((part) => calls.map((call) => call[part]));
const change700 = pack([change(700n)]);
await tick();
await fails(governor.propose.staticCall(...change700, "too early"), "GovernorInsufficientProposerVotes");
await fails(params.schedule.staticCall([move], [700n]), "NotGovernor");

await done(staking.stake(3, { value: parseEther("5000") }));
check((await staking.getVotes(ownerAddress)) === parseEther("5000"), "stake is no vote");
await tick();

// The whole way of a proposal up to the queue.
const queued = async (calls, description) => {
  const hash = id(description);
  const proposal = await governor.hashProposal(...calls, hash);
  await done(governor.propose(...calls, description));
  check((await state(proposal)) === "pending", "a new proposal is not pending");
  await past(await governor.proposalSnapshot(proposal));
  check((await state(proposal)) === "active", "the vote has not begun");
  await done(governor.castVote(proposal, 1));
  await past(await governor.proposalDeadline(proposal));
  check((await state(proposal)) === "succeeded", `the proposal is ${await state(proposal)}`);
  await done(governor.queue(...calls, hash));
  check((await state(proposal)) === "queued", "the proposal is not queued");
  await fails(governor.execute.staticCall(...calls, hash));
  return { proposal, hash };
};
const execute = async (calls, { proposal, hash }) => {
  const eta = await governor.proposalEta(proposal);
  await until(async () => BigInt((await provider.getBlock("latest")).timestamp) >= eta);
  await done(governor.execute(...calls, hash));
  check((await state(proposal)) === "executed", "the proposal is not executed");
};

const before = await params.get(move);
const changed = await queued(change700, "Moves of a challenge take 700 blocks");
const snapshot = await governor.proposalSnapshot(changed.proposal);
check((await governor.quorum(snapshot)) === (await staking.getPastTotalSupply(snapshot)) / 10n, "the quorum is not of all stake");
await execute(change700, changed);
const scheduled = await params.scheduled(move);
check(scheduled.value === 700n && scheduled.from % 5n === 0n, "the change is not scheduled for an epoch");
await until(async () => (await params.get(move)) === 700n);
console.log(`move_window ${before} -> ${await params.get(move)}`);

await done(owner.sendTransaction({ to: treasury, value: parseEther("50") }));
const payee = Wallet.createRandom().address;
const payment = pack([[payee, parseEther("20"), "0x"]]);
const funds = await provider.getBalance(treasury);
await execute(payment, await queued(payment, "A grant of 20 OPEN"));
check((await provider.getBalance(payee)) === parseEther("20"), "the grant was not paid");
check(funds - (await provider.getBalance(treasury)) === parseEther("20"), "the treasury paid another amount");
console.log("the treasury paid 20 OPEN");

await done(owner.sendTransaction({ to: guardian.address, value: parseEther("1") }));
const loot = pack([[ownerAddress, parseEther("10"), "0x"]]);
const waiting = await queued(loot, "Loot");
const salt = `0x${(BigInt(waiting.hash) ^ (BigInt(governorAt) << 96n)).toString(16).padStart(64, "0")}`;
const zero = `0x${"0".repeat(64)}`;
const operation = await timelock.hashOperationBatch(...loot, zero, salt);
await fails(
  timelock.schedule.staticCall(guardian.address, 1n, "0x", zero, zero, 4n), "AccessControlUnauthorizedAccount",
);
await fails(timelock.connect(owner).cancel.staticCall(operation), "AccessControlUnauthorizedAccount");
await done(timelock.cancel(operation));
check((await state(waiting.proposal)) === "canceled", "the guardian's word does not count");
await fails(governor.execute.staticCall(...loot, waiting.hash));
console.log("the guardian cancelled");

const wild = pack([change(90_000n)]);
const refused = await queued(wild, "Out of the step");
const eta = await governor.proposalEta(refused.proposal);
await until(async () => BigInt((await provider.getBlock("latest")).timestamp) >= eta);
await fails(governor.execute.staticCall(...wild, refused.hash));
check((await params.get(move)) === 700n, "a step was too large");
console.log("a change beyond the step is refused at its execution");

// Calls of the modules by their ABI through ethers, unmodified, with a record of which functions were called.
import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, NonceManager, Wallet, getAddress, parseEther } from "ethers";

export const check = (condition, text) => {
  if (!condition) throw new Error(text);
};

const ours = (number) => getAddress(`0x4f50454e0000000000000000000000000000000${number}`);
const ADDRESSES = {
  IOpen: ours(1),
  IDatanets: ours(2),
  IModels: ours(3),
  IEscrow: ours(4),
  ISettlement: ours(5),
  IStaking: ours(6),
  IParams: ours(7),
  IChannels: getAddress("0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003"),
};

// connect(RPC, KEY, ABI_FILE, the interfaces of which every function has to be called)
export const connect = (rpc, key, abiFile, interfaces) => {
  const abi = JSON.parse(readFileSync(abiFile, "utf8"));
  const provider = new JsonRpcProvider(rpc, undefined, { cacheTimeout: -1, pollingInterval: 50 });
  const bank = new NonceManager(new Wallet(key, provider));
  const used = Object.fromEntries(interfaces.map((name) => [name, new Set()]));
  const note = (contract, name) => {
    const of = Object.keys(ADDRESSES).find((of) => ADDRESSES[of] === contract.target);
    used[of]?.add(name);
  };
  const person = async (amount = "1000") => {
    const wallet = new NonceManager(Wallet.createRandom(provider));
    await (await bank.sendTransaction({ to: await wallet.getAddress(), value: parseEther(amount) })).wait();
    return wallet;
  };
  const module = (name) => (who) => new Contract(ADDRESSES[name], abi[name], who);
  // Sends a call; returns its events by name. What a call writes can depend on the second in which it runs, so that it gets
  // twice as much gas as was estimated a block before.
  const send = async (contract, name, ...args) => {
    note(contract, name);
    const options = args.at(-1)?.value !== undefined ? args.pop() : {};
    const gasLimit = (await contract[name].estimateGas(...args, options)) * 2n;
    const sent = await contract[name](...args, { ...options, gasLimit });
    const receipt = await sent.wait().catch((failure) => failure.receipt ?? Promise.reject(failure));
    check(receipt.status === 1, `${name} failed with ${receipt.gasUsed} gas of ${gasLimit}`);
    const events = receipt.logs.map((log) => contract.interface.parseLog(log)).filter((event) => event);
    return Object.fromEntries(events.map((event) => [event.name, event.args]));
  };
  const read = async (contract, name, ...args) => {
    note(contract, name);
    return contract[name].staticCall(...args);
  };
  // A call must be refused with this error of the ABI.
  const refused = async (contract, error, name, ...args) => {
    try {
      await contract[name].staticCall(...args);
    } catch (failure) {
      check(failure.revert?.name === error, `${name}: ${failure.revert?.name ?? failure.message}, expected ${error}`);
      note(contract, name);
      return failure.revert.args;
    }
    throw new Error(`${name} was not refused`);
  };
  const later = async () => {
    const from = await provider.getBlockNumber();
    while ((await provider.getBlockNumber()) <= from) {
      await (await bank.sendTransaction({ to: await bank.getAddress(), value: 1n })).wait();
    }
  };
  // Nothing of the ABI was left out.
  const finish = () => {
    for (const [name, calls] of Object.entries(used)) {
      const all = abi[name].filter((entry) => entry.type === "function");
      const signature = (entry) => `${entry.name}(${entry.inputs.map(typeOf).join()})`;
      const missing = all.filter((entry) => !calls.has(entry.name) && !calls.has(signature(entry)));
      check(missing.length === 0, `${name} was not called: ${missing.map(signature)}`);
      console.log(`${name}: ${all.length} functions called through ethers`);
    }
    provider.destroy();
  };
  return { provider, bank, person, module, send, read, refused, later, finish };
};

const typeOf = (input) =>
  input.type.startsWith("tuple") ? `(${input.components.map(typeOf).join()})${input.type.slice(5)}` : input.type;

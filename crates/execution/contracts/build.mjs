// Compiles the contracts of the genesis with npm's solc from OpenZeppelin's published, unmodified sources, and takes the creation
// code of Multicall3 from viem, which deploys it where a chain has none:
//   node build.mjs NODE_MODULES > predeploys.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const modules = process.argv[2];
const solc = createRequire(join(modules, "package.json"))("solc");
const folder = dirname(fileURLToPath(import.meta.url));
const timelock = "@openzeppelin/contracts/governance/TimelockController.sol";
const wanted = [["OpenLedgerGovernor.sol", "OpenLedgerGovernor"], [timelock, "TimelockController"]];
const input = {
  language: "Solidity",
  sources: {
    "OpenLedgerGovernor.sol": { content: readFileSync(join(folder, "OpenLedgerGovernor.sol"), "utf8") },
    [timelock]: { content: readFileSync(join(modules, timelock), "utf8") },
  },
  settings: {
    evmVersion: "osaka",
    optimizer: { enabled: true, runs: 200 },
    outputSelection: Object.fromEntries(wanted.map(([file, name]) => [file, { [name]: ["evm.bytecode.object"] }])),
  },
};
const read = (path) => ({ contents: readFileSync(join(modules, path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version;
const bytecode = Object.fromEntries(
  wanted.map(([file, name]) => [name, `0x${output.contracts[file][name].evm.bytecode.object}`]),
);
const require = createRequire(join(modules, "package.json"));
bytecode.Multicall3 = require(resolve(modules, "viem/_cjs/constants/contracts.js")).multicall3Bytecode;
const sources = {
  solc: solc.version(),
  openzeppelin: version("@openzeppelin/contracts"),
  viem: version("viem"),
};
console.log(JSON.stringify({ sources, settings: { ...input.settings, outputSelection: undefined }, bytecode }, null, 2));

// Compiles Token.sol with npm's solc and OpenZeppelin's published sources: node compile.mjs NODE_MODULES > token.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const modules = process.argv[2];
const solc = createRequire(join(modules, "package.json"))("solc");
const input = {
  language: "Solidity",
  sources: { "Token.sol": { content: readFileSync(new URL("Token.sol", import.meta.url), "utf8") } },
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "Token.sol": { Token: ["abi", "evm.bytecode.object"] } },
  },
};
const read = (path) => ({ contents: readFileSync(join(modules, path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
const { abi, evm } = output.contracts["Token.sol"].Token;
console.log(JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }));

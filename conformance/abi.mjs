// The ABI of every module, from the Solidity of crates/types/src/abi/*.rs, by the published compiler.
// abi.mjs <node_modules>: prints { "IOpen": [...], ... }
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const modules = resolve(process.argv[2]);
const solc = createRequire(join(modules, "package.json"))("solc");
const folder = "crates/types/src/abi";
const body = readdirSync(folder)
  .filter((name) => name !== "mod.rs")
  .map((name) => readFileSync(join(folder, name), "utf8"))
  .map((rust) => rust.slice(rust.indexOf("sol! {") + 6, rust.lastIndexOf("}")))
  .join("\n");
const solidity = body
  .split("\n")
  .filter((line) => !line.trim().startsWith("#["))
  .map((line) => line.replace(/\/\/.*$/, ""))
  .join("\n");
const input = {
  language: "Solidity",
  sources: { "abi.sol": { content: `pragma solidity ^0.8.0;\n${solidity}` } },
  settings: { outputSelection: { "*": { "*": ["abi"] } } },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
const contracts = Object.entries(output.contracts["abi.sol"]);
console.log(JSON.stringify(Object.fromEntries(contracts.map(([name, { abi }]) => [name, abi]))));

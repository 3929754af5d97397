// Hardhat on a running node: RPC and KEY from the environment, the compiler from npm instead of the network.
require("@nomicfoundation/hardhat-ethers");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
const solc = require("solc");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => ({
  compilerPath: require.resolve("solc/soljson.js"),
  isSolcJs: true,
  version: solcVersion,
  longVersion: solc.version(),
}));

module.exports = {
  solidity: {
    version: "0.8.37",
    settings: { evmVersion: "cancun", optimizer: { enabled: true, runs: 200 } },
  },
  networks: { openledger: { url: process.env.RPC, accounts: [process.env.KEY] } },
};

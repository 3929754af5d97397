// Hardhat compiles and deploys the token, and asserts what a test suite would: fees, transfers, events over WebSocket, a permit,
// tags, reverts.
const assert = require("node:assert/strict");
const { ethers, network } = require("hardhat");

async function main() {
  const [owner] = await ethers.getSigners();
  const friend = ethers.Wallet.createRandom(ethers.provider);
  const { chainId } = await ethers.provider.getNetwork();

  const fees = await ethers.provider.getFeeData();
  assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas, "the most is not above the tip");
  assert.equal(await ethers.provider.estimateGas({ from: owner.address, to: friend.address, value: 1n }), 21_000n);
  const sent = await (await owner.sendTransaction({ to: friend.address, value: ethers.parseEther("1") })).wait();
  for (const tag of ["safe", "finalized", "latest"]) {
    const block = await network.provider.send("eth_getBlockByNumber", [tag, false]);
    assert.ok(Number(block.number) >= sent.blockNumber, `${tag} is behind a receipt that was shown`);
  }
  assert.equal(await ethers.provider.getBalance(friend.address), ethers.parseEther("1"));

  const token = await ethers.deployContract("Token", [1_000_000n]);
  await token.waitForDeployment();
  const address = await token.getAddress();
  const socket = new ethers.WebSocketProvider(network.config.url.replace("http", "ws"));
  const heard = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("no event within 20 s")), 20_000).unref();
    new ethers.Contract(address, token.interface, socket).on("Transfer", (...event) => resolve(event));
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const receipt = await (await token.transfer(friend.address, 7n)).wait();
  const { args } = receipt.logs.map((log) => token.interface.parseLog(log)).find((event) => event.name === "Transfer");
  assert.deepEqual([...args], [owner.address, friend.address, 7n]);
  const event = await heard;
  assert.deepEqual(event.slice(0, 3), [owner.address, friend.address, 7n]);
  assert.equal(event[3].log.transactionHash, receipt.hash);

  const { name, version } = await token.eip712Domain();
  const field = (type) => (name) => ({ name, type });
  const Permit = [...["owner", "spender"].map(field("address")), ...["value", "nonce", "deadline"].map(field("uint256"))];
  const message = { owner: friend.address, spender: owner.address, value: 5n, nonce: 0n, deadline: 2n ** 64n };
  const domain = { name, version, chainId, verifyingContract: address };
  const { v, r, s } = ethers.Signature.from(await friend.signTypedData(domain, { Permit }, message));
  await (await token.permit(friend.address, owner.address, 5n, message.deadline, v, r, s)).wait();
  assert.equal(await token.allowance(friend.address, owner.address), 5n);

  const revert = await token.transfer.staticCall(friend.address, 10n ** 30n).catch((error) => error);
  assert.equal(token.interface.parseError(revert.data).name, "ERC20InsufficientBalance");
  console.log(`hardhat: ${await ethers.provider.getBlockNumber()} blocks, token ${address}`);
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});

// Hardhat compiles and deploys the token, and asserts what a test suite would: transfers, events, a permit, tags, reverts.
const assert = require("node:assert/strict");
const { ethers, network } = require("hardhat");

async function main() {
  const [owner] = await ethers.getSigners();
  const friend = ethers.Wallet.createRandom(ethers.provider);
  const { chainId } = await ethers.provider.getNetwork();

  const sent = await (await owner.sendTransaction({ to: friend.address, value: ethers.parseEther("1") })).wait();
  for (const tag of ["safe", "finalized", "latest"]) {
    const block = await network.provider.send("eth_getBlockByNumber", [tag, false]);
    assert.ok(Number(block.number) >= sent.blockNumber, `${tag} is behind a receipt that was shown`);
  }
  assert.equal(await ethers.provider.getBalance(friend.address), ethers.parseEther("1"));

  const token = await ethers.deployContract("Token", [1_000_000n]);
  await token.waitForDeployment();
  const address = await token.getAddress();
  const receipt = await (await token.transfer(friend.address, 7n)).wait();
  const { args } = receipt.logs.map((log) => token.interface.parseLog(log)).find((event) => event.name === "Transfer");
  assert.deepEqual([...args], [owner.address, friend.address, 7n]);

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

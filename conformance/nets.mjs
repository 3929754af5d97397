// ethers, unmodified, makes every operation of Datanets and models by its ABI: nets.mjs RPC KEY ABI_FILE
import { AbiCoder, ZeroAddress, id, keccak256, parseEther } from "ethers";
import { check, connect } from "./calls.mjs";

const [rpc, key, abiFile] = process.argv.slice(2);
const { provider, bank, person, module, send, read, refused, later, finish } = connect(rpc, key, abiFile, [
  "IDatanets",
  "IModels",
]);
const [ALLOW, DENY] = [2, 0];
const [owner, alice, bob, carol] = await Promise.all([bank, person(), person(), person()]);
const [ownerAt, aliceAt, bobAt, carolAt] = await Promise.all([owner, alice, bob, carol].map((who) => who.getAddress()));
const [datanets, models, params] = ["IDatanets", "IModels", "IParams"].map(module);

// A Datanet with a bond; contributions accepted, rejected and called spam.
const terms = { train: ALLOW, infer: ALLOW, crawl: DENY };
const { Created } = await send(datanets(owner), "create", "conformance", "MIT", 0, terms);
const net = Created.datanet;
check((await read(datanets(owner), "policy", net)).period === 259200n, "the default period is three days");
const bond = parseEther("2");
await send(datanets(owner), "setPolicy", net, { acceptance: 0, bond, period: 600 });
await refused(datanets(alice), "NotOwner", "setPolicy", net, { acceptance: 0, bond, period: 600 });
await refused(datanets(owner), "InvalidPolicy", "setPolicy", net, { acceptance: 0, bond, period: 1 });
let salt = 0;
const contribute = async (who, bond) => {
  salt += 1;
  const values = [net, id(`records ${salt}`), id(`file ${salt}`), 3, id(`salt ${salt}`)];
  const types = ["address", "uint256", "bytes32", "bytes32", "uint32", "bytes32"];
  const commitment = keccak256(AbiCoder.defaultAbiCoder().encode(types, [await who.getAddress(), ...values]));
  await send(datanets(who), "commit", net, commitment);
  check((await read(datanets(who), "commitmentBlock", commitment)) > 0n, "the commitment is there");
  await later();
  const { Revealed } = await send(datanets(who), "reveal", ...values, { value: bond });
  return Revealed.contribution;
};
const first = await contribute(alice, bond);
check((await read(datanets(owner), "decision", first)).bond === bond, "the bond waits");
const { BondReturned, TransferSingle } = await send(datanets(owner), "accept", first);
check(BondReturned.amount === bond && TransferSingle.value === 1000000n, "bond and right are the contributor's");
const second = await contribute(alice, bond);
await send(datanets(owner), "reject", second, "off topic");
const third = await contribute(bob, bond);
const { BondBurnt } = await send(datanets(owner), "rejectSpam", third, "spam");
check(BondBurnt.amount === bond, "the bond of spam is burnt");
check((await read(datanets(owner), "contribution", first)).status === 2n, "the first is accepted");
check((await read(datanets(owner), "contributionCount")) >= 3n, "contributions are counted");

// Terms: the narrowest hold.
await send(datanets(alice), "setTerms", first, { train: 1, infer: ALLOW, crawl: ALLOW });
await send(datanets(alice), "setRecordTerms", first, 1, { train: DENY, infer: ALLOW, crawl: ALLOW });
await refused(datanets(alice), "UnknownRecord", "setRecordTerms", first, 3, terms);
await refused(datanets(bob), "NotContributor", "setTerms", first, terms);
const [whole, single] = [await read(datanets(bob), "termsOf", first, 0), await read(datanets(bob), "termsOf", first, 1)];
check(whole.train === 1n && single.train === 0n && whole.crawl === 0n, "terms are the narrowest");
check((await read(datanets(bob), "recordTermsCount", first)) === 1n, "one record has terms of its own");

// The right as ERC-1155.
for (const known of ["0x01ffc9a7", "0xd9b67a26"]) {
  check(await read(datanets(bob), "supportsInterface", known), `ERC-165 ${known}`);
}
check((await read(datanets(bob), "uri", first)).startsWith("data:application/json"), "uri");
check(JSON.parse(decodeURIComponent((await read(datanets(bob), "uri", first)).split(",").slice(1).join(","))).name, "uri is JSON");
check((await read(datanets(bob), "payee", first)) === aliceAt, "the contributor is paid");
await refused(datanets(bob), "ERC1155MissingApprovalForAll", "safeTransferFrom", aliceAt, bobAt, first, 1, "0x");
await send(datanets(alice), "setApprovalForAll", bobAt, true);
check(await read(datanets(bob), "isApprovedForAll", aliceAt, bobAt), "approved");
await send(datanets(bob), "safeTransferFrom", aliceAt, bobAt, first, 250000, "0x");
await send(datanets(bob), "safeBatchTransferFrom", bobAt, carolAt, [first, first], [1, 49999], "0x");
const units = await read(datanets(bob), "balanceOfBatch", [aliceAt, bobAt, carolAt], [first, first, first]);
check(units.join() === "750000,200000,50000", `units ${units}`);
check((await read(datanets(bob), "balanceOf", bobAt, first)) === 200000n, "balanceOf");
const royalties = await read(datanets(bob), "royaltyAccount", first);
check((await read(datanets(bob), "payee", first)) === royalties, "a divided right is paid to its royalty account");
const past = (await provider.getBlock(1)).timestamp;
check((await read(datanets(bob), "payeeAt", first, past)) === aliceAt, "and was paid to the contributor before");

// Income, and curators who get a tenth of it over a week.
await (await bank.sendTransaction({ to: royalties, value: parseEther("100") })).wait();
await send(datanets(carol), "collect", first);
check((await read(datanets(bob), "royalty", first, bobAt)) === parseEther("20"), "a fifth is 20 OPEN");
const { RoyaltyClaimed } = await send(datanets(carol), "claimRoyalty", first, bobAt);
check(RoyaltyClaimed.amount === parseEther("20"), "claimed");
const { Curated } = await send(datanets(carol), "curate", net, { value: parseEther("100") });
check(Curated.tax === parseEther("1"), "the tax is a hundredth");
await (await bank.sendTransaction({ to: royalties, value: parseEther("10") })).wait();
const { RoyaltyCollected } = await send(datanets(bob), "collect", first);
check(RoyaltyCollected.toCurators === parseEther("1"), "curators get a tenth");
const curation = await read(datanets(bob), "curation", net);
check(curation.stake === parseEther("99") && curation.revenue === parseEther("110"), "curation");
// Until a second has passed there is nothing to claim, and a claim of nothing needs less than half the gas.
let reward = 0n;
while (reward === 0n) {
  await later();
  [, , reward] = await read(datanets(bob), "curator", net, carolAt);
}
const { CurationClaimed } = await send(datanets(carol), "claimCuration", net);
check(CurationClaimed.amount >= reward, "yield");

// A vote of the curators.
await send(datanets(owner), "setPolicy", net, { acceptance: 1, bond: 0, period: 600 });
await new Promise((done) => setTimeout(done, 1100));
const voted = await contribute(alice, 0n);
await refused(datanets(owner), "NotYours", "accept", voted);
await refused(datanets(bob), "NotCurator", "vote", voted, 1);
await refused(datanets(bob), "PeriodOpen", "decide", voted);
await send(datanets(carol), "vote", voted, 1);
await send(datanets(bob), "decide", voted);
check((await read(datanets(owner), "contribution", voted)).status === 2n, "taken in by vote");
await refused(datanets(carol), "ZeroAmount", "withdrawCuration", net);
const { Uncurated } = await send(datanets(carol), "uncurate", net, 1n);
const leaving = await read(datanets(bob), "leaving", net, carolAt);
check(leaving.amount === 1n && leaving.until === Uncurated.until, "a wei of stake is leaving");
await refused(datanets(carol), "StillLeaving", "withdrawCuration", net);
await refused(datanets(bob), "NothingToSlash", "slashCurator", voted, carolAt);

// Takedown and counter-notice; withdrawal.
const notice = parseEther("10");
await refused(datanets(bob), "WrongBond", "takedown", voted, "mine", { value: 1n });
await send(datanets(bob), "takedown", voted, "mine", { value: notice });
await refused(datanets(carol), "TakedownOpen", "collect", voted);
await refused(datanets(alice), "TakedownOpen", "withdraw", voted);
await send(datanets(alice), "counterNotice", voted, "not yours", { value: notice });
check((await read(datanets(alice), "takedownOf", voted)).defender === aliceAt, "countered");
await refused(datanets(carol), "PeriodOpen", "resolveTakedown", voted);
await refused(datanets(carol), "NotGovernor", "upholdTakedown", voted);
await send(datanets(owner), "setPolicy", net, { acceptance: 0, bond: 0, period: 600 });
const gone = await contribute(alice, 0n);
await send(datanets(owner), "accept", gone);
await send(datanets(alice), "withdraw", gone);
check((await read(datanets(alice), "payee", gone)) === ZeroAddress, "nothing accrues to what is withdrawn");
const { VersionPublished } = await send(datanets(owner), "publishVersion", net, id("manifest"), id("root"), 3, 2);
check((await read(datanets(owner), "version", net, VersionPublished.version)).records === 3n, "version");
check((await read(datanets(owner), "datanet", net)).versions === 1n, "datanet");
check((await read(datanets(owner), "datanetCount")) >= net, "datanets are counted");

// Adapters: fee, price, lineage, ERC-721.
const fee = await params(provider).get(
  `0x${Buffer.from("deployment_fee").toString("hex").padEnd(64, "0")}`,
);
const { BaseRegistered } = await send(models(alice), "registerBase", "tiny", "MIT", id(`base ${Date.now()}`));
const base = BaseRegistered.base;
const baseHash = (await read(models(alice), "base", base)).fileHash;
check((await read(models(alice), "baseByHash", baseHash)) === base, "base by hash");
check((await read(models(alice), "baseCount")) >= base, "bases are counted");
const train = async (who, name) => {
  const manifest = id(`${name} ${Date.now()}`);
  await send(models(who), "commitTraining", manifest);
  check((await read(models(who), "training", manifest)).developer === (await who.getAddress()), "training");
  await later();
  return [manifest, id(`adapter ${manifest}`), id("transcript"), [{ datanet: net, version: 1 }], 1, 2];
};
const adapterArgs = await train(alice, "first");
await refused(models(alice), "WrongFee", "publishAdapter", base, ...adapterArgs);
const published = await send(models(alice), "publishAdapter", base, ...adapterArgs, { value: fee });
const adapter = published.AdapterPublished.adapter;
check(published.Transfer.to === aliceAt, "the token is the developer's");
check((await read(models(alice), "adapterByHash", adapterArgs[1])) === adapter, "adapter by hash");
check((await read(models(alice), "adapterCount")) >= adapter, "adapters are counted");
await send(models(alice), "setPrice", adapter, 5, 6);
check((await read(models(alice), "adapter", adapter)).outputPrice === 6n, "price");
await send(models(alice), "setRoyalty", adapter, 100000);
const derivedArgs = await train(bob, "second");
await refused(models(bob), "InvalidShare", "publishDerived", adapter, 99999, ...derivedArgs, { value: fee });
const derived = (await send(models(bob), "publishDerived", adapter, 100000, ...derivedArgs, { value: fee })).Derived.adapter;
check((await read(models(bob), "lineage", derived)).parent === adapter, "lineage");
const now = (await provider.getBlock("latest")).timestamp;
const income = await read(models(bob), "incomeAt", derived, now);
check(income.accounts.join() === [bobAt, aliceAt].join() && income.parts.join() === "900000,100000", `income ${income}`);
for (const known of ["0x01ffc9a7", "0x80ac58cd", "0x5b5e139f"]) {
  check(await read(models(bob), "supportsInterface", known), `ERC-165 ${known}`);
}
check((await read(models(bob), "name")) && (await read(models(bob), "symbol")), "name and symbol");
check(JSON.parse(decodeURIComponent((await read(models(bob), "tokenURI", adapter)).split(",").slice(1).join(","))).name, "tokenURI");
check((await read(models(bob), "ownerOf", adapter)) === aliceAt, "ownerOf");
await refused(models(bob), "ERC721InsufficientApproval", "transferFrom", aliceAt, bobAt, adapter);
await send(models(alice), "approve", bobAt, adapter);
check((await read(models(bob), "getApproved", adapter)) === bobAt, "getApproved");
await send(models(bob), "transferFrom", aliceAt, bobAt, adapter);
check((await read(models(bob), "balanceOf", bobAt)) === 2n, "balanceOf");
await send(models(bob), "setApprovalForAll", carolAt, true);
check(await read(models(bob), "isApprovedForAll", bobAt, carolAt), "isApprovedForAll");
await send(models(carol), "safeTransferFrom(address,address,uint256)", bobAt, carolAt, adapter);
await send(models(carol), "safeTransferFrom(address,address,uint256,bytes)", carolAt, bobAt, adapter, "0x01");
await refused(models(alice), "NotOwner", "retire", adapter);
await send(models(bob), "retire", adapter);
check((await read(models(bob), "adapter", adapter)).retired, "retired");

finish();

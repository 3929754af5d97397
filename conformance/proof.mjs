// A light client that shares no code with the chain: from the genesis file alone it checks what a node says of an account and
// of slots, and refuses every changed byte. The rules are those of `crates/client/src/light`.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [rpc, genesisFile, account, library] = process.argv.slice(2);
const libraries = {
  ethers: async () => {
    const ethers = await import("ethers");
    return { ...ethers, node: new ethers.JsonRpcProvider(rpc, undefined, { staticNetwork: true, cacheTimeout: -1 }) };
  },
  viem: async () => {
    const { concat, createPublicClient, fromRlp, http, keccak256, numberToHex, toBytes } = await import("viem");
    const client = createPublicClient({ transport: http(rpc) });
    return {
      concat, keccak256,
      decodeRlp: (bytes) => fromRlp(bytes, "hex"),
      getBytes: (text) => toBytes(text),
      toBeHex: (number, size) => numberToHex(BigInt(number), { size }),
      toQuantity: (number) => numberToHex(number),
      toUtf8Bytes: (text) => toBytes(text),
      node: { send: (method, params) => client.request({ method, params }), destroy: () => {} },
    };
  },
};
const { concat, decodeRlp, getBytes, keccak256, node, toBeHex, toQuantity, toUtf8Bytes } = await libraries[library]();
const genesis = JSON.parse(readFileSync(genesisFile, "utf8"));
const check = (condition, text) => {
  if (!condition) throw new Error(`proof: ${text}`);
};

// What is trusted: chain, genesis and validators.
const genesisHash = keccak256(toUtf8Bytes(JSON.stringify(genesis)));
const validators = genesis.validators.map((seat) => seat.consensus_key.replace(/^0x/, "")).sort();
const namespace = Buffer.from(`openledger-${genesis.chain_id}-${genesisHash}_FINALIZE`);

const hash = (...parts) => keccak256(concat(parts));
const u64 = (number) => toBeHex(number, 8);
const varint = (number) => {
  const bytes = [];
  for (; number >= 0x80n; number >>= 7n) bytes.push(Number(number & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(number)]);
};

function checkCertificate(certificate) {
  check(BigInt(certificate.epoch) === 0n, "a certificate of another epoch");
  const needed = validators.length - Math.floor((validators.length - 1) / 3);
  check(certificate.signatures.length >= needed, "too few signatures");
  const message = Buffer.concat([
    varint(BigInt(namespace.length)), namespace,
    ...[certificate.epoch, certificate.view, certificate.parentView].map((number) => varint(BigInt(number))),
    getBytes(certificate.block),
  ]);
  let last = -1;
  for (const { signer, signature } of certificate.signatures) {
    check(Number(signer) > last && Number(signer) < validators.length, "signers out of order");
    last = Number(signer);
    const der = Buffer.from(`302a300506032b6570032100${validators[last]}`, "hex");
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    check(verify(null, message, key, getBytes(signature)), `the signature of ${signer} is false`);
  }
}

// The header of the block, as fields.
function checkHeaders(headers, certified) {
  const decoded = headers.map((header) => decodeRlp(header));
  decoded.slice(1).forEach((header, index) => check(header[0] === keccak256(headers[index]), "the headers do not join"));
  check(keccak256(headers.at(-1)) === certified, "the certificate is of another block");
  return decoded[0];
}

const ones = (number) => [...number.toString(2)].filter((bit) => bit === "1").length;
const positionOf = (first, height) => 2n * first - BigInt(ones(first)) + (2n << height) - 2n;

function treeRoot(proof, location, leaves) {
  const peaks = [];
  let first = 0n;
  for (let height = 63n; height >= 0n; height -= 1n) {
    if ((leaves >> height) & 1n) {
      peaks.push({ first, height });
      first += 1n << height;
    }
  }
  const digests = [...proof.digests];
  const take = (count) => {
    check(digests.length >= count, "digests are missing");
    return digests.splice(0, count);
  };
  const holds = ({ first, height }) => location >= first && location < first + (1n << height);
  const own = peaks.findIndex(holds);
  const inactive = Number(proof.inactivePeaks);
  check(inactive <= peaks.length, "too many inactive peaks");
  const foldedBefore = Math.min(inactive, own);
  const before = [...take(foldedBefore ? 1 : 0), ...take(own - foldedBefore)];
  const after = peaks.length - own - 1;
  const inactiveAfter = Math.max(inactive - own - 1, 0);
  const behind = [...take(inactiveAfter), ...take(after > inactiveAfter ? 1 : 0)];
  const climb = ({ first, height }) => {
    if (height === 0n) return hash(u64(positionOf(first, height)), "0xd2", proof.key, proof.value, proof.nextKey);
    const half = { first, height: height - 1n };
    const children = [half, { ...half, first: first + (1n << half.height) }];
    const digest = hash(u64(positionOf(first, height)), ...children.map((child) => (holds(child) ? climb(child) : take(1)[0])));
    return height === 8n ? hash(proof.chunk, digest) : digest;
  };
  const all = [...before, climb(peaks[own]), ...behind];
  check(digests.length === 0, "digests are left over");
  const fromLeft = Math.max(foldedBefore ? inactive - foldedBefore + 1 : inactive, 1);
  let folded = all.slice(0, fromLeft).reduce((acc, peak) => hash(acc, peak));
  const right = all.slice(fromLeft);
  if (right.length) folded = hash(folded, right.reduceRight((acc, peak) => hash(peak, acc)));
  return hash("0x0001", u64(leaves), inactive ? u64(inactive) : "0x", folded);
}

// What the state holds at a key: 72 bytes, or null.
function checkEntry(proof, key, root) {
  const [location, leaves] = [BigInt(proof.location), BigInt(proof.leaves)];
  check(location < leaves, "a place outside of the log");
  check(getBytes(proof.value).length === 72 && getBytes(proof.chunk).length === 32, "a value or chunk of another length");
  const bit = Number(location % 256n);
  check(getBytes(proof.chunk)[bit >> 3] & (1 << (bit & 7)), "the entry is not current");
  const rest = leaves % 256n;
  check((proof.partialChunk !== null) === rest > 0n, "the last chunk does not fit");
  if (location / 256n === leaves / 256n) check(proof.partialChunk === keccak256(proof.chunk), "other bits than the last chunk's");
  const tail = rest > 0n ? concat([u64(rest), proof.partialChunk]) : "0x";
  check(hash(proof.logRoot, treeRoot(proof, location, leaves), tail) === root, "the entry gives another root");
  if (proof.key === key) return proof.value;
  const beyond = proof.key < proof.nextKey ? proof.key < key && key < proof.nextKey : proof.key < key || key < proof.nextKey;
  check(beyond, "the entry says nothing of this key");
  return null;
}

const EMPTY_CODE = keccak256("0x");
function checkProof(proof) {
  checkCertificate(proof.certificate);
  const header = checkHeaders(proof.headers, proof.certificate.block);
  const root = header[3];
  const said = concat([u64(proof.nonce), toBeHex(proof.balance, 32), proof.codeHash]);
  const stored = checkEntry(proof.accountProof, keccak256(proof.address), root);
  check(stored === null ? said === concat([u64(0), toBeHex(0, 32), EMPTY_CODE]) : said === stored, "another account is stored");
  for (const { key, value, proof: entry } of proof.storageProof) {
    const slot = checkEntry(entry, hash(proof.address, toBeHex(key, 32)), root);
    check(slot === null ? BigInt(value) === 0n : slot === concat([toBeHex(value, 32), "0x" + "00".repeat(40)]), "another value is stored");
  }
  return { number: BigInt(header[8]), root };
}

const prove = (address, slots) => node.send("openledger_getProof", [address, slots, "latest"]);
const zero = await node.send("eth_getBlockByNumber", ["0x0", false]);
check(zero.mixHash === genesisHash, "block zero is of another genesis");

// The account that owns the supply, a module with storage, and somebody who never was.
const escrow = "0x4f50454e00000000000000000000000000000004";
const nobody = "0x00000000000000000000000000000000deadbeef";
for (const [address, slots] of [[account, []], [escrow, ["0x0", "0x1", toBeHex(2n ** 255n, 32)]], [nobody, ["0x7"]]]) {
  const proof = await prove(address, slots);
  const { number, root } = checkProof(proof);
  const block = await node.send("eth_getBlockByNumber", [toQuantity(number), false]);
  check(block.stateRoot === root && block.hash === proof.block.hash, "the proof is of another block than the node shows");
}
const proof = await prove(account, ["0x0"]);
check(BigInt(proof.balance) > 0n && BigInt(proof.storageProof[0].value) === 0n, "the owner has nothing");

// Every hex digit of it counts.
let changes = 0;
const changed = (value, way) => {
  if (typeof value === "string" && value.startsWith("0x")) {
    for (let at = 2; at < value.length; at += 1) {
      const other = value.slice(0, at) + (value[at] === "0" ? "1" : "0") + value.slice(at + 1);
      const copy = structuredClone(proof);
      way.slice(0, -1).reduce((object, name) => object[name], copy)[way.at(-1)] = other;
      let believed = true;
      try {
        checkProof(copy);
      } catch {
        believed = false;
      }
      check(!believed, `${way.join(".")} was changed at ${at} and believed`);
      changes += 1;
    }
  } else if (value && typeof value === "object") {
    for (const name of Object.keys(value)) if (name !== "block" || way.length) changed(value[name], [...way, name]);
  }
};
changed(proof, []);
check(changes > 2000, `only ${changes} changes were tried`);

// What cannot be proven is refused, and says what can.
for (const [method, params, code, text] of [
  ["eth_getProof", [account, [], "latest"], -32004, "openledger_getProof"],
  ["openledger_getProof", [account, [], "0x0"], -32000, "newest state"],
  ["openledger_getProof", [account, Array(1025).fill("0x0"), "latest"], -32602, "too many slots (max 1024)"],
]) {
  const answer = await (await fetch(rpc, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  })).json();
  check(answer.error?.code === code && answer.error.message.includes(text), `${method}: ${JSON.stringify(answer)}`);
}
node.destroy();
console.log(`proof by ${library}: certificate, headers, accounts and slots hold; ${changes} changed digits were refused`);

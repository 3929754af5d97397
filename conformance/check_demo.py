"""The demo's JSON: every unit of the fees is accounted for."""

import json
import sys

demo = json.load(open(sys.argv[1]))
assert demo["verify"] == "equal", demo["verify"]
assert demo["receipts"], "no receipt"
fee = int(demo["fee_wei"])
paid = sum(int(line["wei"]) for line in demo["paid"])
assert fee > 0 and paid == fee, f"{paid} paid of {fee}"
roles = {line["role"] for line in demo["paid"]}
assert {"operator", "developer", "validators", "treasury", "rounding_remainder", "burn"} <= roles, roles
assert roles & {"contributor", "base_pool"}, roles
earned = {}
for line in demo["paid"]:
    if line["role"] in ("contributor", "base_pool"):
        earned[line["account"].lower()] = earned.get(line["account"].lower(), 0) + int(line["wei"])
for person in demo["balances"]:
    got = int(person["after_wei"]) - int(person["before_wei"])
    assert got == earned.get(person["account"].lower(), 0), (person, earned)
assert len(demo["balances"]) >= 8
print(f"{len(demo['receipts'])} receipts, {fee} wei, all of it accounted for in {len(demo['paid'])} lines")

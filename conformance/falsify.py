"""Copies of an answer with one thing changed each."""

import copy
import glob
import json
import sys

home, receipt, out = sys.argv[1:4]
path = [p for p in glob.glob(f"{home}/answers/**/*", recursive=True) if receipt[2:] in p][0]
answer = json.load(open(path))


def write(name, change):
    changed = copy.deepcopy(answer)
    change(changed)
    assert changed != answer, name
    json.dump(changed, open(f"{out}/falsified-{name}.json", "w"))


def share(a):
    if a["attribution"]["contributors"]:
        a["attribution"]["contributors"][0]["share_ppm"] += 1
    else:
        a["attribution"]["unattributed_ppm"] -= 1


def token(a):
    a["response"]["tokens"][0] ^= 1


def digest(a):
    h = a["receipt"]["adapterHash"]
    a["receipt"]["adapterHash"] = h[:-1] + ("0" if h[-1] != "0" else "1")


def fee(a):
    a["receipt"]["fee"] = hex(int(a["receipt"]["fee"], 16) + 1)


write("share", share)
write("token", token)
write("hash", digest)
write("fee", fee)

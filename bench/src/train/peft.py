"""One LoRA step in PyTorch with PEFT, as often as it is asked for by a line on standard input.

    python peft.py FOLDER THREADS

FOLDER holds the base (`model`), the adapter (`adapter`) and the sequences (`case.json`). The first line printed is `{"torch", "peft", "transformers"}`; after that
each line read gives one: CPU seconds of the losses alone, CPU seconds of losses and gradients, the loss in nats, and the most memory so far in bytes.
"""

import json
import os
import resource
import sys
import time

folder, threads = sys.argv[1], sys.argv[2]
os.environ["OMP_NUM_THREADS"] = threads

import peft
import torch
import transformers

torch.set_num_threads(int(threads))
base = transformers.AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32)
model = peft.PeftModel.from_pretrained(base, f"{folder}/adapter", is_trainable=True)
model.train()
tokens = torch.tensor(json.load(open(f"{folder}/case.json"))["tokens"])


def loss():
    logits = model(tokens).logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten(), reduction="sum")


def cpu(work):
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def both():
    value = loss()
    value.backward()
    return value.item()


print(json.dumps({m.__name__: m.__version__ for m in (torch, peft, transformers)}), flush=True)
for _ in sys.stdin:
    with torch.no_grad():
        forward, _ = cpu(loss)
    model.zero_grad(set_to_none=True)
    step, value = cpu(both)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"forward": forward, "step": step, "loss": value, "memory": memory}), flush=True)

"""What Hugging Face's transformers computes with the folders that `Model::save_safetensors` writes.

    cargo run -p openledger-model --example reference_loss -- CASE
    python transformers_check.py CASE crates/model/tests/reference/transformers.json

CASE holds the tiny model as it is (`base`) and with the adapter of the case merged into it (`merged`). Written are the losses of the case's samples under both,
the loss of each of their tokens with weights and inputs rounded to eight bits as sessions do (`served`), the tokens of texts, and those of a conversation. Made with transformers 5.23.0, tokenizers 0.23.3, torch 2.15.0. Needs `pip install transformers torch`.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../../conformance"))

import torch
from eight_bits import serve_in_eight_bits
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["Crates 12 and 3.45, don't they?", "naïve 日本\n\n  tabs\tand   spaces", "def f(x):\n    return x**2  # 100%"]
CHAT = [{"role": "user", "content": "What does it do?"}, {"role": "assistant", "content": "Nothing."}, {"role": "user", "content": "Why?"}]


def losses(model, samples):
    out = []
    for sample in samples:
        tokens = torch.tensor([sample["tokens"]])
        with torch.no_grad():
            logp = torch.log_softmax(model(tokens).logits[0].double(), -1)
        at = torch.arange(sample["start"], sample["end"])
        out.append(-logp[at - 1, tokens[0, at]])
    return out


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)


def main(folder, out):
    samples = json.load(open(f"{folder}/case.json"))["samples"]
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/base")
    chat = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    expected = {
        "base": [loss.sum().item() for loss in losses(load(f"{folder}/base"), samples)],
        "merged": [loss.sum().item() for loss in losses(load(f"{folder}/merged"), samples)],
        "served": [loss.tolist() for loss in losses(serve_in_eight_bits(load(f"{folder}/base")), samples)],
        "texts": [{"text": text, "tokens": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in TEXTS],
        "chat": {"messages": CHAT, "tokens": chat},
    }
    with open(out, "w") as file:
        json.dump(expected, file, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])

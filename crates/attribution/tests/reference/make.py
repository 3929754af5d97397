"""A second implementation of the model, of training and of the metagradient, in PyTorch and double precision.

    cargo run -p openledger-attribution --example reference_replay -- CASE
    python make.py CASE crates/attribution/tests/reference/expected.json

CASE is a folder that the example fills: `tiny.gguf` (weights as F32) and `case.json` (samples, batches, coefficients of
every step, initial parameters, a question). Nothing of the Rust code is used here: the checkpoint is parsed, the decoder
written out, and every derivative comes from autograd, the metagradient by differentiating through all optimiser steps.
Made with torch 2.15.0, numpy 2.4. Needs `pip install torch numpy`.
"""

import json
import struct
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)


def read_gguf(path):
    """Metadata and F32 tensors of a GGUF v3 file."""
    data = open(path, "rb").read()
    at = 0

    def take(fmt):
        nonlocal at
        value = struct.unpack_from("<" + fmt, data, at)[0]
        at += struct.calcsize("<" + fmt)
        return value

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n : at].decode("utf-8", "replace")

    scalar = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, n = take("I"), take("Q")
            return [value(inner) for _ in range(n)]
        return take(scalar[kind])

    assert take("I") == 0x46554747 and take("I") == 3, "not GGUF v3"
    tensors, pairs = take("Q"), take("Q")
    meta = {}
    for _ in range(pairs):
        key = text()
        meta[key] = value(take("I"))
    infos = []
    for _ in range(tensors):
        name = text()
        dims = [take("Q") for _ in range(take("I"))]
        kind, offset = take("I"), take("Q")
        assert kind == 0, f"{name} is not F32"
        infos.append((name, dims[::-1], offset))
    align = meta.get("general.alignment", 32)
    start = (at + align - 1) // align * align
    weights = {}
    for name, dims, offset in infos:
        n = int(np.prod(dims))
        array = np.frombuffer(data, "<f4", n, start + offset).reshape(dims)
        weights[name] = torch.tensor(array.astype(np.float64))
    return meta, weights


class Decoder:
    """The llama family with tied head, LoRA on chosen maps, rotary embedding on neighbouring pairs."""

    def __init__(self, meta, weights, case):
        m = {k.split(".", 1)[1]: v for k, v in meta.items() if k.startswith("llama.")}
        self.layers = m["block_count"]
        self.heads = m["attention.head_count"]
        self.kv = m["attention.head_count_kv"]
        self.eps = m["attention.layer_norm_rms_epsilon"]
        self.base = m["rope.freq_base"]
        self.d = m["embedding_length"]
        self.head = self.d // self.heads
        self.w = weights
        self.lora = case["lora"]
        self.blocks = {(b["layer"], b["target"]): b for b in case["blocks"]}

    def norm(self, x, w):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps) * w

    def linear(self, theta, layer, target, tensor, x):
        y = x @ self.w[f"blk.{layer}.{tensor}.weight"].T
        block = self.blocks.get((layer, target))
        if theta is not None and block is not None:
            r = self.lora["rank"]
            a = theta[block["a"] : block["a"] + r * block["inputs"]].reshape(r, block["inputs"])
            b = theta[block["b"] : block["b"] + block["outputs"] * r].reshape(block["outputs"], r)
            y = y + (x @ a.T) @ b.T * (self.lora["alpha"] / r)
        return y

    def rope(self, x):
        n = x.shape[0]
        half = self.head // 2
        freq = self.base ** (-torch.arange(half) * 2.0 / self.head)
        angle = torch.arange(n)[:, None] * freq[None, :]
        cos, sin = torch.cos(angle)[:, None, :], torch.sin(angle)[:, None, :]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def nll(self, theta, tokens, targets):
        """Sum of -log p over the target positions."""
        n = len(tokens)
        x = self.w["token_embd.weight"][torch.tensor(tokens)]
        mask = torch.full((n, n), float("-inf")).triu(1)
        for l in range(self.layers):
            h = self.norm(x, self.w[f"blk.{l}.attn_norm.weight"])
            q = self.rope(self.linear(theta, l, "q_proj", "attn_q", h).view(n, self.heads, self.head))
            k = self.rope(self.linear(theta, l, "k_proj", "attn_k", h).view(n, self.kv, self.head))
            v = self.linear(theta, l, "v_proj", "attn_v", h).view(n, self.kv, self.head)
            k = k.repeat_interleave(self.heads // self.kv, 1)
            v = v.repeat_interleave(self.heads // self.kv, 1)
            s = torch.einsum("ihd,jhd->hij", q, k) / self.head**0.5 + mask
            o = torch.einsum("hij,jhd->ihd", torch.softmax(s, -1), v).reshape(n, -1)
            x = x + self.linear(theta, l, "o_proj", "attn_output", o)
            h = self.norm(x, self.w[f"blk.{l}.ffn_norm.weight"])
            g = self.linear(theta, l, "gate_proj", "ffn_gate", h)
            u = self.linear(theta, l, "up_proj", "ffn_up", h)
            x = x + self.linear(theta, l, "down_proj", "ffn_down", torch.nn.functional.silu(g) * u)
        x = self.norm(x, self.w["output_norm.weight"])
        logits = x @ self.w.get("output.weight", self.w["token_embd.weight"]).T
        at = torch.arange(targets[0], targets[1])
        logp = torch.log_softmax(logits[at - 1], -1)
        return -logp[torch.arange(len(at)), torch.tensor(tokens)[at]].sum()


def train(model, case, theta, weights):
    """AdamW with the stabiliser inside the root, differentiable in theta and in the records' weights."""
    m = torch.zeros_like(theta)
    v = torch.zeros_like(theta)
    losses = []
    for step, batch in zip(case["coefficients"], case["batches"]):
        count = sum(case["samples"][i]["targets"][1] - case["samples"][i]["targets"][0] for i in batch)
        loss = sum(weights[i] * model.nll(theta, case["samples"][i]["tokens"], case["samples"][i]["targets"]) for i in batch) / count
        (g,) = torch.autograd.grad(loss, theta, create_graph=True)
        losses.append(loss.item())
        m = step["beta1"] * m + step["gain1"] * g
        v = step["beta2"] * v + step["gain2"] * g * g
        theta = step["keep"] * theta - step["lr"] * (m * step["correct1"]) / torch.sqrt(v * step["correct2"] + step["eps"])
    return theta, losses


def main(folder, out):
    case = json.load(open(f"{folder}/case.json"))
    model = Decoder(*read_gguf(f"{folder}/tiny.gguf"), case)
    theta0 = torch.tensor(case["initial_theta"], requires_grad=True)
    weights = torch.ones(len(case["samples"]), requires_grad=True)
    theta, losses = train(model, case, theta0, weights)
    query = case["query"]
    logp = -model.nll(theta, query["tokens"], query["targets"])
    (influence,) = torch.autograd.grad(logp, weights)
    expected = {
        "losses": losses,
        "query_log_p": logp.item(),
        "influence": influence.tolist(),
    }
    with open(out, "w") as file:
        json.dump(expected, file)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])

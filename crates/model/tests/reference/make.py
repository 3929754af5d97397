"""A second implementation of the decoder with LoRA, in PyTorch and double precision, with derivatives from autograd.

    cargo run -p openledger-model --example reference_loss -- CASE
    python make.py CASE crates/model/tests/reference/expected.json

Nothing of the Rust code is used: the checkpoint is parsed and the decoder written out here. Made with torch 2.15.0, numpy 2.4.6.
"""

import json
import struct
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
TENSOR = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}


def read_gguf(path):
    data = open(path, "rb").read()
    at = 4

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n : at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner = take("I")
            return [value(inner) for _ in range(take("Q"))]
        return take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])

    assert data[:4] == b"GGUF" and take("I") == 3
    tensors, entries = take("Q"), take("Q")
    meta = {}
    for _ in range(entries):
        key = text()
        meta[key] = value(take("I"))
    table = []
    for _ in range(tensors):
        name = text()
        dims = [take("Q") for _ in range(take("I"))][::-1]
        assert take("I") == 0, "F32 only"
        table.append((name, dims, take("Q")))
    start = -(-at // 32) * 32
    read = lambda dims, offset: np.frombuffer(data, "<f4", int(np.prod(dims)), start + offset).reshape(dims)
    return meta, {name: torch.tensor(read(dims, offset).astype(np.float64)) for name, dims, offset in table}


def main(folder, out):
    meta, w = read_gguf(folder + "/tiny.gguf")
    case = json.load(open(folder + "/case.json"))
    get = lambda key: meta["llama." + key]
    heads, groups, width = get("attention.head_count"), get("attention.head_count_kv"), get("attention.key_length")
    eps, base, rank = get("attention.layer_norm_rms_epsilon"), get("rope.freq_base"), case["rank"]
    blocks = {(b["layer"], b["target"]): b for b in case["blocks"]}

    def norm(x, weight):
        return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()

    def linear(theta, layer, target, x):
        weight = w[f"blk.{layer}.{TENSOR[target]}.weight"]
        y = x @ weight.T
        block = blocks.get((layer, target))
        if theta is None or block is None:
            return y
        a = theta[block["a"] :][: rank * weight.shape[1]].view(rank, -1)
        b = theta[block["b"] :][: rank * weight.shape[0]].view(-1, rank)
        return y + case["alpha"] / rank * (x @ a.T @ b.T)

    def rope(x):
        angle = torch.arange(len(x))[:, None, None] * base ** (-torch.arange(0, width, 2) / width)
        turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angle), angle)
        return torch.view_as_real(turned).flatten(-2)

    def loss(theta, sample):
        tokens = torch.tensor(sample["tokens"])
        x = w["token_embd.weight"][tokens]
        for i in range(get("block_count")):
            n = norm(x, w[f"blk.{i}.attn_norm.weight"])
            q = rope(linear(theta, i, "q_proj", n).unflatten(-1, (heads, width)))
            k = rope(linear(theta, i, "k_proj", n).unflatten(-1, (groups, width)))
            v = linear(theta, i, "v_proj", n).unflatten(-1, (groups, width))
            k, v = (t.repeat_interleave(heads // groups, 1) for t in (k, v))
            scores = torch.einsum("ihd,jhd->hij", q, k) / width**0.5
            scores = scores.masked_fill(torch.ones(scores.shape[1:], dtype=bool).triu(1), float("-inf"))
            x = x + linear(theta, i, "o_proj", torch.einsum("hij,jhd->ihd", scores.softmax(-1), v).flatten(-2))
            n = norm(x, w[f"blk.{i}.ffn_norm.weight"])
            gate = torch.nn.functional.silu(linear(theta, i, "gate_proj", n))
            x = x + linear(theta, i, "down_proj", gate * linear(theta, i, "up_proj", n))
        logits = norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T
        kept = slice(sample["start"], sample["end"])
        return torch.nn.functional.cross_entropy(logits[sample["start"] - 1 : sample["end"] - 1], tokens[kept], reduction="sum")

    single = lambda key: torch.tensor(np.array(case[key], "<f4").astype(np.float64))
    theta = single("theta").requires_grad_()
    u = single("direction")
    results = []
    for sample in case["samples"]:
        value = loss(theta, sample)
        (grad,) = torch.autograd.grad(value, theta, create_graph=True)
        (grad_dot,) = torch.autograd.grad(grad @ u, theta)
        short = lambda t: [float(f"{x:.8e}") for x in t.tolist()]
        results.append(
            {
                "base_loss": loss(None, sample).item(),
                "loss": value.item(),
                "loss_dot": (grad.detach() @ u).item(),
                "grad": short(grad.detach()),
                "grad_dot": short(grad_dot),
            }
        )
    json.dump(results, open(out, "w"), separators=(",", ":"))


main(*sys.argv[1:])

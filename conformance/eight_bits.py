"""What serving computes, as changes to a model of transformers: see the specification in `crates/model/src/kernel/blocks/mod.rs`."""

import torch

BLOCK = 32


def blocks(x):
    """Blocks of the last dimension, the last one filled up with zeros."""
    return torch.nn.functional.pad(x, (0, -x.shape[-1] % BLOCK)).unflatten(-1, (-1, BLOCK))


def rounded_inputs(x):
    """Each block as integers of at most 127 times a float."""
    parts = blocks(x)
    largest = parts.abs().amax(-1, keepdim=True)
    integers = torch.round(parts * (127 / largest.clamp(min=1e-30))) * (largest >= 1e-30)
    return (integers * (largest / 127)).flatten(-2)[..., : x.shape[-1]]


def rounded_weights(w):
    """Each block as integers of at most 127 times a half."""
    parts = blocks(w)
    scale = (parts.abs().amax(-1, keepdim=True) / 127).half().to(w.dtype)
    integers = torch.where(scale > 0, torch.round(parts / scale), 0).clamp(-127, 127)
    return (integers * scale).flatten(-2)[..., : w.shape[-1]]


def serve_in_eight_bits(model, weights=True):
    """The model with inputs and weights of every linear map in blocks of eight bits; what is looked up in a tied embedding stays. Without `weights` these stay
    too, as those of Q4_0, Q4_1 and Q8_0 do."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            if weights:
                module.weight = torch.nn.Parameter(rounded_weights(module.weight.detach()), requires_grad=False)
            module.register_forward_pre_hook(lambda _, inputs: (rounded_inputs(inputs[0]), *inputs[1:]))
    return model

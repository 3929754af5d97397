"""Scores of dattri's methods for a softmax regression whose parameters are given.

Reads problem.json, train.f32, queries.f32 and theta.f32 (little-endian, row-major) from the folder
named and writes NAME.f32 (queries x training examples) for every method, positive where leaving the
example out should make the query's loss rise, and methods.json with the names and seconds.
"""
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from dattri.algorithm.influence_function import (
    IFAttributorArnoldi,
    IFAttributorCG,
    IFAttributorDataInf,
)
from dattri.algorithm.trak import TRAKAttributor
from dattri.task import AttributionTask

folder = pathlib.Path(sys.argv[1])
problem = json.loads((folder / "problem.json").read_text())
width, classes, l2 = problem["width"], problem["classes"], problem["l2"]
floats = lambda name: np.fromfile(folder / name, dtype="<f4")
train_x = torch.from_numpy(floats("train.f32").reshape(-1, width).copy())
query_x = torch.from_numpy(floats("queries.f32").reshape(-1, width).copy())
theta = floats("theta.f32").reshape(width + 1, classes)
train = TensorDataset(train_x, torch.tensor(problem["train"]))
queries = TensorDataset(query_x, torch.tensor(problem["queries"]))

model = nn.Linear(width, classes)
with torch.no_grad():
    model.weight.copy_(torch.from_numpy(theta[:width].T.copy()))
    model.bias.copy_(torch.from_numpy(theta[width].copy()))
model.eval()


def loss(params, batch):
    x, y = batch
    z = functional_call(model, params, (x.reshape(-1, width),))
    return nn.functional.cross_entropy(z, y.reshape(-1))


def margin(params, batch):
    """The model's output function that TRAK's paper gives for classifiers: log(p / (1 - p))."""
    p = torch.exp(-loss(params, batch))
    return torch.log(p) - torch.log1p(-p)


def correctness(params, batch):
    return torch.exp(-loss(params, batch))


task = lambda **more: AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict(), **more)
trak_task = AttributionTask(
    loss_func=margin, model=model, checkpoints=model.state_dict(), target_func=margin
)
batches = lambda data, size: DataLoader(data, batch_size=size, shuffle=False)
methods = {
    "if_cg": lambda: IFAttributorCG(task=task(), device="cpu", max_iter=100, regularization=l2),
    "if_arnoldi": lambda: IFAttributorArnoldi(task=task(), device="cpu", regularization=l2, max_iter=100),
    "datainf": lambda: IFAttributorDataInf(task=task(), device="cpu", regularization=l2),
    "trak": lambda: TRAKAttributor(
        task=trak_task,
        correct_probability_func=correctness,
        device="cpu",
        projector_kwargs={"proj_dim": 512, "proj_max_batch_size": 32, "proj_seed": 0, "proj_type": "normal", "device": "cpu"},
    ),
}
done = folder / "methods.json"
written = json.loads(done.read_text()) if done.exists() else []
for name, build in methods.items():
    if name in dict(written):
        continue
    start = time.time()
    try:
        attributor = build()
        attributor.cache(batches(train, len(train)))
        if name == "trak":
            score = attributor.attribute(batches(queries, len(queries)))
        else:
            score = attributor.attribute(batches(train, len(train)), batches(queries, len(queries)))
    except Exception as error:  # a method that does not run here is reported and left out
        print(f"dattri {name}: {type(error).__name__}: {error}", file=sys.stderr)
        continue
    score = score.detach().numpy().astype("<f4")
    assert score.shape == (len(train), len(queries)), score.shape
    score.T.copy().tofile(folder / f"{name}.f32")
    written.append([name, time.time() - start])
    print(f"dattri {name}: {written[-1][1]:.1f} s", file=sys.stderr)
done.write_text(json.dumps(written))

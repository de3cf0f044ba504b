#!/usr/bin/env python3
"""Makes the reference runs that test/worker/test_golden.c compares the engine with.

    python3 make_golden.py        (writes NAME.json and NAME.bin beside itself)

PyTorch trains small perceptrons for ten steps, in float64 on one thread, from weights and inputs
that a seeded NumPy generator makes here. The versions that were used stand in each NAME.json.

NAME.json: layer widths, batch, steps, and for each run its optimizer and the loss of every step.
NAME.bin, one after the other, little-endian, no gaps:
    uint8    samples [steps, batch, inputs]; a byte b stands for b / 128 - 1, exact in float32
    uint8    targets [steps, batch]
    float32  initial weights: for each layer weight [out, in], then bias [out]
    float32  for each run, every final_stride-th element of the final weights in the same order
"""

import json
import pathlib
import platform

import numpy as np
import torch

STEPS = 10
RUNS = [
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"optimizer": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
]
CASES = [
    {"name": "mlp-49-32-16-10", "widths": [49, 32, 16, 10], "batch": 32, "final_stride": 1},
    {"name": "mlp-784-128-10", "widths": [784, 128, 10], "batch": 16, "final_stride": 16},
]


def make_data(rng, inputs, classes, batch):
    """Noisy copies of one pattern a class: something that can be learnt."""
    patterns = rng.integers(64, 192, size=(classes, inputs))
    targets = rng.integers(0, classes, size=(STEPS, batch))
    noise = rng.integers(-60, 61, size=(STEPS, batch, inputs))
    return (patterns[targets] + noise).astype(np.uint8), targets.astype(np.uint8)


def make_weights(rng, widths):
    weights = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        bound = fan_in**-0.5
        weights.append(rng.uniform(-bound, bound, size=(fan_out, fan_in)).astype("<f4"))
        weights.append(rng.uniform(-bound, bound, size=fan_out).astype("<f4"))
    return weights


def make_model(widths, weights):
    layers = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(fan_in, fan_out, dtype=torch.float64), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(value.astype(np.float64)))
    return model


def make_optimizer(run, parameters):
    if run["optimizer"] == "sgd":
        return torch.optim.SGD(parameters, lr=run["learning_rate"], momentum=run["momentum"])
    betas = (run["beta1"], run["beta2"])
    return torch.optim.Adam(parameters, lr=run["learning_rate"], betas=betas, eps=run["epsilon"])


def train(model, optimizer, samples, targets):
    losses = []
    for x, y in zip(samples, targets):
        x = torch.from_numpy(x.astype(np.float64) / 128.0 - 1.0)
        y = torch.from_numpy(y.astype(np.int64))
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def final_weights(model, stride):
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return flat[::stride].numpy().astype("<f4")


def make_case(case, seed, folder):
    rng = np.random.default_rng(seed)
    widths = case["widths"]
    samples, targets = make_data(rng, widths[0], widths[-1], case["batch"])
    weights = make_weights(rng, widths)
    sections = [samples, targets, *weights]
    runs = []
    for run in RUNS:
        model = make_model(widths, weights)
        losses = train(model, make_optimizer(run, model.parameters()), samples, targets)
        sections.append(final_weights(model, case["final_stride"]))
        runs.append({**run, "losses": losses})
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }
    text = {**case, "steps": STEPS, "seed": seed, "versions": versions, "runs": runs}
    (folder / f"{case['name']}.json").write_text(json.dumps(text, indent=1) + "\n")
    (folder / f"{case['name']}.bin").write_bytes(b"".join(s.tobytes() for s in sections))


def main():
    torch.set_num_threads(1)
    for seed, case in enumerate(CASES, start=1):
        make_case(case, seed, pathlib.Path(__file__).parent)


main()

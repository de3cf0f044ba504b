#!/usr/bin/env python3
"""Makes the reference runs that test/worker/test_families.c compares whole models with.

    python3 make_families.py [NAME ...]      (writes NAME.json and NAME.bin beside itself)

PyTorch trains each model for twenty steps, in float64 on one thread, from weights and data that a
seeded NumPy generator makes here. The versions that were used stand in each NAME.json.

NAME.json: the job as YAML, the parameters (name, shape) in the order of NAME.bin, the loss of each
step.
NAME.bin, one after the other, four bytes an element, little-endian, no gaps:
    samples  [steps, batch, inputs] of float32 or int32
    targets  [steps, batch, targets] of int32
    weights  the parameters before the first step, float32
"""

import json
import math
import pathlib
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F

STEPS = 20


class Weights:
    """Named float32 tensors in the order they were made, and their float64 copies to train."""

    def __init__(self, rng):
        self.rng = rng
        self.initial = {}
        self.trained = {}

    def make(self, name, shape, mean=0.0, std=0.1):
        value = (mean + std * self.rng.standard_normal(shape)).astype("<f4")
        self.initial[name] = value
        self.trained[name] = torch.tensor(value.astype(np.float64), requires_grad=True)

    def linear(self, name, out, fan_in, bias=True):
        self.make(f"{name}.weight", (out, fan_in), std=fan_in**-0.5)
        if bias:
            self.make(f"{name}.bias", (out,))

    def norm(self, name, width):
        self.make(f"{name}.weight", (width,), mean=1.0)
        self.make(f"{name}.bias", (width,))

    def __getitem__(self, name):
        return self.trained[name]


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def norm(w, name, x):
    weight = w[f"{name}.weight"]
    return F.layer_norm(x, weight.shape, weight, w[f"{name}.bias"], 1e-5)


class Gpt:
    layers, heads, width, context, vocabulary, batch = 2, 3, 24, 13, 37, 4
    inputs, input_type = context, "<i4"

    job = f"""\
name: gpt-tiny
model: {{family: gpt, layers: {layers}, heads: {heads}, width: {width}, context: {context}, vocabulary: {vocabulary}}}
data: {{format: text, folder: none, file: none}}
train: {{batch: {batch}, steps: {STEPS}}}
optimizer: {{kind: adamw, learning_rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1}}
schedule: {{kind: cosine, warmup: 4, final: 0.1}}
slots: {{data: 2}}
"""

    def data(self, rng):
        """Counting up with a stride of its own in each sample: something that can be learnt."""
        start = rng.integers(0, self.vocabulary, size=(STEPS, self.batch, 1))
        stride = rng.integers(1, 4, size=(STEPS, self.batch, 1))
        tokens = (start + stride * np.arange(self.context + 1)) % self.vocabulary
        return tokens[..., :-1], tokens[..., 1:]

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, self.width))
        w.make("positions.weight", (self.context, self.width))
        for layer in range(self.layers):
            block = f"block{layer}"
            w.norm(f"{block}.norm1", self.width)
            w.linear(f"{block}.qkv", 3 * self.width, self.width)
            w.linear(f"{block}.proj", self.width, self.width)
            w.norm(f"{block}.norm2", self.width)
            w.linear(f"{block}.up", 4 * self.width, self.width)
            w.linear(f"{block}.down", self.width, 4 * self.width)
        w.norm("norm", self.width)

    def attention(self, x):
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in x.split(self.width, 2)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(self.width // self.heads)
        hidden = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        weights = F.softmax(scores.masked_fill(hidden, -math.inf), -1)
        return (weights @ v).transpose(1, 2).reshape(batch, length, self.width)

    def loss(self, w, x, y):
        x = w["tokens.weight"][x] + w["positions.weight"]
        for layer in range(self.layers):
            block = f"block{layer}"
            mixed = self.attention(linear(w, f"{block}.qkv", norm(w, f"{block}.norm1", x)))
            x = x + linear(w, f"{block}.proj", mixed)
            up = linear(w, f"{block}.up", norm(w, f"{block}.norm2", x))
            x = x + linear(w, f"{block}.down", F.gelu(up, approximate="tanh"))
        logits = norm(w, "norm", x) @ w["tokens.weight"].T
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    def optimizer(self, parameters):
        return torch.optim.AdamW(parameters, 0.01, (0.9, 0.95), 1e-8, 0.1)

    def learning_rate(self, step):
        if step <= 4:
            return 0.01 * step / 4
        x = (step - 5) / (STEPS - 5)
        return 0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * x)) / 2)


FAMILIES = {"gpt-tiny": Gpt}


def train(family, w, samples, targets):
    optimizer = family.optimizer(list(w.trained.values()))
    losses = []
    for step, (x, y) in enumerate(zip(samples, targets), start=1):
        x = torch.from_numpy(x.astype(np.int64 if family.input_type == "<i4" else np.float64))
        loss = family.loss(w, x, torch.from_numpy(y.astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = family.learning_rate(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def make(name, folder):
    family = FAMILIES[name]()
    rng = np.random.default_rng(sum(name.encode()))
    samples, targets = family.data(rng)
    samples, targets = samples.astype(family.input_type), targets.astype("<i4")
    w = Weights(rng)
    family.weights(w)
    losses = train(family, w, samples, targets)
    text = {
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
        "job": family.job,
        "params": [{"name": n, "shape": list(v.shape)} for n, v in w.initial.items()],
        "losses": losses,
    }
    (folder / f"{name}.json").write_text(json.dumps(text, indent=1) + "\n")
    sections = [samples, targets, *w.initial.values()]
    (folder / f"{name}.bin").write_bytes(b"".join(s.tobytes() for s in sections))


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(name, pathlib.Path(__file__).parent)


main()

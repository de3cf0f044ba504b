#!/usr/bin/env python3
"""Makes the reference runs that test/worker/test_families.c compares whole models with.

    python3 make_families.py [NAME ...]      (writes NAME.json and NAME.bin beside itself)

PyTorch trains each model for twenty steps, in float64 on one thread, from weights and data that a
seeded NumPy generator makes here. The versions that were used stand in each NAME.json.

NAME.json: the job as YAML, the parameters (name, shape) in the order of NAME.bin, the loss of each
step, the loss of an evaluation of the first batch after the last step.
NAME.bin, one after the other, four bytes an element, little-endian, no gaps:
    samples  [steps, batch, inputs] of float32 or int32
    targets  [steps, batch, targets] of int32 or float32
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
        self.statistics = {}

    def statistic(self, name, shape, value):
        self.initial[name] = np.full(shape, value, "<f4")
        self.statistics[name] = torch.full(shape, value, dtype=torch.float64)

    def convolution(self, name, out, fan_in, kernel):
        self.make(f"{name}.weight", (out, fan_in, kernel, kernel), std=fan_in**-0.5 / kernel)
        self.make(f"{name}.bias", (out,))

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
        # Quadrille keeps query, key and value of a head beside each other.
        q, k, v = x.view(batch, length, self.heads, 3, -1).permute(3, 0, 2, 1, 4)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.width // self.heads)
        hidden = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        weights = F.softmax(scores.masked_fill(hidden, -math.inf), -1)
        return (weights @ v).transpose(1, 2).reshape(batch, length, self.width)

    def embed(self, w, x):
        return w["tokens.weight"][x] + w["positions.weight"]

    def loss(self, w, x, y, training):
        x = self.embed(w, x)
        for layer in range(self.layers):
            block = f"block{layer}"
            mixed = self.attention(linear(w, f"{block}.qkv", norm(w, f"{block}.norm1", x)))
            x = x + linear(w, f"{block}.proj", mixed)
            up = linear(w, f"{block}.up", norm(w, f"{block}.norm2", x))
            x = x + linear(w, f"{block}.down", F.gelu(up, approximate="tanh"))
        logits = norm(w, "norm", x) @ w["tokens.weight"].T
        return self.cross_entropy(logits.flatten(0, 1), y.flatten())

    def cross_entropy(self, logits, y):
        return F.cross_entropy(logits, y)

    def optimizer(self, parameters):
        return torch.optim.AdamW(parameters, 0.01, (0.9, 0.95), 1e-8, 0.1)

    def learning_rate(self, step):
        if step <= 4:
            return 0.01 * step / 4
        x = (step - 5) / (STEPS - 5)
        return 0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * x)) / 2)


class RotaryGpt(Gpt):
    """Positions by rotation, as GPT-NeoX's and Llama's, and two query heads for each key head."""

    heads, kv_heads = 4, 2
    job = Gpt.job.replace("gpt-tiny", "gpt-rotary-tiny").replace(
        "heads: 3,", "heads: 4, kv_heads: 2, positions: rotary,"
    )

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, self.width))
        for layer in range(self.layers):
            block = f"block{layer}"
            w.norm(f"{block}.norm1", self.width)
            w.linear(f"{block}.qkv", 2 * self.width, self.width)
            w.linear(f"{block}.proj", self.width, self.width)
            w.norm(f"{block}.norm2", self.width)
            w.linear(f"{block}.up", 4 * self.width, self.width)
            w.linear(f"{block}.down", self.width, 4 * self.width)
        w.norm("norm", self.width)

    def embed(self, w, x):
        return w["tokens.weight"][x]

    @staticmethod
    def turn(x):
        length, width = x.shape[-2:]
        speeds = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), speeds).repeat(1, 2)
        a, b = x.chunk(2, -1)
        return x * angles.cos() + torch.cat((-b, a), -1) * angles.sin()

    def attention(self, x):
        batch, length, _ = x.shape
        queries = self.heads // self.kv_heads
        groups = x.view(batch, length, self.kv_heads, queries + 2, -1).permute(0, 2, 3, 1, 4)
        q, k, v = groups.split((queries, 1, 1), 2)
        mixed = F.scaled_dot_product_attention(
            self.turn(q).flatten(1, 2), self.turn(k).flatten(1, 2), v.flatten(1, 2), is_causal=True, enable_gqa=True
        )
        return mixed.transpose(1, 2).reshape(batch, length, self.width)


class SmoothGpt(Gpt):
    """Labels smoothed, and targets of token 0 left out."""

    job = Gpt.job.replace("gpt-tiny", "gpt-smooth-tiny").replace(
        "heads: 3,", "heads: 3, label_smoothing: 0.1, ignored_index: 0,"
    )

    def cross_entropy(self, logits, y):
        return F.cross_entropy(logits, y, ignore_index=0, label_smoothing=0.1)


class Images:
    """Noisy copies of one pattern a class, [height, width, channels] as Quadrille keeps images."""

    input_type = "<f4"
    height, width, channels, classes, batch = 12, 10, 3, 5, 8
    rate = 0.005

    def data(self, rng):
        shape = (self.height, self.width, self.channels)
        patterns = rng.standard_normal((self.classes, *shape))
        targets = rng.integers(0, self.classes, size=(STEPS, self.batch))
        samples = patterns[targets] + rng.standard_normal((STEPS, self.batch, *shape))
        return samples, targets[..., None]

    def loss(self, w, x, y, training):
        return self.cross_entropy(self.logits(w, x.permute(0, 3, 1, 2), training), y[:, 0])

    def cross_entropy(self, logits, y):
        return F.cross_entropy(logits, y)

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters, self.rate, momentum=0.9)

    def learning_rate(self, step):
        return self.rate


IMAGES = """\
data: {format: idx, folder: none, train_images: a, train_labels: a, test_images: a, test_labels: a}
train: {batch: 8, steps: 20}
optimizer: {kind: sgd, learning_rate: RATE, momentum: 0.9}
"""


class Regression:
    input_type, batch = "<f4", 8
    target_type = "<f4"

    job = """\
name: regression-tiny
model: {family: regression, inputs: 7, hidden: [5], activation: tanh, outputs: 3, loss: huber}
data: {format: csv, folder: none, train: a}
train: {batch: 8, steps: 20}
optimizer: {kind: sgd, learning_rate: 0.05, momentum: 0.9, nesterov: true}
slots: {data: 2}
"""

    def data(self, rng):
        samples = rng.standard_normal((STEPS, self.batch, 7))
        return samples, 2 * samples[..., :3] * samples[..., 3:6]

    def weights(self, w):
        w.linear("layer0", 5, 7)
        w.linear("layer1", 3, 5)

    def loss(self, w, x, y, training):
        return F.huber_loss(linear(w, "layer1", torch.tanh(linear(w, "layer0", x))), y)

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters, 0.05, momentum=0.9, nesterov=True)

    def learning_rate(self, step):
        return 0.05


class Cnn(Images):
    job = (
        """\
name: cnn-tiny
model: {family: cnn, image: [12, 10, 3], filters: [6, 17], hidden: [11], activation: gelu, classes: 5}
slots: {data: 2}
"""
        + IMAGES
    )

    def weights(self, w):
        w.convolution("conv0", 6, 3, 3)
        w.convolution("conv1", 17, 6, 3)
        w.linear("layer0", 11, 3 * 2 * 17)
        w.linear("layer1", self.classes, 11)

    def logits(self, w, x, training):
        for name in "conv0", "conv1":
            x = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)
            x = F.max_pool2d(F.gelu(x), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        return linear(w, "layer1", F.gelu(linear(w, "layer0", x)))


class WeightedCnn(Cnn):
    """Classes of their own weights, smoothed labels, and a third of the targets left out: in step 7
    all of them, where Quadrille's mean is 0 and PyTorch's is not a number. The gradient of that mean
    is clipped."""

    weights_of_classes = 0.5, 2.0, 0.25, 1.0, 1.5
    clip = 0.5
    job = (
        Cnn.job.replace("cnn-tiny", "cnn-weighted-tiny")
        .replace(
            "classes: 5", "classes: 5, class_weights: [0.5, 2, 0.25, 1, 1.5], label_smoothing: 0.1, ignored_index: -100"
        )
        .replace("momentum: 0.9", f"momentum: 0.9, clip: {clip}")
    )

    def data(self, rng):
        samples, targets = super().data(rng)
        targets[rng.random(targets.shape) < 1 / 3] = -100
        targets[6] = -100
        return samples, targets

    def cross_entropy(self, logits, y):
        if (y == -100).all():
            return 0 * logits.sum()
        weights = torch.tensor(self.weights_of_classes, dtype=torch.float64)
        return F.cross_entropy(logits, y, weights, label_smoothing=0.1)


class Resnet(Images):
    """One data slot: batch norms measure what PyTorch's do."""

    job = (
        """\
name: resnet-tiny
model: {family: resnet, depth: DEPTH, stem: STEM, width: 4, image: [12, 10, 3], classes: 5}
slots: {data: 1}
"""
        + IMAGES
    )

    def __init__(self, depth, stem):
        self.job = self.job.replace("DEPTH", str(depth)).replace("STEM", stem)
        self.rate = 0.005 if depth == 18 else 0.0002
        self.blocks = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
        self.bottleneck, self.large = depth == 50, stem == "large"

    def convolution_norm(self, w, name, out, fan_in, kernel):
        w.make(f"{name}.weight", (out, fan_in, kernel, kernel), std=(2 / out) ** 0.5 / kernel)
        # Biases that keep most channels alive: of a dead one, float32 shows nothing but rounding.
        w.make(f"{name}.norm.weight", (out,), mean=1.0)
        w.make(f"{name}.norm.bias", (out,), mean=0.7)
        w.statistic(f"{name}.norm.mean", (out,), 0.0)
        w.statistic(f"{name}.norm.variance", (out,), 1.0)

    def each_block(self):
        fan_in = 4
        for stage, count in enumerate(self.blocks):
            for i in range(count):
                width = 4 << stage
                out = 4 * width if self.bottleneck else width
                stride = 2 if stage > 0 and i == 0 else 1
                projects = i == 0 and (stage > 0 or self.bottleneck)
                yield f"stage{stage}.block{i}", fan_in, width, out, stride, projects
                fan_in = out
        self.features = fan_in

    def weights(self, w):
        self.convolution_norm(w, "stem", 4, 3, 7 if self.large else 3)
        for name, fan_in, width, out, _, projects in self.each_block():
            if projects:
                self.convolution_norm(w, f"{name}.shortcut", out, fan_in, 1)
            self.convolution_norm(w, f"{name}.conv1", width, fan_in, 1 if self.bottleneck else 3)
            self.convolution_norm(w, f"{name}.conv2", width, width, 3)
            if self.bottleneck:
                self.convolution_norm(w, f"{name}.conv3", out, width, 1)
        w.linear("fc", self.classes, self.features)

    def convolve(self, w, name, x, stride, training):
        weight = w[f"{name}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=(weight.shape[-1] - 1) // 2)
        norm = f"{name}.norm"
        mean, variance = w.statistics[f"{norm}.mean"], w.statistics[f"{norm}.variance"]
        return F.batch_norm(x, mean, variance, w[f"{norm}.weight"], w[f"{norm}.bias"], training)

    def logits(self, w, x, training):
        x = F.relu(self.convolve(w, "stem", x, 2 if self.large else 1, training))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        for name, _, _, _, stride, projects in self.each_block():
            short = self.convolve(w, f"{name}.shortcut", x, stride, training) if projects else x
            first = 1 if self.bottleneck else stride
            y = F.relu(self.convolve(w, f"{name}.conv1", x, first, training))
            second = stride if self.bottleneck else 1
            y = self.convolve(w, f"{name}.conv2", y, second, training)
            if self.bottleneck:
                y = self.convolve(w, f"{name}.conv3", F.relu(y), 1, training)
            x = F.relu(y + short)
        return linear(w, "fc", x.mean((2, 3)))


class Texts:
    """Texts of their own lengths, padded with 0; the class is that of the tokens they prefer."""

    input_type = "<i4"
    classes, vocabulary, context, batch = 5, 29, 11, 8
    rate = 0.01

    job = f"""\
data: {{format: lines, folder: none, train: none}}
train: {{batch: {batch}, steps: {STEPS}}}
optimizer: {{kind: adam, learning_rate: RATE}}
slots: {{data: 2}}
"""

    def data(self, rng):
        targets = rng.integers(0, self.classes, size=(STEPS, self.batch, 1))
        tokens = rng.integers(1, self.vocabulary, size=(STEPS, self.batch, self.context))
        preferred = 1 + (tokens % 5 + 5 * targets) % (self.vocabulary - 1)
        tokens = np.where(rng.random(tokens.shape) < 0.5, preferred, tokens)
        lengths = rng.integers(1, self.context + 1, size=(STEPS, self.batch, 1))
        return np.where(np.arange(self.context) < lengths, tokens, 0), targets

    def optimizer(self, parameters):
        return torch.optim.Adam(parameters, self.rate)

    def learning_rate(self, step):
        return self.rate

    def loss(self, w, x, y, training):
        return F.cross_entropy(self.logits(w, x, x != 0), y[:, 0])


class Embedding(Texts):
    job = (
        """\
name: embedding-tiny
model: {family: embedding, vocabulary: 29, context: 11, width: 7, hidden: [13], activation: tanh, classes: 5}
"""
        + Texts.job
    )

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, 7), std=1.0)
        w.linear("layer0", 13, 7)
        w.linear("layer1", self.classes, 13)

    def logits(self, w, x, real):
        tokens = w["tokens.weight"][x] * real[..., None]
        mean = tokens.sum(1) / real.sum(1, keepdim=True)
        return linear(w, "layer1", torch.tanh(linear(w, "layer0", mean)))


class Bert(Texts):
    layers, heads, width = 2, 3, 24
    rate = 0.002

    job = (
        """\
name: bert-tiny
model: {family: bert, layers: 2, heads: 3, width: 24, vocabulary: 29, context: 11, classes: 5}
"""
        + Texts.job
    )

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, self.width))
        w.make("positions.weight", (self.context, self.width))
        w.norm("norm", self.width)
        for layer in range(self.layers):
            block = f"block{layer}"
            w.linear(f"{block}.qkv", 3 * self.width, self.width)
            w.linear(f"{block}.proj", self.width, self.width)
            w.norm(f"{block}.norm1", self.width)
            w.linear(f"{block}.up", 4 * self.width, self.width)
            w.linear(f"{block}.down", self.width, 4 * self.width)
            w.norm(f"{block}.norm2", self.width)
        w.linear("pooler", self.width, self.width)
        w.linear("head", self.classes, self.width)

    def attention(self, x, real):
        batch, length, _ = x.shape
        q, k, v = x.view(batch, length, self.heads, 3, -1).permute(3, 0, 2, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
        return mixed.transpose(1, 2).reshape(batch, length, self.width)

    def norm(self, w, name, x):
        weight = w[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, w[f"{name}.bias"], 1e-12)

    def logits(self, w, x, real):
        x = self.norm(w, "norm", w["tokens.weight"][x] + w["positions.weight"])
        for layer in range(self.layers):
            block = f"block{layer}"
            mixed = self.attention(linear(w, f"{block}.qkv", x), real)
            x = self.norm(w, f"{block}.norm1", x + linear(w, f"{block}.proj", mixed))
            wide = F.gelu(linear(w, f"{block}.up", x))
            x = self.norm(w, f"{block}.norm2", x + linear(w, f"{block}.down", wide))
        return linear(w, "head", torch.tanh(linear(w, "pooler", x[:, 0])))


class Lstm(Texts):
    layers, width = 2, 9

    job = (
        """\
name: lstm-tiny
model: {family: lstm, layers: 2, width: 9, vocabulary: 29, context: 11, classes: 5}
"""
        + Texts.job
    )

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, self.width), std=1.0)
        for layer in range(self.layers):
            for part in "weight_ih", "weight_hh", "bias_ih", "bias_hh":
                rows = (4 * self.width,)
                shape = rows + (self.width,) if part.startswith("weight") else rows
                w.make(f"lstm{layer}.{part}", shape, std=self.width**-0.5)
        w.linear("head", self.classes, self.width)

    def logits(self, w, x, real):
        lstm = torch.nn.LSTM(self.width, self.width, self.layers, batch_first=True)
        weights = {
            f"{part}_l{layer}": w[f"lstm{layer}.{part}"]
            for layer in range(self.layers)
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            w["tokens.weight"][x], real.sum(1), batch_first=True, enforce_sorted=False
        )
        _, (states, _) = torch.func.functional_call(lstm, weights, (packed,))
        return linear(w, "head", states[-1])


class LayersOfImages(Images):
    """A list of layers. One data slot, as of Resnet."""

    rate = 0.02

    job = (
        """\
name: layers-images-tiny
model:
  family: layers
  image: [12, 10, 3]
  classes: 5
  label_smoothing: 0.1
  layers:
    - {kind: convolution, name: stem, filters: 8, kernel: 3, bias: false}
    - {kind: batch_norm, name: norm0}
    - {kind: silu, name: act0}
    - {kind: convolution, name: depth, filters: 8, kernel: 3, groups: 8}
    - {kind: batch_norm, name: norm1, momentum: 0.2}
    - {kind: convolution, name: point, filters: 8, kernel: 1}
    - {kind: add, with: act0}
    - {kind: relu, name: joined}
    - {kind: mean_pool, window: 2, name: pool}
    - {kind: convolution, name: wide, filters: 12, kernel: 3, stride: 2, padding: 0, groups: 4}
    - gelu
    - {kind: global_mean_pool, name: left}
    - {kind: max_pool, from: pool, window: 3, stride: 2, padding: 1}
    - flatten
    - {kind: linear, name: right, width: 7, bias: false}
    - {kind: concat, with: left}
    - {kind: linear, name: head, width: 5}
slots: {data: 1}
"""
        + IMAGES
    )

    def norm(self, w, name, width):
        w.norm(name, width)
        w.statistic(f"{name}.mean", (width,), 0.0)
        w.statistic(f"{name}.variance", (width,), 1.0)

    def weights(self, w):
        w.make("stem.weight", (8, 3, 3, 3), std=27**-0.5)
        self.norm(w, "norm0", 8)
        w.convolution("depth", 8, 1, 3)
        self.norm(w, "norm1", 8)
        w.convolution("point", 8, 8, 1)
        w.convolution("wide", 12, 2, 3)
        w.linear("right", 7, 8 * 3 * 3, bias=False)
        w.linear("head", self.classes, 19)

    def normalize(self, w, name, x, training, momentum=0.1):
        mean, variance = w.statistics[f"{name}.mean"], w.statistics[f"{name}.variance"]
        return F.batch_norm(
            x, mean, variance, w[f"{name}.weight"], w[f"{name}.bias"], training, momentum
        )

    def logits(self, w, x, training):
        x = F.conv2d(x, w["stem.weight"], padding=1)
        act = F.silu(self.normalize(w, "norm0", x, training))
        x = F.conv2d(act, w["depth.weight"], w["depth.bias"], padding=1, groups=8)
        x = self.normalize(w, "norm1", x, training, 0.2)
        x = F.conv2d(x, w["point.weight"], w["point.bias"])
        pool = F.avg_pool2d(F.relu(x + act), 2)
        x = F.conv2d(pool, w["wide.weight"], w["wide.bias"], stride=2, groups=4)
        left = F.gelu(x).mean((2, 3))
        right = F.max_pool2d(pool, 3, 2, 1).permute(0, 2, 3, 1).flatten(1) @ w["right.weight"].T
        return linear(w, "head", torch.cat((right, left), 1))

    def loss(self, w, x, y, training):
        logits = self.logits(w, x.permute(0, 3, 1, 2), training)
        return F.cross_entropy(logits, y[:, 0], label_smoothing=0.1)


class LayersOfTokens(Texts):
    heads, kv_heads, width, states = 6, 2, 24, 9

    job = (
        """\
name: layers-tokens-tiny
model:
  family: layers
  context: 11
  vocabulary: 29
  classes: 5
  layers:
    - {kind: embedding, name: tokens, width: 24}
    - {kind: position, name: positions}
    - {kind: attention, name: mix, heads: 6, kv_heads: 2, rotary: true}
    - {kind: add, with: positions}
    - {kind: layer_norm, name: norm}
    - {kind: gru, name: gru, width: 9}
    - {kind: rms_norm, name: scale}
    - {kind: position_take, name: last, position: -1}
    - {kind: position_mean, name: mean, from: norm}
    - {kind: concat, with: last}
    - {kind: linear, name: head, width: 5}
"""
        + Texts.job
    )

    def weights(self, w):
        w.make("tokens.weight", (self.vocabulary, self.width), std=1.0)
        w.make("positions.weight", (self.context, self.width))
        head = self.width // self.heads
        w.linear("mix.qkv", (self.heads + 2 * self.kv_heads) * head, self.width)
        w.linear("mix.proj", self.width, self.width)
        w.norm("norm", self.width)
        for part in "ih", "hh":
            fan_in = self.width if part == "ih" else self.states
            w.make(f"gru.weight_{part}", (3 * self.states, fan_in), std=self.states**-0.5)
            w.make(f"gru.bias_{part}", (3 * self.states,))
        w.make("scale.weight", (self.states,), mean=1.0)
        w.linear("head", self.classes, self.width + self.states)

    def attention(self, x, real):
        batch, length, _ = x.shape
        # Of each group its query heads, its key and its value lie beside each other.
        group = self.heads // self.kv_heads
        groups = x.view(batch, length, self.kv_heads, group + 2, -1)
        q = groups[:, :, :, :group].flatten(2, 3).transpose(1, 2)
        k, v = (
            groups[:, :, :, i].repeat_interleave(group, 2).transpose(1, 2)
            for i in (group, group + 1)
        )
        q, k = RotaryGpt.turn(q), RotaryGpt.turn(k)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
        return mixed.transpose(1, 2).reshape(batch, length, self.width)

    def logits(self, w, x, real):
        x = w["tokens.weight"][x] + w["positions.weight"]
        x = x + linear(w, "mix.proj", self.attention(linear(w, "mix.qkv", x), real))
        x = norm(w, "norm", x)
        gru = torch.nn.GRU(self.width, self.states, batch_first=True)
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, real.sum(1), batch_first=True, enforce_sorted=False
        )
        weights = {f"{part}_l0": w[f"gru.{part}"] for part in parts}
        _, states = torch.func.functional_call(gru, weights, (packed,))
        last = F.rms_norm(states[-1], (self.states,), w["scale.weight"], 1e-5)
        mean = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        return linear(w, "head", torch.cat((mean, last), 1))


FAMILIES = {
    "gpt-tiny": Gpt,
    "gpt-rotary-tiny": RotaryGpt,
    "gpt-smooth-tiny": SmoothGpt,
    "regression-tiny": Regression,
    "cnn-tiny": Cnn,
    "cnn-weighted-tiny": WeightedCnn,
    "resnet18-tiny": lambda: Resnet(18, "small"),
    "resnet50-tiny": lambda: Resnet(50, "small"),
    "embedding-tiny": Embedding,
    "bert-tiny": Bert,
    "lstm-tiny": Lstm,
    "layers-images-tiny": LayersOfImages,
    "layers-tokens-tiny": LayersOfTokens,
}


def tensors(family, x, y):
    x = torch.from_numpy(x.astype(np.int64 if family.input_type == "<i4" else np.float64))
    return x, torch.from_numpy(y.astype(np.int64 if y.dtype == np.int32 else np.float64))


def train(family, w, samples, targets):
    optimizer = family.optimizer(list(w.trained.values()))
    losses = []
    for step, (x, y) in enumerate(zip(samples, targets), start=1):
        loss = family.loss(w, *tensors(family, x, y), True)
        optimizer.zero_grad()
        loss.backward()
        if hasattr(family, "clip"):
            torch.nn.utils.clip_grad_norm_(w.trained.values(), family.clip)
        optimizer.param_groups[0]["lr"] = family.learning_rate(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def evaluate(family, w, x, y):
    """The loss of a batch after training, as PyTorch's model.eval() has it."""
    with torch.no_grad():
        return family.loss(w, *tensors(family, x, y), False).item()


def make(name, folder):
    family = FAMILIES[name]()
    rng = np.random.default_rng(sum(name.encode()))
    samples, targets = family.data(rng)
    samples, targets = samples.astype(family.input_type), targets.astype(getattr(family, "target_type", "<i4"))
    w = Weights(rng)
    family.weights(w)
    losses = train(family, w, samples, targets)
    evaluation = evaluate(family, w, samples[0], targets[0])
    text = {
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
        "job": family.job.replace("RATE", f"{family.learning_rate(STEPS):.4f}"),
        "params": [{"name": n, "shape": list(v.shape)} for n, v in w.initial.items()],
        "losses": losses,
        "evaluation": evaluation,
    }
    (folder / f"{name}.json").write_text(json.dumps(text, indent=1) + "\n")
    sections = [samples, targets, *w.initial.values()]
    (folder / f"{name}.bin").write_bytes(b"".join(s.tobytes() for s in sections))


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(name, pathlib.Path(__file__).parent)


main()

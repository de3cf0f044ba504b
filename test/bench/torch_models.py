"""The models of bench_step in PyTorch, as its users write them. Not for training anything: the data
are random."""

import os
import sys

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(width, 2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, width, context, vocabulary):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.02)

    def forward(self, x):
        x = self.tokens(x) + self.positions.weight[: x.shape[1]]
        return self.norm(self.blocks(x)) @ self.tokens.weight.T


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(10000, 128)
        self.lstm, self.fc = nn.LSTM(128, 128, batch_first=True), nn.Linear(128, 2)

    def forward(self, x):
        return self.fc(self.lstm(self.tokens(x))[0][:, -1])


def tokens(batch, length, vocabulary):
    return torch.randint(0, vocabulary, (batch, length))


def make(name):
    """The model, an input and its targets."""
    if name == "mlp":
        layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Linear(512, 10))
        return net, torch.randn(128, 784), torch.randint(0, 10, (128,))
    if name == "cnn":
        layers = [nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, 10))
        x = torch.randn(128, 1, 28, 28)
        if os.environ.get("CHANNELS_LAST") == "1":
            net = net.to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        return net, x, torch.randint(0, 10, (128,))
    if name == "lstm":
        return Lstm(), tokens(64, 100, 10000), torch.randint(0, 2, (64,))
    if name == "smallgpt":
        return Gpt(6, 6, 384, 256, 256), tokens(8, 256, 256), tokens(8, 256, 256)
    if name == "gpt2":
        return Gpt(12, 12, 768, 1024, 50257), tokens(4, 64, 50257), tokens(4, 64, 50257)
    sys.exit(f"no model {name}")

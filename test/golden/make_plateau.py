#!/usr/bin/env python3
"""Makes the tables that test/models/test_plateau.c compares models/plateau.c with.

    python3 make_plateau.py      (writes plateau.json beside itself)

Validation losses, multiples of 1/64 that fall, stay and jump by a seeded NumPy generator, and the
factor of the learning rate that torch.optim.lr_scheduler.ReduceLROnPlateau leaves after each.
"""

import json
import pathlib
import platform

import numpy as np
import torch

CASES = [
    {"gamma": 0.1, "patience": 10, "threshold": 1e-4, "final": 0.0},
    {"gamma": 0.5, "patience": 2, "threshold": 0.05, "final": 0.0},
    {"gamma": 0.5, "patience": 0, "threshold": 0.0, "final": 0.01},
    {"gamma": 0.7, "patience": 3, "threshold": 0.2, "final": 0.3},
]


def losses(rng, count=120):
    level = 256 * np.exp(-np.arange(count) / 20) + 64
    return np.maximum(1, np.rint(level + rng.integers(-24, 24, count))) / 64


def factors(case, values):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=case["gamma"],
        patience=case["patience"],
        threshold=case["threshold"],
        min_lr=case["final"],
        eps=0,
    )
    rates = []
    for value in values:
        plateau.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def main():
    rng = np.random.default_rng(1)
    rows = []
    for case in CASES:
        values = losses(rng).tolist()
        rows.append({**case, "losses": values, "factors": factors(case, values)})
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    text = json.dumps({"versions": versions, "cases": rows}, indent=1)
    (pathlib.Path(__file__).parent / "plateau.json").write_text(text + "\n")


main()

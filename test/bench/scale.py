#!/usr/bin/env python3
"""Weak scaling of data parallel training, 2 ranks against 1, one thread each: one line of JSON for each
model and dtype. Ours is quadrille run itself, on its own data, by its own logs; PyTorch's is
DistributedDataParallel over gloo.

    scale.py QUADRILLE [--python PYTHON | --no-torch] [--models ...] [--dtypes ...]

On two ranks each updates its half of the parameters (layout.zero 1), as the planner would have it.

efficiency: time of a step on one rank over that on two, each of which has a batch as large. Both run by
turns, --rounds times, and medians are taken. machine_efficiency: the same for two jobs of one rank that exchange nothing: what the cores allow, which
share caches and memory. communication_share: of the time of the second rank's step, that
spent waiting for sums.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

from step import TUNED, run

STEPS = {"mlp": 500, "smallgpt": 6, "gpt2": 5}
BATCH = {"mlp": 128, "smallgpt": 8, "gpt2": 4}
MODELS = {
    "mlp": """model: {family: mlp, inputs: 784, hidden: [512, 512], classes: 10}
data: {format: npy, folder: ., train_inputs: x.npy, train_targets: y.npy}""",
    "smallgpt": """model: {family: gpt, vocabulary: 256, layers: 6, heads: 6, width: 384, context: 256}
data: {format: text, folder: ., file: text, stride: 256, validation_share: 0.001}""",
    "gpt2": """model: {family: gpt, vocabulary: 50257, layers: 12, heads: 12, width: 768, context: 1024, length: 64}
data: {format: text, folder: ., file: text, stride: 64, validation_share: 0.001}""",
}


def write_data(folder):
    chance = random.Random(1)
    (folder / "text").write_bytes(bytes(chance.randrange(256) for _ in range(1 << 20)))
    rows = 8192

    def npy(name, dtype, shape, values):
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        with open(folder / name, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + values)

    npy("x.npy", "|u1", (rows, 784), chance.randbytes(rows * 784))
    npy("y.npy", "|u1", (rows,), bytes(chance.randrange(10) for _ in range(rows)))


def write_job(folder, name, model, dtype, ranks):
    (folder / f"{name}.yaml").write_text(
        f"""name: {name}
{MODELS[model]}
train: {{batch: {BATCH[model] * ranks}, steps: {STEPS[model]}, precision: {dtype}}}
optimizer: {{kind: adam, learning_rate: 0.000001}}
slots: {{data: {ranks}}}
layout: {{zero: 1, bucket_mib: 0.5}}
log: {{interval_s: 0.05}}
"""
    )


def train(options, folder, workers, names):
    files = [f"{name}.yaml" for name in names]
    command = [options.quadrille, "run", "-n", str(workers), "--progress=none"] + files
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def read_steps(folder, name, rank):
    log = folder / "runs" / name / f"rank-{rank}.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["steps"] > 0][2:-1]  # warm, and without the checkpoint


def quadrille(options, folder, model, dtype, ranks):
    """Milliseconds of a step, and the share of it that the last rank waited for others."""
    write_job(folder, "bench", model, dtype, ranks)
    train(options, folder, ranks, ["bench"])
    lines = read_steps(folder, "bench", ranks)
    ms = statistics.median(line["wall_s"] / line["steps"] for line in lines) * 1e3
    waited = sum(line["communication_s"] for line in lines) / sum(line["wall_s"] for line in lines)
    return ms, waited


def apart(options, folder, model, dtype):
    """Milliseconds of a step of the slower of two jobs that run beside each other and exchange nothing."""
    for name in "one", "other":
        write_job(folder, name, model, dtype, 1)
    train(options, folder, 2, ["one", "other"])
    times = []
    for log in folder.glob("runs/*/rank-*.jsonl"):
        if log.parent.name in ("one", "other"):
            lines = read_steps(folder, log.parent.name, log.stem.split("-")[1])
            times.append(statistics.median(line["wall_s"] / line["steps"] for line in lines) * 1e3)
    return max(times)


def torch(options, model, dtype, ranks):
    script = pathlib.Path(__file__).with_name("torch_scale.py")
    steps = min(STEPS[model], 300)
    return run([options.python, str(script), model, dtype, str(ranks), str(steps)], GLIBC_TUNABLES=TUNED)


def measure(options, folder, model, dtype):
    ours, theirs, waits, separate = {1: [], 2: []}, {1: [], 2: []}, [], []
    for _ in range(options.rounds):
        for ranks in 1, 2:
            ms, waited = quadrille(options, folder, model, dtype, ranks)
            ours[ranks].append(ms)
            waits += [waited] if ranks == 2 else []
            if not options.no_torch:
                theirs[ranks].append(torch(options, model, dtype, ranks)["step_ms"])
        separate.append(apart(options, folder, model, dtype))
    one, two = (statistics.median(ours[ranks]) for ranks in (1, 2))
    line = {"model": model, "dtype": dtype, "one_ms": round(one, 3), "two_ms": round(two, 3)}
    line |= {"machine_efficiency": round(one / statistics.median(separate), 3)}
    line |= {"efficiency": round(one / two, 3), "communication_share": round(statistics.median(waits), 3)}
    if theirs[1]:
        one, two = (statistics.median(theirs[ranks]) for ranks in (1, 2))
        line |= {"torch_one_ms": round(one, 3), "torch_two_ms": round(two, 3)}
        line |= {"torch_efficiency": round(one / two, 3)}
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("quadrille", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_data(pathlib.Path(folder))
        for model in options.models:
            for dtype in options.dtypes:
                measure(options, pathlib.Path(folder), model, dtype)


if __name__ == "__main__":
    main()

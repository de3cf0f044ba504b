#!/usr/bin/env python3
"""What the planner says of a layout beside what a run of it takes: one line of JSON for each layout, two
cores at most, one thread a rank.

    planner.py QUADRILLE [--cluster FILE] [--models ...] [--layouts ...]

Without --cluster this machine is calibrated anew before each run, so that what else it does then meets both.
time_ratio: predicted time of a step over the measured one (median over the intervals of the log, the first
ones left out), the median of the rounds; memory_ratio: predicted bytes of the fullest rank over the greatest
peak that a rank logged.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from scale import write_data

MODELS = {
    "gpt": (
        """model: {family: gpt, vocabulary: 256, layers: 4, heads: 4, width: 256, context: 128}
data: {format: text, folder: ., file: text, stride: 128}""",
        8,
        12,
    ),
    "mlp": (
        """model: {family: mlp, inputs: 784, hidden: [1024, 1024, 1024], classes: 10}
data: {format: npy, folder: ., train_inputs: x.npy, train_targets: y.npy}""",
        512,
        30,
    ),
}

LAYOUTS = {
    "one": {"slots": 1},
    "micro": {"slots": 1, "micro_batches": 4},
    "recompute": {"slots": 1, "recompute": 4},
    "dp": {"dp": 2, "slots": 2},
    "zero1": {"dp": 2, "slots": 2, "zero": 1},
    "zero2": {"dp": 2, "slots": 2, "zero": 2},
    "zero3": {"dp": 2, "slots": 2, "zero": 3},
    "tp": {"tp": 2, "slots": 1},
    "1f1b": {"pp": 2, "slots": 1, "micro_batches": 4, "schedule": "1f1b"},
    "zb-h1": {"pp": 2, "slots": 1, "micro_batches": 4, "schedule": "zb-h1"},
    "interleaved": {"pp": 2, "slots": 1, "micro_batches": 4, "schedule": "interleaved"},
    "bf16": {"dp": 2, "slots": 2, "precision": "bf16"},
}
SKIPPED = {("mlp", "recompute"), ("mlp", "tp")}  # it has no blocks, and tensor slots do not cut it


def call(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def write_job(folder, model, layout, plan=None):
    text, batch, steps = MODELS[model]
    keys = "name: bench\n" + text + "\n"
    keys += f"train: {{batch: {batch}, steps: {steps}, precision: {layout.get('precision', 'fp32')}"
    if plan:
        keys += f", micro_batches: {plan['micro_batches']}, recompute: {plan['recompute']}"
    keys += "}\noptimizer: {kind: adam, learning_rate: 0.000001}\nlog: {interval_s: 0.05}\n"
    if plan:
        keys += f"slots: {{data: {plan['slots']}}}\nlayout: {{dp: {plan['dp']}, pp: {plan['pp']}, tp: {plan['tp']}, "
        keys += f"zero: {plan['zero']}, chunks: {plan['chunks']}, schedule: {plan['schedule'] or '1f1b'}}}\n"
    (folder / "bench.yaml").write_text(keys)


def predict(options, folder, model, layout):
    write_job(folder, model, layout)
    pins = {"dp": 1, "pp": 1, "tp": 1, "zero": 0, "micro_batches": 1, "recompute": 0} | layout
    pins.pop("precision", None)
    words = ",".join(f"{key}={value}" for key, value in pins.items())
    command = [options.quadrille, "plan", "--json", "--cluster", options.cluster, "--ranks=2", f"--layout={words}"]
    return json.loads(call(command + ["bench.yaml"], folder))["best"]


def measure(options, folder, model, layout, plan):
    write_job(folder, model, layout, plan)
    ranks = plan["dp"] * plan["pp"] * plan["tp"]
    call([options.quadrille, "run", "-n", str(ranks), "--progress=none", "bench.yaml"], folder)
    steps, peak = [], 0
    for rank in range(1, ranks + 1):
        log = folder / "runs" / "bench" / f"rank-{rank}.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        peak = max([peak] + [line["peak_memory_bytes"] for line in lines])
        lines = [line for line in lines if line["steps"] > 0][2:-1]  # warm, and without the checkpoint
        steps.append(statistics.median(line["wall_s"] / line["steps"] for line in lines))
    return max(steps), peak


def one_round(options, folder, model, layout):
    if not options.given:
        pathlib.Path(options.cluster).write_text(call([options.quadrille, "calibrate"], folder))
    plan = predict(options, folder, model, layout)
    step, peak = measure(options, folder, model, layout, plan["layout"])
    return {
        "predicted_ms": plan["step_s"] * 1e3,
        "measured_ms": step * 1e3,
        "time_ratio": plan["step_s"] / step,
        "predicted_mb": plan["memory_bytes"] / 1e6,
        "measured_mb": peak / 1e6,
        "memory_ratio": plan["memory_bytes"] / peak,
    }


def compare(options, folder, model, name):
    rounds = [one_round(options, folder, model, LAYOUTS[name]) for _ in range(options.rounds)]
    line = {"model": model, "layout": name}
    for key in rounds[0]:
        line[key] = round(statistics.median(one[key] for one in rounds), 3)
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("quadrille", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--cluster", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=list(LAYOUTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_data(folder)
        options.given = options.cluster is not None
        options.cluster = options.cluster or str(folder / "cluster.yaml")
        for model in options.models:
            for layout in options.layouts:
                if (model, layout) not in SKIPPED:
                    compare(options, folder, model, layout)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Training steps of Quadrille's CPU engine beside PyTorch's: one line of JSON for each model, dtype
and number of threads.

    step.py BENCH_STEP [--python PYTHON | --no-torch] [--models ...] [--dtypes ...] [--threads ...]

BENCH_STEP is the program that the build made (build/test/bench/bench_step); PYTHON one that has
PyTorch. Both run by turns, ROUNDS times, and medians are taken: what else the machine does then
meets both. PyTorch's malloc is told to keep its memory, without which it pays for page faults.

torch_ratio is PyTorch's time over ours: above 1 we are faster. roofline_fraction: see step.c.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROUNDS = 3
STEPS = {"mlp": 200, "cnn": 30, "lstm": 30, "smallgpt": 3, "gpt2": 3}
TUNED = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864"
)


def run(command, **environment):
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def torch_step(python, model, dtype, threads):
    script = pathlib.Path(__file__).with_name("torch_step.py")
    command = [python, str(script), model, dtype, str(threads), str(STEPS[model])]
    peers = [run(command, GLIBC_TUNABLES=TUNED)]
    if model == "cnn":  # its users know two layouts: the better one counts
        peers.append(run(command, GLIBC_TUNABLES=TUNED, CHANNELS_LAST="1"))
    return min(peers, key=lambda peer: peer["step_ms"])


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def measure(options, model, dtype, threads):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(run([options.bench, model, dtype, str(threads), str(STEPS[model])]))
        if not options.no_torch:
            theirs.append(torch_step(options.python, model, dtype, threads))
    line = dict(ours[0])
    for key in "step_ms", "roofline_fraction", "peak_gflops", "triad_gbps", "minor_faults":
        line[key] = median(ours, key)
    if theirs:
        line["torch_step_ms"] = round(median(theirs, "step_ms"), 3)
        line["torch_ratio"] = round(median(theirs, "step_ms") / line["step_ms"], 3)
        line["torch_peak_memory_bytes"] = median(theirs, "peak_memory_bytes")
        line["torch_version"] = theirs[0]["torch_version"]
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    options = parser.parse_args()
    for threads in options.threads:
        for model in options.models:
            for dtype in options.dtypes:
                measure(options, model, dtype, threads)


if __name__ == "__main__":
    main()

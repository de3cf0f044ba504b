#!/usr/bin/env python3
"""All-reduce of Quadrille beside Open MPI's and gloo's: one line of JSON for each size.

    allreduce.py BENCH_ALLREDUCE [--python PYTHON | --no-gloo] [--ranks 2]

BENCH_ALLREDUCE is the program that the build made (build/test/bench/bench_allreduce); PYTHON one
that has PyTorch, whose gloo runs in the same run, after ours and over the same number of processes,
bound as mpirun binds ours. All are in place, of fp32; times are medians over rounds of the slowest
rank. speedup: the better of the two others' time over ours. See allreduce.c for the other keys.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def gloo_rank(rank, ranks, port, sizes):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % os.cpu_count()]})
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks
    )
    vector = torch.zeros(max(sizes) // 4)
    for size in sizes:
        part = vector[: size // 4]
        calls = 50 if size <= 65536 else 3 if size <= 4 << 20 else 1
        times = []
        for attempt in range(-1, 5):  # one to warm up
            dist.barrier()
            start = time.perf_counter()
            for _ in range(calls):
                dist.all_reduce(part)
            slowest = torch.tensor([(time.perf_counter() - start) / calls * 1e6])
            dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
            if attempt >= 0:
                times.append(slowest.item())
        if rank == 0:
            print(json.dumps({"bytes": size, "gloo_us": round(statistics.median(times), 1)}), flush=True)
    dist.destroy_process_group()


def gloo(python, ranks, sizes):
    port = 20000 + os.getpid() % 20000
    command = [python, __file__, "--gloo-rank", "{}", str(ranks), str(port), json.dumps(sizes)]
    peers = [
        subprocess.Popen(
            [word.format(rank) if word == "{}" else word for word in command],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(ranks)
    ]
    out = peers[0].communicate()[0]
    if any(peer.wait() for peer in peers):
        sys.exit("gloo failed")
    return {line["bytes"]: line["gloo_us"] for line in map(json.loads, out.splitlines())}


def ours(bench, ranks):
    environment = {**os.environ}
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        ["mpirun", "-n", str(ranks), bench],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--no-gloo", action="store_true")
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    lines = ours(options.bench, options.ranks)
    gloo_us = {} if options.no_gloo else gloo(options.python, options.ranks, [l["bytes"] for l in lines])
    for line in lines:
        if line["bytes"] in gloo_us:
            line["gloo_us"] = gloo_us[line["bytes"]]
        others = [line[key] for key in ("openmpi_us", "gloo_us") if key in line]
        line["speedup"] = round(min(others) / line["ours_us"], 2)
        print(json.dumps(line), flush=True)


if len(sys.argv) == 6 and sys.argv[1] == "--gloo-rank":
    gloo_rank(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5]))
else:
    main()

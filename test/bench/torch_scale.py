"""Data parallel steps of the models of torch_models.py over gloo: python torch_scale.py MODEL DTYPE
RANKS STEPS prints one line of JSON with the median time of a step of the slowest rank, each of which has
one thread, a core of its own and the whole batch of the model (weak scaling)."""

import json
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from torch_models import make  # noqa: E402


def train(rank, name, dtype, ranks, steps, port):
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    net, x, y = make(name)
    if ranks > 1:
        net = torch.nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.Adam(net.parameters(), 1e-6)
    times = []
    for attempt in range(steps + 2):
        dist.barrier()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            logits = net(x)
        F.cross_entropy(logits.flatten(0, -2).float(), y.flatten()).backward()
        optimizer.step()
        slowest = torch.tensor([(time.perf_counter() - start) * 1e3])
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        if attempt >= 2:
            times.append(slowest.item())
    if rank == 0:
        print(json.dumps({"step_ms": statistics.median(times), "torch_version": torch.__version__}))
    dist.destroy_process_group()


if __name__ == "__main__":
    arguments = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    port = 20000 + os.getpid() % 20000
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    mp.spawn(train, (*arguments, port), nprocs=arguments[2])

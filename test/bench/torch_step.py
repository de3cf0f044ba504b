"""Steps of the models of torch_models.py: python torch_step.py MODEL DTYPE THREADS STEPS prints one
line of JSON with the median time of a step (forward, backward, Adam) and the peak of resident memory."""

import json
import math
import os
import resource
import statistics
import sys
import time

name, dtype, threads, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
os.environ["OMP_NUM_THREADS"] = str(threads)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from torch_models import make  # noqa: E402

torch.set_num_threads(threads)
torch.manual_seed(0)

net, x, y = make(name)
# So small a rate keeps the loss of the one batch where it is.
optimizer = torch.optim.Adam(net.parameters(), 1e-6)


def step():
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
        logits = net(x)
    F.cross_entropy(logits.flatten(0, -2).float(), y.flatten()).backward()
    optimizer.step()
    return (time.perf_counter() - start) * 1e3


for _ in range(2 if name.endswith(("gpt", "gpt2")) else 10):
    step()
times = [step() for _ in range(steps)]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
assert math.isfinite(times[-1])
print(
    json.dumps(
        {
            "step_ms": statistics.median(times),
            "torch_version": torch.__version__,
            "peak_memory_bytes": peak,
        }
    )
)

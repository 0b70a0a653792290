"""What the trace store costs: writing as a share of the forward pass, size over entropy, counting from disk, memory."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from forward import SpikingVgg
from layers import GEOMETRY, RATE, SAMPLES, STEPS
from measure import Row, summary
from spikejoule.sim.counting.operations import count
from spikejoule.sim.network.workload import AveragePool, Conv2d, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

BATCHES = 8
ROUNDS = 5
MEMORY_MIB = 96  # the setting that a trace ten times larger is counted within; 66 of it are the compiled counter
COUNT_WITHIN = """
import pathlib, sys
import hashlib, numcodecs.zstd, zarr
from spikejoule.sim.counting.operations import count
from spikejoule.sim.trace.spike_trace import SpikeTrace
def peak():  # of this process alone: ru_maxrss would start at the parent's
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
count(SpikeTrace.open(sys.argv[1], memory=int(sys.argv[2]) * 2**20))
print(peak() - before)
"""


def network() -> Workload:
    """The seven convolutions as one network, with the pooling that joins their sizes."""
    layers, source = [], "input"
    for index, ((inputs, outputs, size), (_, _, following)) in enumerate(pairwise([*GEOMETRY, GEOMETRY[-1]])):
        pool = AveragePool(kernel_size=(2, 2)) if following < size else None
        fields = {"out_channels": outputs, "kernel_size": 3, "padding": 1, "weight_kind": "binary", "pool": pool}
        layers.append(Conv2d(name=f"conv{index}", in_shape=(inputs, size, size), source=source, **fields))
        source = f"conv{index}"
    return Workload(name="vgg", input_shape=layers[0].in_shape, layers=tuple(layers))


def write(path: Path, workload: Workload, spikes: list[dict[str, np.ndarray]], batches: int) -> float:
    """Write a trace of different batches in turn; gives process CPU seconds per batch."""
    start = time.process_time()
    with TraceWriter(path, workload, STEPS, overwrite=True) as writer:
        for batch in range(batches):
            writer.append(spikes[batch % len(spikes)])
    return (time.process_time() - start) / batches


def store_rows() -> list[Row]:
    torch.set_num_threads(1)
    rng, workload = np.random.default_rng(1), network()
    shapes = {name: (STEPS, SAMPLES, *shape) for name, (shape, _) in workload.signals.items()}
    spikes = [
        {name: (rng.random(shape, np.float32) < RATE).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(BATCHES)
    ]
    model, image = SpikingVgg().eval(), torch.rand(SAMPLES, 3, 32, 32)
    packed_mb = BATCHES * sum(math.prod(shape) for shape in shapes.values()) / 8e6
    entropy_mb = packed_mb * -(RATE * math.log2(RATE) + (1 - RATE) * math.log2(1 - RATE))
    shares, rates, sizes = [], [], []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "trace.zarr"
        for _ in range(ROUNDS + 1):
            start = time.process_time()
            model(image)
            forward = time.process_time() - start
            shares.append(write(path, workload, spikes, BATCHES) / forward)
            sizes.append(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6 / entropy_mb)
            start = time.process_time()
            count(SpikeTrace.open(path))
            rates.append(packed_mb / (time.process_time() - start))
        samples = 10 * MEMORY_MIB * 2**20 // int(packed_mb * 1e6 / BATCHES / SAMPLES)
        write(path, workload, spikes, -(-samples // SAMPLES))
        command = [sys.executable, "-c", COUNT_WITHIN, str(path), str(MEMORY_MIB)]
        peaks = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
    what = f"counting a trace of {10 * MEMORY_MIB} MiB packed: peak above the imported process"
    return [
        summary("writing a trace, packing included: share of the forward pass", shares[1:], "x", 0.05, at_least=False),
        summary("stored size over the entropy of its spikes", sizes[1:], "x", 1.15, at_least=False),
        summary("counting from disk, verified: packed spikes", rates[1:], "MB/s"),
        summary(what, peaks, "MiB", MEMORY_MIB, at_least=False),
    ]

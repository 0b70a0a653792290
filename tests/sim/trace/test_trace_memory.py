"""Traces ten times larger than the memory setting are written and read within it, in a fresh interpreter."""

import json
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import json, sys
    import numpy as np
    import numcodecs.zstd
    from spikejoule.sim import SpikeTrace, TraceWriter
    from spikejoule.sim.network.workload import Workload

    path, megabytes, setting = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) * 2**20
    STEPS, SHAPE, BATCH = 10, (64, 32, 32), 8
    workload = Workload(name="large", input_shape=SHAPE, layers=())

    def reset_peak():
        # the peak so far is forgotten; getrusage would not do, as a child's peak there starts with its parent's
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return peak()

    def peak():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024

    rng = np.random.default_rng(0)
    pool = np.empty((STEPS, 4 * BATCH, *SHAPE), bool)
    for index in np.ndindex(pool.shape[:2]):
        pool[index] = rng.integers(0, 256, SHAPE, np.uint8) < 26

    def record(path, batches):
        total = 0
        with TraceWriter(path, workload, STEPS, memory=setting) as writer:
            for batch in range(batches):
                start = batch * 5 % (3 * BATCH)
                spikes = pool[:, start : start + BATCH]
                writer.append({"input": spikes})
                total += int(np.count_nonzero(spikes))
        return total

    def count(path):
        trace = SpikeTrace.open(path, memory=setting)
        return sum(int(np.bitwise_count(trace.packed("input", part)).sum()) for part in trace.chunks())

    record(path + ".small", 1)
    count(path + ".small")
    imported = reset_peak()
    written = record(path, megabytes * 2**20 // (BATCH * STEPS * 8192))
    after_writing = peak() - imported
    read = count(path)
    print(json.dumps({"writing": after_writing, "reading": peak() - imported, "written": written, "read": read}))
"""


def measure(path, megabytes, setting):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), str(megabytes), str(setting)]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert result["written"] == result["read"] > 0
    assert max(result["writing"], result["reading"]) <= setting * 2**20
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_trace_three_times_the_memory_setting_stays_within_it(tmp_path):
    measure(tmp_path / "a.zarr", 192, 64)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_trace_ten_times_the_memory_setting_stays_within_it(tmp_path):
    measure(tmp_path / "a.zarr", 640, 64)

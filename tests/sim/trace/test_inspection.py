"""What `spikejoule trace info | verify | head` show."""

import numpy as np
import pytest
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.trace.inspection import SampleSummary, head, info, verify
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

NET = Workload(
    name="net",
    input_shape=(70,),
    input_kind="signed_spike",
    layers=(Linear(name="a", in_shape=(70,), out_features=5, input_kind="signed_spike"),),
)


@pytest.fixture
def trace(tmp_path):
    values = np.random.default_rng(0).integers(-1, 2, (3, 8, 70))
    with TraceWriter(tmp_path / "a.zarr", NET, 3, provenance={"seed": 1}, chunk_samples=2) as writer:
        writer.append({"input": values, "a": np.ones((3, 8, 5))}, np.arange(8), np.zeros(8, int))
    return SpikeTrace.open(tmp_path / "a.zarr")


def test_info_says_what_the_manifest_says(trace):
    found = info(trace.path)
    assert (found.hash, found.steps, found.samples, found.layers) == (trace.hash, 3, 8, 1)
    assert (found.signals[0].name, found.signals[0].kind, found.signals[0].shape) == ("input", "signed_spike", (70,))
    assert (found.signals[0].planes, found.signals[0].packed_bytes) == (2, 2 * 3 * 8 * 2 * 8)
    assert found.stored_bytes == sum(file.stat().st_size for file in trace.path.rglob("c/**/*") if file.is_file())
    assert (found.chunk_samples, found.accuracy, dict(found.provenance)) == (2, 1 / 8, {"seed": 1})


def test_verify_reads_every_chunk(trace):
    steps = []
    result = verify(trace.path, lambda done, total: steps.append((done, total)))
    assert result.chunks == len(steps) == 4 * (2 + 1 + 2)
    assert steps[-1][0] == steps[-1][1] == result.bytes


def test_head_counts_the_events_of_the_first_samples(trace):
    values = trace.read("input")
    expected = [SampleSummary(i, i, 0, {"input": int(np.count_nonzero(values[:, i])), "a": 15}) for i in range(3)]
    assert head(trace.path, 3) == expected
    assert len(head(trace.path, 100)) == 8
    with pytest.raises(InvalidInput, match="at least 1"):
        head(trace.path, 0)

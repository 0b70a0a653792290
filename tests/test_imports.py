"""What may be imported without what, in a fresh interpreter each: the layering as users feel it."""

import json
import subprocess
import sys

import pytest

BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked in this test")
sys.meta_path.insert(0, Refuse())
"""
DEEP_LEARNING = ("torch", "norse", "tonic", "sklearn", "safetensors")
# yaml is not listed: numba itself imports it
HEAVY = ("pandas", "matplotlib", "zarr", "pydantic", "pyarrow", "torch", "norse", "tonic", "rich", "typer")

WORK = """
import numpy as np, pathlib, tempfile
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.compare import compare
from spikejoule.sim import SpikeTrace, TraceWriter
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
conv = Conv2d(name="conv", in_shape=(1, 5, 5), out_channels=4, kernel_size=3)
fc = Linear(name="fc", in_shape=(4, 3, 3), out_features=2, source="conv", neuron="readout")
net = Workload(name="net", input_shape=(1, 5, 5), layers=(conv, fc))
folder = pathlib.Path(tempfile.mkdtemp())
def one(name, rate):
    rng = np.random.default_rng(0)
    path = folder / (name + ".zarr")
    with TraceWriter(path, net, 3, provenance={"seed": 0, "variant": name}) as writer:
        writer.append({s: rng.random((3, 8, *shape)) < rate for s, (shape, _) in net.signals.items()},
                      labels=np.zeros(8, int), predictions=np.arange(8) % 2)
    return [estimate(SpikeTrace.open(path), load_accelerator("event-driven-45nm"))]
written = compare({"SNN fp32": one("a", 0.4), "BSNN": one("b", 0.2)}, baseline="SNN fp32").write(folder / "report")
assert {path.suffix for path in written} >= {".html", ".pdf"}, written
print("reported", flush=True)
"""
COMMANDS = """
from typer.testing import CliRunner
from spikejoule import cli
trace = str(folder / "a.zarr")
for words in (["trace", "info"], ["count", "--out", str(folder / "c.csv")], ["estimate"], ["estimate", "--all-models"]):
    place = 2 if words[0] == "trace" else 1
    result = CliRunner().invoke(cli.app, [*words[:place], trace, *words[place:]])
    assert result.exit_code == 0, (words, result.output, result.exception)
"""


def fresh(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def without():
    """What a fresh process without a deep-learning stack did: the work above, then commands on its trace."""
    return fresh(BLOCK.format(blocked=DEEP_LEARNING) + WORK + COMMANDS)


def test_recorded_files_are_counted_priced_and_reported_without_a_deep_learning_stack(without):
    assert without.stdout.startswith("reported"), without.stderr


def test_commands_on_recorded_traces_run_without_a_deep_learning_stack(without):
    assert without.returncode == 0, without.stderr


@pytest.mark.parametrize(
    "module", ["spikejoule", "spikejoule.sim", "spikejoule.sim.trace.spike_trace", "spikejoule.sim.hardware.execution"]
)
def test_importing_the_simulator_loads_nothing_heavy(module):
    result = fresh(
        f"import json, sys, {module}; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert json.loads(result.stdout) == []


def test_the_command_line_answers_without_loading_torch():
    result = fresh("import sys, spikejoule.cli; print('torch' in sys.modules, 'pandas' in sys.modules)")
    assert result.stdout.split() == ["False", "False"]


def test_stored_actions_are_read_and_priced_without_loading_torch():
    names = "read_actions, price_actions, load_technology, sweep, export_sanafe, load_parameters, score_table"
    result = fresh(f"import sys; from spikejoule import {names}; print('torch' in sys.modules)")
    assert result.stdout.split() == ["False"]

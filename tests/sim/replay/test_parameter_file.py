"""Parameters on disk: what is written is read, and nothing that does not belong to the trace is."""

import json
import re
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Add, Conv2d, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameter_file import PARAMETERS, load_parameters, save_parameters
from spikejoule.sim.replay.parameters import LayerParameters

STEPS = 3


def network(weight_kind="binary", nonzero=None, channels=4):
    conv = Conv2d(
        name="conv.1", in_shape=(1, 4, 4), out_channels=channels, kernel_size=3, weight_kind=weight_kind, gate="live"
    )
    last = Linear(
        name="out", in_shape=(channels, 2, 2), out_features=2, source="conv.1", neuron="readout", nonzero=nonzero
    )
    return Workload(name="net", input_shape=(1, 4, 4), layers=(conv, last))


@pytest.fixture
def parameters():
    rng = np.random.default_rng(0)
    return {
        "conv.1": LayerParameters(
            weights=np.where(rng.random((4, 1, 3, 3)) < 0.5, -1.0, 1.0),
            scale=rng.random(4),
            leak=0.5,
            threshold=np.ones((STEPS, 1)),
            bias=rng.random(4),
            gain=rng.random(STEPS),
        ),
        "out": LayerParameters(weights=rng.random((2, 16)) + 0.1),
    }


@pytest.fixture
def file(parameters, tmp_path):
    return save_parameters(tmp_path / PARAMETERS, network(), parameters, STEPS, {"run": "abc"})


def test_everything_is_read_as_it_was_written(parameters, file):
    found = load_parameters(file, network(), STEPS)
    for name, own in parameters.items():
        for field in ("weights", "scale", "leak", "threshold", "bias", "reset", "unit"):
            np.testing.assert_array_equal(getattr(found[name], field), getattr(own, field))
    np.testing.assert_array_equal(found["conv.1"].gain, parameters["conv.1"].gain)
    assert found["out"].gain is None


def test_small_integer_weights_take_one_byte(file):
    assert load_file(file)["conv.1/weights"].dtype == np.int8


def header(file):
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size])


def test_the_file_says_what_it_belongs_to(file):
    about = header(file)["__metadata__"]
    said = [about[name] for name in ("format", "version", "steps", "run")]
    assert said == ["spikejoule-parameters", "1", "3", "abc"]


def rewritten(file, change):
    """The file with other tensors or metadata, its own metadata kept."""
    tensors, about = load_file(file), header(file)["__metadata__"]
    change(tensors, about)
    save_file(tensors, file, metadata=about)


DAMAGE = {
    "there is no such file": lambda file: file.unlink(),
    "truncated or no safetensors file": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "cannot be read": lambda file: file.write_bytes(b"not safetensors"),
    "the file was edited or damaged": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\x07"),
    "edited": lambda file: rewritten(file, lambda tensors, about: tensors.pop("out/weights")),
    "version '2' is not 'spikejoule-parameters' version '1'": lambda file: rewritten(
        file, lambda tensors, about: about.update(version="2")
    ),
    "format None": lambda file: save_file({"a": np.zeros(2)}, file),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_and_foreign_files_are_refused(message, file):
    DAMAGE[message](file)
    with pytest.raises(InvalidInput, match=re.escape(message)):
        load_parameters(file, network(), STEPS)


@pytest.mark.parametrize(
    ("workload", "steps"), [(network(), STEPS + 1), (network("float"), STEPS), (network(channels=5), STEPS)]
)
def test_parameters_of_another_trace_are_refused(workload, steps, file):
    with pytest.raises(InvalidInput, match="belong to another network or number of steps"):
        load_parameters(file, workload, steps)


def test_weights_that_are_zero_elsewhere_than_in_the_trace_are_refused(file):
    nonzero = np.ones((2, 16), bool)
    nonzero[0, 3] = False
    with pytest.raises(InvalidInput, match="weights of layer 'out' are zero elsewhere"):
        load_parameters(file, network(nonzero=nonzero), STEPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": np.nan}, "a parameter is not finite"),
        ({"threshold": np.inf}, "a parameter is not finite"),
        ({"weights": np.ones((4, 1, 3, 2))}, "weights are (4, 1, 3, 2)"),
        ({"scale": np.ones(3)}, "scale is (3,)"),
        ({"gain": None}, "has a live gate"),
    ],
)
def test_parameters_that_cannot_run_are_not_written(change, message, parameters, file):
    before = file.read_bytes()
    spoilt = parameters | {"conv.1": replace(parameters["conv.1"], **change)}
    with pytest.raises(InvalidInput, match=re.escape(message)):
        save_parameters(file, network(), spoilt, STEPS)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [PARAMETERS]


def test_a_missing_layer_is_not_written(parameters, tmp_path):
    parameters.pop("out")
    with pytest.raises(InvalidInput, match="layer 'out': no parameters given"):
        save_parameters(tmp_path / PARAMETERS, network(), parameters, STEPS)


def test_branches_have_tensors_and_merges_have_none(tmp_path):
    first = Linear(name="a", in_shape=(3,), out_features=4)
    back = RecurrentLinear(name="back", in_shape=(4,), out_features=4, source="a", joins="a")
    second = Linear(name="b", in_shape=(4,), out_features=4, source="a")
    both = Add(name="sum", in_shape=(4,), source="a", others=("b",), mode="or")
    net = Workload(name="net", input_shape=(3,), layers=(first, back, second, both))
    own = {x.name: LayerParameters(weights=np.ones(x.weight_shape)) for x in (first, back, second)}
    file = save_parameters(tmp_path / PARAMETERS, net, own, STEPS)
    assert {name.partition("/")[0] for name in load_file(file)} == {"a", "back", "b"}
    assert list(load_parameters(file, net, STEPS)) == ["a", "back", "b"]


def test_stored_parameters_are_replayed_without_a_deep_learning_stack(file):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "norse", "tonic", "sklearn"):
            raise ImportError(name + " is blocked in this test")
sys.meta_path.insert(0, Refuse())
import numpy as np
from spikejoule.sim.replay.parameter_file import load_parameters
from spikejoule.sim.replay.replay import replay
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
conv = Conv2d(name="conv.1", in_shape=(1, 4, 4), out_channels=4, kernel_size=3, weight_kind="binary", gate="live")
last = Linear(name="out", in_shape=(4, 2, 2), out_features=2, source="conv.1", neuron="readout")
net = Workload(name="net", input_shape=(1, 4, 4), layers=(conv, last))
parameters = load_parameters({str(file)!r}, net, {STEPS})
print(replay(net, parameters, np.ones(({STEPS}, 1, 1, 4, 4), np.uint8)).scores.shape)
"""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "(1, 2)", result.stderr

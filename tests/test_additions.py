"""Where a new thing goes, by the table of docs/design.md: six of them added to a copy of the package, and picked up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("sim", "models", "energy", "reports", "ablation", "commands", "configs")
TABLE = (
    (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Where does a new")[2].partition("\n## ")[0]
)


def insert(path: Path, before: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, (path, before)
    path.write_text(content.replace(before, text + before), encoding="utf-8")


def add_accelerator(package: Path) -> None:
    folder = package / "energy/accelerators"
    text = (folder / "sop-45nm.yaml").read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(text.replace("name: sop-45nm", "name: mine").replace("value: 0.9", "value: 1.8"))


def add_layer(package: Path) -> None:
    code = '''@dataclass(frozen=True, kw_only=True, repr=False)
class Diagonal(Linear):
    """Every input reaches the output of its own number, and no other."""

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, 1)

    @property
    def channel_groups(self) -> tuple[int, int, int]:
        return (self.out_features,) * 3


'''
    insert(
        package / "sim/network/weighted_layers.py",
        "@dataclass(frozen=True, kw_only=True, repr=False)\nclass RecurrentLinear",
        code,
    )
    insert(
        package / "sim/network/workload.py", '    "RecurrentLinear": RecurrentLinear,\n', '    "Diagonal": Diagonal,\n'
    )
    insert(
        package / "sim/network/workload.py", "from .weighted_layers import", "from .weighted_layers import Diagonal\n"
    )


def add_neuron(package: Path) -> None:
    row = '    "alif": NeuronModel(multiplies=2, compares=1, integrates=1, adds_per_spike=2, state_words=2),\n'
    insert(package / "sim/network/neuron_models.py", "    # sums its input over all steps", row)


def add_formula(package: Path) -> None:
    row = """    PublishedModel(
        name="one-pj-per-sop",
        version="1",
        title="A picojoule per synaptic operation",
        source="made up for a test",
        scope="synaptic operations",
        node="none",
        omits="all else",
        score=lambda counts: PublishedScore.total({"sops": counts.synaptic_operations}, {}),
    ),
"""
    path = package / "energy/published/table.py"
    insert(path, '    PublishedModel(\n        name="model-size"', row)
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "import PublishedModel, ", "import PublishedModel, PublishedScore, ", 1
        )
    )


def add_section(package: Path) -> None:
    code = '''def carbon(comparison: Compared) -> list[Block]:
    """A section of a test."""
    return [Paragraph(f"Nobody counted the carbon of {comparison.focus}.")]


'''
    path = package / "reports/sections/contents.py"
    insert(path, "def build_report(", code)
    insert(path, '    "Prices": coverage_and_prices.prices,\n', '    "Carbon": carbon,\n')


def add_dataset(package: Path) -> None:
    code = '''def blinks(request: Request) -> Dataset:
    """Sixty samples of two classes: everything blinks, or nothing does."""
    labels = np.arange(60) % 2
    frames = np.broadcast_to(labels[:, None, None, None, None], (60, request.steps, 2, 4, 4)).astype(np.uint8)
    return split_dataset(frames, labels, name="blinks", description="blinks", fold=request.fold)


'''
    path = package / "models/data/datasets.py"
    insert(path, "@lru_cache(maxsize=8)\n", code)
    insert(path, '    "digits": digits,\n', '    "blinks": blinks,\n')


# what is added -> how, and the places that the table must name
ADDITIONS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "accelerator": (add_accelerator, ("energy/accelerators/",)),
    "layer": (add_layer, ("sim/network/weighted_layers.py", "`LAYER_TYPES` (`sim/network/workload.py`)")),
    "neuron": (add_neuron, ("`NEURON_MODELS` (`sim/network/neuron_models.py`)",)),
    "formula": (add_formula, ("`PUBLISHED_MODELS` (`energy/published/table.py`)",)),
    "section": (add_section, ("`SECTIONS` (`reports/sections/contents.py`)",)),
    "dataset": (add_dataset, ("`DATASETS` (`models/data/datasets.py`)",)),
}
USE = """
import json, sys
from pathlib import Path
import numpy as np
import spikejoule as sj
from spikejoule.sim import Conv2d, Linear, Workload, SpikeTrace, TraceWriter, count_layer
from spikejoule.sim.network.workload import LAYER_TYPES, workload_from_dict, workload_to_dict

folder = Path(sys.argv[1])
assert Path(sj.__file__).parent == folder / "spikejoule", sj.__file__
conv = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, neuron="alif")
last = LAYER_TYPES["Diagonal"](name="last", in_shape=(8,), out_features=8, source="conv", neuron="readout")
net = workload_from_dict(workload_to_dict(Workload(name="net", input_shape=(1, 4, 4), layers=(conv, last))))

def trace(name):
    path = folder / f"{name}.zarr"
    rng = np.random.default_rng(0)
    with TraceWriter(path, net, 3, provenance={"seed": 0}) as writer:
        spikes = {key: rng.random((3, 6, *shape)) < 0.5 for key, (shape, _) in net.signals.items()}
        writer.append(spikes, labels=np.zeros(6, int), predictions=np.zeros(6, int))
    return SpikeTrace.open(path)

counts = sj.count(trace("a"))
mine, usual = (sj.estimate(counts, sj.load_accelerator(name)) for name in ("mine", "sop-45nm"))
pages = sj.compare({"a": [usual], "b": [sj.estimate(trace("b"), sj.load_accelerator("sop-45nm"))]}, baseline="a").write(
    folder / "report", formats=("html",))
scores = sj.score_table(counts).set_index("model")["energy_pj"]
data = __import__("spikejoule.models.data.datasets", fromlist=["x"]).load_dataset("blinks", steps=3)
spikes = count_layer(last, np.ones((1, 1, 8), np.uint8))
print(json.dumps({
    "accelerator": [mine.energy_pj, usual.energy_pj],
    "layer": [int(spikes.all_weights[0, 0]), counts.layers["last"].synaptic.dense],
    "neuron": int(counts.layers["conv"].rows["neuron", "multiply"][0, 0]),
    "formula": [float(scores["one-pj-per-sop"]), counts.synaptic_operations],
    "section": "Nobody counted the carbon of b." in pages[0].read_text(),
    "dataset": [data.name, len(data.train) + len(data.validation) + len(data.test)],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the copy says of all six."""
    folder = tmp_path_factory.mktemp("copy")
    package = folder / "spikejoule"
    package.mkdir()
    for top in TOPS:
        # with the compiled counters beside the modules that did not change, but nothing that is still being written
        shutil.copytree(ROOT / top, package / top, ignore=shutil.ignore_patterns("*.pyc*", "*.tmp.*"))
    for module in ROOT.glob("*.py"):
        shutil.copy2(module, package / module.name)
    for add, _ in ADDITIONS.values():
        add(package)
    env = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", USE, str(folder)]
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ADDITIONS)
def test_the_design_says_where_it_goes(kind):
    for place in ADDITIONS[kind][1]:
        assert place in TABLE


def test_an_accelerator_is_one_file(found):
    mine, usual = found["accelerator"]
    assert mine == pytest.approx(2 * usual, rel=1e-12)
    assert usual > 0


def test_a_layer_kind_is_a_class_and_a_row(found):
    assert found["layer"] == [8, 8]  # each of eight inputs reaches one output


def test_a_neuron_model_is_a_row(found):
    assert found["neuron"] == 2 * 8  # two multiplies for each of 2 x 2 x 2 neurons


def test_a_published_formula_is_a_row(found):
    score, sops = found["formula"]
    assert score == pytest.approx(sops, rel=1e-12)
    assert sops > 0


def test_a_section_is_a_function_and_a_row(found):
    assert found["section"]


def test_a_data_set_is_a_function_and_a_row(found):
    assert found["dataset"] == ["blinks", 60]

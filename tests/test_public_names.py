"""The public face: the two lists of names that users may import, and that everything on them is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import spikejoule
import spikejoule.sim

ROOT = Path(__file__).parents[1]
NAMES = """
    Accelerator ActionTable Comparison EnergyEstimate GateConfig InvalidInput OperationCounts Replayed Run SpikeTrace
    Study Technology TraceWriter TrainConfig Workload __version__ accelerator_names action_table break_even build_front
    compare count derive estimate estimate_variants export_sanafe fitted load_ablation load_accelerator load_parameters
    load_recipe load_technology price_actions read_actions record replay_trace run_ablation run_study score_table sweep
    technology_names train train_many variant_config write_actions
"""
OF_PACKAGE = NAMES.split()
OF_SIM = ["Conv1d", "Conv2d", "Linear", "SpikeTrace", "TraceWriter", "Workload", "count", "count_layer"]
FACES = {"spikejoule": (spikejoule, OF_PACKAGE), "spikejoule.sim": (spikejoule.sim, OF_SIM)}


@pytest.mark.parametrize("name", FACES)
def test_the_list_of_public_names_is_this_one(name):
    face, listed = FACES[name]
    assert face.__all__ == listed
    assert dir(face) == listed
    assert set(face.__all__) - {"__version__"} == set(face._HOMES)


@pytest.mark.parametrize(("face", "name"), [(face, name) for face, (_, names) in FACES.items() for name in names])
def test_every_public_name_is_there_and_named_so(face, name):
    value = getattr(FACES[face][0], name)
    assert value is not None
    assert getattr(value, "__name__", name) == name


def test_both_faces_mean_the_same_things():
    for name in set(OF_SIM) & set(OF_PACKAGE):
        assert getattr(spikejoule, name) is getattr(spikejoule.sim, name)


@pytest.mark.parametrize("name", FACES)
def test_an_unknown_public_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'watts'"):
        _ = FACES[name][0].watts


def test_the_pages_and_notebooks_use_public_names_only():
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    used = {name for page in pages for name in re.findall(r"\bsj\.(\w+)", page.read_text(encoding="utf-8"))}
    assert {"estimate", "price_actions", "run_ablation"} <= used <= set(spikejoule.__all__)


def test_the_package_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "spikejoule", "accelerators", "list"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "event-driven-45nm" in result.stdout

"""The command line as a user meets it, in a process of its own where the exit code matters."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from spikejoule import cli
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.replay.parameter_file import save_parameters
from spikejoule.sim.replay.parameters import LayerParameters
from spikejoule.sim.trace.trace_writer import TraceWriter
from typer.testing import CliRunner

COMMANDS = (
    "train",
    "record",
    "count",
    "estimate",
    "price",
    "compare",
    "report",
    "breakeven",
    "sweep",
    "export",
    "ablate",
)
CONV = Conv2d(name="conv", in_shape=(1, 5, 5), out_channels=4, kernel_size=3)
FC = Linear(name="fc", in_shape=(4, 3, 3), out_features=2, source="conv", neuron="readout")
NET = Workload(name="net", input_shape=(1, 5, 5), layers=(CONV, FC))


def spikejoule(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "spikejoule.cli", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"}
    )


def write_trace(path: Path, rate: float = 0.3, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with TraceWriter(path, NET, 3, provenance={"seed": seed}) as writer:
        spikes = {name: rng.random((3, 8, *shape)) < rate for name, (shape, _) in NET.signals.items()}
        writer.append(spikes, labels=np.zeros(8, int), predictions=np.arange(8) % 2)
    return path


@pytest.fixture
def trace(tmp_path):
    return write_trace(tmp_path / "trace.zarr")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: spikejoule {command} " in " ".join(result.output.split())


def test_count_prints_every_layer_and_writes_the_table(trace, tmp_path):
    result = spikejoule("count", trace, "--out", "counts.csv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "conv" in result.stdout
    assert (
        (tmp_path / "counts.csv").read_text().startswith("layer,step,part,operation,count\nconv,0,synapse,accumulate,")
    )


def test_estimate_as_json_is_one_document(trace, tmp_path):
    result = spikejoule("estimate", trace, "-a", "sop-45nm", "--json", cwd=tmp_path)
    data = json.loads(result.stdout)
    assert data["energy_pj"] == pytest.approx(0.9 * data["synaptic_operations"])


def test_a_stored_action_table_is_priced_again(trace, tmp_path):
    table, run = tmp_path / "actions.parquet", CliRunner().invoke
    first = run(cli.app, ["estimate", str(trace), "-a", "grid-45nm", "--actions", str(table)])
    assert (first.exit_code, table.exists()) == (0, True)
    again = run(cli.app, ["price", str(table), "--technology", "horowitz-45nm"])
    assert again.exit_code == 0
    lines = [line.split() for line in again.output.splitlines()]
    assert any(line[:2] == ["in", "all"] for line in lines)
    assert set(again.output.splitlines()) < set(first.output.splitlines())


def test_sweep_prints_every_combination_and_writes_the_table(trace, tmp_path):
    grid = ("--rates", "0.1,0.2", "--steps", "1,2", "--weight-bits", "1,32", "--memory-kib", "0.25,64")
    result = spikejoule("sweep", trace, *grid, "--out", "table.csv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head.startswith("rate,steps,weight_bits,memory_bytes,energy_pj,")
    assert len(lines) == 16
    shown = [line.split() for line in result.stdout.splitlines()[1:17]]
    # 108 weights: 432 bytes in float leave a memory of 256, 14 bytes of binary ones do not
    assert [row[-1] for row in shown[:4]] == ["resident", "resident", "reloaded", "resident"]
    assert shown[3][-2] == "1"  # the widest against itself
    assert "no accuracy belongs to these figures" in result.stdout


def test_sweep_takes_steps_and_weights_from_the_trace(trace, tmp_path):
    result = spikejoule("sweep", trace, "--rates", "0.1", "-a", "sop-45nm", "--out", "t.parquet", cwd=tmp_path)
    assert result.stdout.splitlines()[1].split()[:2] == ["0.1", "3"]
    assert (tmp_path / "t.parquet").read_bytes().startswith(b"PAR1")


def test_energies_are_shown_without_powers_of_ten(trace, tmp_path):
    result = spikejoule("estimate", trace, "-a", "event-driven-45nm-tiny", cwd=tmp_path)
    assert "e+" not in result.stdout


def test_version_and_help_end_well(tmp_path):
    assert spikejoule("--version", cwd=tmp_path).stdout.startswith("spikejoule 0")
    bare = spikejoule(cwd=tmp_path)
    assert "Start with: spikejoule report --quick" in bare.stdout
    assert bare.stderr == ""


def test_export_writes_a_network_and_its_chip(trace, tmp_path):
    weights = {"conv": np.ones(CONV.weight_shape), "fc": np.ones(FC.weight_shape)}
    made = {name: LayerParameters(weights=values, scale=0.5) for name, values in weights.items()}
    save_parameters(tmp_path / "parameters.safetensors", NET, made, 3)
    result = spikejoule("export", trace, "--sanafe", "out", "--scale", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-3].startswith("run SANA-FE for 5 steps")
    text = (tmp_path / "out" / "network.yaml").read_text()
    assert text.count(" -> ") == CONV.dense + FC.dense
    assert text.count("[weight: 0.5]") == CONV.dense + FC.dense
    assert (tmp_path / "out" / "architecture.yaml").exists()


def test_compare_writes_both_reports(tmp_path):
    words = [f"{name}={write_trace(tmp_path / f'{name}.zarr', rate)}" for name, rate in (("A", 0.4), ("B", 0.2))]
    result = spikejoule("compare", *words, "--baseline", "A", "--out", "out/ab", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "ab.html").stat().st_size > 1000
    assert (tmp_path / "out" / "ab.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["estimate", "nothing.zarr"], "nothing.zarr"),
        (["estimate", "trace.zarr", "-a", "loihi9"], "'loihi9' is not known"),
        (["estimate", "trace.zarr", "-a", "missing.yaml"], "missing.yaml: cannot be read"),
        (["estimate", "trace.zarr", "--frobnicate"], "frobnicate"),
        (["record", "trace.zarr"], "no run folder"),
        (["train", "--dataset", "imagenet"], "dataset is 'imagenet'"),
        (["train", "--steps", "0"], "steps is 0"),
        (["train", "--gate", "magic"], "magic"),
        (["train", "--learning-rate", "nan"], "learning_rate"),
        (["compare", "--baseline", "A", "A"], "NAME=TRACE"),
        (["compare", "--baseline", "C", "A=trace.zarr"], "'C'"),
        (["ablate", "missing.yaml"], "missing.yaml: cannot be read"),
        (["report", "--dataset", "imagenet"], "dataset is 'imagenet'"),
        (["accelerators", "show", "loihi9"], "'loihi9' is not known"),
        (["export", "trace.zarr", "--sanafe", "out"], "weights are not stored with this trace"),
        (["export", "trace.zarr", "--sanafe", "out", "-a", "sop-45nm"], "SANA-FE takes kind event"),
        (["export", "trace.zarr", "--sanafe", "out", "--sample", "8"], "samples 0 to 7"),
        (["count", "trace.zarr", "--out", "counts.xlsx"], "as .csv or .parquet"),
        (["sweep", "trace.zarr", "--rates", "0.1;0.2"], "separated by commas"),
        (["sweep", "trace.zarr", "--steps", "2.5"], "give integers"),
        (["sweep", "trace.zarr", "--layers", "fc9", "--weight-bits", "1"], "no layer 'fc9'"),
        (["sweep", "trace.zarr", "-a", "loihi1-sanafe"], "kind event"),
        (["count", "trace.zarr", "--out", "trace.zarr/zarr.json/x.csv"], "cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(trace, tmp_path, words, message):
    result = spikejoule(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sweep", "{trace}", "--memory-kib", "nan"), "--memory-kib 'nan': each must be above 0"),
        (("sweep", "{trace}", "--memory-kib", "8,inf"), "--memory-kib '8,inf': each must be above 0"),
        (("sweep", "{trace}", "--memory-kib", "1e308"), "at most 1,073,741,824 KiB"),
        (("sweep", "{trace}", "--memory", "weight_sram"), "give --memory-kib too"),
        (("sweep", "{trace}", "--layers", "fc"), "give --weight-bits too"),
        (("sweep", "{trace}", "--steps", "100001"), "steps holds 100001; give integers from 1 to 100,000"),
        (("estimate", "{trace}", "--all-models", "-a", "sop-45nm"), "give --all-models alone"),
        (("estimate", "{trace}", "--all-models", "--actions", "actions.parquet"), "give --all-models alone"),
    ],
)
def test_options_that_would_be_ignored_or_cannot_be_are_refused(trace, words, message):
    with pytest.raises(InvalidInput, match=message):
        CliRunner().invoke(
            cli.app, [word.format(trace=trace) for word in words], catch_exceptions=False, standalone_mode=False
        )


def test_wrong_usage_names_the_help_of_its_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikejoule", "trace", "info"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert capsys.readouterr().err == "spikejoule: Missing argument 'trace'. See spikejoule trace info --help.\n"


def test_the_static_part_is_shown_with_unit_basis_and_source():
    result = CliRunner().invoke(cli.app, ["accelerators", "show", "loihi1-sanafe"], catch_exceptions=False)
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert any(line.startswith("static power per chip W 0.104 0.104 0.104 measured 3.34 W over 32") for line in lines)
    assert any(line.startswith("time per step s 0.0003373 0.0003373 0.0003373 derived 3.373 ms") for line in lines)
    assert any(line.startswith("floor per step (shown, never added) pJ 8.54e+06") for line in lines)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            "",
            "stay if all of them fit, or else are loaded layer by layer; a load of a network that fits is not charged",
        ),
        (
            "weights: reload\n  hardware_batch: 4",
            "are loaded though they may fit; a load of a network that fits is shared by 4",
        ),
        (
            "weights: resident\n  inferences_per_load: 99",
            "must fit and stay; a load of a network that fits is shared by 99",
        ),
    ],
)
def test_what_a_machine_does_with_weights_is_shown(tmp_path, fields, line):
    source = Path(__file__).parent.parent / "energy/accelerators/grid-45nm.yaml"
    (tmp_path / "mine.yaml").write_text(source.read_text().replace("  kind: grid", f"  kind: grid\n  {fields}"))
    result = CliRunner().invoke(cli.app, ["accelerators", "show", str(tmp_path / "mine.yaml")], catch_exceptions=False)
    assert f"weights {line}" in result.output


def test_incomplete_chips_are_marked_in_the_list():
    result = CliRunner().invoke(cli.app, ["accelerators", "list"], catch_exceptions=False)
    lines = map(str.rstrip, result.output.splitlines())
    marked = {line.split()[0] for line in lines if line.endswith("(incomplete: no total)")}
    assert marked == {"morphic", "odin", "spinnaker2-hoeppner2021", "spinnaker2-prototype"}


def test_prices_without_a_node_are_shown(tmp_path):
    source = Path(__file__).parent.parent / "energy/accelerators/truenorth.yaml"
    (tmp_path / "mine.yaml").write_text(source.read_text().replace("    node_nm: 28\n", ""))
    result = CliRunner().invoke(cli.app, ["accelerators", "show", str(tmp_path / "mine.yaml")], catch_exceptions=False)
    assert result.exit_code == 0
    assert " - " in next(line for line in result.output.splitlines() if line.startswith("synop.conv"))


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="needs a file system of its own size, which only root may mount"
)
@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_a_full_disk_is_one_clear_line_and_leaves_earlier_results_whole(trace, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (small / "counts.csv").write_text("earlier")
        (small / "filler").write_bytes(b"0" * 61_000)
        result = spikejoule("count", trace, "--out", small / "counts.csv", cwd=tmp_path)
        assert (result.returncode, (small / "counts.csv").read_text()) == (2, "earlier")
        assert "No space left" in result.stderr
        assert sorted(path.name for path in small.iterdir()) == ["counts.csv", "filler"]
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--variant", "ANN"), "variant 'ANN' is not known"), (("--config", "none.yaml"), "none.yaml' is not known")],
)
def test_training_by_name_or_by_file_is_checked(words, message):
    result = CliRunner().invoke(cli.app, ["train", *words])
    assert message in str(result.exception)


def test_a_dry_run_says_at_the_start_what_it_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no data set there, so it ends soon after its first line
    result = CliRunner().invoke(cli.app, ["train", "--dry-run", "--dataset", "cifar10"])
    assert isinstance(result.exception, InvalidInput)
    assert result.stderr.startswith("dry run of csnn at batch size 32: two optimiser steps on made data; nothing is ")

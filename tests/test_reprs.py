"""How public objects introduce themselves: short, with the right figures, as text and as tables of a notebook."""

import dataclasses
import html.parser
import re
from types import SimpleNamespace

import numpy as np
import pytest
import spikejoule as sj
import yaml
from spikejoule.sim import Conv1d, Conv2d, Linear, TraceWriter, Workload, count_layer
from spikejoule.sim.display import LINES, brief, html_table, lines

SCALE_PJ = {"pJ": 1, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9}
SMALL = {"width": 0.25, "steps": 2, "epochs": 1, "train_samples": 64, "learning_rate": 0.02}
ABLATION = {
    "schema": "spikejoule.ablation/1",
    "title": "Penalties",
    "base": SMALL,
    "variants": ["BSNN", "BSNN + AGMM"],
    "grid": {"rate_penalty": [0]},
    "reference": "SNN int8",
    "twins": [0.25],
    "accelerators": ["event-driven-45nm", "sop-45nm"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of every public class, of real trainings on little data."""
    folder = tmp_path_factory.mktemp("reprs")
    (folder / "small.yaml").write_text(yaml.safe_dump(ABLATION))
    ablation = sj.load_ablation(folder / "small.yaml")
    results = sj.run_ablation(ablation, runs=folder, workers=1)
    runs = {name: sj.Run.open(folder / rows["run"].iloc[0]) for name, rows in results.table.groupby("variant")}
    run, machine = runs["BSNN + AGMM"], sj.load_accelerator("event-driven-45nm")
    chip = sj.load_accelerator("truenorth")
    traces = {name: sj.record(each) for name, each in runs.items()}
    trace = traces[run.variant]
    conv = trace.workload.layers[1]
    estimates = {name: [sj.estimate(each, machine)] for name, each in traces.items()}
    estimate, counts = estimates[run.variant][0], sj.count(trace)
    parameters = sj.load_parameters(run.path / "parameters.safetensors", trace.workload, trace.steps)
    return SimpleNamespace(
        ablation=ablation,
        ablation_results=results,
        accelerator=machine,
        action_table=sj.action_table(estimate.actions, {"workload": "csnn"}),
        actions=estimate.actions,
        architecture=machine.architecture,
        chip=chip,
        chip_architecture=chip.architecture,
        chip_estimate=sj.estimate(traces["BSNN"], sj.load_accelerator("loihi1-davies2018")),
        comparison=sj.compare(estimates, baseline="SNN int8"),
        config=run.config,
        counts=counts,
        estimate=estimate,
        gate=sj.GateConfig("agmm", detach=True),
        layer=trace.workload.layers[0],
        layer_counts=count_layer(conv, np.ones((2, 3, *conv.in_shape), np.uint8)),
        layer_operations=counts.layers["conv2"],
        parameters=parameters["conv2"],
        price=machine.price("weight_sram", "read"),
        priced=sj.estimate_variants({name: [each] for name, each in traces.items()}, machine, "SNN int8"),
        recipe=sj.load_recipe("agmm_cifar10_resnet19"),
        replayed=sj.replay_trace(trace, parameters, 8, machine),
        report=sj.build_front(results),
        run=run,
        study=sj.Study(),
        technology=sj.load_technology("horowitz-45nm"),
        trace=trace,
        workload=trace.workload,
    )


NAMES = """
    ablation ablation_results accelerator action_table actions architecture chip chip_architecture chip_estimate
    comparison config counts estimate gate layer layer_counts layer_operations parameters price priced recipe
    replayed report run study technology trace workload
"""
OBJECTS = NAMES.split()
TABLES = ["accelerator", "chip", "chip_estimate", "comparison", "counts", "estimate", "run", "trace"]


def test_every_public_class_is_looked_at(made):
    shown = {type(value).__name__ for value in vars(made).values()}
    classes = {name for name in sj.__all__ if isinstance(getattr(sj, name), type)}
    assert classes - shown == {"InvalidInput", "TraceWriter"}  # an exception; and a test of its own below
    assert set(OBJECTS) == set(vars(made))


@pytest.mark.parametrize("name", OBJECTS)
def test_a_repr_is_short_and_names_its_class(made, name):
    value = getattr(made, name)
    text = repr(value)
    assert len(text) <= 600
    assert len(text.splitlines()) <= LINES
    assert text.startswith(type(value).__name__)


@pytest.mark.parametrize("name", sj.accelerator_names())
def test_every_shipped_machine_and_its_prices_introduce_themselves(name):
    machine = sj.load_accelerator(name)
    for value in (machine, machine.architecture, *machine.prices.values()):
        assert len(repr(value)) <= 600


def picojoule(text: str) -> float:
    amount, unit = re.match(r"([\d.,]+) (\wJ)", text).groups()
    return float(amount.replace(",", "")) * SCALE_PJ[unit]


def test_an_estimate_says_energy_bounds_time_and_accuracy(made):
    _, energy, latency, accuracy = repr(made.estimate).splitlines()
    shown = re.findall(r"[\d.,]+ \wJ", energy)
    expected = (made.estimate.energy_pj, *made.estimate.bounds_pj)
    assert [picojoule(text) for text in shown] == pytest.approx(expected, rel=5e-3)
    assert "ms" in latency or "µs" in latency
    assert f"{100 * made.estimate.accuracy:.1f} %" in accuracy


def test_an_estimate_on_a_chip_says_total_events_and_static_part_and_what_never_ran(made):
    text, estimate = repr(made.chip_estimate), made.chip_estimate
    total, _, _, events, static = map(picojoule, re.findall(r"[\d.,]+ \wJ", text))
    assert (total, events, static) == pytest.approx(
        (estimate.total_pj, estimate.events_pj, estimate.static_pj), rel=5e-3
    )
    assert "priced, not run" in text


def test_counts_say_operations_rate_and_accuracy(made):
    text = repr(made.counts)
    amount = float(re.search(r"([\d.]+) thousand per inference", text)[1])
    assert 1e3 * amount == pytest.approx(made.counts.synaptic_operations, rel=5e-3)
    assert f"{100 * made.counts.firing_rate():.1f} %" in text


def test_a_comparison_says_who_wins_by_how_much(made):
    text, row = repr(made.comparison), made.comparison.summary().set_index("variant").loc["BSNN + AGMM"]
    ratio, low, high = map(float, re.search(r"SNN int8 / BSNN \+ AGMM: ([\d.]+), ([\d.]+) to ([\d.]+)", text).groups())
    assert (ratio, low, high) == pytest.approx((row["ratio"], row["ratio_low"], row["ratio_high"]), rel=5e-3)
    assert picojoule(re.search(r"BSNN \+ AGMM: (.*) per", text)[1]) == pytest.approx(1e3 * row["energy_nj"], rel=5e-3)


def test_a_comparison_without_a_ratio_says_why(tmp_path):
    layer = Linear(name="out", in_shape=(3,), out_features=2, neuron="readout")
    net, machine = Workload(name="net", input_shape=(3,), layers=(layer,)), sj.load_accelerator("sop-45nm")
    estimates = {}
    for name, spikes in (("busy", np.ones((4, 5, 3), bool)), ("silent", np.zeros((4, 5, 3), bool))):
        with TraceWriter(tmp_path / f"{name}.zarr", net, 4, provenance={"seed": 0}) as writer:
            writer.append({"input": spikes})
        estimates[name] = [sj.estimate(sj.SpikeTrace.open(tmp_path / f"{name}.zarr"), machine)]
    comparison = sj.compare(estimates, baseline="busy")
    assert "'silent' costs 0.0 pJ, so it has no ratio" in repr(comparison)
    assert comparison._repr_html_() is None


def test_a_trace_and_a_run_say_what_and_where(made):
    assert str(made.trace.path) in repr(made.trace)
    assert made.trace.hash[:12] in repr(made.trace)
    assert f"Run {made.run.hash}: BSNN + AGMM, csnn on digits-events" in repr(made.run)


def test_a_config_shows_what_was_changed_and_nothing_else():
    assert repr(sj.TrainConfig()).endswith("  TrainConfig()")
    assert repr(sj.TrainConfig(steps=4)).endswith("  TrainConfig(steps=4)")


def test_a_writer_says_how_far_it_is(tmp_path):
    layer = Linear(name="out", in_shape=(3,), out_features=2, neuron="readout")
    writer = TraceWriter(tmp_path / "t.zarr", Workload(name="net", input_shape=(3,), layers=(layer,)), 4)
    with writer:
        writer.append({"input": np.ones((4, 5, 3), bool)})
        assert "open: 5 samples of 4 steps" in repr(writer)
    assert "closed: 5 samples" in repr(writer)
    assert "t.zarr" in repr(writer)


@pytest.mark.parametrize(
    "layer",
    [
        Conv1d(
            name="a" * 100, in_shape=(2, 9), out_channels=4, kernel_size=3, source="b" * 100, bias=True, gate="live"
        ),
        Conv2d(
            name="c",
            in_shape=(2, 9, 9),
            out_channels=4,
            kernel_size=3,
            nonzero=np.eye(72).astype(bool).reshape(72, 2, 3, 12)[:4, :, :, :3],
        ),
    ],
)
def test_a_layer_is_one_line_whatever_its_masks_and_names(layer):
    assert len(repr(layer)) <= 600
    assert "\n" not in repr(layer)


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.mark.parametrize("name", TABLES)
def test_a_notebook_shows_a_small_table(made, name):
    page = read(getattr(made, name)._repr_html_())
    assert page.tags.count("table") == 1
    assert page.tags.count("tr") > 1
    assert not set(page.tags) - {"p", "table", "thead", "tbody", "tr", "th", "td"}


def test_a_notebook_table_of_an_estimate_adds_up(made):
    cells = read(made.estimate._repr_html_()).text
    energies = [picojoule(text) for text in cells if re.fullmatch(r"[\d.,]+ \wJ", text)]
    assert sum(energies) == pytest.approx(made.estimate.energy_pj, rel=5e-3)


def test_names_with_markup_stay_text():
    page = html_table("<b>caption</b>", [{"<i>name</i>": "<script>alert(1)</script>"}])
    assert set(read(page).tags) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert "<script>alert(1)</script>" in "".join(read(page).text)


def test_long_texts_are_cut_and_line_breaks_cannot_add_lines():
    text = lines("a\nb", *("x" * 500 for _ in range(9)))
    assert len(text.splitlines()) == LINES
    assert len(text) <= 600
    assert text.startswith("a b\n")


def test_a_brief_repr_leaves_defaults_and_values_of_arrays_out():
    @dataclasses.dataclass
    class Held:
        values: object
        names: dict = dataclasses.field(default_factory=dict)
        rate: float = 0.1

    assert brief(Held(np.zeros((2, 3)))) == "Held(values=float64 (2, 3))"
    assert brief(Held(None, {"a": np.zeros(9)}, 0.25)) == "Held(values=None, names={a}, rate=0.25)"

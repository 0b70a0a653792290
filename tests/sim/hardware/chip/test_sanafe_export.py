"""The export for SANA-FE, read back with PyYAML alone and compared with the layers edge by edge.

SANA-FE 2.2.9 itself, run once on exports of cases A, B and C and of a pooled, binary csnn with biases on three cores,
gave the same spikes, updates, packets and synaptic events, and energies and times within 1e-13.
"""

import re
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.recording.record import record
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.train import train
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.chip import sanafe_export
from spikejoule.sim.hardware.chip.core_mapping import Run
from spikejoule.sim.hardware.chip.sanafe_export import export_sanafe
from spikejoule.sim.hardware.chip.sanafe_run import run_as_sanafe
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload
from spikejoule.sim.replay.parameter_file import PARAMETERS, load_parameters
from spikejoule.sim.replay.parameters import LayerParameters

ROOT = Path(__file__).parents[4]
CASES = Path(__file__).parents[3] / "cases" / "sanafe"
LOIHI = load_accelerator("loihi1-sanafe")
PRICES = {name: price.value for name, price in LOIHI.prices.items()}
EDGE = re.compile(r"(\w+)\.(\d+) -> (\w+)\.(\d+)")


def network(**changes):
    pool = AveragePool(kernel_size=(2, 2))
    conv = Conv2d(name="conv-1", in_shape=(2, 6, 6), out_channels=4, kernel_size=3, stride=1, padding=1, pool=pool)
    deep = Conv2d(name="conv.1", in_shape=(4, 3, 3), out_channels=6, kernel_size=3, source="conv-1", groups=2)
    skip = Conv2d(
        name="skip", in_shape=(4, 3, 3), out_channels=6, kernel_size=3, source="conv-1", neuron=None, joins="conv.1"
    )
    deep = replace(deep, neuron="if_hard")
    out = Linear(name="out", in_shape=(6, 1, 1), out_features=3, source="conv.1", neuron="readout")
    return replace(Workload(name="a net", input_shape=(2, 6, 6), layers=(conv, deep, skip, out)), **changes)


def parameters(net, seed=0):
    rng = np.random.default_rng(seed)
    made = {}
    for layer in net.layers:
        channels = layer.neuron_shape[0]
        made[layer.name] = LayerParameters(
            weights=rng.normal(size=layer.weight_shape),
            leak=rng.uniform(0.5, 1, channels) if layer.neuron == "lif_soft" else 1.0,
            threshold=rng.uniform(1, 2, channels),
            bias=rng.normal(size=channels),
            reset=-0.5 if layer.neuron == "if_hard" else 0.0,
        )
    return made


def spikes(net, steps=5):
    return np.random.default_rng(3).random((steps, *net.input_shape)) < 0.3


def export(folder, net=None, machine=LOIHI.architecture, values=None, **how):
    net = network() if net is None else net
    given = {"inputs": spikes(net), "prices_pj": PRICES} | {k: how.pop(k) for k in ("inputs", "prices_pj") if k in how}
    values = parameters(net) if values is None else values
    return export_sanafe(net, values, given["inputs"], machine, given["prices_pj"], folder, **how)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    chip, net = export(tmp_path_factory.mktemp("sanafe"))
    return yaml.safe_load(chip.read_text()), yaml.load(net.read_text(), yaml.CSafeLoader)


def neurons(group):
    """Attributes of every neuron of a group, its ranges unrolled and the group's own attributes under them."""
    common = {key: value for part in group["attributes"] for key, value in part.items()}
    result = {}
    for ((index, attributes),) in (entry.items() for entry in group["neurons"]):
        first, _, last = str(index).partition("..")
        for neuron in range(int(first), int(last or first) + 1):
            assert neuron not in result
            result[neuron] = common | {key: value for part in attributes for key, value in part.items()}
    return result


def edges(net):
    """Every (source, its neuron, target, its neuron, weight), sorted."""
    found = []
    for ((address, attributes),) in (entry.items() for entry in net["network"]["edges"]):
        source, i, target, j = EDGE.fullmatch(address).groups()
        (only,) = attributes
        found.append((source, int(i), target, int(j), only["weight"]))
    return sorted(found)


def expected_edges(net, values, names):
    """The same from the layers' own slow walk over weights, each pre-pool output led to the neuron that pools it."""
    found = []
    for layer in net.layers:
        weights, target = np.asarray(values[layer.name].weights), layer.joins or layer.name
        kernel = (1,) * len(layer.out_shape[1:]) if layer.pool is None else layer.pool.kernel_size
        for place in product(*map(range, layer.in_shape)):
            for out, index in layer.targets(place):
                pooled = (out[0], *(position // size for position, size in zip(out[1:], kernel, strict=True)))
                source = int(np.ravel_multi_index(place, layer.in_shape))
                neuron = int(np.ravel_multi_index(pooled, layer.neuron_shape))
                found.append((names[layer.source], source, names[target], neuron, float(weights[index])))
    return sorted(found)


NAMES = {"input": "input", "conv-1": "conv_1", "conv.1": "conv_1_", "out": "out"}


def test_groups_hold_every_neuron_once(written):
    sizes = {group["name"]: len(neurons(group)) for group in written[1]["network"]["groups"]}
    assert sizes == {"input": 72, "conv_1": 36, "conv_1_": 6, "out": 3}


def test_every_edge_and_weight_is_there(written):
    net = network()
    assert edges(written[1]) == expected_edges(net, parameters(net), NAMES)


def test_neurons_carry_the_parameters_of_their_channel(written):
    groups = {group["name"]: neurons(group) for group in written[1]["network"]["groups"]}
    own = parameters(network())["conv-1"]
    for index, neuron in groups["conv_1"].items():
        found = (neuron["threshold"], neuron["leak_decay"], neuron["bias"], neuron["reset_mode"])
        assert found == (own.threshold[index // 9], own.leak[index // 9], own.bias[index // 9], "soft")
    assert {(n["reset_mode"], n["reset"], n["leak_decay"]) for n in groups["conv_1_"].values()} == {("hard", -0.5, 1)}
    assert all(n["threshold"] == 1e300 for n in groups["out"].values())
    assert {n["synapse_hw_name"] for n in groups["out"].values()} == {"dense"}
    assert {n["synapse_hw_name"] for n in groups["conv_1"].values()} == {"conv"}


def test_inputs_are_spike_lists(written):
    found = neurons(written[1]["network"]["groups"][0])
    trains = np.array([found[index]["spikes"] for index in range(72)])
    np.testing.assert_array_equal(trains.T.reshape(5, 2, 6, 6), spikes(network()))


def test_constants_are_those_of_the_accelerator_file(written):
    """Every energy in joule and every latency in seconds against the shipped file, as text."""
    file = yaml.safe_load((ROOT / "energy" / "accelerators" / "loihi1-sanafe.yaml").read_text())
    price = {key.removesuffix("_pj"): entry["value"] for key, entry in file["prices"].items() if key.endswith("_pj")}
    latency, chip = file["architecture"]["latency_s"], written[0]["architecture"]
    (tile,) = chip["tile"]
    (core,) = tile["core"]
    soma, source = (entry["attributes"] for entry in core["soma"])
    found = {
        "neuron_access": (soma["energy_access_neuron"], soma["latency_access_neuron"]),
        "neuron_update": (soma["energy_update_neuron"], soma["latency_update_neuron"]),
        "spike": (soma["energy_spike_out"], soma["latency_spike_out"]),
        "packet_in": tuple(core["axon_in"][0]["attributes"][f"{x}_message_in"] for x in ("energy", "latency")),
        "packet_out": tuple(core["axon_out"][0]["attributes"][f"{x}_message_out"] for x in ("energy", "latency")),
    }
    for entry in core["synapse"]:
        figures = entry["attributes"]
        found[f"synop.{entry['name']}"] = figures["energy_process_spike"], figures["latency_process_spike"]
    for letter, name in {"N": "north", "E": "east", "S": "south", "W": "west"}.items():
        found[f"hop.{letter}"] = tuple(tile["attributes"][f"{x}_{name}_hop"] for x in ("energy", "latency"))
    assert found.keys() == price.keys()
    for key, (energy, seconds) in found.items():
        head, _, tail = key.partition(".")
        assert energy == pytest.approx(price[key] * 1e-12, rel=1e-15)
        assert seconds == float(latency[head][tail] if tail else latency[head])
    assert chip["attributes"]["latency_sync"] == file["architecture"]["barrier_s"]
    assert {value for key, value in source.items() if key != "model"} == {0.0}


def test_the_mesh_is_the_accelerators(written):
    chip = written[0]["architecture"]
    assert (chip["attributes"]["width"], chip["attributes"]["height"]) == (8, 4)
    assert chip["tile"][0]["name"] == "tile[0..31]"
    assert chip["tile"][0]["core"][0]["name"] == "core[0..3]"


def load_case(name):
    description = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    with np.load(CASES / f"{name}.npz") as file:
        data = dict(file)
    layers, values, shape, source = [], {}, None, "input"
    for entry in description["layers"][1:]:
        g, own = entry["geometry"], entry["neuron"]
        common = {"name": entry["name"], "source": source, "neuron": f"lif_{own['reset_mode']}"}
        if entry["kind"] == "dense":
            shape = shape or (data["input_spikes"].shape[1],)
            layers.append(Linear(in_shape=shape, out_features=entry["neurons"], **common))
        else:
            window = {"kernel_size": g["k"], "stride": g["s"], "padding": g["p"]}
            layers.append(Conv2d(in_shape=(g["ci"], g["hi"], g["wi"]), out_channels=g["co"], **window, **common))
        weights = data[entry["weights_key"]]
        values[entry["name"]] = LayerParameters(
            weights=weights.T if entry["kind"] == "dense" else weights,
            leak=own["leak_decay"],
            threshold=own["threshold"],
            reset=own["reset"],
        )
        shape, source = layers[-1].out_shape, entry["name"]
    net = Workload(name=name, input_shape=layers[0].in_shape, layers=tuple(layers))
    runs = {k: [Run(r["core"], r["first"], r["last"]) for r in v] for k, v in description["mapping"].items()}
    return description, data, net, values, runs


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".expected.json") for path in CASES.glob("*.json")))
def test_recorded_cases_come_out_as_they_are_described(name, tmp_path):
    description, data, net, values, runs = load_case(name)
    inputs = data["input_spikes"].reshape(-1, *net.input_shape)
    _, path = export(tmp_path, net, values=values, inputs=inputs, mapping=runs)
    found = yaml.load(path.read_text(), yaml.CBaseLoader)  # everything as text: core 0.1 is no number
    groups = {group["name"]: group for group in found["network"]["groups"]}
    for entry in description["layers"]:
        assert len(neurons(groups[entry["name"]])) == entry["neurons"]
        if "neuron" not in entry:
            continue
        unit = entry["synapse_unit"].removeprefix("loihi_").removesuffix("_synapse")
        for neuron in neurons(groups[entry["name"]]).values():
            assert (neuron["synapse_hw_name"], neuron["reset_mode"]) == (unit, entry["neuron"]["reset_mode"])
            for key in ("threshold", "leak_decay", "reset"):
                assert float(neuron[key]) == entry["neuron"][key]
    mapped = Counter()
    for ((address, attributes),) in (entry.items() for entry in found["mappings"]):
        group, _, index = address.partition(".")
        first, _, last = index.partition("..")
        mapped[group, attributes[0]["core"]] += int(last or first) - int(first) + 1
    expected = {
        (group, run["core"]): run["last"] - run["first"] + 1
        for group, entries in description["mapping"].items()
        for run in entries
    }
    assert mapped == expected


def test_input_neurons_of_a_core_have_units_of_their_own(tmp_path):
    *_, net, values, runs = load_case("A_dense_1core")
    runs = runs | {"input": [Run("0.0", 0, 40), Run("3.1", 41, 63)]}
    chip, path = export(tmp_path, net, values=values, inputs=np.zeros((1, 64)), mapping=runs)
    found = yaml.load(path.read_text(), yaml.CBaseLoader)["mappings"]
    units = [tuple(v for part in next(iter(entry.values())) for v in part.values()) for entry in found[:64]]
    assert len(set(units)) == 64
    assert units[41] == ("3.1", "source[0]")
    assert "source[0..40]" in chip.read_text()


def test_a_scale_multiplies_what_potentials_are_made_of(tmp_path):
    own = parameters(network())
    _, path = export(tmp_path, scale=1024.0)
    found = yaml.load(path.read_text(), yaml.CSafeLoader)
    neuron = neurons(found["network"]["groups"][1])[0]
    first = own["conv-1"]
    assert neuron["threshold"] == 1024 * first.threshold[0]
    assert neuron["bias"] == 1024 * first.bias[0]
    assert neuron["leak_decay"] == first.leak[0]
    weights = Counter(weight / 1024 for source, *_, weight in edges(found) if source == "input")
    assert weights.keys() == {float(weight) for weight in first.weights.ravel()}


def test_zero_weights_are_edges_but_in_sparse_synapses(tmp_path):
    mask = np.arange(12).reshape(3, 4) % 3 > 0
    fc = Linear(name="fc", in_shape=(4,), out_features=3, nonzero=mask)
    net = Workload(name="fc", input_shape=(4,), layers=(fc,))
    for kind, count in (("dense", 12), ("sparse", 8)):
        machine = replace(LOIHI.architecture, fully_connected=kind)
        _, path = export(tmp_path, net, machine, {"fc": LayerParameters(weights=1.0 * mask)})
        assert len(yaml.safe_load(path.read_text())["network"]["edges"]) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packet_per": "axon"}, "one packet per axon"),
        ({"mesh": replace(LOIHI.architecture.mesh, id_order="row")}, "by row"),
        ({"latency_s": None, "barrier_s": None, "step_s": 1e-3}, "fixed step"),
        ({"mesh": replace(LOIHI.architecture.mesh, width=1, height=1, cores_per_tile=1)}, "chips"),
    ],
)
def test_machines_that_the_format_cannot_say_are_refused(tmp_path, change, message):
    machine = replace(LOIHI.architecture, core=replace(LOIHI.architecture.core, max_neurons=80), **change)
    with pytest.raises(InvalidInput, match=message):
        export(tmp_path, machine=machine)
    assert not list(tmp_path.iterdir())


def test_networks_that_the_format_cannot_say_are_refused(tmp_path, monkeypatch):
    net, values = network(), parameters(network())
    gated = replace(net, layers=(replace(net.layers[0], gate="live"), *net.layers[1:]))
    by_step = values | {"conv-1": replace(values["conv-1"], threshold=np.arange(1.0, 21.0).reshape(5, 4))}
    infinite = values | {"out": replace(values["out"], weights=np.full((3, 6), np.inf))}
    with pytest.raises(InvalidInput, match="conv-1 has a live gate.*frozen"):
        export(tmp_path, gated)
    with pytest.raises(InvalidInput, match="threshold changes from step to step"):
        export(tmp_path, values=by_step)
    with pytest.raises(InvalidInput, match="parameter is not finite"):
        export(tmp_path, values=infinite)
    with pytest.raises(InvalidInput, match="'skip': no parameters given"):
        export(tmp_path, values={name: own for name, own in values.items() if name != "skip"})
    with pytest.raises(InvalidInput, match="inputs are"):
        export(tmp_path, inputs=np.zeros((5, 72)))
    with pytest.raises(InvalidInput, match="no price for spike"):
        export(tmp_path, prices_pj={name: pj for name, pj in PRICES.items() if name != "spike"})
    with pytest.raises(InvalidInput, match="scale"):
        export(tmp_path, scale=0.0)
    monkeypatch.setattr(sanafe_export, "MOST_EDGES", 100)
    with pytest.raises(InvalidInput, match="up to 100"):
        export(tmp_path)


def test_potentials_that_sana_fe_would_hold_are_refused_with_the_scale_that_fits(tmp_path):
    """Three weights of 1 on one event: the potential is 3, and 2^25 / 3 is the largest scale."""
    net = Workload(name="fc", input_shape=(3,), layers=(Linear(name="fc", in_shape=(3,), out_features=1),))
    values, inputs = {"fc": LayerParameters(weights=np.ones((1, 3)), threshold=4.0)}, np.ones((1, 3))
    export(tmp_path / "fits", net, values=values, inputs=inputs, scale=1.11e7)
    with pytest.raises(InvalidInput, match=r"'fc' reaches 3, .* give a scale below 1.11848e\+07"):
        export(tmp_path / "reaches", net, values=values, inputs=inputs, scale=1.12e7)
    assert not (tmp_path / "reaches").exists()


def test_a_readouts_bias_is_spread_over_the_steps_of_the_run(tmp_path):
    """5 steps of input and a depth of 3: 8 steps, each with an eighth of what the 5 held."""
    own, first = parameters(network()), np.zeros((5, 3))
    first[0] = 4.0, -8.0, 1.0
    _, path = export(tmp_path, values=own | {"out": replace(own["out"], bias=first)})
    groups = {
        group["name"]: neurons(group) for group in yaml.load(path.read_text(), yaml.CSafeLoader)["network"]["groups"]
    }
    assert [neuron["bias"] for neuron in groups["out"].values()] == [0.5, -1.0, 0.125]
    assert path.read_text().startswith("# 5 steps of input; run for 8: ")


GATES = {
    "none": GateConfig("constant"),
    "live gate.*frozen": GateConfig("agmm"),
    "gain for each step.*constant gain": GateConfig("alpha"),
}


@pytest.mark.slow  # its cost is the import of torch and the simulated events; training takes under a second
@pytest.mark.parametrize("refused", GATES)
def test_a_trained_network_is_exported_or_refused_with_what_to_do(refused, tmp_path):
    config = TrainConfig(steps=2, width=0.1, epochs=1, train_samples=32, learning_rate=0.02, gate=GATES[refused])
    run = train(config, runs=tmp_path)
    trace = record(run)
    own, x = load_parameters(run.path / PARAMETERS, trace.workload, 2), trace.read("input", slice(0, 1))[:, 0]
    if refused != "none":
        with pytest.raises(InvalidInput, match=refused):
            export(tmp_path, trace.workload, values=own, inputs=x)
        return
    _, path = export(tmp_path, trace.workload, values=own, inputs=x)
    found = {
        group["name"]: neurons(group) for group in yaml.load(path.read_text(), yaml.CSafeLoader)["network"]["groups"]
    }
    (trained,) = (value for name, value in run.model().named_parameters() if name == "classifier.bias")
    written = [neuron.get("bias", 0.0) for neuron in found["classifier"].values()]
    np.testing.assert_allclose(6 * np.array(written), 2 * trained.detach().double(), rtol=1e-12)  # 2 steps, depth 4
    actions = run_as_sanafe(trace.workload, own, x, LOIHI.architecture)
    assert actions.steps == 6


def test_a_population_fed_by_two_kinds_of_synapses_is_refused(tmp_path):
    first = Linear(name="fc", in_shape=(1, 4, 4), out_features=16)
    joined = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=1, kernel_size=1, neuron=None, joins="fc")
    net = Workload(name="two", input_shape=(1, 4, 4), layers=(first, joined))
    with pytest.raises(InvalidInput, match="one unit"):
        export(tmp_path, net)

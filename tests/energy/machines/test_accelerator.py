import math
from pathlib import Path

import pytest
import yaml
from spikejoule.energy.machines.accelerator import accelerator_names, load_accelerator
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Grid

ROOT = Path(__file__).parents[3]
GOOD = """
schema: spikejoule.accelerator/1
name: mine
title: Mine
architecture:
  kind: grid
  clock_hz: 1.0e+8
  compute: {lanes: 4}
  neuron: {lanes: 4}
  dataflow: {stationary: scatter}
  memories:
    - {name: sram, holds: [weight, potential, spike], kib: 16, word_bits: 32}
    - {name: dram, holds: [weight, potential, spike], word_bits: 64, bandwidth_bytes_per_s: 1.0e+9}
prices:
  technology: horowitz-45nm
  dram.read_pj: {value: 1000, low: 900, high: 1100, basis: measured, source: me}
"""


def load(tmp_path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_accelerator(path)


def changed(path: str, value: object) -> str:
    """The good file with one key set; ``None`` removes it."""
    data = yaml.safe_load(GOOD)
    *parents, last = path.split("/")
    place = data
    for parent in parents:
        place = place[int(parent) if parent.isdigit() else parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(data)


@pytest.mark.parametrize("name", accelerator_names())
def test_every_shipped_accelerator_loads_and_prices_its_memories(name):
    machine = load_accelerator(name)
    assert machine.name == name
    assert machine.notes
    if isinstance(machine.architecture, Grid):
        for memory in machine.architecture.memories:
            assert machine.price(memory.name, "read").value > 0
            assert machine.price(memory.name, "write").value > 0


def test_a_file_overrides_single_prices_of_its_technology(tmp_path):
    machine = load(tmp_path, GOOD)
    assert machine.price("dram", "read").value == 1000
    assert machine.price("dram", "write").value == 1300
    assert machine.price("synapse", "add.float32").value == 0.9
    assert machine.price("sram", "read").value == pytest.approx((10 * 20) ** 0.5 / 2)  # midway 8-32 KiB, half a word


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("architecture/clock", 1e8, "architecture: clock: unknown key"),
        ("architecture/clock_hz", -1.0, "architecture: architecture.clock_hz is -1.0; it must be a positive"),
        ("architecture/clock_hz", float("nan"), "clock_hz is nan"),
        ("architecture/clock_hz", None, "clock_hz: is missing"),
        ("architecture/kind", "quantum", "architecture.kind is 'quantum'; it must be one of operations, grid"),
        ("architecture/compute/lanes", 0, "compute.lanes is 0"),
        ("architecture/weights", "sometimes", "weights: .*'resident' or 'reload'"),
        ("architecture/hardware_batch", 0, "hardware_batch is 0"),
        ("architecture/hardware_batch", 1.5, "hardware_batch: .*integer"),
        ("architecture/inferences_per_load", -4, "inferences_per_load is -4"),
        ("architecture/memories/0/holds", ["weights"], "memories.0.holds.0"),
        ("architecture/memories/1/bandwidth_bytes_per_s", -1e9, "memories.dram.bandwidth_bytes_per_s is -1000000000.0"),
        ("architecture/memories/1/bandwidth_bytes_per_s", 0, "memories.dram.bandwidth_bytes_per_s is 0"),
        ("architecture/memories/1/bandwidth_bytes_per_s", float("nan"), "memories.dram.bandwidth_bytes_per_s is nan"),
        ("architecture/memories/1/bandwidth_bytes_per_s", float("inf"), "memories.dram.bandwidth_bytes_per_s is inf"),
        ("architecture/memories/1/kib", 4, "need a last memory of unlimited size"),
        ("prices/technology", None, "prices.technology is missing"),
        ("prices/technology", "nowhere", "technology 'nowhere' is not known"),
        ("prices/dram.read_pj/value", -5, "prices.dram.read_pj: .*not negative"),
        ("prices/dram.read_pj/value", float("nan"), "finite"),
        ("prices/dram.read_pj/source", None, "prices.dram.read_pj: source: is missing"),
        ("prices/dram.read_pj/colour", "red", "prices.dram.read_pj: colour: unknown key"),
        ("prices/dram.read", {"value": 1, "basis": "measured", "source": "me"}, "rename it to dram.read_pj"),
        ("prices/defaults", 3, "prices.defaults is 3; it must be a mapping"),
        ("prices/dran.read_pj", {"value": 1, "basis": "measured", "source": "me"}, "prices no action of this machine"),
        (
            "prices/add.flot32_pj",
            {"value": 1, "basis": "measured", "source": "me"},
            "prices.add.flot32_pj: 'flot32' is no type of numbers; use .*int8.*float32",
        ),
        ("prices/add_pj", {"value": 1, "basis": "measured", "source": "me"}, "prices.add_pj: '' is no type"),
        (
            "prices/add.int128_pj",
            {"value": 1, "basis": "measured", "source": "me"},
            "prices.add.int128_pj: 'int128' is no type",
        ),
        ("prices/accumulate_pj", {"value": 1, "basis": "measured", "source": "me"}, "use one of add.<type>"),
        (
            "prices/accumulate.int8_pj",
            {"value": 1, "basis": "measured", "source": "me"},
            "prices.accumulate.int8_pj prices no action",
        ),
        ("schema", "spikejoule.accelerator/9", "schema: .*spikejoule.accelerator/1"),
        ("title", None, "title: is missing"),
        ("colour", "red", "colour: unknown key"),
    ],
)
def test_bad_files_are_refused_with_the_path_of_the_key(tmp_path, path, value, message):
    with pytest.raises(InvalidInput, match=message) as error:
        load(tmp_path, changed(path, value))
    assert "mine.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_static_section_that_would_be_ignored_is_refused(tmp_path):
    data = yaml.safe_load(GOOD) | {"architecture": {"kind": "operations"}, "prices": {"technology": "horowitz-45nm"}}
    data["static"] = {"static_power_w": {"value": 0.1, "basis": "measured", "source": "me"}}
    with pytest.raises(InvalidInput, match=r"mine.yaml: static: a machine of kind operations has no time"):
        load(tmp_path, yaml.safe_dump(data))


@pytest.mark.parametrize("key", ["synop.dens", "synop", "hop.NE", "add.float32", "spike.int8"])
def test_a_misspelled_event_of_a_chip_is_refused(tmp_path, key):
    chip = yaml.safe_load((ROOT / "energy/accelerators/truenorth.yaml").read_text())
    chip["prices"][f"{key}_pj"] = {"value": 1}
    with pytest.raises(InvalidInput, match=rf"prices.{key}_pj prices no action.*synop.dense.*hop.chip"):
        load(tmp_path, yaml.safe_dump(chip))


@pytest.mark.parametrize("kind", ["int4", "int24", "float64"])
def test_a_type_that_states_may_have_can_be_priced(tmp_path, kind):
    price = {"value": 1, "basis": "measured", "source": "me"}
    assert load(tmp_path, changed(f"prices/add.{kind}_pj", price)).price("synapse", f"add.{kind}").value == 1


@pytest.mark.parametrize("text", ["", "- a list", "a: [1, 2", "name: !!python/object:os.system {}", "a: 1\na: 2"])
def test_files_that_are_no_yaml_mapping_are_refused(tmp_path, text):
    with pytest.raises(InvalidInput, match=r"mine\.yaml"):
        load(tmp_path, text)


@pytest.mark.parametrize("width", ["int8", "int16", "int32", "float16", "float32"])
@pytest.mark.parametrize("operation", ["add", "multiply", "compare", "sigmoid"])
def test_every_state_that_a_main_network_may_have_is_priced_at_45_nm(operation, width):
    price = load_accelerator("grid-45nm").price("neuron", f"{operation}.{width}")
    assert 0 < price.low <= price.value <= price.high
    assert price.basis in ("measured", "derived")


@pytest.mark.parametrize("operation", ["add", "multiply", "compare", "sigmoid"])
def test_a_wider_integer_costs_more(operation):
    machine = load_accelerator("grid-45nm")
    prices = [machine.price("neuron", f"{operation}.int{bits}") for bits in (8, 16, 32)]
    for bound in ("low", "value", "high"):
        assert [getattr(price, bound) for price in prices] == sorted(getattr(price, bound) for price in prices)


def test_a_16_bit_product_lies_on_the_power_law_of_the_published_ones():
    assert load_accelerator("grid-45nm").price("neuron", "multiply.int16").value == pytest.approx(
        0.2 * 2 ** (math.log(3.1 / 0.2) / math.log(32 / 8)), abs=5e-4
    )


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(InvalidInput, match="nothing.yaml: cannot be read"):
        load_accelerator(tmp_path / "nothing.yaml")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInput, match="'loihi9' is not known; use one of .*sop-45nm"):
        load_accelerator("loihi9")


def test_an_action_without_a_price_is_an_error_that_says_how_to_mend_it(tmp_path):
    with pytest.raises(InvalidInput, match=r"no price for 'sigmoid.int4'.*add prices.sigmoid.int4_pj"):
        load(tmp_path, GOOD).price("gate", "sigmoid.int4")


@pytest.mark.parametrize(("component", "action"), [("weights", "write"), ("synapse", "add.float32")])
def test_an_action_of_another_kind_of_machine_is_not_asked_for_in_the_file(component, action):
    with pytest.raises(
        InvalidInput, match="'truenorth' of kind event has no action .*of another machine; run"
    ) as error:
        load_accelerator("truenorth").price(component, action)
    assert "to its file" not in str(error.value)

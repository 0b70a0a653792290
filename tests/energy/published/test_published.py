"""Published formulas against the numbers their papers print, and on a network small enough to work out by hand."""

import doctest
import json
import math
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikejoule.energy.published as published
from spikejoule.energy.machines.prices import load_technology
from spikejoule.energy.published import (
    DAMPFHOFFER_2023,
    PUBLISHED_MODELS,
    ConvShape,
    LinearShape,
    activities,
    addressing_pj,
    compute_break_even_rate,
    conv_macs,
    dense_limit_ratio,
    events_per_synapse,
    flat_memory_pj,
    interpolated_width_pj,
    k_min,
    lemaire_fnn,
    lemaire_snn,
    loihi_network_pj,
    movement_break_even_rate,
    operations_pj,
    pe_cycle_pj,
    qnn_bits,
    qnn_compute_pj,
    ratio,
    recurrent_step_energy_pj,
    reduction_percent,
    resnet_bytes,
    sata_forward,
    score_all,
    score_table,
    sop_energy_pj,
    sparsity_bounds,
    spike_rate,
    spikesim_energy,
    sram_linear_pj,
    sram_packed8k_pj,
    sram_piecewise_pj,
    stillmaker_scaling,
    synaptic_operations,
    truenorth_events_per_s,
    truenorth_fit,
    vgg_bytes,
)
from spikejoule.energy.published import sata as sata_module
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.counting.operations import LayerOperations, OperationCounts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, ConvTranspose2d, Identity, Linear, Workload

DOCS = Path(__file__).parents[3] / "docs" / "energy-models.md"
CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[2] / "cases" / "paper_cases.json").read_text(encoding="utf-8"))[
        "cases"
    ]
}
Inputs = dict[str, Any]


# From the kinds of the published cases to calls of the public API; units only, no formula.
def macs_of(inputs: Inputs) -> int:
    size = inputs["h_out"], inputs["w_out"]
    extra = {name: inputs[name] for name in ("times", "groups") if name in inputs}
    return conv_macs(inputs["c_in"], inputs["c_out"], inputs["k"], size, **extra)


def all_macs(inputs: Inputs, unit: str, scale: float) -> float:
    """MACs given as a number, by one or several convolutions, or by the geometry of another case."""
    convs = inputs.get("convs", inputs.get("conv", []))
    total = inputs.get(f"macs_{unit}", 0) * scale + sum(map(macs_of, convs if isinstance(convs, list) else [convs]))
    return total + (macs_of(CASES[inputs["mac_case"]]["inputs"]) if "mac_case" in inputs else 0)


def op_energy(unit: str, scale: float, result: str, from_pj: float) -> Callable[[Inputs], dict]:
    def call(inputs: Inputs) -> dict:
        prices = {name: inputs[f"{name}_pj"] for name in ("e_ac", "e_mac") if f"{name}_pj" in inputs}
        sops = inputs.get(f"sops_{unit}", 0) * scale
        return {result: sop_energy_pj(sops, all_macs(inputs, unit, scale), **prices) * from_pj}

    return call


def model_size(inputs: Inputs) -> dict:
    size = vgg_bytes(
        inputs["convs"],
        in_channels=inputs["c_in"],
        kernel=inputs["k"],
        classes=inputs["classes"],
        binary=inputs["binary"],
        norm_vectors=inputs.get("bn_vectors", 2),
    )
    return {"size_mb": size * 1e-6}


def resnet_size(depth: int) -> Callable[[Inputs], dict]:
    def call(inputs: Inputs) -> dict:
        options = {"downsample_fp": inputs["downsample_fp"], "norm_vectors": inputs["bn_vectors"]}
        return {"size_mb": resnet_bytes(depth, binary=inputs["binary"], **options) * 1e-6}

    return call


def truenorth(inputs: Inputs) -> dict:
    fit = truenorth_fit(inputs["neurons"], inputs["synapses"], inputs["points_hz_mw"])
    check = truenorth_events_per_s(inputs["neurons"], inputs["synapses"], inputs["check_hz"])
    return {"slope_pj": fit.slope_pj, "static_mw": fit.static_mw, "check_mw": fit.power_mw(check)}


def stillmaker(inputs: Inputs) -> dict:
    x, y = inputs["x"], inputs["y"]
    scaled = stillmaker_scaling(x["coef"], x["v"], y["coef"], y["v"], inputs["e_y_pj"])
    return {"factor_x": scaled.factor_x, "factor_y": scaled.factor_y, "e_x_pj": scaled.energy_x}


def yan_k_min(inputs: Inputs) -> dict:
    steps, sparsity = inputs["T"], inputs["gamma"]
    rate = inputs["s_r"] if "s_r" in inputs else spike_rate(steps, sparsity, inputs.get("case", "average"))
    return {"k_min": k_min(steps, rate, sparsity)}


def spikesim_case(inputs: Inputs) -> dict:
    kernel, options = inputs["k"], {"crossbar": inputs["xbar"], "crossbar_pj": inputs["xbar_pj"]}
    shapes = [
        ConvShape(in_channels=a, out_channels=b, in_size=(size, size), out_size=(size, size), kernel=(kernel, kernel))
        for a, b, size in zip(inputs["in_ch"], inputs["out_ch"], inputs["out_dim"], strict=True)
    ]
    result = spikesim_energy(shapes, steps=inputs["T"], **options)
    return vars(result) | {"pe_cycle_pj": pe_cycle_pj(kernel, **options)}


def sata_case(inputs: Inputs) -> dict:
    """Convolutions as C, K, R, then the output's and the input's height and width; equal in the listed cases."""
    shapes: list[ConvShape | LinearShape] = [
        ConvShape(in_channels=c, out_channels=k, kernel=(r, r), out_size=(e, f), in_size=(h, w))
        for c, k, r, e, f, h, w in inputs["convs"]
    ]
    shapes += [LinearShape(inputs=a, outputs=b) for a, b in inputs.get("linear", [])]
    faults = {"linear_replaces_convolutions": True, "dense_linear": True}  # the cases are the author code's own run
    result = sata_forward(shapes, steps=inputs["T"], spike_sparsity=inputs["s_spike"], bits=inputs["bits"], **faults)
    macs = result.in_macs()
    return {"fwd_comp_mac": macs["compute"], "fwd_mem_mac": macs["memory"], "fwd_total_mac": macs["total"]}


def lemaire_conv(inputs: Inputs) -> dict:
    shape = ConvShape(
        in_channels=inputs["c_in"],
        out_channels=inputs["c_out"],
        in_size=(inputs["h_in"], inputs["w_in"]),
        out_size=(inputs["h_out"], inputs["w_out"]),
        kernel=(inputs["k"], inputs["k"]),
        stride=(inputs["stride"], inputs["stride"]),
    )
    spikes = {
        "spikes_in": synaptic_operations(inputs["rate_in"], inputs["T"], shape.inputs),
        "spikes_out": synaptic_operations(inputs["rate_out"], inputs["T"], shape.outputs),
    }
    counts = lemaire_snn(shape, steps=inputs["T"], **spikes, leak=inputs["leak"])
    return {
        "theta_in": spikes["spikes_in"],
        "theta_out": spikes["spikes_out"],
        "mac_ops": counts.mac_ops,
        "acc_ops": counts.acc_ops,
        "e_ops_pj": operations_pj(counts, inputs["e_add"], inputs["e_mul"]),
        "rd_in": counts.read_inputs,
        "rd_weights": counts.read_weights,
        "rd_bias": counts.read_bias,
        "rd_pot": counts.read_potentials,
        "wr_pot": counts.write_potentials,
        "wr_out": counts.write_outputs,
        "mac_addr": counts.mac_addressing,
        "acc_addr": counts.acc_addressing,
    }


KINDS: dict[str, Callable[[Inputs], dict]] = {
    "conv_macs": lambda inputs: {"macs": macs_of(inputs)},
    "op_energy": op_energy("g", 1e9, "energy_mj", 1e-9),
    "op_energy_uj": op_energy("m", 1e6, "energy_uj", 1e-6),
    "model_size": model_size,
    "resnet18_size": resnet_size(18),
    "resnet34_size": resnet_size(34),
    "ratio": lambda inputs: {"ratio": ratio(inputs["num"], inputs["den"])},
    "reduction_percent": lambda inputs: {"percent": reduction_percent(inputs["new"], inputs["old"])},
    "truenorth_fit": truenorth,
    "stillmaker": stillmaker,
    "qnn_bits": lambda inputs: {"bits": qnn_bits(inputs["T"])},
    "yan_dense_ratio": lambda inputs: {"ratio": dense_limit_ratio(inputs["T"])},
    "yan_k_min": yan_k_min,
    "spikesim": spikesim_case,
    "sata_fwd": sata_case,
    "lemaire_conv_snn": lemaire_conv,
    "sram_piecewise": lambda inputs: {"pj_64b": [sram_piecewise_pj(size) for size in inputs["bytes"]]},
    "sram_linear": lambda inputs: {"pj": [sram_linear_pj(bits) for bits in inputs["bits"]]},
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_published_case_is_met_within_its_tolerance(case):
    result = KINDS[case["kind"]](case["inputs"])  # a kind without a rule is an error
    for name, value in case["published"].items():
        assert result[name] == pytest.approx(value, rel=0, abs=case.get("tol_abs", 0)), name


# Further printed rows that docs/energy-models.md says reproduce.
STEM, PATCHES = CASES["conv1_resnet_224"]["inputs"], CASES["conv1_spikformer_512_x4"]["inputs"]


@pytest.mark.parametrize(
    ("sops_g", "conv", "energy_mj"),
    [
        pytest.param(9.30, STEM, 8.913, id="SEW-ResNet-101"),
        pytest.param(13.67, PATCHES, 13.899, id="Spikformer-10-512"),
        pytest.param(22.09, PATCHES, 21.477, id="Spikformer-8-768"),
        pytest.param(12.54, PATCHES | {"c_out": 96}, 13.678, id="Spikingformer-8-768"),
        pytest.param(3.55, None, 3.19, id="iSpikformer"),
    ],
)
def test_further_rows_of_the_convention(sops_g, conv, energy_mj):
    macs = 0 if conv is None else macs_of(conv)
    assert sop_energy_pj(sops_g * 1e9, macs) * 1e-9 == pytest.approx(energy_mj, abs=0.006)


@pytest.mark.parametrize(
    ("sops_g", "energy_mj"),
    [
        (78.29, 6.029),
        (6.50, 0.501),
        (4.83, 0.372),
        (9.30, 0.716),
        (13.72, 1.056),
        (6.82, 0.525),
        (8.69, 0.669),
        (11.09, 0.854),
        (13.67, 1.053),
    ],
)
def test_further_rows_at_77_fj(sops_g, energy_mj):
    assert sop_energy_pj(sops_g * 1e9, 0, 0.077, 12.5) * 1e-9 == pytest.approx(energy_mj, abs=0.001)


@pytest.mark.parametrize(
    ("binary", "classes", "size_mb"), [(False, 100, 37.10), (True, 100, 1.39)], ids=["full", "binary"]
)
def test_vgg11_on_cifar100(binary, classes, size_mb):
    assert vgg_bytes(classes=classes, binary=binary) * 1e-6 == pytest.approx(size_mb, abs=0.006)


def test_the_87_mb_called_resnet18_are_resnet34():
    assert resnet_bytes(34) * 1e-6 == pytest.approx(87.19, abs=0.006)


@pytest.mark.parametrize(
    ("options", "size_mb"), [({}, 4.19), ({"norm_vectors": 4}, 4.23), ({"downsample_fp": False}, 3.52)]
)
def test_binary_resnet18_by_what_stays_full_precision(options, size_mb):
    assert resnet_bytes(18, binary=True, **options) * 1e-6 == pytest.approx(size_mb, abs=0.006)


@pytest.mark.parametrize(("steps", "printed"), [(1, 0.996), (3, 1.500), (7, 2.338), (15, 3.762)])
def test_yans_printed_dense_ratios_lie_within_half_a_percent_of_the_limit(steps, printed):
    assert dense_limit_ratio(steps) == pytest.approx(printed, rel=0.005)


def test_the_loihi_formula_gives_the_printed_97_nj():
    assert loihi_network_pj([18, 256, 128, 4], 0.79) == pytest.approx(97.4e3, abs=50)


def test_the_same_network_is_quoted_13_6_times_apart():
    fp32 = sop_energy_pj(11.09e9, macs_of(PATCHES))
    assert ratio(fp32, sop_energy_pj(11.09e9, 0, 0.077)) == pytest.approx(13.6, abs=0.05)


# Formulas by hand.
CONV_SHAPE = ConvShape(in_channels=4, out_channels=6, in_size=(8, 8), out_size=(4, 4), kernel=(3, 3), stride=(2, 2))
FC_SHAPE = LinearShape(inputs=8, outputs=3)


def test_a_stride_shrinks_lemaires_additions_but_not_his_accesses():
    counts = lemaire_snn(CONV_SHAPE, steps=2, spikes_in=10, spikes_out=5, leak=False)
    assert (counts.mac_ops, counts.acc_ops) == (0, 10 * 4 * 6 + 2 * 96 + 5)  # ceil(3/2)^2 = 4 taps
    assert counts.read_weights == 10 * 9 * 6


def test_lemaires_formal_convolution():
    counts = lemaire_fnn(CONV_SHAPE)
    assert (counts.mac_ops, counts.acc_ops) == (96 * 36, 96)
    assert (counts.read_inputs, counts.read_weights, counts.read_bias, counts.write_outputs) == (3456, 3456, 96, 96)
    assert counts.acc_addressing == 4 * 64 + 96 + 6 * 9
    assert addressing_pj(counts) == pytest.approx(40.6)


def test_lemaires_formal_linear_layer_has_two_addressing_rules():
    assert lemaire_fnn(FC_SHAPE).acc_addressing == 24
    assert lemaire_fnn(FC_SHAPE, fc_addressing="sum").acc_addressing == 11


def test_the_three_sram_rules_disagree_on_a_small_memory():
    bits = 64 * 32  # 64 biases of 32 bits
    rules = {name: rule(bits, 32) for name, rule in published.SRAM_RULES.items()}
    assert rules == pytest.approx({"iconip_linear": 13.22, "packed8k": 5.0, "piecewise": 0.15625}, abs=0.003)


@pytest.mark.parametrize(("bits", "pj"), [(1, 10 / 64), (3, 10 / 21), (8, 1.25), (33, 10), (64, 10)])
def test_packed_data_share_an_access(bits, pj):
    assert sram_packed8k_pj(bits) == pytest.approx(pj)


@pytest.mark.parametrize(
    ("rule", "bits", "pj"),
    [
        ("saturation", 8, 0.2),
        ("saturation", 9, 3.1),
        ("linear", 20, 1.65),
        ("quadratic", 8, 0.2),
        ("quadratic", 32, 3.1),
        ("quadratic", 4, 0.0520833),  # a = (3.1/32 - 0.2/8) / 24, b = 0.2/8 - 8 a
    ],
)
def test_width_interpolation(rule, bits, pj):
    assert interpolated_width_pj(bits, 0.2, 3.1, rule) == pytest.approx(pj, abs=1e-6)


@pytest.mark.parametrize(
    ("cell", "pj"),
    [
        ("lif", 2 * 3 * 0.5 * 0.9 + (9 + 3) * 0.1 * 0.9 + 3 * 4.6),
        ("tc_lif", 2 * 3 * 0.5 * 0.9 + (9 + 6) * 0.1 * 0.9 + 6 * 4.6),
        ("lstm", (4 * (6 + 9) + 51) * 4.6),
    ],
)
def test_recurrent_cells(cell, pj):
    assert recurrent_step_energy_pj(cell, 2, 3, rate_in=0.5, rate_out=0.1) == pytest.approx(pj)


@pytest.mark.parametrize(("case", "k"), [("best", 1), ("average", 3), ("worst", 5)])
def test_yans_three_rates_need_a_mac_that_costs_1_to_t_accumulates(case, k):
    rate = spike_rate(5, 0.4, case)
    assert k_min(5, rate, 0.4) == pytest.approx(k)
    assert compute_break_even_rate(5, k, 0.4) == pytest.approx(rate)


def test_yans_rate_bounds_invert_to_sparsity_bounds():
    assert sparsity_bounds(5, spike_rate(5, 0.4, "best"))[0] == pytest.approx(0.4)
    assert sparsity_bounds(5, spike_rate(5, 0.4, "worst"))[1] == pytest.approx(0.4)


def test_movement_breaks_even_at_b_over_eta_t_and_weight_reads_raise_it():
    assert movement_break_even_rate(5) == pytest.approx(3 / (12 * 5))
    assert movement_break_even_rate(5, weight_pj=1.0) == pytest.approx((3 * 0.25 + 1) / (5 * 4))


def test_qnn_arithmetic_skips_zeros():
    assert qnn_compute_pj(100, 0.6, 0.2) == pytest.approx(8)


def test_satas_corrections_count_every_layer_at_its_sparsity():
    fixed = sata_forward([CONV_SHAPE, FC_SHAPE], steps=2, spike_sparsity=0.75)
    assert fixed.spike_mac_pj == pytest.approx(0.25 * (3456 + 24) * 2 * 0.039694)
    faulty = sata_forward([CONV_SHAPE, FC_SHAPE], steps=2, spike_sparsity=0.75, linear_replaces_convolutions=True)
    assert faulty.spike_mac_pj == pytest.approx(0.25 * 24 * 2 * 0.039694)


def test_flat_memory_is_bytes_times_price():
    assert flat_memory_pj(100) == pytest.approx(2496)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_macs(3, 4, 0, (2, 2)), "positive"),
        (lambda: spike_rate(5, 0.4, "mean"), "best, average, worst"),
        (lambda: spike_rate(5, 1.4), "from 0 to 1"),
        (lambda: k_min(5, 0.1, 1.0), "below 1"),
        (lambda: qnn_bits(0), "positive"),
        (lambda: interpolated_width_pj(8, 1, 2, "cubic"), "saturation, linear, quadratic"),
        (lambda: sram_packed8k_pj(65), "from 1 to 64"),
        (lambda: events_per_synapse(1, 0), "positive"),
        (lambda: resnet_bytes(50), "18, 34"),
        (lambda: sata_forward([FC_SHAPE], steps=2, spike_sparsity=[0.1, 0.2]), "one per layer"),
        (lambda: truenorth_fit(1, 1, [(1.0, 2.0)]), "two points"),
        (lambda: loihi_network_pj([4], 0.5), "at least two"),
    ],
)
def test_values_outside_a_formula_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


# One trace under every model: 1x4x4 -> 2 maps by a 3x3 convolution (8 neurons) -> 3 classes, T = 2, one sample.
# Input spikes: step 0 at (0, 0) and (1, 1), step 1 at (3, 3): 3 events, meeting 1, 4 and 1 output places x 2 channels =
# 12 synaptic operations; the convolution's neurons fire 3 times, then once: 4 events x 3 classes = 12.
CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, bias=True, channel_vectors=2)
READOUT = Linear(
    name="fc", in_shape=(2, 2, 2), out_features=3, source="conv", neuron="readout", bias=True, channel_vectors=1
)


def counted(conv: Conv2d | ConvTranspose2d = CONV, samples: int = 1, **workload: Any) -> OperationCounts:
    net = Workload(name="ledger", input_shape=(1, 4, 4), layers=(conv, READOUT), **workload)
    pixels, spikes = np.zeros((2, samples, 1, 4, 4)), np.zeros((2, samples, 2, 2, 2))
    for step, y, x in ((0, 0, 0), (0, 1, 1), (1, 3, 3)):
        pixels[step, :, 0, y, x] = 1
    spikes[0, :, 0, 0, :] = spikes[0, :, 1, 1, 1] = spikes[1, :, 1, 0, 0] = 1
    emitted = spikes.sum(axis=(2, 3, 4)).astype(np.int64)
    layers = {
        "conv": LayerOperations(count_layer(conv, pixels), emitted, {}),
        "fc": LayerOperations(count_layer(READOUT, spikes), None, {}),
    }
    return OperationCounts(net, "hash", 2, samples, layers, pixels.sum(axis=(2, 3, 4)).astype(np.int64))


def analog(**workload: Any) -> OperationCounts:
    return counted(replace(CONV, input_kind="analog"), input_kind="analog", **workload)


SCORES = score_all(counted())
ANALOG = score_all(analog(held_input=True))

TERMS = {
    # rate x T x FLOPs: 3/32 x 2 x 72 + 4/16 x 2 x 24 = 13.5 + 12
    "sop-first-layer-per-step": {"multiply_accumulate": 0, "accumulate": 25.5 * 0.9},
    "sop-first-layer-once": {"multiply_accumulate": 0, "accumulate": 25.5 * 0.9},
    "sop-77fj": {"multiply_accumulate": 0, "accumulate": 25.5 * 0.077},
    # conv: 16 MAC (leak), 3 x 9 x 2 + 16 + 4 = 74 ACC; 54 weights, 16 biases, 2 x 70 potentials, 3 in, 4 out
    # fc, no leak: 4 x 3 + 6 = 18 ACC; 12 weights, 6 biases, 2 x 18 potentials, 4 in. Two 32-bit data to an access: 5 pJ
    "lemaire2022-packed8k": {
        "operations": 16 * 3.2 + (74 + 18) * 0.1,
        "addressing": 6 * 3.2 + (54 + 12) * 0.1,
        "weights": (54 + 12) * 5,
        "bias": (16 + 6) * 5,
        "potentials": (140 + 36) * 5,
        "inputs": (3 + 4) * 5,
        "outputs": 4 * 5,
    },
    # 10 pJ x bytes / 8192 per 64 bits, half of it per datum: 18 and 24 weights, 2 and 3 biases, 8 and 3 potentials of
    # 4 bytes, queues of 4000 bytes
    "lemaire2022-piecewise": {
        "operations": 60.4,
        "addressing": 25.8,
        "weights": (54 * 72 + 12 * 96) * 5 / 8192,
        "bias": (16 * 8 + 6 * 12) * 5 / 8192,
        "potentials": (140 * 32 + 36 * 12) * 5 / 8192,
        "inputs": 7 * 4000 * 5 / 8192,
        "outputs": 4 * 4000 * 5 / 8192,
    },
    # 13.2 pJ + 1.09e-5 per bit, an access per datum
    "lemaire2022-iconip-linear": {
        "operations": 60.4,
        "addressing": 25.8,
        "weights": 66 * 13.2 + 1.09e-5 * (54 * 576 + 12 * 768),
        "bias": 22 * 13.2 + 1.09e-5 * (16 * 64 + 6 * 96),
        "potentials": 176 * 13.2 + 1.09e-5 * (140 * 256 + 36 * 96),
        "inputs": 7 * (13.2 + 1.09e-5 * 32000),
        "outputs": 4 * (13.2 + 1.09e-5 * 32000),
    },
    # 24 synaptic operations, (8 + 3) x 2 updates, 4 spikes; 3 + 4 spikes moved 0.64 hops
    "yan2024": {
        "accumulate": 24 * 0.05448,
        "compare": 22 * 0.05448,
        "subtract": 4 * 0.05448,
        "movement": 7 * 3.0 * 0.64,
    },
    # DRAM words: 18 + 8 x 2 + 16/16 x 2, and 24 + 3 x 2 + 8/16 x 2: 36 + 31; scratch pads 2 x (18 + 2 + 24 + 1)
    "sata-forward": {
        "spike_mac": 25.5 * 0.039694,
        "neuron": 22 * (0.00967 + 0.00309 + 2 * 0.00172 + 3 * 0.0301 + 0.00605),
        "dram": 67 * 55.58,
        "sram": 134 * 1.95,
        "scratch_pad": 90 * 0.2779,
    },
    "spikesim-rram": {"pe_cycles": 2 * 4 * 828.4861472},  # one crossbar fold, 2 x 2 places, two steps
    "loihi-event-formula": {"update": 16 * 81, "transfer": (72 + 24) * 2 * 1.7, "synaptic": 4 * 23.6},
    "truenorth-slope-static": {"events": 24 * 2.297, "static": 2 * 15.73e6 * 2e-3},  # two cores, two ticks of 1 ms
}


@pytest.mark.parametrize("name", TERMS)
def test_every_term_on_the_hand_worked_network(name):
    assert SCORES[name].terms == pytest.approx(TERMS[name])
    assert SCORES[name].energy_pj == pytest.approx(sum(TERMS[name].values()))


def test_every_scoring_model_is_worked_by_hand_or_has_no_energy():
    assert {name for name, score in SCORES.items() if score.energy_pj is not None} == set(TERMS)


def test_more_samples_of_the_same_kind_change_nothing():
    assert {name: score.energy_pj for name, score in score_all(counted(samples=3)).items()} == pytest.approx(
        {name: score.energy_pj for name, score in SCORES.items()}
    )


def test_n_s_of_network_and_layers():
    figures = SCORES["dampfhoffer2023"].figures
    assert [figures[name] for name in ("n_s", "n_s.conv", "n_s.fc")] == pytest.approx([24 / 96, 12 / 72, 12 / 24])
    assert (figures["verdict"], SCORES["davidson-furber2021"].figures["verdict"]) == ("inside", "below")


def test_the_bands_end_where_they_are_printed():
    verdicts = [DAMPFHOFFER_2023.verdict(n_s) for n_s in (math.nextafter(0.15, 0), 0.15, 1.38, math.nextafter(1.38, 2))]
    assert verdicts == ["below", "inside", "inside", "above"]


def test_yans_figures():
    figures = SCORES["yan2024"].figures
    assert figures["spike_rate"] == pytest.approx(7 / 48)
    assert (figures["qnn_activation_bits"], figures["dense_limit_ratio"]) == (2, 1)
    assert figures["movement_break_even_rate"] == pytest.approx(2 / 24)
    assert [figures["k_min_least"], figures["k_min_most"]] == pytest.approx([1, 2])


def test_model_size_is_that_of_the_workload():
    binary = replace(CONV, weight_kind="binary", weight_bits=None)
    figures = score_all(counted(binary))["model-size"].figures
    assert figures["model_bytes"] == -(-(18 + 24 * 32) // 8) + 4 * (2 * 2 + 3)
    assert figures["full_precision_bytes"] == 4 * (18 + 24 + 2 * 2 + 3)


def test_an_analog_layer_is_counted_per_step_once_or_not_at_all():
    energies = [ANALOG[name].terms["multiply_accumulate"] for name in list(TERMS)[:3]]
    assert energies == pytest.approx([2 * 72 * 4.6, 72 * 4.6, 0])
    assert "left out" in ANALOG["sop-77fj"].warnings[0]


def test_an_input_that_changes_is_never_counted_once():
    assert score_all(analog())["sop-first-layer-once"].terms["multiply_accumulate"] == pytest.approx(2 * 72 * 4.6)


def test_lemaires_formal_path_for_an_analog_layer():
    conv = published.lemaire.layer_of(activities(analog())[0])
    assert (conv.mac_ops, conv.acc_ops) == (2 * 72 + 16, 16 + 4)  # two passes and the leak; bias and reset
    assert (conv.read_inputs, conv.read_weights, conv.read_bias) == (144, 144, 16)
    assert (conv.read_potentials, conv.write_potentials, conv.write_outputs) == (16, 16, 4)
    assert (conv.mac_addressing, conv.acc_addressing) == (0, 2 * (16 + 8 + 18))


@pytest.mark.parametrize(
    "name", ["yan2024", "dampfhoffer2023", "davidson-furber2021", "sata-forward", "truenorth-slope-static"]
)
def test_models_without_analog_input_name_the_layer_they_treat_otherwise(name):
    assert any("conv" in text for text in ANALOG[name].warnings)


def test_a_binary_weight_priced_as_a_multiplication_is_pointed_out():
    conv = replace(CONV, weight_kind="binary", weight_bits=None, input_kind="analog")
    assert any("+-1" in text for text in score_all(counted(conv, input_kind="analog"))["sop-first-layer-once"].warnings)


def test_a_kind_of_layer_that_no_formula_names_is_refused_not_zero():
    layer = ConvTranspose2d(name="up", in_shape=(1, 4, 4), out_channels=1, kernel_size=2)
    with pytest.raises(InvalidInput, match="'up'.*Conv2d and Linear, not ConvTranspose2d"):
        published.shapes.shape_of(layer)


def test_a_model_that_is_not_defined_for_a_network_says_so_instead_of_an_energy():
    up = ConvTranspose2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=2)
    score = score_all(counted(up))["lemaire2022-piecewise"]
    assert score.energy_pj is None
    assert "not defined here: layer 'conv'" in score.warnings[0]


def test_neurons_without_weights_are_said_to_be_left_out():
    counts = counted()
    relay = Identity(name="relay", in_shape=(2, 2, 2), source="conv", neuron="if_soft")
    more = replace(counts, workload=replace(counts.workload, layers=(*counts.workload.layers, relay)))
    score = score_all(more)["yan2024"]
    assert score.energy_pj == SCORES["yan2024"].energy_pj
    assert "relay" in score.warnings[-1]


# The table and what is written about it.
def test_the_table_holds_one_row_a_scoring_model_with_its_node_and_scope():
    table = score_table(counted())
    assert list(table["model"]) == [model.name for model in PUBLISHED_MODELS if model.score is not None]
    assert table[["node", "scope", "source", "version"]].map(bool).all(axis=None)


def test_only_rows_of_one_node_and_scope_share_a_letter():
    table = score_table(counted())
    priced = table[table["energy_pj"].notna()]
    for row in priced.itertuples():
        alike = priced[(priced["node"] == row.node) & (priced["scope"] == row.scope)]
        assert set(alike.index) == set(priced[priced["group"] == row.group].index)


def test_every_energy_carries_the_warning_on_ratios_in_its_row():
    table = score_table(counted()).set_index("model")
    priced = table[table["energy_pj"].notna()]
    assert priced["warnings"].str.contains("no ratio with any").all()
    told = priced.loc["sop-first-layer-once", "warnings"]
    assert told.endswith("no ratio with any but sop-first-layer-per-step: node, precision or scope differ")
    assert (table.loc[table["energy_pj"].isna(), "group"] == "").all()


def test_model_names_are_unique():
    assert len({model.name for model in PUBLISHED_MODELS}) == len(PUBLISHED_MODELS)


@pytest.mark.parametrize("model", PUBLISHED_MODELS, ids=lambda model: model.name)
def test_every_model_is_in_the_docs(model):
    assert f"`{model.name}`" in DOCS.read_text(encoding="utf-8")


def test_sata_prices_are_those_of_its_technology_file():
    operations = load_technology("sata-65nm-16bit").operations
    assert {name: operations[f"{name}.int16"].value for name in sata_module.COMPONENT_PJ} == sata_module.COMPONENT_PJ
    assert operations["accumulate"].value == pytest.approx(sata_module.spike_mac_pj())
    assert operations["multiply_accumulate"].value == pytest.approx(sata_module.MAC_PJ)
    assert load_technology("sata-65nm-16bit").dram_access(16).value == pytest.approx(sata_module.DRAM_PJ)


def test_yans_prices_are_those_of_its_technology_file():
    operations = load_technology("yan-22nm").operations
    yan = published.yan
    assert [operations[name].value for name in ("accumulate", "compare", "subtract")] == [
        yan.E_ACC_PJ,
        yan.E_CMP_PJ,
        yan.E_SUB_PJ,
    ]


def test_the_7_nm_table_claims_no_verified_figure():
    technology = load_technology("jouppi-7nm")
    assert {price.basis for price in technology.operations.values()} == {"unverified"}


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules(published.__path__)])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(import_module(f"spikejoule.energy.published.{module}")).failed == 0

"""The literature's own energy formulas, named and versioned, so that one trace can be scored under all of them.

Each formula is a plain function in the module of its paper; `PUBLISHED_MODELS` says what each counts, at which node,
and what it leaves out. They exist to reproduce and compare published numbers; machines are among the accelerators. A
new one is a function and a row.
"""

from __future__ import annotations

from .bands import DAMPFHOFFER_2023, DAVIDSON_FURBER_2021, Band, events_per_synapse
from .chips import (
    PowerLine,
    loihi_layer_pj,
    loihi_network_pj,
    truenorth_events_per_s,
    truenorth_fit,
    truenorth_inference_pj,
)
from .lemaire import LemaireCounts, LemaireMemories, addressing_pj, lemaire_fnn, lemaire_snn, memory_pj, operations_pj
from .memory import (
    SRAM_RULES,
    ScaledEnergy,
    classical_scaling,
    energy_factor,
    flat_memory_pj,
    interpolated_width_pj,
    sram_linear_pj,
    sram_packed8k_pj,
    sram_piecewise_pj,
    stillmaker_scaling,
)
from .sata import SataForward, sata_forward
from .scores import PublishedModel, PublishedScore
from .shapes import ConvShape, LayerActivity, LinearShape, activities
from .sizes import resnet_bytes, stored_bytes, sub_bit_width, vgg_bytes
from .sop import conv_macs, ratio, recurrent_step_energy_pj, reduction_percent, sop_energy_pj, synaptic_operations
from .spikesim import SpikeSimEnergy, pe_cycle_pj, spikesim_energy
from .table import PUBLISHED_MODELS, score_all, score_table
from .yan import (
    compute_break_even_rate,
    dense_limit_ratio,
    k_min,
    movement_break_even_rate,
    qnn_bits,
    qnn_compute_pj,
    snn_compute_pj,
    sparsity_bounds,
    spike_rate,
)

__all__ = [
    "DAMPFHOFFER_2023",
    "DAVIDSON_FURBER_2021",
    "PUBLISHED_MODELS",
    "SRAM_RULES",
    "Band",
    "ConvShape",
    "LayerActivity",
    "LemaireCounts",
    "LemaireMemories",
    "LinearShape",
    "PowerLine",
    "PublishedModel",
    "PublishedScore",
    "SataForward",
    "ScaledEnergy",
    "SpikeSimEnergy",
    "activities",
    "addressing_pj",
    "classical_scaling",
    "compute_break_even_rate",
    "conv_macs",
    "dense_limit_ratio",
    "energy_factor",
    "events_per_synapse",
    "flat_memory_pj",
    "interpolated_width_pj",
    "k_min",
    "lemaire_fnn",
    "lemaire_snn",
    "loihi_layer_pj",
    "loihi_network_pj",
    "memory_pj",
    "movement_break_even_rate",
    "operations_pj",
    "pe_cycle_pj",
    "qnn_bits",
    "qnn_compute_pj",
    "ratio",
    "recurrent_step_energy_pj",
    "reduction_percent",
    "resnet_bytes",
    "sata_forward",
    "score_all",
    "score_table",
    "snn_compute_pj",
    "sop_energy_pj",
    "sparsity_bounds",
    "spike_rate",
    "spikesim_energy",
    "sram_linear_pj",
    "sram_packed8k_pj",
    "sram_piecewise_pj",
    "stillmaker_scaling",
    "stored_bytes",
    "sub_bit_width",
    "synaptic_operations",
    "truenorth_events_per_s",
    "truenorth_fit",
    "truenorth_inference_pj",
    "vgg_bytes",
]

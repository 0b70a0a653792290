"""Which published models there are, and how one trace scores under all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from string import ascii_lowercase
from typing import TYPE_CHECKING

from ...sim.counting.operations import OperationCounts
from ...sim.errors import InvalidInput
from .bands import DAMPFHOFFER_2023, DAVIDSON_FURBER_2021, score_band
from .chips import score_loihi, score_truenorth
from .lemaire import score_lemaire
from .sata import score_sata
from .scores import PublishedModel, PublishedScore
from .sizes import score_size
from .sop import E_AC_77FJ_PJ, E_MAC_77FJ_PJ, score_sop
from .spikesim import score_spikesim
from .yan import score_yan

if TYPE_CHECKING:
    import pandas as pd


def score_all(counts: OperationCounts) -> dict[str, PublishedScore]:
    """One trace under every published model that scores traces, by model name.

    A model that is not defined for the network has no energy and says why in its warnings: never zero.
    """
    relays = [x.name for x in counts.workload.layers if x.weights == 0 and x.neuron is not None]
    left_out = (f"neurons that no weights feed are left out: {', '.join(relays)}",) if relays else ()
    scores = {}
    for model in PUBLISHED_MODELS:
        if model.score is None:
            continue
        try:
            score = model.score(counts)
        except InvalidInput as error:
            score = PublishedScore(None, warnings=(f"not defined here: {error}",))
        scores[model.name] = replace(score, warnings=score.warnings + left_out)
    return scores


def score_table(counts: OperationCounts) -> pd.DataFrame:
    """The table of `score_all`: ``model, version, title, node, scope, group, energy_pj, figures, warnings, source``.

    Rows of different node, precision or scope must not be divided by each other: only rows of one ``group`` may, and
    the warnings of every row with an energy name them. The node carries voltage and precision.
    """
    import pandas as pd

    scores = score_all(counts)
    alike: dict[tuple[str, str], list[str]] = {}
    for model in PUBLISHED_MODELS:
        if model.name in scores and scores[model.name].energy_pj is not None:
            alike.setdefault((model.node, model.scope), []).append(model.name)
    groups = {name: letter for letter, names in zip(ascii_lowercase, alike.values(), strict=False) for name in names}
    rows = [
        {
            "model": model.name,
            "version": model.version,
            "title": model.title,
            "node": model.node,
            "scope": model.scope,
            "group": groups.get(model.name, ""),
            "energy_pj": scores[model.name].energy_pj,
            "figures": dict(scores[model.name].figures),
            "warnings": "; ".join([*scores[model.name].warnings, *_no_ratio(model, alike)]),
            "source": model.source,
        }
        for model in PUBLISHED_MODELS
        if model.name in scores
    ]
    return pd.DataFrame(rows)


def _no_ratio(model: PublishedModel, alike: Mapping[tuple[str, str], list[str]]) -> list[str]:
    """With which other rows an energy may make a ratio."""
    names = alike.get((model.node, model.scope), [])
    if model.name not in names:
        return []
    others = [name for name in names if name != model.name]
    rest = f"any but {', '.join(others)}" if others else "any other row"
    return [f"no ratio with {rest}: node, precision or scope differ"]


_SOP_SOURCE = "Spikingformer, Zhou et al. 2023, arXiv:2304.11954, eq. 19-20; prices: Horowitz 2014"
_LEMAIRE_SOURCE = "Lemaire et al. 2022, ICONIP, arXiv:2210.13107; read through two codes that cite its equations"
_SOP_OMITS = "memory, neuron updates, batch norm, gate, routing, static power; counts padding as work"
_LEMAIRE_OMITS = "routing, DRAM, static power; stride in memory accesses; one-bit weights but for their smaller memory"


def _sop(first_layer: str, title: str) -> PublishedModel:
    return PublishedModel(
        name=f"sop-first-layer-{first_layer.replace('_', '-')}",
        version="1",
        title=f"SOP convention, 0.9 / 4.6 pJ, {title}",
        source=_SOP_SOURCE,
        scope="arithmetic of synapses",
        node="45 nm, fp32",
        omits=_SOP_OMITS,
        score=partial(score_sop, first_layer=first_layer),
    )


def _lemaire(rule: str, title: str) -> PublishedModel:
    return PublishedModel(
        name=f"lemaire2022-{rule.replace('_', '-')}",
        version="1 (eq. 2.4 corrected, bias and potentials x T)",
        title=f"Lemaire 2022, {title}",
        source=_LEMAIRE_SOURCE,
        scope="arithmetic, addressing and SRAM",
        node="45 nm, int32",
        omits=_LEMAIRE_OMITS,
        score=partial(score_lemaire, rule=rule),
    )


PUBLISHED_MODELS: tuple[PublishedModel, ...] = (
    _sop("per_step", "analog layers counted at every step"),
    _sop("once", "a held analog input counted once"),
    PublishedModel(
        name="sop-77fj",
        version="1",
        title="SOP convention, 77 fJ / 12.5 pJ, analog layers left out",
        source="Spikformer, Zhou et al., arXiv:2209.15425v1; prices cited as Indiveri 2015 / Hu 2018",
        scope="arithmetic of synapses",
        node="mixed: two different sources",
        omits=f"{_SOP_OMITS}; the analog first layer",
        score=partial(score_sop, first_layer="omitted", e_ac=E_AC_77FJ_PJ, e_mac=E_MAC_77FJ_PJ),
    ),
    _lemaire("iconip_linear", "SRAM by a regression over its size (iconip_linear)"),
    _lemaire("packed8k", "SRAM in 8 KiB blocks, data packed into 64-bit words (packed8k)"),
    _lemaire("piecewise", "SRAM by straight lines through Horowitz's points and the origin (piecewise)"),
    PublishedModel(
        name="yan2024",
        version="1 (v4 settings, per-neuron terms reconstructed)",
        title="Yan 2024, SNN side with typical neuromorphic data movement, and the quantised twin's thresholds",
        source="Yan et al., arXiv:2409.08290; abstracts read, body second hand",
        scope="arithmetic and spike movement",
        node="22 nm, 0.80 V",
        omits="weight reads, state memory, analog layers, static power; no energy for the twin",
        score=score_yan,
    ),
    PublishedModel(
        name="dampfhoffer2023",
        version="1",
        title="Dampfhoffer 2023, break-even band 0.15-1.38 on events per synapse",
        source="Dampfhoffer et al., IEEE TETCI 7(3) 2023, doi:10.1109/TETCI.2022.3214509; abstract read",
        scope="verdict, no energy",
        node="-",
        omits="everything but the event count; its formulas were not found",
        score=partial(score_band, band=DAMPFHOFFER_2023),
    ),
    PublishedModel(
        name="davidson-furber2021",
        version="1",
        title="Davidson & Furber 2021, break-even at 1.72 events per synapse",
        source="Davidson & Furber 2021, doi:10.3389/fnins.2021.651141; figure read second hand",
        scope="verdict, no energy",
        node="-",
        omits="everything but the event count",
        score=partial(score_band, band=DAVIDSON_FURBER_2021),
    ),
    PublishedModel(
        name="sata-forward",
        version="1 (both faults of d447058 corrected)",
        title="SATA, forward pass of a systolic array, 16 bits",
        source="Yin et al. 2023, arXiv:2204.05422; author code d447058",
        scope="arithmetic, scratch pads, SRAM and DRAM",
        node="65 nm, 16 bits",
        omits="leakage, routing, backward pass; widths of single layers",
        score=score_sata,
    ),
    PublishedModel(
        name="spikesim-rram",
        version="1",
        title="SpikeSim, 64 x 64 RRAM crossbars",
        source="Moitra et al. 2023, arXiv:2210.12899; author code c2627bc",
        scope="crossbars, converters, neurons and tile buffers of the convolutions",
        node="65 nm, 4-bit weights",
        omits="linear layers, sparsity, weight width, residuals",
        score=score_spikesim,
    ),
    PublishedModel(
        name="loihi-event-formula",
        version="1 (paper mode, repeated per step)",
        title="Loihi event formula of a Crazyflie control paper",
        source="appendix of a paper on a Crazyflie flown by Loihi; Davies et al. 2018, doi:10.1109/MM.2018.112130359",
        scope="events of the cores, pre-silicon constants",
        node="14 nm, 0.75 V",
        omits="static power, routing between tiles; counts one operation per spike, not per synapse",
        score=score_loihi,
    ),
    PublishedModel(
        name="truenorth-slope-static",
        version="1",
        title="TrueNorth, 2.297 pJ per event and 15.73 uW per core",
        source="line through the end points of the 0.8 V sweep of Merolla et al. 2014, doi:10.1126/science.1254642",
        scope="whole cores, static power x time included",
        node="28 nm, 0.80 V",
        omits="mapping limits of the chip, links, host",
        score=score_truenorth,
    ),
    PublishedModel(
        name="model-size",
        version="1",
        title="Stored size, by the rule of the papers on binary SNNs",
        source="BSO, Liang et al., ICML 2025, table 2; rule derived from its rows",
        scope="bytes, no energy",
        node="-",
        omits="running statistics, sparsity and compression",
        score=score_size,
    ),
    PublishedModel(
        name="step-flat-memory",
        version="1",
        title="STEP, 24.96 pJ per byte of memory traffic",
        source="STEP, arXiv:2505.11151, table 9; read second hand",
        scope="memory traffic you bring",
        node="not stated",
        omits="which accesses count: not defined well enough to score a trace",
        score=None,
    ),
    PublishedModel(
        name="stillmaker-baas",
        version="1",
        title="Stillmaker & Baas, energy factors between nodes",
        source="Stillmaker & Baas 2017, doi:10.1016/j.vlsi.2017.02.002, corrigendum eq. 12-14",
        scope="conversion of prices",
        node="coefficients are inputs",
        omits="the table of coefficients, of which two sets were read, without their nodes",
        score=None,
    ),
    PublishedModel(
        name="width-interpolation",
        version="1",
        title="Operation prices between 8 and 32 bits: saturation, linear, quadratic",
        source="options of qualia-plugin-snn 2.6.0, of Lemaire's group; formulas only",
        scope="conversion of prices",
        node="as its two prices",
        omits="floating point; one-bit weights, whose additions stay at accumulator width",
        score=None,
    ),
)

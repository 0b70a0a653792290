"""The run that SANA-FE makes of an exported network, on our own machine model: the other side of a second opinion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...network.layers import INPUT
from ...network.neuron_models import NEURON_MODELS
from ...network.workload import Workload
from ...replay.parameters import LayerParameters, Prepared, Real
from ...replay.populations import depths, populations
from ...replay.replay import ReplayResult, replay
from ..mesh import Event
from .core_mapping import Run
from .many_core import ManyCoreActions, lay_out


def run_as_sanafe(
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    inputs: NDArray,
    machine: Event,
    mapping: str | Mapping[str, Sequence[Run]] | None = None,
) -> ManyCoreActions:
    """What our own machine model does in the run that SANA-FE makes of an exported network.

    Parameters
    ----------
    workload, parameters, inputs, machine, mapping
        As given to `export_sanafe`, which has refused what this cannot run.

    Returns
    -------
    ManyCoreActions
        Of one sample and as many steps as SANA-FE is to run. Biases act in every one of them, so spikes, energy and
        class may differ from the trace's and from an estimate's under the skewed schedule.
    """
    padded, again = replayed(workload, parameters, np.asarray(inputs))
    many = lay_out(workload, replace(machine, schedule="as_recorded"), mapping)
    return many.run({INPUT: padded, **again.spikes}, again.updated)


def run_steps(workload: Workload, steps: int) -> int:
    """Steps that SANA-FE is to run for an input of so many: one more for each layer of depth."""
    return steps + max(depths(workload).values())


def spread_biases(
    workload: Workload, parameters: Mapping[str, LayerParameters], steps: int
) -> dict[str, LayerParameters]:
    """A readout sums without leak, so only the total of its bias counts; SANA-FE has a constant for every step."""
    result = dict(parameters)
    for item in populations(workload):
        if not NEURON_MODELS[str(item.layer.neuron)].spikes:
            bias = Prepared.prepare(item, parameters, Real(), steps).bias
            total = np.broadcast_to(bias, (steps, bias.shape[1])).sum(axis=0)
            result[item.name] = replace(parameters[item.name], bias=total / run_steps(workload, steps))
    return result


def replayed(
    workload: Workload, parameters: Mapping[str, LayerParameters], inputs: NDArray
) -> tuple[NDArray[np.bool_], ReplayResult]:
    """The input (steps, 1, ...) with its empty steps, and every neuron from the first step on, a step of delay each."""
    padded = np.zeros((run_steps(workload, len(inputs)), 1, *workload.input_shape), np.bool_)
    padded[: len(inputs), 0] = inputs != 0
    spread = spread_biases(workload, parameters, len(inputs))
    return padded, replay(workload, spread, padded, delay=1, keep_potentials=True, keep_updated=True)

"""What a machine does with a trace's operations: action counts per component, and time.

The result is a table of actions without any energy in it; `energy.estimate` multiplies it with a price table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .architecture import Architecture, Event, Grid, Operations
from .dense import dense_actions
from .errors import InvalidInput
from .manycore import run_trace
from .mapping import convolved_once
from .operations import Counts, OperationCounts
from .scatter import scatter_actions
from .traffic import Key, executed, first_step_only

if TYPE_CHECKING:
    import pandas as pd

    from .trace import SpikeTrace

OUTSIDE_THE_CONVENTION = ("neuron updates", "memory", "routing", "gate", "bias", "pooling and residual sums")


@dataclass(frozen=True)
class ActionCounts:
    """How often each component of a machine acts, and how long each layer takes.

    Attributes
    ----------
    counts : mapping of (layer, component, action) to int64 array (steps, samples)
        An action on logic is ``operation.type`` (``add.float32``); on a memory ``read`` or ``write`` of one word.
    seconds : mapping of layer to float64 array (steps, samples), or empty
        Empty for machines without a clock.
    omitted : mapping of part to reason
        What the machine's model leaves out on purpose.
    """

    steps: int
    samples: int
    counts: Mapping[Key, Counts]
    seconds: Mapping[str, NDArray[np.float64]]
    omitted: Mapping[str, str]

    @property
    def latency_s(self) -> NDArray[np.float64] | None:
        """Time per inference of each sample; None for machines without a clock."""
        if not self.seconds:
            return None
        return np.sum([times.sum(axis=0) for times in self.seconds.values()], axis=0)

    def to_frame(self) -> pd.DataFrame:
        """Tidy table ``step, layer, component, action, count``: sums over samples, int64."""
        import pandas as pd

        frames = []
        for (layer, component, action), counts in self.counts.items():
            row = {
                "layer": layer,
                "component": component,
                "action": action,
                "count": counts.sum(axis=1, dtype=np.int64),
            }
            frames.append(pd.DataFrame({"step": np.arange(self.steps), **row}))
        return pd.concat(frames, ignore_index=True)


def execute(operations: OperationCounts, architecture: Architecture) -> ActionCounts:
    """Run a trace's operations on a machine.

    Parameters
    ----------
    operations : OperationCounts
    architecture : Operations or Grid

    Returns
    -------
    ActionCounts

    Raises
    ------
    InvalidInput
        When the machine cannot do what the network needs, such as a live gate without ``layer_mean_gate``; for
        machines of kind ``event``, which need the spikes themselves: use `execute_trace`.
    """
    if isinstance(architecture, Operations):
        return _synaptic_only(operations, architecture)
    if isinstance(architecture, Grid):
        run = scatter_actions if architecture.dataflow.stationary == "scatter" else dense_actions
        return ActionCounts(operations.steps, operations.samples, *run(operations, architecture))
    raise InvalidInput("a machine of kind event routes single spikes, so counts are not enough: give it the trace")


def execute_trace(trace: SpikeTrace, operations: OperationCounts, architecture: Architecture) -> ActionCounts:
    """Run a trace on a machine of any kind; ``operations`` are its counts.

    Layers are laid out on the cores of an ``event`` machine by its ``mapping``. Without a replay every neuron counts as
    updated at every step of its trace, an upper bound.
    """
    if not isinstance(architecture, Event):
        return execute(operations, architecture)
    many = run_trace(trace, architecture)
    return ActionCounts(many.steps, many.samples, many.counts, many.seconds, many.omitted)


def _synaptic_only(operations: OperationCounts, architecture: Operations) -> ActionCounts:
    counts: dict[Key, Counts] = {}
    for layer in operations.workload.layers:
        if not layer.weights:
            continue
        synaptic = operations.layers[layer.name].synaptic
        nonzero_only = architecture.weights == "nonzero"
        pairs = executed(layer, synaptic, dense=architecture.analog_zero == "dense", nonzero_only=nonzero_only)
        if convolved_once(layer, operations.workload, architecture.first_layer):
            pairs = first_step_only(pairs)
        counts[layer.name, "synapse", layer.operation] = pairs
    omitted = dict.fromkeys(OUTSIDE_THE_CONVENTION, "not part of the convention")
    return ActionCounts(operations.steps, operations.samples, counts, {}, omitted)

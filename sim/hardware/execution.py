"""What a machine does with a trace's operations: action counts per component, and time.

The result is a table of actions without any energy in it; `estimate` multiplies it with a price table, and
`action_table` keeps it in a file for price tables to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..counting.layer_counts import Counts
from ..counting.operations import OperationCounts
from ..display import brief
from ..errors import InvalidInput
from .architecture import Architecture, Event, Grid, Memory, Operations
from .chip.many_core import run_trace
from .grid.dense_array import dense_actions
from .grid.event_scatter import scatter_actions
from .grid.kernel_fetches import fetches_kernels, with_kernel_words
from .grid.placement import convolved_once
from .grid.shared_actions import Key, executed, first_step_only, state_type

if TYPE_CHECKING:
    import pandas as pd

    from ..trace.spike_trace import SpikeTrace

TIME = ("time", "elapsed")  # component and action of the rows that hold a layer's seconds
OUTSIDE_THE_CONVENTION = ("neuron updates", "memory", "routing", "gate", "bias", "pooling and residual sums")


@dataclass(frozen=True)
class ActionCounts:
    """How often each component of a machine acts, and how long each layer takes.

    Attributes
    ----------
    counts : mapping of (layer, component, action) to int64 array (steps, samples)
        An action on logic is ``operation.type`` (``add.float32``); on a memory ``read`` or ``write`` of one word.
    seconds : mapping of layer to float64 array (steps, samples), or empty
        Time until a layer's step is done, for all of a hardware batch. Empty for machines without a clock.
    omitted : mapping of part to reason
        What the machine's model leaves out on purpose.
    memories : tuple of Memory
        The machine's memories: the components whose price follows from their size.
    utilisation : mapping of layer to float64 array (steps, samples), or empty
        Busy over offered lane-cycles, 0..1: operations that the lanes or array elements execute in a step, over their
        number times the cycles that the layer takes in that step. Lanes that are gated, out of work or waiting for a
        memory, a fill, a drain or the neurons are offered and not busy. 0 in a step that takes no time. Empty for
        machines without lanes.
    hardware_batch : int
        Inferences that the machine works on at once; counts are of one all the same (see `load_sharing`).
    """

    steps: int
    samples: int
    counts: Mapping[Key, Counts]
    seconds: Mapping[str, NDArray[np.float64]]
    omitted: Mapping[str, str]
    memories: tuple[Memory, ...] = ()
    utilisation: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    hardware_batch: int = 1

    def __repr__(self) -> str:
        return brief(self)

    @property
    def latency_s(self) -> NDArray[np.float64] | None:
        """Time until each sample's result is there, float64 (samples,); None for machines without a clock.

        The time of a whole hardware batch, whose inferences all finish together.
        """
        if not self.seconds:
            return None
        return np.sum([times.sum(axis=0) for times in self.seconds.values()], axis=0)

    @property
    def seconds_per_inference(self) -> NDArray[np.float64] | None:
        """Time per finished inference, float64 (samples,): `latency_s` over the hardware batch; None without a clock.

        What power is multiplied with: 1 / its mean is the throughput. A batch starts when the one before has finished.
        """
        return None if self.latency_s is None else self.latency_s / self.hardware_batch

    def mean_utilisation(self, layer: str | None = None) -> float | None:
        """Busy over offered lane-cycles of one layer or (None) the whole network, over all steps and samples.

        None for machines without lanes; 0 where no time passes.
        """
        if not self.utilisation:
            return None
        names = list(self.utilisation) if layer is None else [layer]
        offered = sum(float(self.seconds[name].sum()) for name in names)
        busy = sum(float((self.utilisation[name] * self.seconds[name]).sum()) for name in names)
        return busy / offered if offered else 0.0

    @property
    def per_step(self) -> dict[Key, Counts]:
        """Counts summed over samples, int64 (steps,)."""
        return {key: counts.sum(axis=1, dtype=np.int64) for key, counts in self.counts.items()}

    def to_frame(self) -> pd.DataFrame:
        """Tidy table ``step, layer, component, action, count, seconds``, all summed over samples.

        One row per step and action, with an int64 count and no ``seconds`` (NaN): an action has no time of its own. The
        time belongs to a layer and step, and is in one row more for each: component ``time``, action ``elapsed``, count
        the number of samples. So every figure stands in the table once, and columns may be summed over any selection.
        """
        import pandas as pd

        parts = [(key, counts, np.full(self.steps, np.nan)) for key, counts in self.per_step.items()]
        samples = np.full(self.steps, self.samples, np.int64)
        parts += [((layer, *TIME), samples, times.sum(axis=1)) for layer, times in self.seconds.items()]
        names = ("layer", "component", "action")
        columns = {name: np.array([key[place] for key, _, _ in parts], object) for place, name in enumerate(names)}
        return pd.DataFrame(
            {
                "step": np.tile(np.arange(self.steps), len(parts)),
                **{name: np.repeat(values, self.steps) for name, values in columns.items()},
                "count": np.array([counts for _, counts, _ in parts], np.int64).ravel(),
                "seconds": np.array([seconds for _, _, seconds in parts], float).ravel(),
            }
        )


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
        machines of kind ``event``, and scatter with weights in ``kernel_major``, which need the spikes themselves: use
        `execute_trace`.
    """
    if isinstance(architecture, Operations):
        return _synaptic_only(operations, architecture)
    if isinstance(architecture, Grid):
        run = scatter_actions if architecture.dataflow.stationary == "scatter" else dense_actions
        actions = ActionCounts(
            operations.steps,
            operations.samples,
            *run(operations, architecture),
            architecture.memories,
            hardware_batch=architecture.hardware_batch,
        )
        return replace(actions, utilisation=_utilisation(operations, actions, architecture))
    raise InvalidInput("a machine of kind event routes single spikes, so counts are not enough: give it the trace")


def execute_trace(trace: SpikeTrace, operations: OperationCounts, architecture: Architecture) -> ActionCounts:
    """Run a trace on a machine of any kind; ``operations`` are its counts.

    Layers are laid out on the cores of an ``event`` machine by its ``mapping``. Without a replay every neuron counts as
    updated at every step of its trace, an upper bound.
    """
    if fetches_kernels(architecture):
        operations = with_kernel_words(trace, operations, architecture)
    if not isinstance(architecture, Event):
        return execute(operations, architecture)
    many = run_trace(trace, architecture)
    return ActionCounts(many.steps, many.samples, many.counts, many.seconds, many.omitted)


def _utilisation(operations: OperationCounts, actions: ActionCounts, grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Busy over offered lane-cycles; a multiply-accumulate keeps a lane busy once."""
    shares = {}
    for layer, seconds in actions.seconds.items():
        added = actions.counts.get((layer, "synapse", f"add.{state_type(operations.workload)}"), 0)
        busy = grid.hardware_batch * np.asarray(added)
        offered = grid.compute.width * grid.clock_hz * seconds
        share = np.divide(busy, offered, out=np.zeros(seconds.shape), where=offered > 0)
        shares[layer] = np.minimum(share, 1.0)  # cycles / clock x clock may round below a full array
    return shares


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

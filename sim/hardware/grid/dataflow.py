"""How often a dense array of processing elements touches its operands: closed forms for three dataflows.

A layer is a matrix product of ``positions x taps`` inputs with ``taps x channels`` weights, run on an array of
``rows x cols`` elements in folds. For one step the forms are those of SCALE-Sim v3 (Raj et al., ISPASS 2025; Samajdar
et al., arXiv:1811.02883), checked against its printed counts; the steps of a spiking network follow
docs/definitions.md, 15, which SCALE-Sim does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ...errors import InvalidInput
from ...network.layers import Layer
from ...network.weighted_layers import Linear

DATAFLOWS = ("weight", "output", "input")
TIMES = ("inner", "outer")


@dataclass(frozen=True)
class MatrixShape:
    """One layer as ``groups`` equal matrix products, computed one after the other.

    Attributes
    ----------
    positions : int
        Output positions (before pooling).
    taps : int
        Inputs of one output: kernel size x input channels of a group.
    channels : int
        Output channels of a group.
    groups : int
    """

    positions: int
    taps: int
    channels: int
    groups: int = 1

    @property
    def outputs(self) -> int:
        return self.positions * self.channels * self.groups

    @property
    def pairs(self) -> int:
        """Positions of the loop nest in one step: every output with every tap, padding included."""
        return self.outputs * self.taps

    @property
    def weights(self) -> int:
        return self.taps * self.channels * self.groups


def matrix_shape(layer: Layer, hardware_batch: int = 1) -> MatrixShape:
    """The matrix product that computes a layer with weights.

    The positions of a hardware batch follow each other through the array: B times as many, and nothing else changes.

    A transposed convolution runs as a convolution over its input with zeros in between. A classifier that averages its
    input map inside its weights (``pooled``) has one tap per input element, so a stored weight is fetched for each.

    Examples
    --------
    >>> from spikejoule.sim.network.workload import Conv2d
    >>> matrix_shape(Conv2d(name="conv", in_shape=(16, 18, 18), out_channels=32, kernel_size=3))
    MatrixShape(positions=256, taps=144, channels=32, groups=1)
    """
    if not layer.weights:
        raise InvalidInput(f"layer {layer.name!r}: {type(layer).__name__} has no weights, so it is no matrix product")
    groups, _, channels = layer.channel_groups
    taps = layer.inputs if isinstance(layer, Linear) else layer.weights // channels
    return MatrixShape(hardware_batch * math.prod(layer.out_shape[1:]), taps, channels // groups, groups)


@dataclass(frozen=True)
class ArrayAccesses:
    """Accesses of one layer over all steps of one inference (or hardware batch), in elements; and its cycles.

    Attributes
    ----------
    inputs, weights : int
        Elements that enter the array.
    outputs : int
        Partial and final sums that leave it.
    partials : int
        Sums of an earlier fold that are stored, and as many that are read back.
    potentials : int
        Membrane potentials that are fetched, and as many that are stored.
    cycles : int
        Time on the array.
    """

    inputs: int
    weights: int
    outputs: int
    partials: int
    potentials: int
    cycles: int


@dataclass(frozen=True)
class Schedule:
    """The order in which an array works through one layer, and what follows from it.

    Parameters
    ----------
    shape : MatrixShape
    rows, cols : int
        Size of the array.
    stationary : {'weight', 'output', 'input'}
        The operand that stays in the array. Rows and columns hold taps and channels, positions and channels, or taps
        and positions.
    steps : int
        Time steps of one inference.
    time : {'inner', 'outer'}
        inner: a fold runs all steps before the next fold. outer: all folds run in every step, and other layers use the
        array in between.
    accumulators : int
        Sums that one element holds; with output stationary and time inner a weight serves that many steps.

    Raises
    ------
    InvalidInput
        For a dataflow or an order of time that is not known, or a size below one.

    Notes
    -----
    With groups the folds of all groups follow each other. Streams of one fold follow each other without a gap while
    its stationary operand stays, and a fold takes its full fill and drain however little of the array it uses. Not
    modelled: stalls, overlap of folds, halo reuse between folds, sparsity (see `dense_array`).
    """

    shape: MatrixShape
    rows: int
    cols: int
    stationary: str
    steps: int = 1
    time: str = "inner"
    accumulators: int = 1

    def __post_init__(self) -> None:
        if self.stationary not in DATAFLOWS:
            raise InvalidInput(f"dataflow {self.stationary!r} is not known; use one of {', '.join(DATAFLOWS)}")
        if self.time not in TIMES:
            raise InvalidInput(f"time {self.time!r} is not known; use one of {', '.join(TIMES)}")
        for name in ("rows", "cols", "steps", "accumulators"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"schedule: {name} is {getattr(self, name)}; it must be one or more")

    @cached_property
    def folds(self) -> tuple[int, int]:
        """Folds of one group along the rows and along the columns of the array."""
        shape = self.shape
        along = {
            "weight": (shape.taps, shape.channels),
            "output": (shape.positions, shape.channels),
            "input": (shape.taps, shape.positions),
        }
        over_rows, over_cols = along[self.stationary]
        return -(-over_rows // self.rows), -(-over_cols // self.cols)

    @property
    def input_passes(self) -> int:
        """How often each (position, tap) enters the array in one step."""
        return 1 if self.stationary == "input" else self.folds[1]

    @property
    def weight_passes(self) -> int:
        """How often each weight enters the array in one load."""
        return {"weight": 1, "output": self.folds[0], "input": self.folds[1]}[self.stationary]

    @property
    def load_interval(self) -> int:
        """Steps that one load of the weights serves; there is one at step 0 and at every multiple."""
        if self.time == "outer" or self.stationary == "input":
            return 1
        return self.steps if self.stationary == "weight" else min(self.accumulators, self.steps)

    @property
    def partial_folds(self) -> int:
        """Folds after which sums are not yet complete."""
        return 0 if self.stationary == "output" else self.folds[0] - 1

    @property
    def stores_potentials(self) -> bool:
        """Whether potentials leave the array between steps.

        With time inner a neuron's steps follow each other in one element or under one column, so its potential stays
        there; except that a column of an input-stationary array serves all channels in turn in every step.
        """
        takes_turns = self.stationary == "input" and self.shape.channels > 1 and self.steps > 1
        return self.time == "outer" or takes_turns

    def step_cycles(self, step: int) -> int:
        """Cycles on the array in one step."""
        stream = {"weight": self.shape.positions, "output": self.shape.taps, "input": self.shape.channels}
        folds = self.shape.groups * self.folds[0] * self.folds[1]
        if step % self.load_interval:  # goes on streaming through a full array
            return folds * stream[self.stationary]
        preload = 0 if self.stationary == "output" else self.rows
        return folds * (preload + self.rows + self.cols + stream[self.stationary] - 2) - 1

    def accesses(self) -> ArrayAccesses:
        """The closed forms, summed over all steps."""
        shape, steps = self.shape, self.steps
        partials = shape.outputs * self.partial_folds * steps
        return ArrayAccesses(
            inputs=shape.groups * shape.positions * shape.taps * self.input_passes * steps,
            weights=shape.weights * self.weight_passes * -(-steps // self.load_interval),
            outputs=shape.outputs * steps + partials,
            partials=partials,
            potentials=shape.outputs * steps if self.stores_potentials else 0,
            cycles=sum(self.step_cycles(step) for step in range(steps)),
        )


def array_accesses(
    shape: MatrixShape,
    rows: int,
    cols: int,
    stationary: str,
    *,
    steps: int = 1,
    time: str = "inner",
    accumulators: int = 1,
) -> ArrayAccesses:
    """Accesses and cycles of one dense layer over all steps; parameters and limits as in `Schedule`.

    Potentials are one per output here; a layer that pools before its neurons has fewer.

    Examples
    --------
    >>> array_accesses(MatrixShape(256, 144, 32), 16, 16, "weight").cycles  # as SCALE-Sim v3 prints it
    5435
    """
    return Schedule(shape, rows, cols, stationary, steps, time, accumulators).accesses()

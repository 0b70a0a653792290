"""Machines as data: `Operations` (no machine, just the usual convention), `Grid` (compute lanes and memories), `Event`.

Plain frozen dataclasses; `energy.machines.accelerator` validates accelerator files against them, unknown keys included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..display import brief
from ..errors import InvalidInput
from .mesh import Event

FORBID_UNKNOWN = {"extra": "forbid"}  # read by pydantic when it validates a file against these classes


@dataclass(frozen=True, kw_only=True)
class Operations:
    """No machine: synaptic operations and nothing else, as most papers count them.

    Attributes
    ----------
    first_layer : {'per_step', 'once'}
        Whether a held analog input is convolved at every step or once. Papers do both; see docs/energy-models.md.
    weights : {'all', 'nonzero'}
        Whether operations with a zero weight count.
    analog_zero : {'dense', 'skip'}
        Whether zeros of an analog input count.
    """

    kind: Literal["operations"] = "operations"
    first_layer: Literal["once", "per_step"] = "per_step"
    weights: Literal["all", "nonzero"] = "all"
    analog_zero: Literal["dense", "skip"] = "dense"

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Adders and multipliers that execute synaptic operations: lanes for event scatter, an array otherwise.

    Attributes
    ----------
    lanes : int or None
        Synaptic operations per cycle of an event-scatter machine.
    rows, cols : int or None
        Size of a dense array.
    unit : {'mac', 'ac'}
        Whether an element can multiply. A ``mac`` bypasses its multiplier for spikes and +-1 weights; an ``ac`` refuses
        layers that need one.
    zero : {'dense', 'gate', 'skip'} or None
        What a dense array does about zero inputs. dense: works on them like on any value, padding included. gate: they
        take their cycle and their accesses, but no operation. skip: they take none of the three. Event scatter skips.
    accumulators : int
        Sums that an element of an output-stationary array holds at the same time.
    weight_bits, accumulator_bits : int or None
        The widest weights and states it can hold; None: any. Widths themselves are the trace's own.
    zero_weights : {'execute', 'skip'}
        Whether an operation with a zero weight takes energy. Rows are fetched whole either way.
    analog_zero : {'dense', 'skip'}
        Whether zeros of an analog input are processed like any other value. Absent spikes never are, save by a
        dense array.
    """

    lanes: int | None = None
    rows: int | None = None
    cols: int | None = None
    unit: Literal["ac", "mac"] = "mac"
    zero: Literal["dense", "gate", "skip"] | None = None
    accumulators: int = 1
    weight_bits: int | None = None
    accumulator_bits: int | None = None
    zero_weights: Literal["execute", "skip"] = "execute"
    analog_zero: Literal["dense", "skip"] = "dense"

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    @property
    def width(self) -> int:
        """Synaptic operations per cycle."""
        return self.lanes or (self.rows or 0) * (self.cols or 0)


@dataclass(frozen=True, kw_only=True)
class NeuronUnit:
    """Updates neurons: leak, threshold, reset.

    Attributes
    ----------
    lanes : int
        Neurons updated per cycle.
    supports : tuple
        ``layer_mean_gate``: can run the live AGMM gate, which needs the mean of a whole map before any update.
    """

    lanes: int
    supports: tuple[Literal["layer_mean_gate"], ...] = ()

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """In which order a grid works and how it lays data out.

    Attributes
    ----------
    stationary : {'scatter', 'weight', 'output', 'input'}
        scatter: each input event adds its weights to the potentials it reaches (event-driven). Otherwise the operand
        that stays in a dense array, see `dataflow.Schedule`.
    time : {'inner', 'outer'}
        inner: a layer runs all its steps before the next layer starts, so only one layer's state is held, and the
        spikes of all steps are buffered between layers. outer: all layers advance step by step.
    spike_code : {'address', 'bitmap'}
        How spikes are stored: a packed list of addresses of ceil(log2 N) bits, or one bit per neuron. An array that
        does not skip streams every input, so it needs bitmaps.
    weight_layout : {'tap_major', 'kernel_major'}
        Which weights lie together and are fetched as one run: those of one (input channel, kernel tap) for all output
        channels, or those of one output channel for all input channels and taps. Every run starts at a word.
    state_run : {'cout', 'element'}
        Whether the potentials of such a run share memory words, or each takes an access of its own. In a dense array
        a run is what leaves it at once: the sums of its columns. Scattered weights in `kernel_major` come one output
        channel at a time, whose potentials share no word: element.
    first_layer : {'per_step', 'once'}
        Whether a held analog input is convolved at every step, or once into a current that is kept and read every step.
    graded : {'value', 'events'}
        What a graded value n is between layers. value: one event that carries n, with one weight fetch, and one add of
        n for +-1 weights or one multiply-accumulate otherwise. events (scatter only): n unit events, each with an
        address, a weight fetch and an add of its own, and no multiplier.
    """

    stationary: Literal["scatter", "weight", "output", "input"]
    time: Literal["inner", "outer"] = "inner"
    spike_code: Literal["address", "bitmap"] = "address"
    weight_layout: Literal["tap_major", "kernel_major"] = "tap_major"
    state_run: Literal["cout", "element"] = "cout"
    first_layer: Literal["once", "per_step"] = "per_step"
    graded: Literal["value", "events"] = "value"

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory with one read and one write port.

    Attributes
    ----------
    name : str
    holds : tuple
        What it stores: weight, potential, spike.
    kib : float or None
        Capacity in KiB; None: unbounded (DRAM).
    word_bits : int
        Bits of one access.
    bandwidth_bytes_per_s : float or None
        Of an off-chip memory; on-chip ones move one word per port and cycle.
    """

    name: str
    holds: tuple[Literal["weight", "potential", "spike"], ...]
    word_bits: int
    kib: float | None = None
    bandwidth_bytes_per_s: float | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    @property
    def bits(self) -> float:
        return float("inf") if self.kib is None else self.kib * 8192


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Compute lanes, neuron lanes and a memory hierarchy.

    ``memories`` run from inner to outer; each kind of data lives in the first that holds it and has room for it.

    Attributes
    ----------
    weights : {'resident', 'reload'}, optional
        Whether a network stays in the first memory of weights. resident: it must fit there, others are refused. reload:
        it is loaded from a later memory though it would fit. Unless given its size decides: what fits stays, what
        does not is loaded layer by layer (`place`).
    inferences_per_load : int, optional
        Inferences that share one load of a whole network that fits; a multiple of ``hardware_batch``. Unless given:
        one batch with ``weights: reload``, else all there ever are, so that the load is not charged. The layers of a
        network that does not fit displace each other, so they are loaded for every batch, whatever stands here;
        ``weights: reload`` with any other number is then refused.
    hardware_batch : int
        Inferences that the machine works on at once, in lockstep (`load_sharing`). States and spikes of all are held.
        It has nothing to do with the batch of the recording.
    """

    clock_hz: float
    compute: Compute
    neuron: NeuronUnit
    dataflow: Dataflow
    memories: tuple[Memory, ...]
    weights: Literal["resident", "reload"] | None = None
    inferences_per_load: int | None = None
    hardware_batch: int = 1
    kind: Literal["grid"] = "grid"

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        numbers: dict[str, float] = {"clock_hz": self.clock_hz, "neuron.lanes": self.neuron.lanes}
        numbers["hardware_batch"] = self.hardware_batch
        if self.inferences_per_load is not None:
            numbers["inferences_per_load"] = self.inferences_per_load
        for name in ("lanes", "rows", "cols", "accumulators", "weight_bits", "accumulator_bits"):
            if (size := getattr(self.compute, name)) is not None:
                numbers[f"compute.{name}"] = size
        for memory in self.memories:
            numbers[f"memories.{memory.name}.word_bits"] = memory.word_bits
            for name in ("kib", "bandwidth_bytes_per_s"):
                if (number := getattr(memory, name)) is not None:
                    numbers[f"memories.{memory.name}.{name}"] = number
        for key, number in numbers.items():
            if not 0 < number < float("inf"):
                raise InvalidInput(f"architecture.{key} is {number}; it must be a positive finite number")
        self._check_compute()
        names = [memory.name for memory in self.memories]
        if len(set(names)) < len(names):
            raise InvalidInput(f"architecture.memories: two memories share a name among {', '.join(names)}")
        for data in ("weight", "potential", "spike"):
            levels = self.levels(data)
            if not levels or levels[-1].kib is not None:
                raise InvalidInput(
                    f"architecture.memories: {data}s need a last memory of unlimited size (no kib) that holds them, "
                    f"for what does not fit on chip; give one, for example a dram"
                )
        self._check_loads()

    def _check_loads(self) -> None:
        """Refuse loads that have no source, and loads in the middle of a batch."""
        count, batch = self.inferences_per_load, self.hardware_batch
        if count is not None and count % batch:
            raise InvalidInput(
                f"architecture.inferences_per_load is {count}, but hardware_batch is {batch}: a load serves whole "
                f"batches; use a multiple of {batch}"
            )
        if (count is not None or self.weights == "reload") and len(self.levels("weight")) == 1:
            raise InvalidInput(
                f"architecture: {self.levels('weight')[0].name!r} is the only memory that holds weights, so there is "
                f"nothing to load them from; remove weights: reload and inferences_per_load, or add a memory before it"
            )

    def _check_compute(self) -> None:
        """Refuse a compute section that does not belong to the dataflow."""
        compute, stationary = self.compute, self.dataflow.stationary
        where = f"architecture.compute: a dataflow of {stationary!r}"
        sized = (compute.lanes is not None, compute.rows is not None, compute.cols is not None)
        if stationary == "scatter":
            if sized != (True, False, False) or compute.zero in ("dense", "gate"):
                raise InvalidInput(f"{where} needs lanes, no rows or cols, and skips zeros; give lanes only")
            if (self.dataflow.weight_layout, self.dataflow.state_run) == ("kernel_major", "cout"):
                raise InvalidInput(
                    "architecture.dataflow: a scatter with weight_layout: kernel_major gets the weights of one output "
                    "channel after another, so potentials of several channels share no access; set state_run: element"
                )
            return
        if sized != (False, True, True) or compute.zero is None:
            raise InvalidInput(f"{where} needs rows, cols and zero (dense, gate or skip), and no lanes; give those")
        if self.dataflow.graded == "events":
            raise InvalidInput(
                f"architecture.dataflow.graded is events, but a dense array ({stationary} stationary) streams values, "
                f"not events; set it to value, or stationary to scatter"
            )
        if compute.zero != "skip" and self.dataflow.spike_code != "bitmap":
            raise InvalidInput(
                f"{where} with zero: {compute.zero} streams every input, which a list of addresses cannot supply; set "
                f"dataflow.spike_code to bitmap, or zero to skip"
            )
        if compute.zero == "dense" and compute.zero_weights == "skip":
            raise InvalidInput(f"{where} with zero: dense looks at no operand; zero_weights: skip needs gate or skip")

    def levels(self, data: str) -> list[Memory]:
        """The memories that may hold one kind of data, inner to outer."""
        return [memory for memory in self.memories if data in memory.holds]


Architecture = Operations | Grid | Event

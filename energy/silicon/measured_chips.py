"""Energy of chips from given counts, to set beside what was measured on silicon.

Event energy (counts x an accelerator's prices), static power x time, and their sum are three numbers: measured chips
spend most of their energy on the second, so an event sum is never a total. What is not modelled: time, which is an
input; the energy per step that measured intercepts show and event prices do not hold; input, output and hosts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...sim.errors import InvalidInput
from ..machines.accelerator import Accelerator

Bound = Literal["low", "value", "high"]
COMPONENTS = {"synop": "synapse", "neuron_access": "neuron", "neuron_update": "neuron", "spike": "neuron"}


@dataclass(frozen=True)
class ChipEnergy:
    """Energy of one inference in pJ, in three numbers.

    Attributes
    ----------
    events_pj : float
    static_pj : float or None
        Static power x time; None where power or time is not known.
    """

    events_pj: float
    static_pj: float | None = None

    @property
    def total_pj(self) -> float | None:
        """Events and static part together; None where the static part is not known."""
        return None if self.static_pj is None else self.events_pj + self.static_pj


@dataclass(frozen=True)
class EventCounts:
    """What a network did in one inference (or one step), summed over its layers.

    Attributes
    ----------
    synaptic : float
        Synaptic operations.
    neurons : float
        Neuron accesses, one per neuron and step.
    active : float
        Those that an active update is paid for.
    spikes : float
        Spikes emitted by neurons.
    packets : float
        Packets sent, by neurons and by the input.
    """

    synaptic: float
    neurons: float
    active: float
    spikes: float
    packets: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInput(f"counts: {name} is {value}; it must be a finite number from 0")

    def actions(self) -> dict[str, float]:
        """The counts by the action names of accelerators of kind ``event``."""
        return {
            "synop.dense": self.synaptic,
            "neuron_access": self.neurons,
            "neuron_update": self.active,
            "spike": self.spikes,
            "packet_out": self.packets,
        }


@dataclass(frozen=True)
class UniformNetwork:
    """A fully connected network of which only its sizes are known, all firing at one mean rate.

    Attributes
    ----------
    synapses : int
    neurons : int
        Spiking neurons that are simulated.
    sources : int
        Whatever sends packets: those neurons and the input.
    """

    synapses: int
    neurons: int
    sources: int

    def step(self, rate: float, *, idle_update: bool) -> EventCounts:
        """Events of one step at ``rate`` spikes per neuron and step.

        ``idle_update`` charges the update of every neuron at every step (SANA-FE's usage); otherwise only neurons that
        fire pay for an active update (Davies' active and inactive figures).
        """
        if not 0 <= rate <= 1:
            raise InvalidInput(f"rate is {rate}; it must lie in 0 to 1 spikes per neuron and step")
        active = self.neurons if idle_update else rate * self.neurons
        return EventCounts(rate * self.synapses, self.neurons, active, rate * self.neurons, rate * self.sources)


SCALING_BRANCH = UniformNetwork(synapses=11 * 256 * 256, neurons=10 * 256, sources=11 * 256)
"""What one branch adds to the Loihi scaling series: ten layers of 256, eleven 256 x 256 blocks of synapses.

The spikes of the first hidden layer take one packet more, to the branch."""
KEYWORD_SPOTTER = UniformNetwork(synapses=390 * 256 + 256 * 256 + 256 * 29, neurons=512, sources=390 + 512)
"""Keyword spotting 390-256-256-29 (arXiv:1812.01739); the readout is taken to run off the chip."""
KEYWORD_STEPS = 10  # inferred from the harness that the scaling runs share


def scaling_network(branches: int) -> UniformNetwork:
    """The network of the Loihi scaling series, 390-256-[``branches`` x 10 layers x 256]-256-29.

    Without branches the two hidden layers feed each other, as in the keyword spotter; with them only the branches do
    (github:abr/power_benchmarks, ``ScaledModel``, stated there to grow as the network on Loihi did).
    """
    if branches < 0:
        raise InvalidInput(f"branches is {branches}; it must be an integer from 0")
    if branches == 0:
        return KEYWORD_SPOTTER
    ends, branch = KEYWORD_SPOTTER, SCALING_BRANCH
    return UniformNetwork(
        synapses=ends.synapses - 256 * 256 + branches * branch.synapses,
        neurons=ends.neurons + branches * branch.neurons,
        sources=ends.sources - 256 + branches * branch.sources,
    )


def event_energy_pj(accelerator: Accelerator, actions: Mapping[str, float], bound: Bound = "value") -> float:
    """Sum of count x price, for the action names of a chip (``synop.dense``, ``neuron_access``, ``packet_out``, ...).

    Raises
    ------
    InvalidInput
        When the chip has no price for an action that is counted, or is incomplete.
    """
    accelerator.require_complete()
    total = 0.0
    for action, count in actions.items():
        component = COMPONENTS.get(action.partition(".")[0], "network")
        total += count * float(getattr(accelerator.price(component, action), bound))
    return total


def static_energy_pj(power_w: float, seconds: float) -> float:
    """Static power x time in pJ; time is measured or fixed by the machine, never found from event constants."""
    for name, value in (("power_w", power_w), ("seconds", seconds)):
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name} is {value}; it must be a finite number from 0")
    return power_w * seconds * 1e12


def chip_energy(
    accelerator: Accelerator,
    counts: EventCounts,
    *,
    seconds: float | None = None,
    static_power_w: float | None = None,
    cores: int | None = None,
    chips: int = 1,
    bound: Bound = "value",
) -> ChipEnergy:
    """Energy of one inference from its counts.

    Parameters
    ----------
    accelerator : Accelerator
        Of kind ``event``.
    counts : EventCounts
    seconds : float, optional
        Measured time per inference. Without it there is no static part and no total.
    static_power_w : float, optional
        In place of the accelerator's own; for all chips together.
    cores, chips : int
        In use; ``cores`` is needed where the accelerator gives static power per core.
    bound : {'low', 'value', 'high'}
    """
    if static_power_w is None and accelerator.static is not None:
        static_power_w = accelerator.static.power_w(cores, chips, bound)
    events = event_energy_pj(accelerator, counts.actions(), bound)
    if seconds is None or static_power_w is None:
        return ChipEnergy(events)
    return ChipEnergy(events, static_energy_pj(static_power_w, seconds))


def uniform_energy_pj(accelerator: Accelerator, network: UniformNetwork, rate: float, steps: int = 1) -> float:
    """Event energy of a network at one mean rate, as a function of that rate.

    Whether idle neurons pay for an update follows from the table: where a spike has a price of its own the update is
    paid by every neuron, where it has none (Davies 2018) it is the price of being active.
    """
    idle_update = accelerator.price("neuron", "spike").value > 0
    return steps * event_energy_pj(accelerator, network.step(rate, idle_update=idle_update).actions())


def scaling_slope_pj(accelerator: Accelerator, rate: float) -> float:
    """What one branch of the Loihi scaling series adds per step, in pJ, at ``rate`` spikes per neuron and step.

    Examples
    --------
    >>> from spikejoule.energy.machines.accelerator import load_accelerator
    >>> round(scaling_slope_pj(load_accelerator("loihi1-davies2018"), 0.1) * 1e-6, 3)  # measured: 1.640 uJ
    1.842
    """
    return uniform_energy_pj(accelerator, SCALING_BRANCH, rate)


def matching_rate(accelerator: Accelerator, network: UniformNetwork, measured_pj: float, steps: int = 1) -> float:
    """The mean rate at which the event energy equals a measurement; above 1 where no rate can explain it."""
    silent, full = (uniform_energy_pj(accelerator, network, rate, steps) for rate in (0.0, 1.0))
    return (measured_pj - silent) / (full - silent)


def keyword_spotting_pj(accelerator: Accelerator, rate: float) -> float:
    """Event energy of one keyword-spotting inference on Loihi 1 (ten steps), in pJ."""
    return uniform_energy_pj(accelerator, KEYWORD_SPOTTER, rate, KEYWORD_STEPS)


def scaling_pj(accelerator: Accelerator, branches: int, rate: float) -> float:
    """Event energy of one inference of the Loihi scaling series (ten steps) at one mean rate, in pJ.

    Examples
    --------
    >>> from spikejoule.energy.machines.accelerator import load_accelerator
    >>> round(scaling_pj(load_accelerator("loihi1-davies2018"), 10, 0.1) * 1e-6, 1)
    187.0
    """
    return uniform_energy_pj(accelerator, scaling_network(branches), rate, KEYWORD_STEPS)


@dataclass(frozen=True)
class Line:
    """A straight line through measurements: ``intercept + slope x``."""

    slope: float
    intercept: float


def line(x: ArrayLike, y: ArrayLike) -> Line:
    """Least-squares line; a measured slope and intercept are compared apart."""
    slope, intercept = np.polyfit(np.asarray(x, float), np.asarray(y, float), 1)
    return Line(float(slope), float(intercept))


@dataclass(frozen=True)
class CorePowerFit:
    """Count-free power of a chip of cores, ``P = cores x (a + b x fps)``, fitted to measurements.

    Attributes
    ----------
    watt_per_core : float
        a
    joule_per_core_tick : float
        b
    errors : float64 array (networks,)
        Predicted over measured, minus 1.
    left_out : float64 array (networks,)
        The same for each network by a fit to all others.
    """

    watt_per_core: float
    joule_per_core_tick: float
    errors: NDArray[np.float64]
    left_out: NDArray[np.float64]

    def power_w(self, cores: float, fps: float) -> float:
        return cores * (self.watt_per_core + self.joule_per_core_tick * fps)


def fit_core_power(cores: Sequence[float], fps: Sequence[float], power_w: Sequence[float]) -> CorePowerFit:
    """Fit ``P = cores x (a + b x fps)`` by least squares on relative errors, with leave-one-out errors.

    Parameters
    ----------
    cores, fps, power_w : sequence of float, equally long, at least 3
        Cores in use, frames (ticks) per second, measured power in W.
    """
    if not len(cores) == len(fps) == len(power_w) >= 3:
        raise InvalidInput(f"got {len(cores)} cores, {len(fps)} fps, {len(power_w)} powers; give at least 3 of each")
    core, rate, power = (np.asarray(values, float) for values in (cores, fps, power_w))
    if not all(np.isfinite(values).all() and (values > 0).all() for values in (core, rate, power)):
        raise InvalidInput("cores, fps and power_w: each must be a positive finite number")
    design = np.stack([core, core * rate], axis=1) / power[:, None]  # relative: all networks weigh alike

    def solve(keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.lstsq(design[keep], np.ones(int(keep.sum())), rcond=None)[0], np.float64)

    everything = np.ones(len(core), bool)
    a, b = solve(everything)
    left_out = [float(design[i] @ solve(everything & (np.arange(len(core)) != i))) - 1 for i in range(len(core))]
    return CorePowerFit(float(a), float(b), design @ np.array([a, b]) - 1, np.array(left_out))

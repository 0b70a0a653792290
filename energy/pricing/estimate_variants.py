"""Several networks on one machine, with those that it cannot run set aside and the reason kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts, count
from ...sim.display import lines
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Event
from ...sim.hardware.chip.many_core import lay_out
from ...sim.hardware.grid.kernel_fetches import fetches_kernels, with_kernel_words
from ...sim.readable_numbers import listed
from ...sim.trace.spike_trace import SpikeTrace
from ..machines.accelerator import Accelerator
from .estimate import EnergyEstimate, estimate


@dataclass(frozen=True)
class Priced:
    """What a machine makes of several variants; made by `estimate_variants`.

    Attributes
    ----------
    estimates : mapping of variant to list of EnergyEstimate
        In the order of what was given.
    refused : mapping of variant to str
        Why the machine cannot run it; such variants have no estimate, and no energy of zero.
    """

    estimates: Mapping[str, list[EnergyEstimate]]
    refused: Mapping[str, str]

    def __repr__(self) -> str:
        first = next(iter(self.estimates.values()))[0]
        return lines(
            f"Priced on {first.accelerator.name}: {len(self.estimates)} variants, {len(self.refused)} refused",
            f"estimates  {listed(self.estimates)}",
            f"refused    {listed(self.refused)}" if self.refused else "",
        )


def estimate_variants(
    traces: Mapping[str, Sequence[SpikeTrace | OperationCounts]], accelerator: Accelerator, baseline: str
) -> Priced:
    """Estimate every variant on a machine; one that the machine cannot run is left out with its reason.

    Parameters
    ----------
    traces : mapping of variant to sequence of SpikeTrace or OperationCounts
        Machines of kind ``event``, and scatter with weights in ``kernel_major``, need traces.
    accelerator : Accelerator
    baseline : str
        The variant that all others are compared with.

    Raises
    ------
    InvalidInput
        When the machine cannot run the baseline, is incomplete, or a trace cannot be read.
    """
    accelerator.require_complete()
    estimates: dict[str, list[EnergyEstimate]] = {}
    refused: dict[str, str] = {}
    for name, given in traces.items():
        group = [_counted(each, accelerator) for each in given]
        reason = next(filter(None, (_refusal(each, accelerator) for each in group)), None)
        if reason is None:
            estimates[name] = [estimate(each, accelerator) for each in group]
        elif name == baseline:
            raise InvalidInput(f"{accelerator.name} cannot run the baseline {baseline!r}: {reason}")
        else:
            refused[name] = reason
    return Priced(estimates, refused)


def _counted(trace: SpikeTrace | OperationCounts, accelerator: Accelerator) -> SpikeTrace | OperationCounts:
    """What a machine prices; a trace is read here, where no one takes its damage for a machine's refusal."""
    machine = accelerator.architecture
    if isinstance(trace, OperationCounts) or isinstance(machine, Event):
        return trace
    operations = count(trace)
    return with_kernel_words(trace, operations, machine) if fetches_kernels(machine) else operations


def _refusal(trace: SpikeTrace | OperationCounts, accelerator: Accelerator) -> str | None:
    """Why a machine cannot run a network; nothing is read from a trace, so its damage is never taken for that."""
    try:
        if isinstance(accelerator.architecture, Event):
            lay_out(trace.workload, accelerator.architecture)
        elif isinstance(trace, OperationCounts):
            estimate(trace, accelerator)
    except InvalidInput as error:
        return str(error)
    return None

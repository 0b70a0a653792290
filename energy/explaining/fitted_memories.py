"""A machine with its on-chip memories sized to one network: other silicon, and a row of its own (definitions, 12)."""

from __future__ import annotations

from dataclasses import replace

from ...sim.counting.delivery import as_delivered
from ...sim.counting.operations import OperationCounts
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Grid, Memory
from ...sim.hardware.grid.dense_array import state_needs
from ...sim.hardware.grid.placement import parameter_bits, potential_needs
from ...sim.hardware.grid.spike_buffers import spike_bits
from ..machines.accelerator import Accelerator
from .what_if_sweep import resized

DATA = ("weight", "potential", "spike")
KIB_BITS = 8192


def memory_needs(operations: OperationCounts, grid: Grid) -> dict[str, int]:
    """Bits of each kind of data that a machine holds on chip if nothing of a network is to go further out.

    Parameters
    ----------
    operations : OperationCounts
        Lists of spikes take the room that the fullest of its samples needs.
    grid : Grid

    Returns
    -------
    dict
        ``weight``: all parameters, channel vectors and tables of gains resident. ``potential``: of the layer that needs
        most with time inner, of all with time outer; on a dense array sums and currents included. ``spike``: the maps
        that are kept together, of all steps with time inner. The rules are those by which a fixed machine is filled
        (`place`, `state_needs`, `spike_traffic`); room that words leave empty at the
        end of a run is not in them.
    """
    operations = as_delivered(operations, grid.dataflow.graded)  # unit events are more addresses
    workload, steps = operations.workload, operations.steps
    if grid.dataflow.stationary == "scatter":
        states = potential_needs(workload, grid)
    else:
        states = state_needs(workload, grid, steps)
    return {
        "weight": sum(parameter_bits(layer, workload, steps) for layer in workload.layers),
        "potential": max(states.values()),
        "spike": spike_bits(operations, grid),
    }


def fitted(accelerator: Accelerator, *operations: OperationCounts) -> Accelerator:
    """A machine whose on-chip memories hold a network and no more, each priced by its capacity.

    Parameters
    ----------
    accelerator : Accelerator
        Of kind ``grid``, with one on-chip memory at most for each kind of data.
    *operations : OperationCounts
        Runs that share the silicon, such as the seeds of one variant: each memory is as large as the largest need.

    Returns
    -------
    Accelerator
        Capacities are whole KiB, rounded up, at least one; a memory that holds several kinds of data has room for all
        of them at once. Its name and title tell the sizes, so that whatever compares by machine (`shared_counts`,
        `compare`) refuses it beside the fixed machine and beside machines fitted to other sizes, whose prices it does
        not share.

    Raises
    ------
    InvalidInput
        No counts; a machine of another kind; two on-chip memories for one kind of data, as how they should share it is
        a choice of the designer; a memory whose price its file gives by hand, unknown at another capacity; no network
        on chip at all.

    Notes
    -----
    Not modelled: area, static power, timing and the least sizes that memories are made in. Prices follow
    `Technology.sram_access`, which is flat up to the smallest published capacity (8 KiB in Horowitz's table): below it
    fitting saves nothing.
    """
    grid = accelerator.architecture
    if not operations:
        raise InvalidInput("fitted: no operation counts given; give those of the network that the memories are for")
    if not isinstance(grid, Grid):
        raise InvalidInput(
            f"accelerator {accelerator.name!r} is of kind {grid.kind}: it has no memories that could be fitted; take "
            f"one of kind grid"
        )
    needs = [memory_needs(each, grid) for each in operations]
    sizes: dict[str, int] = {}
    for data in DATA:
        memory = _on_chip(accelerator, grid, data)
        if memory is not None:
            sizes[memory.name] = sizes.get(memory.name, 0) + max(need[data] for need in needs)
    if not sizes:
        raise InvalidInput(f"accelerator {accelerator.name!r} has no memory on chip, so there is nothing to fit")
    machine, told = accelerator, []
    for name, bits in sizes.items():
        kib = max(1, -(-bits // KIB_BITS))
        machine = resized(machine, kib * 1024, name)
        told.append(f"{name} {kib:,} KiB")
    notes = (
        f"Memories fitted to {operations[0].workload.name}: {', '.join(told)}, other silicon than {accelerator.name}: "
        f"compare only with variants fitted likewise. {accelerator.notes}"
    )
    sizes_told = f"(fitted: {', '.join(told)})"
    return replace(
        machine,
        name=f"{accelerator.name} {sizes_told}",
        title=f"{accelerator.title} {sizes_told}",
        notes=notes.strip(),
    )


def _on_chip(accelerator: Accelerator, grid: Grid, data: str) -> Memory | None:
    """The one memory with a capacity that may hold a kind of data; None where all of it is off chip."""
    found = [memory for memory in grid.levels(data) if memory.kib is not None]
    if len(found) > 1:
        raise InvalidInput(
            f"accelerator {accelerator.name!r} has several on-chip memories for {data}s, "
            f"{', '.join(memory.name for memory in found)}: how they would share them is not known; fit a machine with "
            f"one, or size them in its file"
        )
    return found[0] if found else None

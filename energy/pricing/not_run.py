"""Whether a network has run in the numbers that it is priced in (docs/definitions.md, 8)."""

from __future__ import annotations

from ...sim.counting.operations import OperationCounts
from ...sim.hardware.architecture import Architecture
from ...sim.network.workload import Workload

NOT_RUN = "priced, not run"


def not_run(operations: OperationCounts, machine: Architecture) -> tuple[str, ...]:
    """Why counts are no run of the network on this machine; empty where they are.

    Parameters
    ----------
    operations : OperationCounts
    machine : Operations, Grid or Event

    Returns
    -------
    tuple of str
        Reasons without a semicolon, to be said after `NOT_RUN`.

    Notes
    -----
    A width counts as run if the trace was recorded or replayed at it (`narrow_states`): other counts without a trace
    (hybrids, scaled or random spikes) are priced, not run, and so are float potentials and weights on a many-core chip,
    which computes in integers. Where potentials are integers, float weights were rounded to them in the replay. How
    wide a chip's integers are is not compared: its file does not say. Grids refuse what is wider than they are.
    """
    reasons = []
    workload, origin = operations.workload, operations.provenance
    ran_at = {} if "synthetic" in origin else origin.get("replayed", {})
    if not operations.trace_hash and ran_at.get("state_bits") != workload.state_bits:
        reasons.append("these counts come from no recorded trace")
    if machine.kind == "event" and workload.state_type == "float":
        wide = dict.fromkeys(layer.weight_bits for layer in workload.layers if layer.weight_kind == "float")
        weights = "".join(f" and {bits}-bit float weights" for bits in wide)
        reasons.append(
            f"recorded with {state_words(workload)} potentials{weights}, while the chip computes in integers"
        )
    return tuple(reasons)


def state_words(workload: Workload) -> str:
    """Width and type of potentials and accumulators, such as ``32-bit float``."""
    return f"{workload.state_bits}-bit {workload.state_type}"

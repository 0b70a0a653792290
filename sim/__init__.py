"""From recorded spikes to what a machine does with them: networks as data, traces, exact counts, replays, hardware.

Knows no torch and no joules. The names below are its public face, each imported when it is first used; the rooms
beneath are private and may move.
"""

from typing import TYPE_CHECKING

from .lazy_names import lazy

if TYPE_CHECKING:
    from .counting.layer_counts import count_layer
    from .counting.operations import count
    from .network.weighted_layers import Conv1d, Conv2d, Linear
    from .network.workload import Workload
    from .trace.spike_trace import SpikeTrace
    from .trace.trace_writer import TraceWriter

_HOMES = {
    "Conv1d": "network.weighted_layers",
    "Conv2d": "network.weighted_layers",
    "Linear": "network.weighted_layers",
    "SpikeTrace": "trace.spike_trace",
    "TraceWriter": "trace.trace_writer",
    "Workload": "network.workload",
    "count": "counting.operations",
    "count_layer": "counting.layer_counts",
}
__all__ = [  # the keys of _HOMES, written out for type checkers
    "Conv1d",
    "Conv2d",
    "Linear",
    "SpikeTrace",
    "TraceWriter",
    "Workload",
    "count",
    "count_layer",
]
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)

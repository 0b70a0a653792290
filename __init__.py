"""SpikeJoule: what a spiking network costs to run, where the energy goes, and whether binarising it pays.

The names below are the public face; each is imported when it is first used, so that counting and pricing recorded
traces never loads a deep-learning stack.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .energy.accelerator import Accelerator, accelerator_names, load_accelerator
    from .energy.estimate import EnergyEstimate, estimate
    from .models.agmm import GateConfig
    from .models.derive import derive
    from .models.record import record
    from .models.run import Run
    from .models.train import TrainConfig, train, train_many
    from .reports.compare import Comparison, compare
    from .sim.errors import InvalidInput
    from .sim.operations import OperationCounts, count
    from .sim.trace import SpikeTrace, TraceWriter

__version__ = version("spikejoule")

_HOMES = {
    "Accelerator": "energy.accelerator",
    "Comparison": "reports.compare",
    "EnergyEstimate": "energy.estimate",
    "GateConfig": "models.agmm",
    "InvalidInput": "sim.errors",
    "OperationCounts": "sim.operations",
    "Run": "models.run",
    "SpikeTrace": "sim.trace",
    "TraceWriter": "sim.trace",
    "TrainConfig": "models.train",
    "accelerator_names": "energy.accelerator",
    "compare": "reports.compare",
    "count": "sim.operations",
    "derive": "models.derive",
    "estimate": "energy.estimate",
    "load_accelerator": "energy.accelerator",
    "record": "models.record",
    "train": "models.train",
    "train_many": "models.train",
}
__all__ = [  # the keys of _HOMES, written out for type checkers
    "Accelerator",
    "Comparison",
    "EnergyEstimate",
    "GateConfig",
    "InvalidInput",
    "OperationCounts",
    "Run",
    "SpikeTrace",
    "TraceWriter",
    "TrainConfig",
    "__version__",
    "accelerator_names",
    "compare",
    "count",
    "derive",
    "estimate",
    "load_accelerator",
    "record",
    "train",
    "train_many",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikejoule' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

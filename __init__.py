"""SpikeJoule: what a spiking network costs to run, where the energy goes, and whether binarising it pays.

The names below are the public face; each is imported when it is first used, so that counting and pricing recorded
traces never loads a deep-learning stack.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ablate import load_ablation
    from .energy.accelerator import Accelerator, accelerator_names, load_accelerator
    from .energy.breakeven import break_even
    from .energy.estimate import EnergyEstimate, estimate
    from .energy.fitted import fitted
    from .energy.prices import Technology, load_technology, technology_names
    from .energy.pricing import price_actions
    from .energy.published import score_table
    from .energy.replayed import Replayed, replay_trace
    from .energy.sweep import sweep
    from .energy.variants import estimate_variants
    from .models.agmm import GateConfig
    from .models.config import TrainConfig
    from .models.derive import derive
    from .models.recipes import load_recipe
    from .models.record import record
    from .models.run import Run
    from .models.train import train, train_many
    from .models.variants import variant_config
    from .reports.compare import Comparison, compare
    from .reports.front import build_front
    from .sim.action_table import ActionTable, action_table, read_actions, write_actions
    from .sim.errors import InvalidInput
    from .sim.operations import OperationCounts, count
    from .sim.parameter_file import load_parameters
    from .sim.sanafe import export_sanafe
    from .sim.trace import SpikeTrace, TraceWriter
    from .sim.workload import Workload
    from .study import Study, run_study
    from .sweeping import run_ablation

__version__ = version("spikejoule")

_HOMES = {
    "Accelerator": "energy.accelerator",
    "ActionTable": "sim.action_table",
    "Comparison": "reports.compare",
    "EnergyEstimate": "energy.estimate",
    "GateConfig": "models.agmm",
    "InvalidInput": "sim.errors",
    "OperationCounts": "sim.operations",
    "Replayed": "energy.replayed",
    "Run": "models.run",
    "SpikeTrace": "sim.trace",
    "Study": "study",
    "Technology": "energy.prices",
    "TraceWriter": "sim.trace",
    "TrainConfig": "models.config",
    "Workload": "sim.workload",
    "accelerator_names": "energy.accelerator",
    "action_table": "sim.action_table",
    "break_even": "energy.breakeven",
    "build_front": "reports.front",
    "compare": "reports.compare",
    "count": "sim.operations",
    "derive": "models.derive",
    "estimate": "energy.estimate",
    "estimate_variants": "energy.variants",
    "export_sanafe": "sim.sanafe",
    "fitted": "energy.fitted",
    "load_ablation": "ablate",
    "load_accelerator": "energy.accelerator",
    "load_parameters": "sim.parameter_file",
    "load_recipe": "models.recipes",
    "load_technology": "energy.prices",
    "price_actions": "energy.pricing",
    "read_actions": "sim.action_table",
    "record": "models.record",
    "replay_trace": "energy.replayed",
    "run_ablation": "sweeping",
    "run_study": "study",
    "score_table": "energy.published",
    "sweep": "energy.sweep",
    "technology_names": "energy.prices",
    "train": "models.train",
    "train_many": "models.train",
    "variant_config": "models.variants",
    "write_actions": "sim.action_table",
}
__all__ = [  # the keys of _HOMES, written out for type checkers
    "Accelerator",
    "ActionTable",
    "Comparison",
    "EnergyEstimate",
    "GateConfig",
    "InvalidInput",
    "OperationCounts",
    "Replayed",
    "Run",
    "SpikeTrace",
    "Study",
    "Technology",
    "TraceWriter",
    "TrainConfig",
    "Workload",
    "__version__",
    "accelerator_names",
    "action_table",
    "break_even",
    "build_front",
    "compare",
    "count",
    "derive",
    "estimate",
    "estimate_variants",
    "export_sanafe",
    "fitted",
    "load_ablation",
    "load_accelerator",
    "load_parameters",
    "load_recipe",
    "load_technology",
    "price_actions",
    "read_actions",
    "record",
    "replay_trace",
    "run_ablation",
    "run_study",
    "score_table",
    "sweep",
    "technology_names",
    "train",
    "train_many",
    "variant_config",
    "write_actions",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikejoule' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

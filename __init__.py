"""SpikeJoule: what a spiking network costs to run, where the energy goes, and whether binarising it pays.

The names below are the public face; each is imported when it is first used, so that counting and pricing recorded
traces never loads a deep-learning stack.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

from .sim.lazy_names import lazy

if TYPE_CHECKING:
    from .ablation.jobs import load_ablation
    from .ablation.resumable_sweep import run_ablation
    from .energy.explaining.break_even import break_even
    from .energy.explaining.fitted_memories import fitted
    from .energy.explaining.narrow_states import Replayed, replay_trace
    from .energy.explaining.what_if_sweep import sweep
    from .energy.machines.accelerator import Accelerator, accelerator_names, load_accelerator
    from .energy.machines.prices import Technology, load_technology, technology_names
    from .energy.pricing.action_costs import price_actions
    from .energy.pricing.estimate import EnergyEstimate, estimate
    from .energy.pricing.estimate_variants import estimate_variants
    from .energy.published import score_table
    from .models.networks.agmm import GateConfig
    from .models.recording.record import record
    from .models.run_folders.run import Run
    from .models.settings.config import TrainConfig
    from .models.settings.recipes import load_recipe
    from .models.settings.variants import variant_config
    from .models.training.derive_variants import derive
    from .models.training.train import train, train_many
    from .reports.ablation.pareto_report import build_front
    from .reports.compare import Comparison, compare
    from .sim.counting.operations import OperationCounts, count
    from .sim.errors import InvalidInput
    from .sim.hardware.action_table import ActionTable, action_table, read_actions, write_actions
    from .sim.hardware.chip.sanafe_export import export_sanafe
    from .sim.network.workload import Workload
    from .sim.replay.parameter_file import load_parameters
    from .sim.trace.spike_trace import SpikeTrace
    from .sim.trace.trace_writer import TraceWriter
    from .study import Study, run_study

__version__ = version("spikejoule")

_HOMES = {
    "Accelerator": "energy.machines.accelerator",
    "ActionTable": "sim.hardware.action_table",
    "Comparison": "reports.compare",
    "EnergyEstimate": "energy.pricing.estimate",
    "GateConfig": "models.networks.agmm",
    "InvalidInput": "sim.errors",
    "OperationCounts": "sim.counting.operations",
    "Replayed": "energy.explaining.narrow_states",
    "Run": "models.run_folders.run",
    "SpikeTrace": "sim.trace.spike_trace",
    "Study": "study",
    "Technology": "energy.machines.prices",
    "TraceWriter": "sim.trace.trace_writer",
    "TrainConfig": "models.settings.config",
    "Workload": "sim.network.workload",
    "accelerator_names": "energy.machines.accelerator",
    "action_table": "sim.hardware.action_table",
    "break_even": "energy.explaining.break_even",
    "build_front": "reports.ablation.pareto_report",
    "compare": "reports.compare",
    "count": "sim.counting.operations",
    "derive": "models.training.derive_variants",
    "estimate": "energy.pricing.estimate",
    "estimate_variants": "energy.pricing.estimate_variants",
    "export_sanafe": "sim.hardware.chip.sanafe_export",
    "fitted": "energy.explaining.fitted_memories",
    "load_ablation": "ablation.jobs",
    "load_accelerator": "energy.machines.accelerator",
    "load_parameters": "sim.replay.parameter_file",
    "load_recipe": "models.settings.recipes",
    "load_technology": "energy.machines.prices",
    "price_actions": "energy.pricing.action_costs",
    "read_actions": "sim.hardware.action_table",
    "record": "models.recording.record",
    "replay_trace": "energy.explaining.narrow_states",
    "run_ablation": "ablation.resumable_sweep",
    "run_study": "study",
    "score_table": "energy.published",
    "sweep": "energy.explaining.what_if_sweep",
    "technology_names": "energy.machines.prices",
    "train": "models.training.train",
    "train_many": "models.training.train",
    "variant_config": "models.settings.variants",
    "write_actions": "sim.hardware.action_table",
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
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)

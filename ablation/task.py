"""One task of an ablation: train a config or take its run, record, count, replay and price; what fails is told."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from ..energy.explaining.narrow_states import estimate_with_readout, replay_trace
from ..energy.machines.accelerator import Accelerator
from ..energy.pricing.estimate import EnergyEstimate, estimate
from ..models.recording.record import record
from ..models.run_folders.run import Run
from ..models.training.train import train
from ..sim.counting.operations import OperationCounts, count
from ..sim.errors import InvalidInput
from ..sim.hardware.grid.kernel_fetches import needs_spikes
from ..sim.replay.parameter_file import PARAMETERS, load_parameters
from ..sim.trace.spike_trace import SpikeTrace
from ..study import analog_inputs
from .ablation_file import FLOAT_STATE
from .jobs import Key, Task
from .scheduling import Outcome
from .worker_processes import Report, worker


def perform(task: Task, *, runs: str, machines: Sequence[Accelerator], report: Report | None = None) -> Outcome:
    """Train one config, or take it as it stands in ``runs``, and measure all that is wanted of it.

    Nothing is raised: what fails is told in the outcome.
    """
    told = report if report is not None else worker.get("report")

    def epochs(label: str, done: int, total: int) -> None:
        if told is not None:
            told(task.config.hash, done)

    trained = _Attempt()
    with trained:
        train(task.config, runs=runs, progress=epochs)
    figures: dict[Key, dict[str, object]] = {}
    for job in task.jobs:
        measured, attempt = {}, _Attempt(trained.error)
        if not trained.error:
            with attempt:
                measured = _measure(train(job.config, runs=runs), job.state_bits, machines)
        figures[job.key] = {"error": attempt.error, **measured}
    return Outcome(trained.error, figures)


def _measure(run: Run, state_bits: int, machines: Sequence[Accelerator]) -> dict[str, object]:
    """The figures of one run: accuracy and energy on validation data, and everything else on test data."""
    validation, test = (_spikes(run, state_bits, machines[0], split) for split in ("validation", "test"))
    counted, log = test.operations, run.log()
    flips = log.loc[log["quantity"] == "sign_flips", "value"]
    figures: dict[str, object] = {
        "validation_accuracy": validation.operations.accuracy,
        "test_accuracy": counted.accuracy,
        "test_samples": counted.samples,
        "synaptic_operations": counted.synaptic_operations,
        "firing_rate": counted.firing_rate(),
        "sign_flips": float(flips.sum()) if len(flips) else None,  # what is derived was not trained
        "model_bytes": counted.workload.model_bytes,
        "spike_mismatch": test.mismatch,
        "saturated": test.saturated,
    }
    for name, layer in counted.layers.items():
        if layer.spikes is not None:
            figures[f"firing_rate.{name}"] = counted.firing_rate(name)
    for machine in machines:
        try:
            priced, chosen_by = test.price(machine), validation.price(machine)
        except InvalidInput as error:  # a machine that cannot run this network: the run itself is sound
            figures[f"{machine.name}.refused"] = str(error)
            continue
        figures |= {f"{machine.name}.{name}": value for name, value in _energies(priced).items()}
        figures[f"{machine.name}.validation_pj"] = chosen_by.compared_pj
    return figures


@dataclass(frozen=True)
class _Spikes:
    """What a run did on one split: as recorded, or as replayed at a narrow state, which leaves no trace."""

    operations: OperationCounts
    trace: SpikeTrace | None = None
    mismatch: float | None = None
    saturated: float | None = None

    def price(self, machine: Accelerator) -> EnergyEstimate:
        if self.trace is None:
            return estimate_with_readout(self.operations, machine)
        return estimate(self.trace if needs_spikes(machine.architecture) else self.operations, machine)


def _spikes(run: Run, state_bits: int, machine: Accelerator, split: str) -> _Spikes:
    trace = record(run, split=split)
    if state_bits == FLOAT_STATE:
        return _Spikes(count(trace), trace)
    parameters = load_parameters(run.path / PARAMETERS, trace.workload, trace.steps)
    inputs = analog_inputs(run, trace, split)
    replayed = replay_trace(trace, parameters, state_bits, machine, inputs)
    return _Spikes(replayed.operations, None, replayed.mismatch.per_spike, replayed.saturated)


def _energies(priced: EnergyEstimate) -> dict[str, float | None]:
    """What an ablation compares: totals where the machine's static part is known, as in all ratios."""
    low, high = priced.compared_bounds_pj
    figures = {"energy_pj": priced.compared_pj, "low_pj": low, "high_pj": high, "compute_pj": priced.compute_pj}
    return {**figures, "latency_s": priced.latency_s}


@dataclass
class _Attempt(contextlib.AbstractContextManager["_Attempt"]):
    """Keeps the traceback of whatever fails inside it, for one failed run must not end the others."""

    error: str = ""

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):  # nothing, or Ctrl-C
            return False
        # module names, not files: the folders of one machine have no place in the table
        frames = [(frame.f_globals.get("__name__"), line, frame.f_code) for frame, line in traceback.walk_tb(trace)]
        places = [f"{module}:{line} in {code.co_name}" for module, line, code in frames]
        self.error = "\n".join([*places, "".join(traceback.format_exception_only(error)).strip()])
        return True

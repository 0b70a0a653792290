"""Record what a network did on a data set: hooks on its modules, streamed into a SpikeTrace."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...sim.errors import InvalidInput
from ...sim.network import workload as sim
from ...sim.replay.parameter_file import PARAMETERS, load_parameters, save_parameters
from ...sim.trace.spike_trace import SpikeTrace
from ...sim.trace.trace_writer import TraceWriter
from ..data.datasets import Split, batches
from ..networks.spiking_network import SpikingNetwork
from ..run_folders.run import Run, check_data, versions
from ..settings.config import config_data, config_to_dict
from ..training.evaluate import as_input, reproducible
from .adapters import Described, describe
from .hooks import Capture, capturing
from .rebatch import CHUNK, Chunk, chunks
from .replay_parameters import replay_parameters

TRACE = "trace.zarr"  # of the test split, in a run's folder
Progress = Callable[[str, int, int], None]  # label, samples done, samples in all (0: not known)
Forward = Callable[[nn.Module, Tensor], Any]


def record(
    model_or_run: nn.Module | Run,
    data: Iterable[Any] | None = None,
    *,
    steps: int | None = None,
    split: str = "test",
    path: str | Path | None = None,
    input_kind: str = "spike",
    forward: Forward | None = None,
    progress: Progress | None = None,
) -> SpikeTrace:
    """Run a network over a data set and record every spike that its synaptic layers see.

    Parameters
    ----------
    model_or_run : torch.nn.Module or Run
        A run is recorded into its own folder (``trace.zarr`` for the test split) and a valid trace there is reused;
        what a replay needs goes beside it, into ``parameters.safetensors``.
        Of other models than this package's, sequential networks of `torch.nn.Conv2d`, `torch.nn.Linear` and their
        binary kinds with batch norm, average pooling of the current, and neurons known to
        `NEURON_RULES`.
    data : iterable of batches, optional
        ``(inputs, labels)`` or inputs alone, inputs of shape (steps, batch, *shape). Needed for a model; a run takes
        the split of its own data set.
    steps : int, optional
        Time steps that every batch must have; for a run, those it was trained for.
    split : {'train', 'validation', 'test'}
        Of a run's data set.
    path : path, optional
        Where the trace goes. For a model, unless given, a new temporary folder that is never removed.
    input_kind : {'spike', 'signed_spike', 'graded', 'analog'}
        Declared kind of a general model's input; verified, like all kinds. This package's networks declare their own.
    forward : callable, optional
        ``forward(model, inputs)`` runs all steps of one batch from a fresh state and returns the output; plain
        ``model(inputs)`` unless given. `each_step` suits stateless calls per step and Norse's ``(output, state)``.
    progress : callable, optional
        Called as ``progress(label, samples done, samples)``.

    Returns
    -------
    SpikeTrace
        With labels where given, and predictions where the output is (batch, classes) or (steps, batch, classes).

    Raises
    ------
    InvalidInput
        If a module has no rule, a value contradicts its declared kind, an operation stands outside the modules, the
        data are empty or of the wrong shape, or the trace cannot be written.

    Notes
    -----
    The model is put into evaluation mode and back; hooks are removed whatever happens. Samples are re-batched, so the
    trace does not depend on the batches they came in. Layers may be called once per step, or once on all steps in
    time-major order. Not seen: operations outside modules that leave all signals as they are.
    """
    if isinstance(model_or_run, Run):
        return _record_run(model_or_run, data, steps, split, path, progress)
    if data is None:
        raise InvalidInput("record: a model needs data: an iterable of (inputs (steps, batch, ...), labels)")
    target = Path(tempfile.mkdtemp(prefix="spikejoule-")) / "trace.zarr" if path is None else Path(path)
    about = {"model": type(model_or_run).__name__, "versions": versions()}
    session = _Session(model_or_run, steps, input_kind, forward or _whole)
    session.write(data, target, about, path is not None, _reporter(progress, "recording", 0))
    return SpikeTrace.open(target)


def each_step(model: nn.Module, inputs: Tensor) -> Tensor:
    """Call a model once per step, handing Norse's state on; outputs (steps, batch, ...)."""
    state, outputs = None, []
    for step in inputs:
        result = model(step) if state is None else model(step, state)
        output, state = result if isinstance(result, tuple) else (result, None)
        outputs.append(output)
    return torch.stack(outputs)


def _whole(model: nn.Module, inputs: Tensor) -> Any:
    return model(inputs)


def _record_run(
    run: Run,
    data: Iterable[Any] | None,
    steps: int | None,
    split: str,
    path: str | Path | None,
    progress: Progress | None,
) -> SpikeTrace:
    config = run.config
    if steps not in (None, config.steps):
        raise InvalidInput(
            f"record: {run.variant!r} was trained for {config.steps} steps, not {steps}; train with those"
        )
    own = data is None and path is None
    name = TRACE if split == "test" else f"trace-{split}.zarr"
    target = run.path / name if path is None else Path(path)
    if data is not None and path is None:
        raise InvalidInput("record: a run with other data than its own needs a path for the trace")
    if own and target.exists():
        found = _reusable(target, run)
        if found is not None:
            _write_parameters(run, found)
            return found
    about = _origin(run, config.dataset if data is None else "given data", split)
    label, total = f"{run.variant}, seed {config.seed}", 0
    if data is None:
        present = config_data(config)
        check_data(run, present)
        part = present.split(split)
        data, total = _batches(part, config.steps), len(part)
    session = _Session(run.model(), config.steps, "", _whole)
    session.write(data, target, about, True, _reporter(progress, label, total))
    trace = SpikeTrace.open(target)
    if own:
        _write_parameters(run, trace)
    return trace


def _origin(run: Run, dataset: str, split: str) -> dict[str, object]:
    """What a trace keeps of where it comes from."""
    of_run = {"run": run.hash, "variant": run.variant, "seed": run.config.seed, "dataset": dataset, "split": split}
    return {**of_run, "config": config_to_dict(run.config), "versions": versions()}


def _write_parameters(run: Run, trace: SpikeTrace) -> None:
    """Keep what a replay needs beside the run's traces, unless it is there or the network has no rule for it."""
    path = run.path / PARAMETERS
    try:
        load_parameters(path, trace.workload, trace.steps)
    except InvalidInput:
        try:
            parameters = replay_parameters(run.model())
        except InvalidInput:
            return  # whoever wants to replay it is told that there is no such file
        save_parameters(path, trace.workload, parameters, trace.steps, {"run": run.hash})


def _reporter(progress: Progress | None, label: str, total: int) -> Callable[[int], None]:
    return lambda done: None if progress is None else progress(label, done, total)


def _reusable(path: Path, run: Run) -> SpikeTrace | None:
    """The trace of an earlier recording if it is whole and of this run; else it is recorded again."""
    try:
        trace = SpikeTrace.open(path)
    except InvalidInput:
        return None
    return trace if trace.provenance.get("run") == run.hash else None


def _batches(part: Split, steps: int) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    for inputs, labels in batches(part, CHUNK):
        yield as_input(inputs, steps), labels


class _Session:
    """One recording: the model, how to run it, and after the first chunk its workload and where its signals are."""

    def __init__(self, model: nn.Module, steps: int | None, input_kind: str, forward: Forward) -> None:
        self.model, self.steps, self.input_kind, self.forward = model, steps, input_kind, forward
        self._plan: tuple[sim.Workload, Described] | None = None

    def write(
        self, data: Iterable[Any], path: Path, about: Mapping[str, Any], overwrite: bool, report: Callable[[int], None]
    ) -> None:
        was_training, done = self.model.training, 0
        self.model.eval()
        try:
            with reproducible(), torch.inference_mode(), capturing(self.model) as capture, ExitStack() as stack:
                writer: TraceWriter | None = None
                for chunk in chunks(data, self.steps):
                    workload, signals, predictions = self._run(chunk, capture)
                    if writer is None:  # the workload is known once the network has run
                        steps = len(chunk.inputs)
                        writer = stack.enter_context(
                            TraceWriter(path, workload, steps, provenance=about, overwrite=overwrite)
                        )
                    writer.append(signals, chunk.labels, predictions)
                    done += chunk.count
                    report(done)
                if writer is None:
                    raise InvalidInput("record: the data are empty: there is nothing to record; check the loader")
        finally:
            self.model.train(was_training)

    def _run(
        self, chunk: Chunk, capture: Capture
    ) -> tuple[sim.Workload, dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        """One forward pass: signals (steps, samples, *shape) without the padding, and predictions if there are any."""
        capture.clear()
        output = self.forward(self.model, chunk.inputs)
        if self._plan is None:
            self._plan = _plan(self.model, tuple(chunk.inputs.shape[2:]), self.input_kind, capture)
        workload, described = self._plan
        signals = {
            name: _signal(name, shape, described, capture, chunk)[:, : chunk.count].cpu().numpy()
            for name, (shape, _) in workload.signals.items()
        }
        return workload, signals, _predictions(output, chunk)


def _plan(
    model: nn.Module, shape: tuple[int, ...], input_kind: str, capture: Capture
) -> tuple[sim.Workload, Described]:
    """The workload of a model that has just run once, and the modules at which its signals are seen."""
    if isinstance(model, SpikingNetwork):
        workload = model.workload()
        names = {module: name for name, module in model.named_modules()}
        readers = {signal: names[module] for signal, module in model.readers.items()}
        emitters = {signal: names[module] for signal, module in model.emitters.items()}
        return workload, Described(list(workload.layers), readers, emitters)
    described = describe(capture.calls, capture.modules, input_kind)
    first = described.layers[0]
    if first.inputs != math.prod(shape):
        raise InvalidInput(f"model: layer {first.name!r} reads {first.in_shape}, but the data are {shape} at one step")
    layers = tuple(described.layers)
    return sim.Workload(name=type(model).__name__, input_shape=shape, input_kind=input_kind, layers=layers), described


def _signal(name: str, shape: tuple[int, ...], described: Described, capture: Capture, chunk: Chunk) -> Tensor:
    """A signal (steps, samples, *shape): what its reader received, which must be what its neurons emitted."""
    steps, size = chunk.inputs.shape[:2]
    taps = [capture.inputs.get(described.readers.get(name, "")), capture.outputs.get(described.emitters.get(name, ""))]
    values = [_in_steps(calls, (steps, size, *shape), name) for calls in taps if calls]
    if name == sim.INPUT:
        values.append(chunk.inputs.reshape(steps, size, *shape))
    if not values:
        raise InvalidInput(f"model: nothing was seen of the signal {name!r}; its module was not called in every batch")
    if any(not torch.equal(values[0], other) for other in values[1:]):
        raise InvalidInput(
            f"model: what reads {name!r} does not receive what {name!r} is: an operation stands outside the modules, "
            f"or the steps are not in time-major order; make it a module that has a rule"
        )
    return values[0]


def _in_steps(calls: list[Tensor], shape: tuple[int, ...], where: str) -> Tensor:
    """Calls once per step, or once on all steps in time-major order, as one tensor (steps, samples, *shape)."""
    joined = torch.stack(calls) if len(calls) == shape[0] else calls[0]
    if len(calls) not in (1, shape[0]) or joined.numel() != int(np.prod(shape)):
        raise InvalidInput(
            f"model: the signal {where!r} was seen in {len(calls)} calls of {tuple(calls[0].shape)}, which is not "
            f"one call per step or one for all {shape[0]} steps of {shape[1]} samples {shape[2:]}"
        )
    return joined.reshape(shape)


def _predictions(output: Any, chunk: Chunk) -> NDArray[np.int64] | None:
    steps, size = chunk.inputs.shape[:2]
    output = output[0] if isinstance(output, tuple) else output
    if not isinstance(output, Tensor) or output.shape[:-1] not in ((size,), (steps, size)):
        return None
    logits = output if output.dim() == 2 else output.mean(0)
    return logits[: chunk.count].argmax(1).cpu().numpy()

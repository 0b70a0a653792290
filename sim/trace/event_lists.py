"""Event lists (AER) to traces and back: structured arrays of x, y, t, p as tonic and event cameras use them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.workload import INPUT, Workload
from .packing import Recorded
from .spike_trace import SpikeTrace
from .trace_writer import TraceWriter

EVENT = np.dtype([("x", "<i4"), ("y", "<i4"), ("t", "<i8"), ("p", "<i4")])
Events = NDArray[np.void]  # with fields as in `EVENT`


def frames_to_events(frames: Recorded, step_us: int = 1000) -> Events:
    """Events of one recording, in order of time, then channel, row and column.

    Parameters
    ----------
    frames : integer or bool array (steps, p, y, x), (steps, y, x) or (steps, x)
        0 and 1, or counts; a count of n becomes n equal events.
    step_us : int
        Microseconds per step; an event bears the time at which its step begins.

    Returns
    -------
    structured array of x, y, t (microseconds), p

    Examples
    --------
    >>> frames_to_events(np.array([[0, 2], [1, 0]]), step_us=10)["t"]
    array([ 0,  0, 10])
    """
    array = np.asarray(frames)
    if array.dtype.kind not in "bui" or not 2 <= array.ndim <= 4 or (array.size and array.min() < 0):
        raise InvalidInput(
            f"frames are {array.dtype} {array.shape}; event lists hold counts from 0 of shape (steps, [[p,] y,] x)"
        )
    array = array.reshape(len(array), *(1,) * (4 - array.ndim), *array.shape[1:])
    step, channel, row, column = np.nonzero(array)
    events = np.empty(step.size, EVENT)
    events["x"], events["y"], events["t"], events["p"] = column, row, step * step_us, channel
    return np.repeat(events, array[step, channel, row, column].astype(np.int64))


def events_to_frames(
    events: Events, shape: Sequence[int], steps: int, step_us: int = 1000, *, binarize: bool = False
) -> NDArray[np.uint16]:
    """Count the events of one recording per step and pixel: uint16 ``(steps, *shape)``, or 0 and 1 if binarized.

    Parameters
    ----------
    events : structured array with integer fields x, y, t, p (y and p may be absent if the shape has no such axis)
    shape : (p, y, x), (y, x) or (x,)
    steps, step_us : int
        The recording lasts ``steps * step_us`` microseconds from 0.

    Raises
    ------
    InvalidInput
        If a field is missing or an event lies outside; none is dropped silently.

    Notes
    -----
    The time of an event within its step is lost.
    """
    array = np.asarray(events)
    names = ("p", "y", "x")[-len(shape) :]
    absent = {"t", *names} - set(array.dtype.names or ())
    if absent or array.ndim != 1 or not 1 <= len(shape) <= 3:
        raise InvalidInput(
            f"events are {array.dtype} {array.shape}, shape {tuple(shape)}: fields {sorted(absent)} are missing"
        )
    if steps < 1 or step_us < 1:
        raise InvalidInput(f"{steps} steps of {step_us} microseconds: both must be at least 1")
    places = []
    for name, size in zip(("t", *names), (steps * step_us, *shape), strict=True):
        values = array[name]
        if values.dtype.kind not in "biu":
            raise InvalidInput(f"events: field {name!r} is {values.dtype}; it must be integers (t in microseconds)")
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < size:
            raise InvalidInput(
                f"events: {name} runs from {values.min()} to {values.max()}; it must lie in 0 to {size - 1}: crop the "
                f"recording, or give another shape, number of steps or step_us"
            )
        places.append(values.astype(np.int64))
    places[0] //= step_us
    sizes = (steps, *shape)
    counts = np.bincount(np.ravel_multi_index(tuple(places), sizes), minlength=int(np.prod(sizes)))
    if binarize:
        counts = np.minimum(counts, 1)
    if counts.size and counts.max() > np.iinfo(np.uint16).max:
        raise InvalidInput(
            f"events: {counts.max()} fall on one pixel in one step; at most 65535 are kept: use shorter steps"
        )
    return counts.astype(np.uint16).reshape(sizes)


def import_events(
    path: str | os.PathLike[str],
    recordings: Iterable[Events],
    shape: Sequence[int],
    steps: int,
    *,
    step_us: int = 1000,
    binarize: bool = True,
    labels: Iterable[int] | None = None,
    name: str = "events",
    overwrite: bool = False,
) -> SpikeTrace:
    """Write recordings as a trace with an input and no layers, one sample each.

    Parameters
    ----------
    recordings : iterable of structured arrays
        Taken one at a time, so that they need not fit memory together.
    shape, steps, step_us, binarize
        As in `events_to_frames`; counts make the input graded.
    labels : iterable of int, optional
        One for each recording.
    """
    kind = "spike" if binarize else "graded"
    workload = Workload(name=name, input_shape=tuple(shape), input_kind=kind, layers=())
    provenance = {"source": "event list", "step_us": step_us, "binarize": binarize}
    with TraceWriter(path, workload, steps, provenance=provenance, overwrite=overwrite) as writer:
        given = None if labels is None else iter(labels)
        for events in recordings:
            label = None if given is None else next(given, None)
            if given is not None and label is None:
                raise InvalidInput(f"trace {os.fspath(path)}: there are more recordings than labels; give one for each")
            frames = events_to_frames(events, shape, steps, step_us, binarize=binarize)
            writer.append({INPUT: frames[:, None]}, labels=None if label is None else np.array([label]))
        if given is not None and next(given, None) is not None:
            raise InvalidInput(f"trace {os.fspath(path)}: there are more labels than recordings; give one for each")
    return SpikeTrace.open(path)


def export_events(trace: SpikeTrace, sample: int, signal: str = INPUT, *, step_us: int = 1000) -> Events:
    """Events of one sample of a recorded signal.

    Raises
    ------
    InvalidInput
        If the signal is signed or analog, which an event list cannot hold.
    """
    kind = trace.workload.signals.get(signal, ((), "spike"))[1]
    if kind not in ("spike", "graded"):
        raise InvalidInput(f"trace {trace.path}: signal {signal!r} is {kind}; event lists hold spikes and counts only")
    if not 0 <= sample < trace.samples:
        raise InvalidInput(f"trace {trace.path}: no sample {sample}; there are 0 to {trace.samples - 1}")
    return frames_to_events(trace.read(signal, slice(sample, sample + 1))[:, 0], step_us)

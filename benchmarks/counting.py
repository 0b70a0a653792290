"""Speed of the counter on packed spikes, against a plain popcount of the same words."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from layers import SAMPLES, STEPS, packed, spikes, vgg_layers
from measure import Row, ratio, summary, take_turns
from numba import njit
from numpy.typing import NDArray
from spikejoule.sim.counting.layer_counts import count_packed
from spikejoule.sim.counting.popcount_kernels import masked_popcounts, popcounts, segment_popcounts
from spikejoule.sim.counting.totals import turn_spikes
from spikejoule.sim.trace.packing import pack

SPIN = """
import time
def spin():
    start = time.perf_counter()
    sum(range(2_000_000))
    return time.perf_counter() - start
print(min(spin() for _ in range(5)))
"""
MANY_CLASSES = {"7x7, stride 2": (7, 2, 3), "11x11, stride 4": (11, 4, 2)}


def popcount_only(layers: list) -> Callable[[], None]:
    rows = [words.reshape(-1, words.shape[-1]) for words in map(packed, layers)]
    outs = [np.empty(len(part), np.int64) for part in rows]

    def run() -> None:
        for part, out in zip(rows, outs, strict=True):
            popcounts(part, out)

    return run


def per_sample(layers: list, samples: int = 16) -> Callable[[], None]:
    """The compiled part of `count_packed`: masks are made once per layer, as the counter keeps them."""
    jobs = []
    for layer in layers:
        words = packed(layer, samples)
        every, nonzero = layer.fan_out_masks
        masks = every.masks if nonzero is every else np.concatenate([every.masks, nonzero.masks])
        rows = words.reshape(-1, words.shape[-1])
        jobs.append((rows, masks, np.zeros((len(rows), 1 + len(masks)), np.int64)))

    def run() -> None:
        for rows, masks, out in jobs:
            masked_popcounts(rows, masks, out)

    return run


def totals(layers: list) -> Callable[[], None]:
    """The compiled part of `count_totals`, on spikes turned round before."""
    turned = [turn_spikes(layer, packed(layer)) for layer in layers]
    outs = [np.empty(len(part.bounds) - 1, np.int64) for part in turned]

    def run() -> None:
        for part, out in zip(turned, outs, strict=True):
            segment_popcounts(part.words, part.bounds, out)

    return run


def counting_rows() -> list[Row]:
    plain, sparse = vgg_layers(), vgg_layers(zero_weights=True)
    words = [packed(layer) for layer in plain]
    gigabytes = sum(part.nbytes for part in words) / 1e9
    seconds = take_turns(
        {
            "limit": popcount_only(plain),
            "per sample": per_sample(plain),
            "per sample, zero weights": per_sample(sparse),
            "totals": totals(plain),
            "totals, zero weights": totals(sparse),
            "turn": lambda: [turn_spikes(layer, part) for layer, part in zip(plain, words, strict=True)],
            "whole call": lambda: [count_packed(layer, part) for layer, part in zip(plain, words, strict=True)],
        }
    )
    limit, sample = seconds["limit"], seconds["per sample"]
    rates = [gigabytes / second for second in limit]
    return [
        summary("popcount only, the limit", rates, "GB/s"),
        ratio("per step and sample, stored layout: rate over the limit", limit, sample, 0.3),
        ratio("per step and sample, half the weights zero: time over none zero",
              seconds["per sample, zero weights"], sample, 8, at_least=False),
        ratio("totals after turning: rate over the limit", limit, seconds["totals"], 0.8),
        ratio("totals, half the weights zero: time over none zero",
              seconds["totals, zero weights"], seconds["totals"], 2, at_least=False),
        summary("turning the trace round in memory", [second * 1e3 for second in seconds["turn"]], "ms"),
        summary("`count_packed` with its Python part", [second * 1e3 for second in seconds["whole call"]], "ms"),
    ]  # fmt: skip


def many_class_rows() -> list[Row]:
    """Kernels whose fan-out has many values, on the layers that they fit, against 3x3 on the same layers."""
    rows = []
    for name, (kernel, stride, padding) in MANY_CLASSES.items():
        wide = vgg_layers(kernel=kernel, stride=stride, padding=padding)
        fitting = {layer.name for layer in wide}
        plain = [layer for layer in vgg_layers() if layer.name in fitting]
        candidates = {"3x3": totals(plain), name: totals(wide), "each 3x3": per_sample(plain), "each": per_sample(wide)}
        seconds = take_turns(candidates)
        rows += [
            ratio(f"totals, {name}: time over 3x3, stride 1", seconds[name], seconds["3x3"], 2, at_least=False),
            ratio(f"per step and sample, {name}: time over 3x3, stride 1", seconds["each"], seconds["each 3x3"]),
        ]
    return rows


@njit(cache=True, fastmath=True)
def read_once(values: NDArray[np.float32]) -> float:
    """A plain sum: as fast as memory is read."""
    total = np.float32(0)
    for index in range(values.size):
        total += values[index]
    return total


def packing_rows() -> list[Row]:
    """All seven maps, 59 MB: more than the caches hold, as when a network has just written them."""
    maps = [spikes(layer) for layer in vgg_layers()]
    flat = [values.reshape(-1) for values in maps]
    seconds = take_turns(
        {
            "read": lambda: [read_once(values) for values in flat],
            "pack": lambda: [pack(values, "spike", "benchmark") for values in maps],
        }
    )
    label = "packing and verifying float32 spikes: time over one read of them"
    return [ratio(label, seconds["pack"], seconds["read"], 1.6, at_least=False)]


def thread_rows() -> list[Row]:
    """Two threads on halves of the rows of a trace in cache; wall time, as that is what is gained.

    Other work on the machine can only take from the gain, so each value is that of the best of ten rounds. A kernel
    call on few rows lasts microseconds, of which taking the interpreter lock back is a part: both sizes are shown.
    """
    rows = [summary("cores free for two processes that share nothing", [free_cores() for _ in range(5)], "x")]
    for samples, bound in ((SAMPLES, None), (16 * SAMPLES, 1.5)):
        one, two = thread_seconds(samples)
        size = packed(vgg_layers()[0], samples).nbytes / 1e6
        rows.append(ratio(f"two threads: wall-time gain, {size:.1f} MB in cache (best of ten rounds)", one, two, bound))
    return rows


def thread_seconds(samples: int) -> tuple[list[float], list[float]]:
    """Best wall times with one and with two threads; each call counts the trace many times."""
    layer, times = vgg_layers()[0], 1600 // samples
    rows = packed(layer, samples).reshape(STEPS * samples, -1)
    masks = layer.fan_out_masks[0].masks
    out, half = np.zeros((len(rows), 1 + len(masks)), np.int64), len(rows) // 2

    def count_often(part: slice) -> None:
        for _ in range(times):
            masked_popcounts(rows[part], masks, out[part])

    halves = [slice(0, half), slice(half, None)]
    with ThreadPoolExecutor(2) as pool:
        candidates = {"one": lambda: count_often(slice(None)), "two": lambda: list(pool.map(count_often, halves))}
        seconds = take_turns(candidates, rounds=100, clock=time.perf_counter)
    best = [[min(part[first : first + 10]) for first in range(0, 100, 10)] for part in seconds.values()]
    return best[0], best[1]


def free_cores() -> float:
    """Gain of running two plain Python loops side by side: 2 where two cores are idle, 1 where others hold one."""

    def best_seconds(processes: int) -> float:
        running = [subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) for _ in range(processes)]
        return max(float(process.communicate()[0]) for process in running)

    return 2 * best_seconds(1) / best_seconds(2)

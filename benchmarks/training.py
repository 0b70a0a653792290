"""A training step and its memory against snnTorch and SpikingJelly: the same network, each with its own neurons."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from measure import Row, ratio, summary
from peers.compare import PYTHON, make_environment

SCRIPT = Path(__file__).parent / "peers" / "measure_training.py"
# Bounds of our time over theirs: a step of the whole network, and the neurons alone
STEP_BOUNDS = {"snnTorch": 1.0, "SpikingJelly": 1.05}
NEURON_BOUNDS = {"snnTorch": 0.8, "SpikingJelly": None, "Norse": None}
MEMORY_BOUNDS = {"snnTorch": None, "SpikingJelly": 1.0}
LAYOUTS = {"": "channels last for both", ", plain": "theirs in the plain layout"}


def training_rows() -> list[Row]:
    """Ratios of process CPU time on one thread, in turns in one process; peaks each in a process of its own."""
    make_environment()
    result = _measure("time")
    step, neurons, versions = result["step"], result["neurons"], result["versions"]
    rows = [
        summary("training step, VGG-11 at quarter width, 4 steps, 32 samples of 3x32x32", step["ours"], "s"),
        summary("its neurons alone, 4 x 32 x 32x16x16, forward and backward", neurons["ours"], "s"),
    ]
    for peer, bound in STEP_BOUNDS.items():
        for suffix, layout in LAYOUTS.items():
            what = f"training step: ours over {peer} {versions[peer]}, {layout}"
            rows.append(ratio(what, step["ours"], step[peer + suffix], bound, at_least=False))
    for peer, bound in NEURON_BOUNDS.items():
        what = f"neurons alone: ours over {peer} {versions[peer]}"
        rows.append(ratio(what, neurons["ours"], neurons[peer], bound, at_least=False))
    ours = [_measure("memory", "ours")["mib"] for _ in range(3)]
    rows.append(summary("training step: peak memory above the network at rest", ours, "MiB"))
    for peer, bound in MEMORY_BOUNDS.items():
        theirs = [_measure("memory", peer)["mib"] for _ in range(3)]
        what = f"training step: peak memory, ours over {peer} {versions[peer]}"
        rows.append(ratio(what, ours, theirs, bound, at_least=False))
    return rows


def _measure(*arguments: str) -> dict:
    command = [str(PYTHON), str(SCRIPT), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])

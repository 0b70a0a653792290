"""What a fresh process pays: imports and the first count with a warm cache, against numpy and numba alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, ratio, summary

HEAD = "import time; start = time.process_time()\nimport numpy as np, numba\n"
TAIL = "\nprint(time.process_time() - start)"
# numba's own first call of a cached kernel costs as much as its import, whatever the kernel
TRIVIAL = """
@numba.njit(cache=True)
def add_one(x):
    return x + 1
add_one(1)
"""
OURS = """
from spikejoule.sim.counting.layer_counts import count_packed
from spikejoule.sim.network.workload import Conv2d
layer = Conv2d(name="conv", in_shape=(4, 16, 16), out_channels=8, kernel_size=3, padding=1)
"""
COUNT = "count_packed(layer, np.ones((4, 16, 16), np.uint64))"
ROUNDS = 7


def startup_rows() -> list[Row]:
    scripts = {"import": HEAD, "ours": HEAD + OURS, "first": HEAD + TRIVIAL, "ours first": HEAD + OURS + COUNT}
    seconds: dict[str, list[float]] = {name: [] for name in scripts}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS + 1):  # the first round fills the caches
            for name, script in scripts.items():
                path = Path(folder) / f"{name.replace(' ', '_')}.py"
                path.write_text(script + TAIL)
                printed = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True).stdout
                if turn:
                    seconds[name].append(float(printed))
    return [
        summary("`import numpy, numba`", seconds["import"], "s"),
        ratio("import of the counter: over `import numpy, numba`",
              seconds["ours"], seconds["import"], 1.5, at_least=False),
        ratio("import and first count, warm cache: over numba's import and first call of a trivial cached kernel",
              seconds["ours first"], seconds["first"], 1.5, at_least=False),
        ratio("import and first count, warm cache: over `import numpy, numba` alone",
              seconds["ours first"], seconds["import"]),
    ]  # fmt: skip

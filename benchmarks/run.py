"""Run the benchmarks and write one Markdown table: ``python benchmarks/run.py [--peers] [--output FILE]``.

Figures are medians and quartiles over rounds in which the candidates take turns: process CPU time of one thread unless
a row says otherwise. ``--peers`` adds other tools, in an environment of their own under .cache/ (made on first use).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from counting import counting_rows, many_class_rows, packing_rows, thread_rows
from forward import forward_rows
from measure import Row
from replay import replay_rows
from simulation import simulation_rows
from startup import startup_rows
from store import store_rows

ROOT = Path(__file__).resolve().parent.parent
SUITES = {
    "Counting packed spikes": counting_rows,
    "Many fan-outs": many_class_rows,
    "Packing": packing_rows,
    "Threads": thread_rows,
    "Start": startup_rows,
    "Against the forward pass": forward_rows,
    "The trace store": store_rows,
    "Simulation and pricing": simulation_rows,
    "Replay": replay_rows,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", action="store_true", help="also measure sinabs, SpikingJelly, NeuroBench and snnTorch"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "performance.md", help="file to write")
    options = parser.parse_args(arguments)
    suites = dict(SUITES)
    if options.peers:
        from peers.compare import peer_rows
        from training import training_rows

        suites["Against other counters"] = peer_rows
        suites["Training"] = training_rows
    results = {}
    for name, rows in suites.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = rows()
    text = report(results)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    missed = [row.what for rows in results.values() for row in rows if row.met is False]
    for what in missed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if missed else 0


def report(results: dict[str, list[Row]]) -> str:
    """The Markdown page."""
    lines = [
        "# Performance",
        "",
        "Written by `python3 run.py bench`. Medians and quartiles over rounds in which the candidates take turns;",
        "process CPU time of one thread unless a row says wall time. The spikes are those of the seven binary",
        "convolutions of a VGG-11 (4 steps, 16 samples, 10 % independent spikes: 1.8 MB packed).",
        "",
        f"Machine: {machine()}. Commit: {commit()}.",
        "",
        "| what | median | quartiles | bound | met |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, rows in results.items():
        lines.append(f"| **{name}** | | | | |")
        lines += [table_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def table_line(row: Row) -> str:
    bound = "" if row.bound is None else f"{'at least' if row.at_least else 'at most'} {row.bound:g}"
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    return f"| {row.what} | {row.median:.3g} {row.unit} | {row.low:.3g} to {row.high:.3g} | {bound} | {met} |"


def machine() -> str:
    """Processor, cores and versions."""
    import numba
    import numpy as np

    cpu = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        names = [line.split(":", 1)[1].strip() for line in listing.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}"
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, {versions}"


def commit() -> str:
    """Short hash of the checkout, with a note if it has been changed."""
    try:
        named = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return named.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

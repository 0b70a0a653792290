"""Other counters on the same spikes, in an environment of their own, so that their needs never touch ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from measure import Row, ratio

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".cache" / "peers-venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PACKAGES = ["sinabs==3.1.3", "spikingjelly==2.0.0", "neurobench==2.3.0", "snntorch==1.0.0", "norse==1.1.0", "numba"]
# How many times faster ours is to be: on live tensors (packing included) and on a packed trace
BOUNDS = {"sinabs": (2, 50), "SpikingJelly": (25, 600), "NeuroBench": (400, 10_000)}


def peer_rows() -> list[Row]:
    """Ratios of the counting step alone, all in one process and with equal counts."""
    make_environment()
    script = Path(__file__).with_name("measure_peers.py")
    done = subprocess.run([str(PYTHON), str(script)], stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    seconds, totals = result["seconds"], result["totals"]
    rows = []
    for peer, (live, packed) in BOUNDS.items():
        if totals[peer] != totals["ours"]:
            raise SystemExit(f"{peer} counts {totals[peer]} where the counter says {totals['ours']}")
        times = seconds[peer]  # of the rounds it took turns in
        named = f"{peer} {result['versions'][peer]}"
        rows.append(ratio(f"{named}: its time over ours, live tensors", times[peer], times["live"], live))
        rows.append(ratio(f"{named}: its time over ours, packed trace", times[peer], times["packed"], packed))
    return rows


def make_environment() -> None:
    """Make the environment on first use and when its packages change, with uv from this project's own."""
    ready = ENVIRONMENT / "ready"
    if ready.exists() and ready.read_text(encoding="utf-8").split() == PACKAGES:
        return
    uv = str(Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv"))
    settings = dict(os.environ)
    if settings.get("PIP_FIND_LINKS"):
        settings.setdefault("UV_FIND_LINKS", ",".join(settings["PIP_FIND_LINKS"].split()))
    install = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    pins = ["--override", "overrides.txt", "--constraint", "constraints-cpu.txt"]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)],
        [*install, *pins, *PACKAGES],
        [*install, "--no-deps", "--editable", "."],
    ):
        subprocess.run(command, cwd=ROOT, env=settings, check=True)
    ready.write_text("\n".join(PACKAGES), encoding="utf-8")

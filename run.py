"""Set SpikeJoule up in this checkout and run it: ``python3 run.py report`` and ``python3 run.py test``.

Standard library only, because it runs before anything is installed. It makes ``.venv``, installs uv into it, lets uv
install the rest, and keeps a stamp so that the next call starts at once. Nothing outside the checkout is written.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "spikejoule-setup.stamp"
CACHE = ROOT / ".cache"
OLDEST_PYTHON = (3, 11)
UV_REQUIREMENT = "uv>=0.5.3"  # the first release with --torch-backend's neighbours; newer ones are fine

HELP = """usage: python3 run.py COMMAND [OPTIONS]

commands (each sets everything up first, if need be):
  report [OPTIONS]   run the main job and write the HTML and PDF reports  (options: run.py report --help)
  test [--all]       run every check; --all adds the ones that take longer
  bench [--peers]    run the benchmarks; --peers adds other counters, in an environment of their own
  setup              only set up
  spikejoule ARGS    run any spikejoule command, e.g.  python3 run.py spikejoule --help
"""


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        print(f"run.py: Python {needed} or newer is needed; this is {platform.python_version()}.", file=sys.stderr)
        return 2
    command, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    if command not in ("report", "test", "bench", "setup", "spikejoule"):
        print(HELP)
        return 0 if command in ("help", "-h", "--help") else 2
    if command == "test" and not set(rest) <= {"--all"}:
        print(f"run.py: test takes only --all, not {' '.join(rest)}", file=sys.stderr)
        return 2
    try:
        set_up()
        if command == "test":
            return run_checks(everything="--all" in rest)
        if command == "setup":
            print(f"Ready: {BIN / 'spikejoule'}")
            return 0
        if command == "bench":
            bench = [program("python"), str(ROOT / "benchmarks" / "run.py"), *rest]
            return subprocess.run(bench, cwd=ROOT, env=environment(), check=False).returncode
        words = rest if command == "spikejoule" else ["report", *rest]
        return subprocess.run([program("spikejoule"), *words], env=environment(), check=False).returncode
    except StepError as failure:
        print(f"\nrun.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


class StepError(Exception):
    """A set-up command ended with an error; says which one and what to try."""


def step(command: list[str], advice: str) -> None:
    print("+ " + " ".join(command), flush=True)
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    except OSError as error:
        raise StepError(f"could not start: {' '.join(command)}\n  {error}\n  What to try: {advice}") from error
    if code != 0:
        raise StepError(f"this command failed (exit {code}): {' '.join(command)}\n  What to try: {advice}")


def program(name: str) -> str:
    return str(BIN / (name + (".exe" if os.name == "nt" else "")))


def environment() -> dict[str, str]:
    """The caller's environment with every cache moved into the checkout and pip's sources passed on to uv."""
    env = dict(os.environ)
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH"):
        env.pop(name, None)
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = str(BIN) + os.pathsep + env.get("PATH", "")
    env["PIP_NO_CACHE_DIR"] = "1"
    env["UV_CACHE_DIR"] = str(CACHE / "uv")
    env["UV_PYTHON_DOWNLOADS"] = "never"
    env["MPLCONFIGDIR"] = str(CACHE / "matplotlib")
    env["IPYTHONDIR"] = str(CACHE / "ipython")
    env["JUPYTER_CONFIG_DIR"] = env["JUPYTER_DATA_DIR"] = env["JUPYTER_RUNTIME_DIR"] = str(CACHE / "jupyter")
    env.setdefault("UV_LINK_MODE", "copy" if os.name == "nt" else "hardlink")
    if env.get("PIP_FIND_LINKS") and "UV_FIND_LINKS" not in env:
        env["UV_FIND_LINKS"] = ",".join(env["PIP_FIND_LINKS"].split())
    if env.get("PIP_INDEX_URL") and "UV_DEFAULT_INDEX" not in env:
        env["UV_DEFAULT_INDEX"] = env["PIP_INDEX_URL"]
    if env.get("PIP_CERT") and "SSL_CERT_FILE" not in env:
        env["SSL_CERT_FILE"] = env["PIP_CERT"]
    return env


def has_gpu() -> bool:
    """Whether ``nvidia-smi -L`` lists a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listing = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return listing.returncode == 0 and "GPU" in listing.stdout


def fingerprint(gpu: bool) -> str:
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "setup.py", "constraints-cpu.txt", "overrides.txt", "run.py"):
        digest.update((ROOT / name).read_bytes())
    digest.update(repr((sys.version_info[:2], platform.machine(), sys.platform, str(ROOT), gpu)).encode())
    return digest.hexdigest()


def set_up() -> None:
    gpu = has_gpu()
    wanted = fingerprint(gpu)
    if STAMP.exists() and STAMP.read_text() == wanted and Path(program("spikejoule")).exists():
        return
    started = time.monotonic()
    print("Setting up .venv (once; a few minutes)", flush=True)
    STAMP.unlink(missing_ok=True)
    if not Path(program("python")).exists():
        shutil.rmtree(VENV, ignore_errors=True)
        step(
            [sys.executable, "-m", "venv", str(VENV)], "install Python's venv module (Debian: apt install python3-venv)"
        )
    network = "check the network or proxy, or point PIP_INDEX_URL or PIP_FIND_LINKS at a mirror or a wheel folder"
    step([program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV_REQUIREMENT], network)
    install_packages(gpu, network)
    link_for_mypy()
    STAMP.write_text(wanted)
    print(f"Set up in {time.monotonic() - started:.0f} s", flush=True)


def install_packages(gpu: bool, advice: str) -> None:
    install = [program("uv"), "pip", "install", "--quiet", "--python", program("python"), "--override", "overrides.txt"]
    install += [] if gpu else ["--constraint", "constraints-cpu.txt"]
    install += ["-e", ".[dev]"]
    if sys.platform.startswith("linux") and not gpu and not environment().get("UV_FIND_LINKS"):
        try:  # PyTorch's own index has the small CPU build; where it cannot be reached the ordinary index serves
            step([*install, "--torch-backend", "cpu"], "nothing: run.py goes on without --torch-backend")
            return
        except StepError as failure:
            print(f"{failure}\nTrying again without --torch-backend", flush=True)
    step(install, advice)


def link_for_mypy() -> None:
    """mypy finds packages by folder name, and this folder may be called anything: give it one called spikejoule."""
    link = VENV / "types" / "spikejoule"
    if link.exists():
        return
    link.parent.mkdir(exist_ok=True)
    try:
        link.symlink_to(Path("..") / "..", target_is_directory=True)
    except OSError:  # Windows without the right to make symbolic links: a junction needs none
        subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(ROOT)], check=False, stdout=subprocess.DEVNULL)


def run_checks(*, everything: bool) -> int:
    """Every check, one after the other; all run even if one fails, and the last lines say which failed."""
    # two processes, each file in one of them, so that what a file's tests share is made once
    pytest = [program("python"), "-m", "pytest", "-n", "2", "--dist", "loadfile"]
    pytest += [] if everything else ["-m", "not slow"]
    checks = {
        "ruff": [program("ruff"), "check", "."],
        "format": [program("ruff"), "format", "--check", "."],
        "mypy": [program("mypy")],
        "imports": [program("lint-imports"), "--no-cache"],
        "pytest": pytest,
    }
    failed = []
    for name, command in checks.items():
        started = time.monotonic()
        print(f"\n== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode != 0:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'All checks passed'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

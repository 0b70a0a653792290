"""The wheel as users get it: built, installed into an empty environment from cached packages, and used once."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
USE = """
import spikejoule as sj
assert "site-packages" in sj.__file__, sj.__file__
print(sj.load_accelerator("event-driven-45nm").price("weight_sram", "read").value)
print(sj.TrainConfig().resolved().learning_rate)
"""


def run(*command: object, cwd: Path) -> str:
    env = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ}
    result = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--offline", "--wheel", "--out-dir", out, source, cwd=source)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "spikejoule/energy/accelerators/sop-45nm.yaml" in names
    assert "spikejoule/energy/validation.yaml" in names
    assert "spikejoule/configs/learning_rates.yaml" in names
    assert any(name.startswith("spikejoule/reports/templates/") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"spikejoule", next(top for top in tops if top.endswith(".dist-info"))}
    strays = ("run.py", "setup.py", "tests/", "benchmarks/", "notebooks/", "docs/")
    assert not [name for name in names if name.removeprefix("spikejoule/").startswith(strays)]


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    run(UV, "venv", "--offline", "--python", sys.executable, "empty", cwd=tmp_path)
    scripts = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")
    pins = ["--override", ROOT / "overrides.txt"]
    if "+cpu" in run(sys.executable, "-c", "import torch; print(torch.__version__)", cwd=tmp_path):
        pins += ["--constraint", ROOT / "constraints-cpu.txt"]
    run(UV, "pip", "install", "--offline", "--python", scripts / "python", *pins, wheel, cwd=tmp_path)
    price, rate = run(scripts / "python", "-c", USE, cwd=tmp_path).split()
    assert float(price) == pytest.approx(27.595, abs=1e-3)
    assert float(rate) > 0
    assert "event-driven-45nm-tiny" in run(scripts / "spikejoule", "accelerators", "list", cwd=tmp_path)

"""The structure: nothing imports in a circle, no folder grows too full, and the pages about it say what is there."""

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_MODULES = 14
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")

_spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "docs" / "draw_rooms.py")
assert _spec is not None
draw_rooms = sys.modules["draw_rooms"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(draw_rooms)

TOPS = (*draw_rooms.FLOORS, *draw_rooms.FACES, "tests", "benchmarks", "docs")
FOLDERS = sorted({path.parent for top in TOPS for path in (ROOT / top).rglob("*.py")} | {ROOT})
PACKAGES = [path.parent.relative_to(ROOT).as_posix() for folder in FOLDERS for path in folder.glob("__init__.py")]
PACKAGES = [name for name in PACKAGES if name.split("/")[0] in (*draw_rooms.FLOORS, *draw_rooms.FACES)]


def make_package(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_no_module_imports_itself_through_others():
    assert draw_rooms.circles(draw_rooms.imports()) == []


@pytest.mark.parametrize(
    "back",
    [
        "from .a import x",
        "from ..sim import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import x",
        "def late():\n    from spikejoule.sim.a import x",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(tmp_path, back):
    root = make_package(tmp_path, {"sim/__init__.py": "", "sim/a.py": "from . import b\nx = 1", "sim/b.py": back})
    assert draw_rooms.circles(draw_rooms.imports(root)) == [{"sim.a", "sim.b"}]


def test_a_chain_is_no_circle(tmp_path):
    files = {"sim/__init__.py": "", "sim/a.py": "from .b import x", "sim/b.py": "from .c import x", "sim/c.py": "x = 1"}
    assert draw_rooms.circles(draw_rooms.imports(make_package(tmp_path, files))) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_no_folder_holds_more_modules_than_one_looks_through(folder):
    names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(names) <= MOST_MODULES, sorted(names)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_says_what_happens_in_it_and_what_does_not(package):
    told = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(told.splitlines()) >= 3, "a line for what happens here, and one for what may not"


def test_every_package_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(["spikejoule", *(f"spikejoule.{name.replace('/', '.')}" for name in PACKAGES)])


@pytest.mark.parametrize("folder", sorted(p for p in (ROOT / "tests").rglob("*") if list(p.glob("test_*.py"))))
def test_the_tests_mirror_the_rooms(folder):
    assert (ROOT / folder.relative_to(ROOT / "tests")).is_dir()


def test_the_picture_of_the_rooms_is_that_of_the_imports():
    assert draw_rooms.PICTURE.read_text(encoding="utf-8") == draw_rooms.draw(), "run python docs/draw_rooms.py"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[\w-]+/)+[\w-]*(?:\.\w+)?)`", DESIGN))))
def test_every_path_in_the_design_exists(path):
    assert (ROOT / path).exists()


def test_the_walk_through_the_code_names_at_most_eight_files():
    walk = DESIGN.partition("## A trace")[2].partition("\n## ")[0]
    assert 3 <= len(set(re.findall(r"`([\w/]+\.py)`", walk))) <= 8

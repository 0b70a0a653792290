"""Runs the examples in docstrings, on the installed modules."""

import doctest
import importlib
import pkgutil

import pytest
import spikejoule

PACKAGES = ("sim", "models", "energy", "reports", "ablation", "commands")


def modules() -> list[str]:
    names = ["spikejoule.study", "spikejoule.cli"]
    for package in PACKAGES:
        home = importlib.import_module(f"spikejoule.{package}")
        names += [f"spikejoule.{package}", *(m.name for m in pkgutil.walk_packages(home.__path__, home.__name__ + "."))]
    return names


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_there_are_examples_at_all():
    finder = doctest.DocTestFinder()
    found = [test for name in modules() for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 3


def test_the_version_is_that_of_the_installed_package():
    assert spikejoule.__version__

"""The six names at the top of the package: there, lazy, and what they say they are."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import crossmodal

CLASSES = {"DualEncoder", "Manifest", "SearchIndex"}


def test_the_names_are_those_announced():
    assert set(crossmodal.__all__) == CLASSES | {"train", "embed", "evaluate"}
    assert set(crossmodal.__all__) | {"__version__"} == set(dir(crossmodal))


@pytest.mark.parametrize("name", crossmodal.__all__)
def test_each_name_is_a_class_or_a_function_of_that_name(name):
    found = getattr(crossmodal, name)
    assert found.__name__ == name
    assert inspect.isclass(found) if name in CLASSES else inspect.isfunction(found)


@pytest.mark.slow
def test_importing_the_modules_does_not_hide_the_functions():
    """A module of the package called as one of its functions would stand in its place once it is imported."""
    code = """
from crossmodal import embed, evaluate, train
import crossmodal.cli, crossmodal.embedding, crossmodal.evaluation, crossmodal.training, crossmodal
assert crossmodal.train is train and crossmodal.embed is embed and crossmodal.evaluate is evaluate
assert callable(train) and callable(embed) and callable(evaluate)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=True)


def test_other_names_are_refused_with_those_there_are():
    with pytest.raises(AttributeError, match="DualEncoder"):
        crossmodal.encoder  # noqa: B018


def test_torch_is_loaded_by_the_first_name_that_needs_it_and_not_before():
    code = """
import sys, crossmodal
assert "torch" not in sys.modules and "pandas" not in sys.modules
crossmodal.Manifest
assert "torch" not in sys.modules and "pandas" in sys.modules
crossmodal.DualEncoder
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=True)

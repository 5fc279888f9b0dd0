"""The vectors that search is measured on: as hard as the real ones, and by numbers that a plain loop gives too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def expansion() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "vectors" / "expansion.py"
    spec = importlib.util.spec_from_file_location("expansion", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["expansion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def real(rows: int = 600) -> NDArray[np.float32]:
    """On a curved surface of three dimensions, in sixteen."""
    rng = np.random.default_rng(0)
    found = np.tanh(rng.normal(size=(rows, 3)) @ rng.normal(size=(3, 16))) + 0.01 * rng.normal(size=(rows, 16))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_hardness_is_that_of_a_loop(expansion: ModuleType) -> None:
    vectors = real(300)
    inverses, nearest, every = [], [], []
    for row, vector in enumerate(vectors):
        distances = np.sort(np.linalg.norm(np.delete(vectors, row, axis=0) - vector, axis=1))
        inverses.append(np.mean([np.log(distances[99] / distance) for distance in distances[:99]]))
        nearest.append(distances[0])
        every.append(distances.sum() / len(vectors))
    found = expansion.hardness(vectors, 300, 0)
    assert found.dimension == pytest.approx(1 / np.mean(inverses), rel=1e-3)
    assert found.contrast == pytest.approx(np.mean(every) / np.mean(nearest), rel=1e-3)


@pytest.mark.slow
def test_an_expansion_is_as_hard_as_the_real_vectors(expansion: ModuleType) -> None:
    vectors = real()
    recipe = expansion.matched(vectors, 0)
    made = expansion.expanded(vectors, recipe, 3000, 1)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(made, expansion.expanded(vectors, recipe, 3000, 1))
    asked, got = expansion.hardness(vectors, 600, 0), expansion.hardness(made, 600, 2)
    assert got.contrast == pytest.approx(asked.contrast, rel=0.1)
    assert got.dimension == pytest.approx(asked.dimension, rel=0.1)


def test_no_track_is_both_asked_and_expanded(expansion: ModuleType) -> None:
    tracks = np.repeat(np.arange(50), np.arange(50) % 4 + 1)
    asked = expansion.parted(tracks, 20, 0)
    assert not set(tracks[asked]) & set(tracks[~asked])
    assert 20 <= asked.sum() < 25

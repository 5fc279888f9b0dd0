from __future__ import annotations

import math

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics import collapse

SEEDS = (0, 1, 2)
SHAPES = ((7, 4), (5, 12), (16, 16))


def rows(seed, shape):
    return np.random.default_rng(seed).normal(size=shape) + 0.3


def norm(row):
    return math.sqrt(sum(float(value) ** 2 for value in row))


def as_unit(vectors):
    return [[float(value) / norm(row) for value in row] for row in vectors]


def squared_distance(x, y):
    return sum((u - v) ** 2 for u, v in zip(x, y, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", SEEDS)
class TestByLoops:
    def test_deviation(self, seed, shape):
        vectors = rows(seed, shape)
        units, found = as_unit(vectors), []
        for column in range(shape[1]):
            values = [row[column] for row in units]
            mean = sum(values) / len(values)
            found.append(math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))
        expected = sum(found) / len(found) * math.sqrt(shape[1])
        assert collapse.deviation(vectors) == pytest.approx(expected, abs=1e-12)

    def test_effective_rank(self, seed, shape):
        vectors = rows(seed, shape)
        singular = np.linalg.svd(vectors, compute_uv=False)
        entropy = 0.0
        for value in singular:
            share = value / singular.sum()
            entropy -= share * math.log(share)
        assert collapse.effective_rank(vectors) == pytest.approx(math.exp(entropy), rel=1e-9)

    @pytest.mark.parametrize("t", [2.0, 0.7])
    def test_uniformity(self, seed, shape, t):
        vectors = rows(seed, shape)
        units = as_unit(vectors)
        found = [
            math.exp(-t * squared_distance(units[i], units[j]))
            for i in range(shape[0])
            for j in range(shape[0])
            if i != j
        ]
        assert collapse.uniformity(vectors, t) == pytest.approx(math.log(sum(found) / len(found)), abs=1e-12)

    @pytest.mark.parametrize("alpha", [2.0, 1.0])
    def test_alignment_and_similarities(self, seed, shape, alpha):
        a, b = rows(seed, shape), rows(seed + 10, (9, shape[1]))
        positives = np.random.default_rng(seed).random((shape[0], 9)) < 0.3
        near, far, distances = [], [], []
        for i, x in enumerate(as_unit(a)):
            for j, y in enumerate(as_unit(b)):
                cosine = sum(u * v for u, v in zip(x, y, strict=True))
                (near if positives[i, j] else far).append(cosine)
                if positives[i, j]:
                    distances.append(squared_distance(x, y) ** (alpha / 2))
        found = collapse.alignment(a, b, positives, alpha)
        assert found == pytest.approx(sum(distances) / len(distances), abs=1e-12)
        expected = (sum(near) / len(near), sum(far) / len(far))
        assert collapse.similarities(a, b, positives) == pytest.approx(expected, abs=1e-12)

    def test_modality_gap(self, seed, shape):
        a, b = rows(seed, shape), rows(seed + 10, (9, shape[1]))
        centres = [[sum(column) / len(part) for column in zip(*part, strict=True)] for part in (as_unit(a), as_unit(b))]
        assert collapse.modality_gap(a, b) == pytest.approx(math.sqrt(squared_distance(*centres)), abs=1e-12)


@pytest.mark.parametrize("function", [collapse.deviation, collapse.uniformity])
def test_lengths_do_not_count(function):
    vectors = rows(0, (8, 5))
    scaled = vectors * np.arange(1, 9)[:, None]
    assert function(scaled) == pytest.approx(function(vectors), abs=1e-12)


@pytest.mark.parametrize("function", [collapse.deviation, collapse.effective_rank, collapse.uniformity])
def test_turning_the_order_of_rows_changes_nothing(function):
    vectors = rows(1, (8, 5))
    assert function(vectors[::-1]) == pytest.approx(function(vectors), abs=1e-9)


@pytest.mark.parametrize("shape", [(6, 4), (3, 50), (400, 300)])
def test_equal_vectors(shape):
    vectors = np.tile(rows(0, (1, shape[1])), (shape[0], 1))
    assert collapse.deviation(vectors) == pytest.approx(0, abs=1e-6)
    assert collapse.effective_rank(vectors) == pytest.approx(1, abs=1e-9)
    assert collapse.uniformity(vectors) == pytest.approx(0, abs=1e-9)
    assert collapse.alignment(vectors, vectors) == pytest.approx(0, abs=1e-9)
    assert collapse.similarities(vectors, vectors) == pytest.approx((1, 1))
    assert collapse.modality_gap(vectors, vectors) == pytest.approx(0)
    assert collapse.modality_gap(vectors, -vectors) == pytest.approx(2)


@pytest.mark.parametrize("dim", [2, 5, 64])
def test_orthonormal_vectors(dim):
    vectors = np.linalg.qr(rows(dim, (dim, dim)))[0]
    assert collapse.deviation(np.eye(dim)) == pytest.approx(math.sqrt(1 - 1 / dim))
    assert collapse.effective_rank(vectors) == pytest.approx(dim)
    assert collapse.uniformity(vectors) == pytest.approx(-4)  # every pair at a squared distance of 2
    assert collapse.alignment(vectors, np.roll(vectors, 1, axis=0)) == pytest.approx(2)
    assert collapse.similarities(vectors, vectors) == pytest.approx((1, 0), abs=1e-9)


def test_vectors_all_over_the_sphere():
    vectors = np.random.default_rng(0).normal(size=(2000, 64))
    assert collapse.deviation(vectors) == pytest.approx(1, abs=0.01)
    assert collapse.effective_rank(vectors) > 60
    # the mean of exp(t * 2 cosine) over the sphere is about exp(2 t^2 / dim)
    assert collapse.uniformity(vectors) == pytest.approx(-4 + 8 / 64, abs=0.01)
    assert collapse.modality_gap(vectors[:1000], vectors[1000:]) < 0.1


@pytest.mark.parametrize("cosine", [0.0, 0.5, 0.99, 0.999])
def test_what_all_share_bounds_the_deviation(cosine):
    spread = np.linalg.qr(rows(3, (65, 65)))[0]
    vectors = math.sqrt(cosine) * spread[:1] + math.sqrt(1 - cosine) * spread[1:]
    assert collapse.similarities(vectors, vectors)[1] == pytest.approx(cosine)
    assert collapse.deviation(vectors) == pytest.approx(math.sqrt(1 - cosine), rel=0.02)


def test_dimensions_out_of_use():
    vectors = rows(0, (300, 3)) @ rows(1, (3, 40))
    assert collapse.effective_rank(vectors) < 3.000001
    assert collapse.effective_rank(np.zeros((4, 3))) == 0
    assert collapse.effective_rank(1e-30 * np.eye(3)) == pytest.approx(3)


def test_positives_default_to_the_same_rows():
    a, b = rows(0, (6, 4)), rows(1, (6, 4))
    assert collapse.alignment(a, b) == collapse.alignment(a, b, np.eye(6, dtype=bool))
    assert math.isnan(collapse.similarities(a[:1], b[:1])[1])


@pytest.mark.parametrize("vectors", [np.ones(3), np.ones((0, 3)), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
@pytest.mark.parametrize("function", [collapse.deviation, collapse.effective_rank, collapse.uniformity])
def test_vectors_that_are_none(function, vectors):
    with pytest.raises(InputError, match=r"valid is \(n, dim\)"):
        function(vectors)


def test_pairs_that_are_none():
    a = rows(0, (4, 3))
    with pytest.raises(InputError, match="two vectors"):
        collapse.uniformity(a[:1])
    for positives in (np.zeros((4, 4), dtype=bool), np.ones((4, 3), dtype=bool)):
        with pytest.raises(InputError, match=r"valid is \(4, 4\), one or more"):
            collapse.alignment(a, a, positives)
    with pytest.raises(InputError, match=r"valid is \(4, 3\)"):
        collapse.similarities(a, a[:3])

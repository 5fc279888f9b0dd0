from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from crossmodal.errors import InputError
from crossmodal.metrics.hubness import closeness, csls, hubness, inverted_softmax, nearest, occurrences, skewness


def scores(queries: int, items: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (queries, items))


def test_occurrences_by_a_loop() -> None:
    given = scores(50, 12)
    counts = [0] * 12
    for row in given:
        for place in sorted(range(12), key=lambda i: -row[i])[:3]:
            counts[place] += 1
    assert occurrences(nearest(given, 3), 12).tolist() == counts
    assert sum(counts) == 150


def test_of_equals_the_first_is_nearest() -> None:
    assert nearest(np.ones((2, 4)), 2).tolist() == [[0, 1], [0, 1]]


def test_skewness_by_hand_and_by_scipy() -> None:
    # 0, 0, 3: mean 1, squares 1 1 4 -> variance 2; cubes -1 -1 8 -> 6 / 3 = 2
    assert skewness(np.array([0, 0, 3])) == pytest.approx(2 / math.sqrt(8))
    assert skewness(np.array([0, 3, 3])) == pytest.approx(-2 / math.sqrt(8))
    counts = np.random.default_rng(0).poisson(2, 100)
    assert skewness(counts) == pytest.approx(stats.skew(counts))
    assert skewness(np.array([4, 4, 4])) == 0


def test_a_planted_hub_is_measured() -> None:
    given = scores(200, 100) * 0.1
    fair = hubness(given, 5)
    given[:, 7] = 1.0
    found = hubness(given, 5)
    assert found["skewness@5"] > 5 > fair["skewness@5"] + 3
    assert found["top1%@5"] == 0.2  # one of 100 items takes one of five places
    missing = set(range(100)) - set(np.argsort(-given, axis=1, kind="stable")[:, :5].ravel().tolist())
    assert found["never@5"] == len(missing) / 100


def test_closeness_and_csls_by_a_loop() -> None:
    given, bank = scores(6, 9), scores(20, 9, seed=1)
    near = closeness(bank, 4)
    corrected = csls(given, near, 4)
    for item in range(9):
        assert near[item] == pytest.approx(sum(sorted(bank[:, item], reverse=True)[:4]) / 4)
        for query in range(6):
            own = sum(sorted(given[query], reverse=True)[:4]) / 4
            assert corrected[query, item] == pytest.approx(2 * given[query, item] - own - near[item])


def test_csls_takes_a_hub_down_and_what_it_hid_up() -> None:
    given, bank = np.array([[0.5, 0.45, 0.1]]), np.array([[0.6, 0.1, 0.1], [0.7, 0.0, 0.2]])
    assert nearest(given, 1).tolist() == [[0]]
    assert nearest(csls(given, closeness(bank)), 1).tolist() == [[1]]


def test_inverted_softmax_by_a_loop() -> None:
    given, bank = scores(30, 8), scores(3, 8, seed=1)
    hubs = {max(range(8), key=lambda i: row[i]) for row in bank}
    corrected = inverted_softmax(given, bank, beta=5)
    touched = 0
    for query in range(30):
        is_hub = max(range(8), key=lambda i: given[query, i]) in hubs
        touched += is_hub
        for item in range(8):
            share = math.exp(5 * given[query, item]) / sum(math.exp(5 * value) for value in bank[:, item])
            assert corrected[query, item] == pytest.approx(share if is_hub else given[query, item])
    assert 0 < touched < 30


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="neighbours are 0 to 3; valid is 0 to 2"):
        occurrences(np.array([[0, 3]]), 3)
    for k in (0, 4):
        with pytest.raises(InputError, match=f"k is {k}; valid is 1 to 3"):
            nearest(np.ones((1, 3)), k)
    with pytest.raises(InputError, match="no counts"):
        skewness(np.zeros(0, np.int64))
    for correct in (closeness, lambda bank: inverted_softmax(np.ones((1, 3)), bank)):
        with pytest.raises(InputError, match="holds no queries"):
            correct(np.ones((0, 3)))

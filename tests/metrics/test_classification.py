from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from crossmodal.errors import InputError
from crossmodal.metrics.classification import Cells, confusion, evaluate, f1_by_class, in_top, row_shares

TENS = [10, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(0, 200, 10) if seed != 10)]
NAMES = np.array(["cello", "violino", "ömer", "zurna", "never true"])


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the class that is never true
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            yield


def labels(seed: int):
    """Labels of which some classes are never true, as words or as numbers, and for some seeds draws."""
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(1 + seed % 4, size=30), rng.integers(5, size=30)
    if seed < 20:
        true, predicted = NAMES[true], NAMES[predicted]
    return true, predicted, np.where(rng.random(30) < 0.5, rng.integers(1, 4, size=30), 1) if seed % 2 else None


def by_loops(true, predicted, drawn) -> dict[str, float]:
    """The definitions, a pair of labels at a time."""
    pairs = [pair for pair, often in zip(zip(true, predicted, strict=True), drawn, strict=True) for _ in range(often)]
    recalls, f1, times = [], [], []
    for name in sorted({label for pair in pairs for label in pair}):
        right = sum(t == p == name for t, p in pairs)
        is_true, is_told = sum(t == name for t, _ in pairs), sum(p == name for _, p in pairs)
        recalls += [right / is_true] if is_true else []
        f1.append(2 * right / (is_true + is_told))
        times.append(is_true)
    return {
        "accuracy": sum(t == p for t, p in pairs) / len(pairs),
        "balanced_accuracy": sum(recalls) / len(recalls),
        "macro_f1": sum(f1) / len(f1),
        "weighted_f1": sum(f * n for f, n in zip(f1, times, strict=True)) / len(pairs),
    }


def test_200_cases_equal_plain_loops() -> None:
    for seed in range(200):
        true, predicted, drawn = labels(seed)
        often = [1] * 30 if drawn is None else drawn.tolist()
        expected = by_loops(true.tolist(), predicted.tolist(), often)
        assert evaluate(true, predicted, drawn) == pytest.approx(expected, rel=1e-12), seed


@pytest.mark.parametrize("seed", TENS)
def test_equals_scikit_learn(seed: int) -> None:
    for case in range(seed, seed + 10):
        equals(case)


def equals(seed: int) -> None:
    true, predicted, drawn = labels(seed)
    classes, counts = confusion(true, predicted, drawn)
    np.testing.assert_array_equal(classes, np.unique([*true, *predicted]))
    np.testing.assert_array_equal(counts, confusion_matrix(true, predicted, sample_weight=drawn))
    each, support = precision_recall_fscore_support(true, predicted, sample_weight=drawn)[2:]
    expected = {
        "accuracy": accuracy_score(true, predicted, sample_weight=drawn),
        "balanced_accuracy": balanced_accuracy_score(true, predicted, sample_weight=drawn),
        "macro_f1": each.mean(),
        "weighted_f1": np.average(each, weights=support),
    }
    if seed < 20:
        assert expected["weighted_f1"] == f1_score(true, predicted, average="weighted", sample_weight=drawn)
    assert evaluate(true, predicted, drawn) == pytest.approx(expected, rel=1e-12)


def test_shares_and_f1_of_each_class_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true, predicted = NAMES[rng.integers(4, size=60)], NAMES[rng.integers(5, size=60)]
    classes, counts = confusion(true, predicted)
    seen = np.isin(classes, true)
    normalised = confusion_matrix(true, predicted, normalize="true")
    np.testing.assert_allclose(row_shares(counts)[seen], normalised[seen])
    assert np.isnan(row_shares(counts)[~seen]).all()
    assert (~seen).sum() == 1
    np.testing.assert_allclose(f1_by_class(counts), f1_score(true, predicted, average=None))


def test_a_class_that_was_not_drawn_is_left_out() -> None:
    cells = Cells(["a", "a", "b"], ["a", "b", "b"])
    drawn = np.array([2, 1, 0])
    assert evaluate(["a", "a", "a"], ["a", "a", "b"]) == evaluate(["a", "a", "b"], ["a", "b", "b"], drawn)
    assert cells.counts(drawn).tolist() == [[2, 1], [0, 0]]
    assert np.isnan(f1_by_class(Cells(["a", "b"], ["a", "b"]).counts(np.array([1, 0])))).tolist() == [False, True]


def test_by_hand() -> None:
    # a: 2 of 3 right, b: 1 of 1; precision of a is 1, of b 1/2
    found = evaluate(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    expected = {"accuracy": 3 / 4, "balanced_accuracy": 5 / 6, "macro_f1": (4 / 5 + 2 / 3) / 2}
    assert found == pytest.approx(expected | {"weighted_f1": (3 * 4 / 5 + 2 / 3) / 4})


def scored(seed: int):
    """True classes, scores of which many are equal, and draws."""
    rng = np.random.default_rng(seed)
    classes = 3 + seed % 4
    true = rng.integers(classes, size=20)
    return classes, true, rng.integers(4, size=(20, classes)) / 2, rng.integers(1, 4, size=20)


def test_200_cases_of_top_k_equal_a_plain_loop() -> None:
    for seed in range(200):
        classes, true, scores, _ = scored(seed)
        orders = [sorted(range(classes), key=lambda c: (row[c], c), reverse=True) for row in scores.tolist()]
        for k in (1, classes - 1, classes):
            expected = [name in order[:k] for name, order in zip(true.tolist(), orders, strict=True)]
            assert in_top(true, scores, k).tolist() == expected


@pytest.mark.parametrize("seed", TENS)
def test_top_k_equals_scikit_learn_with_ties(seed: int) -> None:
    for case in range(seed, seed + 10):
        equals_top_k(case)


def equals_top_k(seed: int) -> None:
    classes, true, scores, drawn = scored(seed)
    for k in (1, classes - 1):
        expected = top_k_accuracy_score(true, scores, k=k, labels=np.arange(classes), sample_weight=drawn)
        assert np.average(in_top(true, scores, k), weights=drawn) == pytest.approx(expected, rel=1e-12)
    assert in_top(true, scores, classes).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="2 true labels and 1 predicted"):
        evaluate(["a", "b"], ["a"])
    with pytest.raises(InputError, match="0 true labels"):
        evaluate([], [])
    true, scores = np.array([0, 1]), np.array([[0.0, 1], [np.nan, 0]])
    with pytest.raises(InputError, match=r"rows 1$"):
        in_top(true, scores, 1)
    with pytest.raises(InputError, match="k is 3, true classes are 0 to 1, but there are 2 columns"):
        in_top(true, np.zeros((2, 2)), 3)
    with pytest.raises(InputError, match=r"true classes are \(2,\), scores \(3, 2\)"):
        in_top(true, np.zeros((3, 2)), 1)

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from crossmodal.errors import InputError
from crossmodal.metrics.classification import confusion, evaluate


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["cello", "violino", "ömer", "zurna", "never true"])
    true, predicted = names[rng.integers(4, size=60)], names[rng.integers(5, size=60)]
    classes, counts = confusion(true, predicted)
    np.testing.assert_array_equal(classes, np.unique([*true, *predicted]))
    np.testing.assert_array_equal(counts, confusion_matrix(true, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the class that is never true
        expected = {
            "accuracy": accuracy_score(true, predicted),
            "balanced_accuracy": balanced_accuracy_score(true, predicted),
            "macro_f1": f1_score(true, predicted, average="macro"),
        }
    assert evaluate(true, predicted) == pytest.approx(expected, rel=1e-12)


def test_by_hand() -> None:
    # a: 2 of 3 right, b: 1 of 1; precision of a is 1, of b 1/2
    found = evaluate(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    assert found == pytest.approx({"accuracy": 3 / 4, "balanced_accuracy": 5 / 6, "macro_f1": (4 / 5 + 2 / 3) / 2})


def test_other_lengths_and_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="2 true labels and 1 predicted"):
        evaluate(["a", "b"], ["a"])
    with pytest.raises(InputError, match="0 true labels"):
        evaluate([], [])

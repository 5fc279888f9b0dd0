"""The weighted key score against mir_eval, and by hand."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics.key import KEYS, RELATIONS, chance, evaluate, relations, scores


def test_200_random_pairs_equal_mir_eval() -> None:
    rng = np.random.default_rng(0)
    spelt = [*KEYS, "C# minor", "a# major", "X", "D other"]
    true, estimated = ([spelt[i] for i in rng.integers(len(spelt), size=200)] for _ in range(2))
    estimated[:20] = true[:20]
    expected = [mir_eval.key.weighted_score(*pair) for pair in zip(true, estimated, strict=True)]
    assert scores(true, estimated).tolist() == expected
    assert evaluate(true, estimated)["weighted_score"] == pytest.approx(np.mean(expected))
    assert sum(relations(scores(true, estimated)).values()) == 200


def test_each_relation_by_hand() -> None:
    true = ["C major"] * 6 + ["A minor"] * 2
    estimated = ["C major", "G major", "A minor", "C minor", "F major", "E minor", "C major", "E minor"]
    found = scores(true, estimated)
    assert found.tolist() == [1, 0.5, 0.3, 0.2, 0, 0, 0.3, 0.5]  # a fifth below the truth is another key
    assert relations(found) == {"correct": 1, "fifth": 2, "relative": 2, "parallel": 1, "other": 2}
    assert relations(found, np.array([3, 0, 1, 0, 0, 2, 0, 0])) == {
        "correct": 3,
        "fifth": 0,
        "relative": 1,
        "parallel": 0,
        "other": 2,
    }
    shares = {"weighted_score": 2.8 / 8, "correct": 1 / 8, "fifth": 0.25, "relative": 0.25, "parallel": 1 / 8}
    assert evaluate(true, estimated) == pytest.approx(shares | {"other": 0.25})
    assert list(RELATIONS.values()) == list(relations(found))


def test_chance_is_one_right_key_of_24_and_the_relations_beside_it() -> None:
    assert len(set(KEYS)) == 24
    assert chance(["Eb minor", "C major"]) == pytest.approx((1 + 0.5 + 0.3 + 0.2) / 24)


def test_what_is_no_key_is_told_with_its_row() -> None:
    with pytest.raises(InputError, match="key, row 1: "):
        scores(["C major", "H major"], ["C major", "C major"])
    with pytest.raises(InputError, match="1 true keys and 2 estimated"):
        scores(["C major"], ["C major", "C major"])
    with pytest.raises(InputError, match="0 true keys"):
        evaluate([], [])

"""Votes of neighbours equal scikit-learn's and a plain loop's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from head_parts import parts
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from crossmodal.heads import Examples
from crossmodal.heads.neighbours import Neighbours


def cosines(train: Examples, asked: Examples) -> np.ndarray:
    standard = StandardScaler().fit(train.features.astype(np.float64))
    rows, queries = (standard.transform(e.features) for e in (train, asked))
    rows, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, queries))
    return queries @ rows.T


def voted(train: Examples, asked: Examples, k: int, weighting: str) -> np.ndarray:
    """A plain loop."""
    scores = np.zeros((len(asked.features), 3))
    for row, near in enumerate(cosines(train, asked)):
        best = np.argsort(-near)[:k]
        weights = np.exp(near[best] / 0.07) if weighting == "similarity" else np.ones(len(best))
        for tag in range(3):
            truth = train.truth[best, tag]
            known = weights[truth >= 0].sum()
            if known:
                scores[row, tag] = weights[truth == 1].sum() / known
            else:
                scores[row, tag] = (train.truth[:, tag] == 1).sum() / (train.truth[:, tag] >= 0).sum()
    return scores


def test_even_votes_are_scikit_learns() -> None:
    train, valid, judged = parts(True, distance=0.7)
    standard = StandardScaler().fit(train.features)
    near = KNeighborsClassifier(7, metric="cosine").fit(standard.transform(train.features), train.labels)
    head = Neighbours([7], ["uniform"]).fit(train, valid, refit=False)
    wanted = near.predict_proba(standard.transform(judged.features))
    assert judged.scores(head.logits(judged.features)) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_votes_and_choice_are_those_of_a_plain_loop(exclusive: bool, seed: int) -> None:
    train, valid, judged = parts(exclusive, seed, unknown=0.4, distance=0.5)

    def quality(option: tuple[int, str]) -> float:
        scores = voted(train, valid, *option)
        if exclusive:
            return balanced_accuracy_score(valid.labels, scores.argmax(axis=1))
        known = valid.truth >= 0
        each = [average_precision_score(valid.truth[k, t], scores[k, t].round(9)) for t, k in enumerate(known.T)]
        return float(np.mean(each))

    options = list(product([1, 3, 12, 500], ["uniform", "similarity"]))
    found = np.array([quality(option) for option in options]).round(9)
    head = Neighbours([1, 3, 12, 500]).fit(train, valid, refit=False)
    chosen = options[int(found.argmax())]
    assert (head.chosen["k"], head.chosen["weighting"]) == chosen
    assert judged.scores(head.logits(judged.features)) == pytest.approx(voted(train, judged, *chosen), abs=1e-5)


def test_tracks_of_valid_vote_too_when_asked() -> None:
    train, valid, judged = parts(False)
    head = Neighbours([5], ["uniform"]).fit(train, valid)
    wanted = voted(train.joined(valid), judged, 5, "uniform")
    assert judged.scores(head.logits(judged.features)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "index",
    [
        "ivf",
        pytest.param("auto", marks=pytest.mark.slow),
        pytest.param("hnsw", marks=pytest.mark.slow),
        pytest.param("ivfpq", marks=pytest.mark.slow),
    ],
)
def test_any_index_of_the_package_finds_almost_the_same(index: str) -> None:
    train, valid, judged = parts(True, dim=8)
    rng = np.random.default_rng(0)
    train = Examples.of_tracks(
        np.repeat(train.features, 8, axis=0) + rng.normal(size=(720, 8)).astype(np.float32) / 4,
        np.repeat(train.truth, 8, axis=0),
        True,
    )
    settings = {"name": index}
    first, other = (
        Neighbours([5], ["similarity"], block).fit(train, valid, refit=False).logits(judged.features)
        for block in ({"name": "flat"}, settings)
    )
    assert np.isclose(other, first, atol=1e-3).mean() > 0.95

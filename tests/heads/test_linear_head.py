"""The linear head equals scikit-learn's, its choice a plain loop's."""

from __future__ import annotations

import numpy as np
import pytest
from head_parts import parts, segmented
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crossmodal.heads import Examples
from crossmodal.heads.linear import Linear

C = [0.001, 0.1, 10.0]


def test_exclusive_tags_are_scikit_learns() -> None:
    train, valid, judged = parts(True, distance=0.6)

    def fitted(examples: list[Examples], c: float):
        rows, labels = np.concatenate([e.features for e in examples]), np.concatenate([e.labels for e in examples])
        line = LogisticRegression(C=c, max_iter=2000, class_weight="balanced")
        return make_pipeline(StandardScaler(), line).fit(rows, labels)

    found = [balanced_accuracy_score(valid.labels, fitted([train], c).predict(valid.features)) for c in C]
    chosen = C[int(np.argmax(found))]
    assert len(set(found)) > 1
    for refit, examples in ((True, [train, valid]), (False, [train])):
        head = Linear(C).fit(train, valid, refit=refit)
        assert head.chosen == {"c": chosen}
        wanted = fitted(examples, chosen).predict_proba(judged.features)
        assert judged.scores(head.logits(judged.features)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "seed",
    [
        0,
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(4, marks=pytest.mark.slow),
    ],
)
def test_independent_tags_are_scikit_learns_of_the_tracks_that_are_known(seed: int) -> None:
    train, valid, judged = parts(False, seed, unknown=0.25, distance=0.5)
    standard = StandardScaler().fit(train.features.astype(np.float64))

    def fitted(c: float) -> list[np.ndarray]:
        scores = []
        for tag in range(3):
            rows = train.truth[:, tag] >= 0
            line = LogisticRegression(C=c, tol=1e-10, max_iter=5000)
            line.fit(standard.transform(train.features.astype(np.float64))[rows], train.truth[rows, tag])
            scores.append([line.decision_function(standard.transform(e.features)) for e in (valid, judged)])
        return [np.stack(found, axis=1) for found in zip(*scores, strict=True)]  # (tracks, tags) of valid and judged

    quality, logits = [], []
    for c in C:
        on_valid, on_judged = fitted(c)
        known = valid.truth >= 0
        each = [average_precision_score(valid.truth[k, t], on_valid[k, t]) for t, k in enumerate(known.T)]
        quality.append(np.mean(each))
        logits.append(on_judged)
    head = Linear(C[::-1]).fit(train, valid, refit=False)
    best = int(np.argmax(np.round(quality, 12)[::-1]))
    assert head.chosen == {"c": C[::-1][best]}
    assert head.logits(judged.features) == pytest.approx(logits[::-1][best], abs=2e-4)


def test_a_tag_that_all_tracks_have_is_no_reason_to_fail() -> None:
    train, valid, judged = parts(False)
    train.truth[:, 1] = 1
    logits = Linear(C).fit(train, valid, refit=False).logits(judged.features)
    assert np.isfinite(logits).all()
    assert (logits[:, 1] > 0).all()


def test_two_exclusive_tags_and_one_of_valid_alone() -> None:
    train, valid, judged = parts(True)
    two = [Examples.of_tracks(e.features[e.labels < 2], e.truth[e.labels < 2], True) for e in (train, judged)]
    found = Linear(C).fit(two[0], valid, refit=False).logits(two[1].features)
    assert (found[:, 2] == -np.inf).all()
    assert (found[:, :2].argmax(axis=1) == two[1].labels).mean() > 0.9


@pytest.mark.slow
def test_segments_are_weighed_by_their_share_of_the_track() -> None:
    train, valid, judged = parts(True, distance=0.6)
    rows = segmented(train)
    scaled = StandardScaler().fit(rows.features)
    line = LogisticRegression(C=0.1, max_iter=2000)
    line.fit(scaled.transform(rows.features), rows.labels[rows.track], sample_weight=rows.weights)
    head = Linear([0.1], balanced=False).fit(rows, valid, refit=False)
    wanted = line.predict_proba(scaled.transform(judged.features))
    assert judged.scores(head.logits(judged.features)) == pytest.approx(wanted, abs=1e-6)
    many = segmented(parts(False, distance=0.6)[0])
    scaled = StandardScaler().fit(many.features.astype(np.float64))
    line.set_params(tol=1e-10)
    line.fit(scaled.transform(many.features.astype(np.float64)), many.truth[many.track, 0], sample_weight=many.weights)
    found = Linear([0.1]).fit(many, parts(False)[1], refit=False).logits(judged.features)[:, 0]
    assert found == pytest.approx(line.decision_function(scaled.transform(judged.features)), abs=1e-4)

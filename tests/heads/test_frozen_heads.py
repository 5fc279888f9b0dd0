"""What all heads are given, and what all of them keep to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from head_parts import parts, segmented
from scipy.special import expit, softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.heads import Examples, logits_of, probabilities

FAST = {
    "linear": {"c": [0.01, 1.0]},
    "mlp": {"hidden": 32, "lr": [0.03], "weight_decay": [0.01], "epochs": 40},
    "neighbours": {"k": [1, 5, 10]},
    "clmr": {"epochs": 60, "lr": 0.01},
    "deezer": {"lr": [0.01, 0.1], "epochs": 40, "activation": "sigmoid"},
}
NAMES = registry.names("heads")
SETTINGS = {name: FAST.get(name, {}) for name in NAMES}


def test_the_heads_that_there_should_be_are_there() -> None:
    assert set(FAST) <= set(NAMES)


@pytest.mark.parametrize("aggregate", ["logits", "probabilities"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_scores_of_tracks_are_those_of_a_plain_loop(exclusive: bool, aggregate: str) -> None:
    part = segmented(parts(exclusive)[2], aggregate=aggregate)
    logits = np.random.default_rng(1).normal(size=(len(part.features), 3)) * 3
    link = (lambda row: softmax(row)) if exclusive else expit
    for track, found in enumerate(part.scores(logits)):
        rows = np.flatnonzero(part.track == track)
        if aggregate == "logits":
            wanted = link(sum(part.weights[row] * logits[row] for row in rows))
        else:
            wanted = sum(part.weights[row] * link(logits[row]) for row in rows)
        assert found == pytest.approx(wanted, abs=1e-12)


def test_log_losses_are_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    one, several = parts(True)[0], parts(False, unknown=0.3)[0]
    scores = softmax(rng.normal(size=one.truth.shape), axis=1)
    assert one.log_loss(scores) == pytest.approx(log_loss(one.labels, scores))
    scores, known = expit(rng.normal(size=several.truth.shape)), several.truth >= 0
    assert 0 < known.sum() < known.size
    assert several.log_loss(scores) == pytest.approx(log_loss(several.truth[known], scores[known]))


def test_parts_join_in_order() -> None:
    first, second = (segmented(part, seed) for seed, part in enumerate(parts(False)[:2]))
    both = first.joined(second)
    assert both.truth[both.track[len(first.track) :]].tolist() == second.truth[second.track].tolist()
    assert both.features[: len(first.features)].tolist() == first.features.tolist()
    assert np.bincount(both.track, both.weights) == pytest.approx(np.ones(len(both.truth)))


@pytest.mark.parametrize("exclusive", [True, False])
def test_probabilities_survive_as_logits(exclusive: bool) -> None:
    scores = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    assert probabilities(logits_of(scores, exclusive), exclusive) == pytest.approx(scores, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_every_head_tells_exclusive_tags_apart(name: str) -> None:
    train, valid, judged = parts(True)
    fitted = registry.build("heads", name, **SETTINGS[name]).fit(train, valid)
    scores = judged.scores(fitted.logits(judged.features))
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(scores)))
    assert balanced_accuracy_score(judged.labels, scores.argmax(axis=1)) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_head_ranks_independent_tags_some_of_them_unknown(name: str) -> None:
    train, valid, judged = parts(False, unknown=0.2)
    fitted = registry.build("heads", name, **SETTINGS[name]).fit(train, valid)
    scores, known = judged.scores(fitted.logits(judged.features)), judged.truth >= 0
    found = [roc_auc_score(judged.truth[rows, tag], scores[rows, tag]) for tag, rows in enumerate(known.T)]
    assert min(found) > 0.75


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("exclusive", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_fit_is_that_of_its_seed_and_draws_from_no_global_generator(name: str, exclusive: bool) -> None:
    train, valid, judged = parts(exclusive)
    head = registry.build("heads", name, **SETTINGS[name] | ({"epochs": 5} if "epochs" in SETTINGS[name] else {}))
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002 (the generator nobody may use)
    first, again, other = (head.fit(train, valid, seed).logits(judged.features) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) != head.draws
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"neighbours"}))
def test_unknown_tags_do_not_count(name: str) -> None:
    """What stands in the rows of tracks of which nothing is known changes nothing.

    Of neighbours it does: such a row takes a place among the nearest, though it has no vote.
    """
    train, valid, judged = parts(False)
    train.truth[::3] = -1
    noise = train.features.copy()
    noise[::3] = noise[::3][::-1]  # the same values, so that mean and deviation stay
    head = registry.build("heads", name, **SETTINGS[name] | ({"epochs": 5} if "epochs" in SETTINGS[name] else {}))
    first, other = (
        head.fit(Examples.of_tracks(rows, train.truth, False), valid, refit=False).logits(judged.features)
        for rows in (train.features, noise)
    )
    assert first == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("linear", {"c": []}, "head linear: c is empty"),
        ("mlp", {"lr": []}, "head mlp: lr is empty"),
        ("mlp", {"weight_decay": []}, "head mlp: weight_decay is empty"),
        ("neighbours", {"k": []}, "head neighbours: k is empty"),
        ("neighbours", {"weighting": []}, "head neighbours: weighting is empty"),
        ("neighbours", {"index": {"name": "flatt"}}, "flatt"),
        ("deezer", {"lr": []}, "head deezer: lr is empty"),
        ("linear", {"c": [0]}, r"c is \[0\]"),
    ],
)
def test_impossible_settings_are_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.build("heads", name, **settings)

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from stands import several, stand, two_tagsets

from crossmodal.errors import InputError
from crossmodal.heads.linear import Linear
from crossmodal.tasks._frozen import labelled
from crossmodal.tasks._measures import INDEPENDENT
from crossmodal.tasks._sampling import samples
from crossmodal.tasks._tagsets import tagsets_of
from crossmodal.tasks.limited_labels import LimitedLabels
from crossmodal.tasks.probe import Probe

HEAD = {"name": "linear", "c": [0.01, 1.0]}


def test_a_curve_is_a_plain_loop_over_draws_and_shares() -> None:
    data, shares = stand(1.0), [0.05, 0.5, 1.0]
    task = LimitedLabels(["instrument"], HEAD, shares=shares, repeats=3, draws=30, measures=["balanced_accuracy"])
    judgement = task.evaluate(data)
    tagset = tagsets_of(data, None, "test")[0][0]
    train, valid, judged = (
        labelled(data, part, tagset, "features", task.views.train, 0) for part in ("train", "valid", "test")
    )
    values: dict[float, list[float]] = {share: [] for share in shares}
    sizes = {share: [] for share in shares}
    for number in range(3):
        drawn = samples(train.examples.truth, train.ids, shares, True, (number, 0))
        for share in shares:
            some = train.examples.select(drawn[share])
            assert len(np.unique(some.labels)) == 3
            fitted = Linear([0.01, 1.0]).fit(some, valid.examples, refit=False)
            predicted = fitted.logits(judged.examples.features).argmax(axis=1)
            values[share].append(balanced_accuracy_score(judged.examples.labels, predicted))
            sizes[share].append(len(drawn[share]))
    values[1.0] = values[1.0][:1]  # nothing is drawn of all tracks
    for share in shares:
        figure = judgement.metrics[f"instrument@{100 * share:g}%/balanced_accuracy"]
        assert figure.value == pytest.approx(np.mean(values[share]))
        assert figure.more["tracks"] == np.mean(sizes[share])
        assert figure.more["repeats"] == len(values[share])
        assert figure.low <= figure.value <= figure.high
        if share < 1:
            assert figure.more["sd"] == pytest.approx(np.std(values[share], ddof=1))
    curve = judgement.tables["curve/instrument"]
    assert list(curve.columns) == ["share", "draw", "seed", "metric", "value", "tracks"]
    assert len(curve) == 7
    assert curve[curve["share"] == 0.05]["value"].tolist() == pytest.approx(values[0.05])
    assert values[0.05] != values[1.0] * 3


def test_figures_of_valid_say_that_choices_were_made_on_it() -> None:
    task, data = LimitedLabels(["instrument"], HEAD, shares=[0.5], repeats=1, draws=0), stand(1.0)
    assert task.evaluate(data, "valid").metrics["instrument@50%/accuracy"].more["chosen_on"] == "valid"
    with pytest.raises(InputError, match="part train cannot be judged"):
        task.evaluate(data, "train")


def test_tracks_whose_tag_training_has_not_are_errors() -> None:
    task = LimitedLabels(["instrument"], HEAD, shares=[1.0], repeats=1, draws=0)
    found = task.evaluate(stand(50.0, renamed="rebab"))
    assert found.metrics["instrument@100%/balanced_accuracy"].value == pytest.approx(2 / 3)
    assert found.metrics["instrument@100%/accuracy"].more["unseen"] == ["rebab"]


def test_tagsets_may_be_asked_jointly() -> None:
    settings = {"tagsets": ["mood", "mood/theme"], "head": HEAD, "draws": 0, "joint": "top3"}
    found = LimitedLabels(**settings, shares=[0.1, 1.0], repeats=1).evaluate(two_tagsets(1.0))
    wanted = Probe(**settings, refit=False).evaluate(two_tagsets(1.0)).metrics["top3/macro_roc_auc"]
    assert found.metrics["top3@100%/macro_roc_auc"].value == wanted.value
    assert found.metrics["top3@100%/macro_roc_auc"].candidates == 3
    assert set(found.tables) == {"curve/top3"}


@pytest.mark.slow
def test_more_labels_find_more() -> None:
    curve = LimitedLabels(shares=[0.01, 1.0], repeats=2, draws=0).evaluate(several(2.0)).tables["curve/mood"]
    mean = curve[curve["metric"] == "macro_roc_auc"].groupby("share")["value"].mean()
    assert mean[1.0] > mean[0.01] + 0.05
    assert set(curve["metric"]) == set(INDEPENDENT)


@pytest.mark.slow
def test_all_labels_are_the_probe_that_is_not_fitted_again() -> None:
    data = stand(0.8)
    whole = LimitedLabels(["instrument"], HEAD, shares=[1.0], draws=40).evaluate(data).metrics
    probe = Probe(["instrument"], HEAD, refit=False, draws=40).evaluate(data).metrics["instrument/accuracy"]
    figure = whole["instrument@100%/accuracy"]
    assert (figure.value, figure.low, figure.high) == (probe.value, probe.low, probe.high)
    assert figure.units == probe.units


@pytest.mark.slow
def test_a_head_that_draws_is_drawn_for_all_tracks_too() -> None:
    head = {"name": "mlp", "hidden": 4, "lr": [0.01], "weight_decay": [0.0], "epochs": 2}
    found = LimitedLabels(["instrument"], head, shares=[1.0], repeats=2, draws=0).evaluate(stand(1.0))
    assert found.tables["curve/instrument"]["seed"].unique().tolist() == [0, 1]


@pytest.mark.slow
def test_valid_may_be_as_limited_and_groups_are_drawn_as_wholes() -> None:
    data = stand(1.0)
    seen: list[tuple[int, int]] = []
    task = LimitedLabels(["instrument"], HEAD, shares=[0.1], repeats=1, by="groups", valid="share", draws=0)
    fit = task.head.fit

    def watched(train, valid, seed, refit):
        assert not refit
        seen.append((len(train.truth), len(valid.truth)))
        return fit(train, valid, seed, refit)

    task.head.fit = watched
    task.evaluate(data)
    tagset = tagsets_of(data, None, "test")[0][0]
    train, valid = (labelled(data, name, tagset, "features", task.views.train, 0) for name in ("train", "valid"))
    sizes = [len(samples(p.examples.truth, p.groups, [0.1], True, (0, n))[0.1]) for n, p in enumerate((train, valid))]
    assert seen == [tuple(sizes)]
    assert 10 <= sizes[0] <= 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": []}, "shares are above 0"),
        ({"shares": [0.0, 1.0]}, "shares are above 0"),
        ({"tagsets": []}, "limited_labels: tagsets is empty"),
        ({"measures": ["auc"]}, "limited_labels: measures has no auc"),
        ({"head": {"name": "linera"}}, "linear"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LimitedLabels(**settings)


def test_a_share_that_holds_no_fewer_tracks_than_a_larger_one_is_left_out() -> None:
    shares = [0.01, 0.02, 0.05, 0.2, 1.0]  # of 120 tracks with one of three tags: 3, 3, 6, 24, 120
    task = LimitedLabels(["instrument"], HEAD, shares=shares, repeats=2, draws=0, measures=["accuracy"])
    found = task.evaluate(stand(1.0))
    tracks = {name: figure.more["tracks"] for name, figure in found.metrics.items()}
    assert tracks == {f"instrument@{name}%/accuracy": size for name, size in ((2, 3), (5, 6), (20, 24), (100, 120))}
    why = "every tag keeps a track, so it holds 3 tracks, no fewer than the 3 of 2%"
    assert found.left_out == {"instrument@1%": why}
    assert set(found.tables["curve/instrument"]["share"]) == {0.02, 0.05, 0.2, 1.0}
    alike = LimitedLabels(["instrument"], HEAD, shares=[0.001, 0.01, 0.02], repeats=1, draws=0).evaluate(stand(1.0))
    assert alike.left_out == dict.fromkeys(["instrument@0.1%", "instrument@1%"], why)

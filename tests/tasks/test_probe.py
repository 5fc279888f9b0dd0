from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stands import CLASSES, Stand, several, stand, two_tagsets

from crossmodal.errors import InputError
from crossmodal.tasks._frozen import labelled, views
from crossmodal.tasks._reader import head_of
from crossmodal.tasks._tagsets import tagsets_of
from crossmodal.tasks.probe import Probe


def found(probe: Probe, data: Stand, name: str = "instrument/balanced_accuracy") -> dict:
    return probe.evaluate(data).as_dict()[name]


def test_separable_classes_are_told_apart() -> None:
    figure = found(Probe(["instrument"], draws=50), stand(50.0))
    assert (figure["value"], figure["low"], figure["high"]) == (1.0, 1.0, 1.0)
    assert (figure["queries"], figure["candidates"], figure["chance"]) == (57, 3, pytest.approx(1 / 3))
    assert figure["c"] == 0.001  # the first of those that are equally good
    assert figure["unlabelled"] == 3


@pytest.mark.slow
def test_noise_stays_at_chance_within_its_interval() -> None:
    figure = found(Probe(["instrument"], draws=200), stand(0.0))
    assert figure["low"] < 1 / 3 < figure["high"]
    assert 0 < figure["low"] < figure["value"] < figure["high"] < 1


@pytest.mark.slow
def test_the_layer_is_the_one_asked_for() -> None:
    features, vectors = (
        found(Probe(["instrument"], layer=layer, draws=0), stand(5.0))["value"] for layer in ("features", "vectors")
    )
    assert features > 0.95
    assert vectors < 0.6


@pytest.mark.slow
def test_the_interval_holds_the_value_and_is_that_of_its_seed() -> None:
    probe = Probe(["instrument"], draws=100, seed=1)
    first, again = (found(probe, stand(1.0)) for _ in range(2))
    assert first == again
    assert first["low"] < first["value"] < first["high"]


@pytest.mark.parametrize("names", [["instrument"], None])
def test_tracks_whose_tag_training_has_not_are_errors_and_the_tag_is_named(names: list[str] | None) -> None:
    probe, data = Probe(names, {"name": "linear", "c": [0.1]}, draws=0), stand(50.0, renamed="rebab")
    judgement = probe.evaluate(data)
    truth, scores = (judgement.tables[f"instrument/{name}"] for name in ("truth", "scores"))
    assert list(truth) == list(scores) == [*CLASSES, "rebab"]
    assert (scores["rebab"] == 0).all()
    lost = truth["rebab"].mean()
    assert 0 < lost < 1
    found = judgement.metrics
    assert found["instrument/accuracy"].value == pytest.approx(1 - lost)
    assert found["instrument/accuracy"].chance == pytest.approx((1 - lost) / 3)
    assert found["instrument/balanced_accuracy"].value == pytest.approx(2 / 3)  # cello and ney, of these and rebab
    assert found["instrument/balanced_accuracy"].chance == pytest.approx(2 / 3 / 3)
    assert found["instrument/macro_f1"].more["unseen"] == ["rebab"]
    assert (found["instrument/accuracy"].queries, found["instrument/accuracy"].more["unlabelled"]) == (57, 3)
    assert set(probe.predict(data, "instrument").labels) == {"cello", "ney", "rebab"}


def test_an_independent_tag_that_training_has_not_is_undefined() -> None:
    data = several(1.5)
    tags = data.manifest.tags
    renamed = tags["track_id"].str.startswith("test") & (tags["tag"] == "ney")
    data.manifest = replace(data.manifest, tags=tags.assign(tag=tags["tag"].mask(renamed, "rebab")))
    judgement = Probe(draws=0, measures=["macro_roc_auc"]).evaluate(data)
    figure = judgement.metrics["mood/macro_roc_auc"]
    truth, scores = (judgement.tables[f"mood/{name}"].to_numpy() for name in ("truth", "scores"))
    assert (figure.more["unseen"], figure.more["undefined"]) == (["rebab"], ["ney", "rebab"])
    assert figure.value == pytest.approx(roc_auc_score(truth[:, [0, 2]], scores[:, [0, 2]]))
    assert figure.queries == 55


@pytest.mark.parametrize("head", [{"name": "linear", "c": [1.0]}, {"name": "neighbours", "k": [1]}])
def test_what_is_judged_is_never_learned_from(head: dict) -> None:
    data = stand(0.0)
    valid, unfitted = (Probe(head=head, refit=refit, draws=0).evaluate(data, "valid") for refit in (True, False))
    figure = valid.metrics["instrument/accuracy"]
    assert figure.value == unfitted.metrics["instrument/accuracy"].value < 0.6
    assert figure.more["chosen_on"] == "valid"
    assert "chosen_on" not in Probe(head=head, draws=0).evaluate(data).metrics["instrument/accuracy"].more
    with pytest.raises(InputError, match="part train cannot be judged by what is fitted on it; judge valid or test"):
        Probe(head=head).evaluate(data, "train")


def test_a_tagset_that_the_judged_part_has_one_class_of_is_left_out() -> None:
    data = stand(5.0)
    tags = data.manifest.tags
    same = tags.assign(tagset="place", tag=tags["tag"].mask(tags["track_id"].str.startswith("test"), "oud"))
    tags = pd.concat([tags, same])
    data.manifest = replace(data.manifest, tags=tags, annotated=tags[["track_id", "tagset"]])
    judgement = Probe(draws=0, measures=["accuracy"]).evaluate(data)
    assert list(judgement.metrics) == ["instrument/accuracy"]
    assert judgement.left_out == {"place": "all tracks of test are oud"}
    with pytest.raises(InputError, match="tagset 'place': all tracks of test are oud"):
        Probe(["place"]).evaluate(data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tagsets": ["makam"]}, "there is no tagset makam with tags; there are: instrument"),
        ({"tagsets": []}, "probe: tagsets is empty"),
        ({"measures": ["balanced"]}, "probe: measures has no balanced; there are balanced_accuracy, accuracy"),
        ({"measures": []}, "probe: measures has no name"),
        ({"head": {"c": [1.0]}}, "probe: head lacks the name of a plug-in; there are clmr"),
        ({"head": {"name": "linear", "k": 1}}, "no setting 'k'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Probe(**settings).evaluate(stand(1.0))


def test_measures_suit_the_tagset() -> None:
    with pytest.raises(
        InputError, match=r"'mood' is of independent tags, whose measures are macro_roc_auc, .* accuracy"
    ):
        Probe(measures=["accuracy"]).evaluate(several(1.0))


def test_predictions_are_those_that_are_scored_and_anyone_can_score_the_tables() -> None:
    probe, data = Probe(["instrument"], draws=0), stand(1.0)
    made = probe.predict(data, "instrument")
    assert list(made.labels) == list(data.part("test").labels("instrument"))
    judgement = probe.evaluate(data)
    truth, scores = (judgement.tables[f"instrument/{name}"] for name in ("truth", "scores"))
    assert list(truth.columns) == list(scores.columns) == list(CLASSES)
    assert truth.index.name == scores.index.name == "track_id"
    assert truth.dtypes.eq("int8").all()
    true, predicted = (np.array(CLASSES)[table.to_numpy().argmax(axis=1)] for table in (truth, scores))
    assert list(predicted) == list(made.predicted)
    values = {name: figure["value"] for name, figure in judgement.as_dict().items()}
    assert values == {
        "instrument/balanced_accuracy": pytest.approx(balanced_accuracy_score(true, predicted)),
        "instrument/accuracy": pytest.approx(np.mean(true == predicted)),
        "instrument/macro_f1": pytest.approx(f1_score(true, predicted, average="macro")),
    }
    assert 0.4 < values["instrument/balanced_accuracy"] < 1


def test_independent_tags_are_ranked_and_unknown_tracks_left_out() -> None:
    judgement = Probe(["mood"], draws=60).evaluate(several(1.5))
    truth, scores = (judgement.tables[f"mood/{name}"].to_numpy() for name in ("truth", "scores"))
    assert truth.shape == (55, 3)
    assert judgement.primary == "macro_roc_auc"
    figures = judgement.as_dict()
    wanted = {
        "macro_roc_auc": roc_auc_score(truth, scores),
        "macro_average_precision": average_precision_score(truth, scores),
        "micro_roc_auc": roc_auc_score(truth, scores, average="micro"),
        "micro_average_precision": average_precision_score(truth, scores, average="micro"),
    }
    assert {name: figures[f"mood/{name}"]["value"] for name in wanted} == pytest.approx(wanted)
    for figure in figures.values():
        assert figure["low"] < figure["value"] < figure["high"]
        assert figure["chance"] < figure["low"]
        assert (figure["queries"], figure["candidates"], figure["unlabelled"], figure["undefined"]) == (55, 3, 5, [])


def test_tagsets_that_are_asked_jointly_are_the_mean_over_all_their_tags() -> None:
    data = two_tagsets(1.5)
    probe = Probe(["mood", "mood/theme"], {"name": "linear", "c": [0.1]}, draws=20, joint="top3")
    judgement = probe.evaluate(data)
    truth, scores = (judgement.tables[f"top3/{name}"] for name in ("truth", "scores"))
    assert list(truth) == list(scores) == ["mood/cello", "mood/oud", "mood/theme/oud"]
    manifest = data.part("test")
    assert list(truth.index) == [f"test{n}" for n in range(8, 60)]
    for name in truth:
        tagset, _, tag = name.rpartition("/")
        rows = manifest.tags[(manifest.tags["tagset"] == tagset) & (manifest.tags["tag"] == tag)]
        assert set(truth.index[truth[name] == 1]) == set(rows["track_id"]) & set(truth.index)
    figures = judgement.as_dict()
    for measure, by_tag in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        each = [by_tag(truth[name], scores[name]) for name in truth]
        assert figures[f"top3/macro_{measure}"]["value"] == pytest.approx(np.mean(each))
    for figure in figures.values():
        assert (figure["queries"], figure["candidates"], figure["unlabelled"], figure["undefined"]) == (52, 3, 8, [])
        assert figure["low"] < figure["value"] < figure["high"]
    assert {name.rpartition("/")[0] for name in figures} == {"top3"}
    np.testing.assert_array_equal(probe.predict(data, "top3").scores[0], scores.to_numpy())


def test_tags_that_are_asked_jointly_are_independent_also_where_each_track_has_one() -> None:
    data = stand(3.0)
    tags = data.manifest.tags
    tags = tags.assign(tagset=tags["tagset"].mask(tags["tag"] == "oud", "plucked"))
    known = tags[["track_id"]].merge(pd.DataFrame({"tagset": ["instrument", "plucked"]}), how="cross")
    data.manifest = replace(data.manifest, tags=tags, annotated=known)
    judgement = Probe(joint="all", draws=0).evaluate(data)
    assert judgement.primary == "macro_roc_auc"
    truth = judgement.tables["all/truth"]
    assert (truth.sum(axis=1) == 1).all()
    assert (len(truth), judgement.metrics["all/macro_roc_auc"].more["unlabelled"]) == (57, 3)


@pytest.mark.parametrize(
    ("tagsets", "joint", "message"),
    [
        (["mood"], "top3", "joint 'top3' is of mood alone; it names what two tagsets or more are together"),
        (["mood", "mood"], "top3", "is of mood alone"),
        (None, "mood", "joint 'mood' is no new name"),
        (["mood", "mood/theme"], "", "joint '' is no new name"),
        (["mood", "genre"], "top3", "there is no tagset genre with tags; there are: mood, mood/theme"),
    ],
)
def test_what_cannot_be_asked_jointly_is_refused(tagsets: list[str] | None, joint: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Probe(tagsets, joint=joint).evaluate(two_tagsets(1.0))


def test_a_tag_that_no_judged_track_has_is_named_and_left_out() -> None:
    data = several(1.5)
    tags = data.manifest.tags
    gone = tags["track_id"].str.startswith("test") & (tags["tag"] == "ney")
    data.manifest = replace(data.manifest, tags=tags[~gone])
    judgement = Probe(["mood"], draws=0, measures=["macro_roc_auc"]).evaluate(data)
    truth, scores = (judgement.tables[f"mood/{name}"].to_numpy() for name in ("truth", "scores"))
    figure = judgement.as_dict()["mood/macro_roc_auc"]
    assert figure["undefined"] == ["ney"]
    assert figure["value"] == pytest.approx(roc_auc_score(truth[:, [0, 2]], scores[:, [0, 2]]))
    assert list(judgement.metrics) == ["mood/macro_roc_auc"]


@pytest.mark.slow
def test_without_names_all_tagsets_are_probed_that_can_be() -> None:
    data, other = stand(5.0), several(1.5)
    manifest = data.manifest
    tags = [manifest.tags, manifest.tags.iloc[:200].assign(tagset="mood")]
    tags.append(manifest.tags.iloc[:5].assign(tagset="only_train"))
    data.manifest = replace(manifest, tags=pd.concat(tags), annotated=pd.concat(tags)[["track_id", "tagset"]])
    judgement = Probe(draws=0, measures=["accuracy"]).evaluate(data)
    assert list(judgement.metrics) == ["instrument/accuracy", "mood/accuracy"]
    assert judgement.primary == "accuracy"
    assert judgement.left_out == {"only_train": "valid has no track with a tag that train has"}
    assert Probe(draws=0).evaluate(other).left_out == {}
    with pytest.raises(InputError, match="only_train"):
        Probe(["only_train"]).evaluate(data)


@pytest.mark.parametrize(
    "aggregate",
    [
        "probabilities",
        pytest.param("logits", marks=pytest.mark.slow),
        pytest.param("embeddings", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("exclusive", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_aggregation_is_a_plain_loop_over_segments_by_their_seconds(exclusive: bool, aggregate: str) -> None:
    data = (stand if exclusive else several)(1.0, segments=lambda number: 1 + number % 4)
    tagset = "instrument" if exclusive else "mood"
    probe = Probe(
        [tagset], {"name": "linear", "c": [0.1], "balanced": False}, aggregate=aggregate, refit=False, draws=0
    )
    made = probe.predict(data, tagset)
    vectors, truth = data.vectors("train"), made.judged
    whole = labelled(
        data, "train", made.tagset, "features", views(probe.reader.head.reading, "tracks", None, None).train, 0
    )
    rows, labels, weights = [], [], []
    for track_id, tags in zip(whole.ids, whole.examples.truth, strict=True):
        track = vectors.tracks[vectors.track_ids.index(track_id)]
        share = track.weights / track.weights.sum()
        rows += [share @ track.features] if aggregate == "embeddings" else list(track.features)
        labels += [tags] * (1 if aggregate == "embeddings" else len(share))
        weights += [1.0] if aggregate == "embeddings" else list(share)
    rows, labels = np.array(rows, dtype=np.float64), np.array(labels)
    standard = StandardScaler().fit(rows)
    targets = [labels.argmax(axis=1)] if exclusive else list(labels.T)
    lines = [
        LogisticRegression(C=0.1, tol=1e-10, max_iter=5000).fit(standard.transform(rows), target, sample_weight=weights)
        for target in targets
    ]
    judged = data.vectors("test")
    for track_id, scores in zip(truth.ids, made.scores[0], strict=True):
        track = judged.tracks[judged.track_ids.index(track_id)]
        share = track.weights / track.weights.sum()
        asked = (share @ track.features)[None] if aggregate == "embeddings" else track.features
        given = np.array([line.decision_function(standard.transform(asked)) for line in lines])
        given = given[0] if exclusive else given.T
        link = (lambda x: softmax(x, axis=-1)) if exclusive else expit
        if aggregate == "logits":
            wanted = link(sum(w * logits for w, logits in zip(share, given, strict=True)))
        else:
            wanted = sum(w * link(x) for w, x in zip([1.0] if len(given) == 1 else share, given, strict=True))
        assert scores == pytest.approx(wanted, abs=1e-3)  # multinomial ones stop at scikit-learn's own tolerance


@pytest.mark.slow
def test_silent_segments_are_left_out_of_all_parts() -> None:
    """The first of several segments is noise twenty times as large, and silent."""
    data = stand(3.0, segments=lambda number: 3)
    for aggregate in ("embeddings", "probabilities"):
        noisy, heard = (
            found(Probe(["instrument"], aggregate=aggregate, silence=silence, draws=0), data)["value"]
            for silence in ("include", "leave_out")
        )
        assert heard > 0.9
        assert noisy < heard - 0.1
    probe = Probe(["instrument"], silence="leave_out")
    made = labelled(data, "test", probe.predict(data, "instrument").tagset, "features", probe.reader.views.judged, 0)
    track = data.vectors("test").tracks[4]
    assert made.examples.features[4] == pytest.approx((track.features[1] + 0.25 * track.features[2]) / 1.25, abs=1e-5)


@pytest.mark.slow
def test_a_tracks_loudest_segment_is_never_left_out() -> None:
    data = stand(3.0, segments=lambda number: 2)
    data.levels = lambda name: [np.array([-np.inf, -80.0])] * len(data.vectors(name).track_ids)
    made = labelled(
        data, "test", tagsets_of(data, None, "test")[0][0], "features", Probe(silence="leave_out").reader.views[2], 0
    )
    assert made.examples.features[0] == pytest.approx(data.vectors("test").tracks[0].features[1])


def test_deezers_head_is_fitted_on_loud_whole_segments_and_judges_by_the_mean_of_whole_ones() -> None:
    data = stand(3.0, segments=lambda number: 1 if number == 5 else 30)
    tagset, read = tagsets_of(data, None, "test")[0][0], Probe(head={"name": "deezer"}).reader.views
    train, valid, judged = (
        labelled(data, part, tagset, "features", view, 0).examples
        for part, view in zip(("train", "valid", "test"), read, strict=True)
    )
    counts = np.bincount(train.track)
    assert counts.max() == 25
    assert counts[5] == 1
    own = data.vectors("train").tracks[7].features
    rows = [next(n for n in range(30) if np.array_equal(own[n], row)) for row in train.features[train.track == 7]]
    assert not {0, 29} & set(rows)  # silent; partial
    assert rows == sorted(rows)
    assert min(rows) == 1  # -5 dB is heard, by 6.5
    assert len(np.unique(valid.track)) == len(valid.truth) < len(valid.track)
    assert judged.features[3] == pytest.approx(data.vectors("test").tracks[3].features[:29].mean(axis=0), abs=1e-4)


@pytest.mark.slow
def test_clmrs_head_is_fitted_on_crops_and_judges_by_the_mean_over_whole_chunks() -> None:
    data = stand(3.0, segments=lambda number: 3)
    probe = Probe(["instrument"], {"name": "clmr", "epochs": 3}, seeds=2, draws=0)
    tagset = tagsets_of(data, None, "test")[0][0]
    first, second = (
        labelled(data, "train", tagset, "features", probe.reader.views.train, seed).examples for seed in (0, 1)
    )
    assert first.single
    assert not np.array_equal(first.features, second.features)
    assert np.array_equal(first.features[9], data.crops("train", 0).tracks[9].features[0])
    made = probe.predict(data, "instrument")
    for number, scores in enumerate(made.scores):
        parts = [
            labelled(data, part, tagset, "features", view, number).examples
            for part, view in (("train", probe.reader.views.train), ("valid", probe.reader.views.valid))
        ]
        logits = probe.reader.head.fit(*parts, number).logits
        for row in (0, 20):
            chunks = data.vectors("test").tracks[row].features[:2]
            assert scores[row] == pytest.approx(softmax(logits(chunks), axis=1).mean(axis=0), abs=1e-6)


@pytest.mark.slow
def test_figures_of_several_seeds_are_means_with_their_deviation() -> None:
    head = {"name": "mlp", "hidden": 4, "lr": [0.01], "weight_decay": [0.0], "epochs": 3}
    three = Probe(["instrument"], head, seeds=3, draws=50).evaluate(stand(1.0))
    single = [
        found(
            Probe(["instrument"], head, draws=50, seed=seed, measures=["accuracy"]), stand(1.0), "instrument/accuracy"
        )
        for seed in range(3)
    ]
    values = [figure["value"] for figure in single]
    figure = three.metrics["instrument/accuracy"]
    assert figure.value == pytest.approx(np.mean(values))
    assert figure.more["sd"] == pytest.approx(np.std(values, ddof=1))
    assert figure.more["sd"] > 0
    assert (figure.more["seeds"], figure.more["lr"]) == (3, [0.01] * 3)
    truth = three.tables["instrument/truth"].to_numpy()
    each = [three.tables[f"instrument/scores{suffix}"].to_numpy() for suffix in ("", "-1", "-2")]
    assert [np.mean(truth.argmax(1) == scores.argmax(1)) for scores in each] == pytest.approx(values)
    assert found(Probe(["instrument"], seeds=3, draws=0), stand(1.0))["seeds"] == 1  # linear draws nothing


@pytest.mark.parametrize(
    "head",
    [
        {"name": "linear"},
        pytest.param({"name": "mlp", "hidden": 4, "epochs": 4}, marks=pytest.mark.slow),
        pytest.param({"name": "neighbours"}, marks=pytest.mark.slow),
        pytest.param({"name": "clmr", "epochs": 4}, marks=pytest.mark.slow),
        pytest.param({"name": "deezer", "epochs": 4}, marks=pytest.mark.slow),
    ],
    ids=["linear", "mlp", "neighbours", "clmr", "deezer"],
)
def test_what_is_fitted_and_chosen_has_not_seen_the_test_part(head: dict) -> None:
    """Other labels of the test part leave every score and choice as it was."""
    data = stand(1.0, segments=lambda number: 2)
    first = Probe(["instrument"], head).predict(data, "instrument")
    tags = data.manifest.tags.copy()
    judged = tags["track_id"].str.startswith("test")
    tags.loc[judged, "tag"] = np.roll(tags.loc[judged, "tag"].to_numpy(), 1)
    other = stand(1.0, segments=lambda number: 2)
    vectors = data.vectors
    other.manifest, other.vectors = replace(data.manifest, tags=tags), vectors
    second = Probe(["instrument"], head).predict(other, "instrument")
    assert (first.labels != second.labels).any()
    assert first.chosen == second.chosen
    assert np.array_equal(first.scores[0], second.scores[0])


@pytest.mark.slow
def test_valid_labels_do_decide() -> None:
    data = stand(1.0)
    tags = data.manifest.tags.copy()
    valid = tags["track_id"].str.startswith("valid")
    tags.loc[valid, "tag"] = np.roll(tags.loc[valid, "tag"].to_numpy(), 1)
    other = stand(1.0)
    other.vectors, other.manifest = data.vectors, replace(data.manifest, tags=tags)
    probe = Probe(["instrument"], refit=False)
    assert probe.predict(data, "instrument").chosen != probe.predict(other, "instrument").chosen


@pytest.mark.slow
def test_tracks_that_could_not_be_embedded_do_not_count() -> None:
    data = stand(50.0, lost=("test0-cello", "train1-ney"))
    figure = found(Probe(["instrument"], draws=0), data)
    assert (figure["queries"], figure["unlabelled"], figure["value"]) == (56, 3, 1.0)


def test_scikit_learns_probe_is_the_default() -> None:
    """As before there were heads: C by balanced accuracy on valid, then fitted on train and valid."""
    data = stand(0.8)
    parts = [
        labelled(data, p, tagsets_of(data, None, "test")[0][0], "features", Probe().reader.views[0], 0)
        for p in ("train", "valid", "test")
    ]
    (x, y), (v, w), (t, _) = ((p.examples.features, p.examples.labels) for p in parts)

    def fitted(x, y, c):
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000, class_weight="balanced")).fit(
            x, y
        )

    options = [0.001, 0.01, 0.1, 1.0, 10.0]
    chosen = options[int(np.argmax([balanced_accuracy_score(w, fitted(x, y, c).predict(v)) for c in options]))]
    wanted = fitted(np.concatenate([x, v]), np.concatenate([y, w]), chosen).predict(t)
    made = Probe(["instrument"]).predict(data, "instrument")
    assert list(made.predicted) == list(np.array(CLASSES)[wanted])
    assert made.chosen == [{"c": chosen}]
    assert type(head_of(None, "probe")).__name__ == "Linear"

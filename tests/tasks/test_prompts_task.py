"""Zero-shot tags and classes by prompts, and their sensitivity to them, against plain loops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import bias_corrected, percentiles
from crossmodal.model import TrackVectors
from crossmodal.settings import is_plain
from crossmodal.tasks._prompted import spread
from crossmodal.tasks.zero_shot import ZeroShot

CLASSES = ["azu", "bero", "cilo", "damu", "efti", "gono", "hapa"]  # in no lexicon: the same in every language
FEELINGS = ["wey", "xil", "yor"]
DIM, TRACKS = 12, {"valid": 30, "test": 36}
TEMPLATES = {
    "en": ["music with {}", "{}", "so {} it is"],
    "de": ["Musik mit {}", "noise {}", "{} klingt"],
    "pt": ["{}, sim"],
}


def tags_of(manifest: Manifest, tagset: str, track: str) -> set[str]:
    rows = zip(manifest.tags["track_id"], manifest.tags["tagset"], manifest.tags["tag"], strict=True)
    return {tag for name, of, tag in rows if (name, of) == (track, tagset)}


class Model:
    """Stands for an `Embedded`: a vector a word, noisy by language, and anything at all where a prompt says noise."""

    split = "s"

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind  # to all of a prompt but its word
        rng = np.random.default_rng(7)
        self.words = dict(zip(CLASSES + FEELINGS, rng.normal(size=(10, DIM)), strict=True))
        self.manifests = {part: self._manifest(part, rng) for part in TRACKS}
        tables = {
            name: pd.concat([getattr(m, name) for m in self.manifests.values()])
            for name in ("tracks", "tags", "annotated")
        }
        self.manifest = Manifest.build(**tables)
        self.found = {part: self._vectors(part, rng) for part in TRACKS}
        self.asked: list[str] = []

    def _manifest(self, part: str, rng: np.random.Generator) -> Manifest:
        ids = [f"{part}{row}" for row in range(TRACKS[part])]
        names = CLASSES if part == "valid" else CLASSES[:6]  # test lacks a class
        tags = [(name, "class", names[row % len(names)]) for row, name in enumerate(ids) if row != 5]
        felt = {name: rng.random(3) < 0.4 for name in ids[:-4]}
        tags += [(name, "feeling", word) for name, own in felt.items() for word in np.array(FEELINGS)[own]]
        tags += [(ids[0], "feeling", word) for word in FEELINGS if (ids[0], "feeling", word) not in tags]
        tags += [(name, "feeling", "always") for name in ids[:-4]]
        annotated = [(name, "class") for name in ids] + [(name, "feeling") for name in ids[:-4]]
        return Manifest.build(
            pd.DataFrame({"track_id": ids, "path": ids, "group": [f"{part} {row // 2}" for row in range(len(ids))]}),
            tags=pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
            annotated=pd.DataFrame(annotated, columns=["track_id", "tagset"]),
        )

    def _vectors(self, part: str, rng: np.random.Generator) -> Vectors:
        found = []
        for name in self.manifests[part].tracks["track_id"]:
            own = tags_of(self.manifests[part], "class", name) | tags_of(self.manifests[part], "feeling", name)
            vectors = sum((self.words[tag] for tag in sorted(own - {"always"})), np.zeros(DIM)) + 2 * rng.normal(
                size=(2, DIM)
            )
            vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
            bounds = np.array([[0, 1], [1, 2]], np.float32)
            found.append(TrackVectors(bounds, np.array([1, 0.25], np.float32), vectors, vectors))
        return Vectors(tuple(self.manifests[part].tracks["track_id"]), tuple(found), "m")

    def part(self, name: str) -> Manifest:
        return self.manifests[name]

    def vectors(self, name: str) -> Vectors:
        return self.found[name]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        found = []
        for text in texts:
            word = next((self.words[word] for word in self.words if word in text), np.ones(DIM))
            any_at_all = np.random.default_rng(list(text.encode())).normal(size=DIM)
            share = 0 if self.blind else 1 if "noise" in text else 0.4
            found.append((1 - share) * word / np.linalg.norm(word) + share * any_at_all / np.linalg.norm(any_at_all))
        return np.array([vector / np.linalg.norm(vector) for vector in found], np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


def task(**settings: object) -> ZeroShot:
    return ZeroShot(**{"templates": TEMPLATES, "draws": 25, **settings})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(model: Model) -> SimpleNamespace:
    found = task().evaluate(model)  # type: ignore[arg-type]
    return SimpleNamespace(metrics=found.metrics, tables=found.tables)


def scores(model: Model, tags: list[str], templates: list[str]) -> np.ndarray:
    """Tracks and words, by loops: the mean over a track's seconds of the cosines with the mean of the prompts."""
    words = []
    for tag in tags:
        total = sum(model.texts([template.replace("{}", tag)])[0].astype(float) for template in templates)
        words.append(total / np.linalg.norm(total))
    means = [sum(w * v for w, v in zip(t.weights, t.vectors, strict=True)) / 1.25 for t in model.vectors("test").tracks]
    return np.array([[float(mean @ word) for word in words] for mean in means])


def by_loops(model: Model, tagset: str, templates: list[str]) -> dict[str, float]:
    manifest = model.part("test")
    ids = list(manifest.tracks["track_id"])
    own = {name: tags_of(manifest, tagset, name) for name in ids}
    if tagset == "feeling":
        values = scores(model, FEELINGS, templates)[:-4]
        truth = [[tag in own[name] for tag in FEELINGS] for name in ids[:-4]]
    else:
        values = scores(model, CLASSES, templates)
        truth = [[tag in own[name] for tag in CLASSES[:6]] for name in ids]
    columns = list(zip(*truth, strict=True))
    found = {
        "tagging/macro_roc_auc": np.mean([roc_auc_score(t, s) for t, s in zip(columns, values.T, strict=False)]),
        "tagging/macro_average_precision": np.mean(
            [average_precision_score(t, s) for t, s in zip(columns, values.T, strict=False)]
        ),
    }
    if tagset == "class":
        rows = [row for row, name in enumerate(ids) if own[name]]  # one has none
        true = [CLASSES.index(*own[ids[row]]) for row in rows]
        guessed = values[rows].argmax(axis=1)
        found["classification/accuracy"] = accuracy_score(true, guessed)
        right = [np.mean([g == t for g, t in zip(guessed, true, strict=True) if t == c]) for c in set(true)]
        found["classification/balanced_accuracy"] = np.mean(right)
        if set(guessed) <= set(true):
            assert np.mean(right) == pytest.approx(balanced_accuracy_score(true, guessed))
        top = top_k_accuracy_score(true, values[rows], k=5, labels=range(7))
        found["classification/top_5_accuracy"] = top
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("tagset", ["class", "feeling"])
def test_figures_and_their_spread_equal_plain_loops(model: Model, made: SimpleNamespace, tagset: str) -> None:
    every: dict[str, list[float]] = {}
    for language, templates in TEMPLATES.items():
        single = {template: by_loops(model, tagset, [template]) for template in templates}
        for name, value in by_loops(model, tagset, templates).items():
            kind, measure = name.split("/")
            figure = made.metrics[f"{kind}/{tagset}/{language}/{measure}"]
            assert figure.value == pytest.approx(value), (language, name)
            each = {template: found[name] for template, found in single.items()}
            told = figure.more["prompts"]
            assert told["templates"] == len(templates)
            assert (told["low"], told["high"]) == pytest.approx((min(each.values()), max(each.values())))
            assert (told["mean"], told["sd"]) == pytest.approx((np.mean([*each.values()]), np.std([*each.values()])))
            assert each[told["worst"]] == pytest.approx(told["low"])
            assert each[told["best"]] == pytest.approx(told["high"])
            every.setdefault(name, []).append(value)
            table = made.tables[f"prompts/{tagset}"].set_index(["language", "template"])
            assert [table.loc[(language, template), measure] for template in templates] == pytest.approx(
                [*each.values()]
            )
    for name, values in every.items():
        kind, measure = name.split("/")
        figure = made.metrics[f"{kind}/{tagset}/{measure}"]
        assert figure.value == pytest.approx(np.mean(values))
        assert figure.more["prompts"]["templates"] == 7
        assert figure.more["languages"]["low"] == pytest.approx(min(values))
        assert figure.more["languages"]["best"] == list(TEMPLATES)[int(np.argmax(values))]


def test_a_prompt_changed_on_purpose_shows_in_the_sensitivity_column(model: Model) -> None:
    good = {"en": ["music with {}", "{} music", "hear {}"]}
    bad = {"en": ["music with {}", "{} music", "noise {}"]}
    found = {name: task(templates=t, draws=0).evaluate(model).metrics for name, t in (("good", good), ("bad", bad))}  # type: ignore[arg-type]
    for measure in (
        "tagging/class/en/macro_roc_auc",
        "classification/class/en/accuracy",
        "tagging/feeling/en/macro_roc_auc",
    ):
        before, after = (found[name][measure].more["prompts"] for name in ("good", "bad"))
        assert after["sd"] > 2 * before["sd"], measure
        assert after["worst"] == "noise {}"
        assert after["low"] < before["low"] - 0.1
        assert after["high"] <= before["high"]
        assert found["bad"][measure].value > after["low"]  # the ensemble does not show it
    plain = task(templates=bad, draws=0).evaluate(Model(blind=True)).metrics  # type: ignore[arg-type]
    told = plain["classification/class/en/accuracy"].more["prompts"]
    assert told["sd"] == 0
    assert told["low"] == told["high"] == plain["classification/class/en/accuracy"].value


def test_languages_are_compared_with_the_pivot_on_the_same_samples(made: SimpleNamespace) -> None:
    for name in ("tagging/class", "tagging/feeling", "classification/class"):
        measures = (
            ("accuracy", "top_5_accuracy") if name.startswith("c") else ("macro_roc_auc", "macro_average_precision")
        )
        for measure in measures:
            pivot = made.metrics[f"{name}/en/{measure}"]
            assert "drop" not in pivot.more
            assert pivot.low <= pivot.value <= pivot.high
            samples = [made.metrics[f"{name}/{language}/{measure}"].samples for language in TEMPLATES]
            assert made.metrics[f"{name}/{measure}"].samples == pytest.approx(np.mean(samples, axis=0))
            for language in ("de", "pt"):
                figure = made.metrics[f"{name}/{language}/{measure}"]
                drop, lost = figure.more["drop"], pivot.samples - figure.samples
                assert drop["pivot"] == "en"
                assert drop["value"] == pytest.approx(pivot.value - figure.value)
                corrected = not measure.endswith("accuracy")  # which is a mean
                bounds = bias_corrected(drop["value"], lost) if corrected else percentiles(lost)
                assert (drop["low"], drop["high"], figure.corrected) == (*map(pytest.approx, bounds), corrected)
                assert figure.units == pivot.units


def test_counts_chance_and_what_is_undefined(made: SimpleNamespace) -> None:
    tags, classes = made.metrics["tagging/feeling/en/macro_roc_auc"], made.metrics["classification/class/en/accuracy"]
    assert (tags.queries, tags.candidates, tags.chance) == (3, 32, 0.5)
    assert tags.more["undefined"] == ["always"]
    assert (classes.queries, classes.candidates, classes.chance) == (35, 7, pytest.approx(1 / 7))
    assert made.metrics["classification/class/en/top_5_accuracy"].chance == pytest.approx(5 / 7)
    assert made.metrics["tagging/class/en/macro_roc_auc"].more["undefined"] == ["hapa"]  # valid alone has it
    assert not any(name.startswith("classification/feeling") for name in made.metrics)  # a track may have several


def test_tables_hold_truth_and_scores_of_the_pivot(model: Model, made: SimpleNamespace) -> None:
    truth, values = made.tables["class/truth"], made.tables["class/scores"]
    assert list(truth) == list(values) == CLASSES
    assert list(truth.index) == list(values.index) == list(model.part("test").tracks["track_id"])
    assert truth.index.name == "track_id"
    assert set(truth.sum(axis=1)) == {0, 1}
    assert values.to_numpy() == pytest.approx(scores(model, CLASSES, TEMPLATES["en"]), abs=2e-6)
    assert len(made.tables["feeling/truth"]) == 32  # those that are annotated
    assert list(made.tables["feeling/truth"]) == ["always", *FEELINGS]


def test_each_text_is_embedded_once() -> None:
    fresh = Model()
    task(draws=0).evaluate(fresh)  # type: ignore[arg-type]
    assert len(fresh.asked) == len(set(fresh.asked)) == 7 * (7 + 4)


def test_templates_may_be_a_file_and_fill_up_those_of_the_lexicon(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "templates.json"
    path.write_text(json.dumps({"pt": TEMPLATES["pt"]}), encoding="utf-8")
    both = task(templates=str(path), languages=["pt", "fr"], pivot="pt", draws=0)
    assert both.templates["pt"] == ("{}, sim",)
    assert len(both.templates["fr"]) > 2
    alone = task(templates=str(path), pivot="pt", draws=0)
    assert list(alone.templates) == ["pt"]
    found = alone.evaluate(model).metrics  # type: ignore[arg-type]
    assert found["tagging/class/pt/macro_roc_auc"].value == found["tagging/class/macro_roc_auc"].value
    assert is_plain(dict[str, list[str]] | str | None)


def test_spread_of_one_is_none() -> None:
    assert spread("templates", {"a": 0.5}) == {
        "templates": 1, "low": 0.5, "high": 0.5, "mean": 0.5, "sd": 0.0, "worst": "a", "best": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pivot": "fr"}, "pivot is fr, but languages are en, de, pt"),
        ({"languages": ["en", "ja"], "templates": None}, "the lexicon lacks languages ja; give templates of them"),
        ({"templates": {"en": ["no place"]}}, "must have"),
        ({"languages": []}, "pivot is en, but languages are"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task(**settings)

"""Tags as words, against plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from crossmodal.calibration import Calibration
from crossmodal.checks import check_words
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError
from crossmodal.judgement import Units
from crossmodal.metrics import chance
from crossmodal.model import TrackVectors
from crossmodal.tasks.zero_shot import ZeroShot
from crossmodal.zero_shot import word_vectors

DIM = 6
TAGSETS = {"instrument": ["organ", "guitar", "bells"], "mood": ["sad", "odd one"], "same": ["all"]}
PARTS = {"valid": 40, "test": 24}


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Stand:
    """Stands for an `Embedded`: tracks of one to three segments that lean to the words of their tags."""

    split = "s"

    def __init__(self) -> None:
        self.manifests = {part: self._manifest(part) for part in PARTS}
        self.found = {part: self._vectors(part) for part in PARTS}

    @property
    def manifest(self) -> Manifest:
        """All parts."""
        parts = self.manifests.values()
        tables = {name: pd.concat([getattr(part, name) for part in parts]) for name in ("tracks", "tags", "annotated")}
        return Manifest.build(**tables)

    def _manifest(self, part: str) -> Manifest:
        ids = [f"{part}{number}" for number in range(PARTS[part])]
        tags = [(name, "instrument", TAGSETS["instrument"][row % 3]) for row, name in enumerate(ids)]
        tags += [(name, "mood", "sad") for name in ids[: len(ids) // 2 : 2]] + [(name, "same", "all") for name in ids]
        tags += [(ids[0], "mood", "odd one")]
        annotated = [(name, tagset) for tagset in ("instrument", "same") for name in ids]
        annotated += [(name, "mood") for name in ids[: 3 * len(ids) // 4]]
        groups = [f"album {row // 2}" if row > 3 else "" for row in range(len(ids))]
        return Manifest.build(
            pd.DataFrame({"track_id": ids, "path": ids, "group": groups}),
            tags=pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
            annotated=pd.DataFrame(annotated, columns=["track_id", "tagset"]),
        )

    def _vectors(self, part: str) -> Vectors:
        rng = np.random.default_rng(len(part))
        manifest, found = self.manifests[part], []
        for name in manifest.tracks["track_id"]:
            own = manifest.tags.loc[manifest.tags["track_id"] == name, "tag"]
            lean = word_vectors(self.texts, list(own), "en").sum(axis=0)
            count = int(rng.integers(1, 4))
            vectors = unit(lean + rng.normal(size=(count, DIM)))
            bounds = np.column_stack([np.arange(count), np.arange(count) + 1]).astype(np.float32)
            found.append(TrackVectors(bounds, np.append(np.ones(count - 1), 0.5).astype(np.float32), vectors, vectors))
        return Vectors(tuple(manifest.tracks["track_id"]), tuple(found), "m")

    def part(self, name: str) -> Manifest:
        return self.manifests[name]

    def vectors(self, name: str) -> Vectors:
        return self.found[name]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.array([np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]))


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand()


@pytest.fixture(scope="module")
def figures(stand: Stand) -> dict[str, dict[str, float]]:
    return ZeroShot(draws=12).evaluate(stand).as_dict()  # type: ignore[arg-type]


@cache
def scores(stand: Stand, tag: str, calibrated: bool, language: str = "en") -> list[np.ndarray]:
    """The scores of each test track's segments."""
    (vector,) = word_vectors(stand.texts, [tag], language)
    known = Calibration.of(stand.vectors("valid"), stand.part("valid"), "valid").scale(tag, language, vector)
    raw = [track.vectors.astype(float) @ vector.astype(float) for track in stand.vectors("test").tracks]
    return [known.score(segments) for segments in raw] if calibrated else raw


def truth(stand: Stand, tagset: str, tag: str) -> list[bool | None]:
    manifest = stand.part("test")
    has = set(manifest.tags.loc[manifest.tags["tag"] == tag, "track_id"])
    known = set(manifest.annotated.loc[manifest.annotated["tagset"] == tagset, "track_id"])
    return [name in has if name in known else None for name in manifest.tracks["track_id"]]


def means(stand: Stand, tag: str, calibrated: bool) -> list[float]:
    weights = [track.weights for track in stand.vectors("test").tracks]
    pairs = zip(scores(stand, tag, calibrated), weights, strict=True)
    return [float((segments * weight).sum() / weight.sum()) for segments, weight in pairs]


@pytest.mark.parametrize("ending", ["", "_of_cosines"])
def test_words_rank_tracks(stand: Stand, figures: dict[str, dict[str, float]], ending: str) -> None:
    every = []
    for tagset in ("instrument", "mood"):
        found, expected = [], []
        for tag in TAGSETS[tagset]:
            true, mean = truth(stand, tagset, tag), means(stand, tag, not ending)
            rows = [row for row, label in enumerate(true) if label is not None]
            found.append(average_precision_score([true[row] for row in rows], [mean[row] for row in rows]))
            items, relevant = np.array([len(rows)]), np.array([sum(true[row] is True for row in rows)])
            expected.append(chance.average_precision(items, relevant)[0])
        figure = figures[f"text_to_audio/{tagset}/map{ending}"]
        assert figure["value"] == pytest.approx(np.mean(found))
        assert figure["chance"] == pytest.approx(np.mean(expected))
        assert (figure["queries"], figure["candidates"]) == (len(found), {"instrument": 24, "mood": 18}[tagset])
        assert figure["low"] <= figure["value"] <= figure["high"]
        every += found
    assert figures[f"text_to_audio/map{ending}"]["value"] == pytest.approx(np.mean(every))


def test_intervals_draw_whole_groups_again(stand: Stand, figures: dict[str, dict[str, float]]) -> None:
    columns = [(truth(stand, "instrument", tag), means(stand, tag, True)) for tag in TAGSETS["instrument"]]

    def precision(drawn: np.ndarray) -> float:
        rows = np.repeat(np.arange(len(drawn)), drawn)
        return float(np.mean([average_precision_score(np.array(t)[rows], np.array(m)[rows]) for t, m in columns]))

    tracks = stand.part("test").tracks
    groups = tracks["group"].where(tracks["group"] != "", tracks["track_id"])
    found = Units(list(tracks["track_id"]), list(groups), 12).statistic(precision)
    figure = figures["text_to_audio/instrument/map"]
    assert [figure[key] for key in ("value", "low", "high")] == pytest.approx([found.value, found.low, found.high])
    assert figure["low"] < figure["high"]


@pytest.mark.parametrize("ending", ["", "_of_cosines"])
def test_tracks_rank_the_words_that_have_probabilities(
    stand: Stand, figures: dict[str, dict[str, float]], ending: str
) -> None:
    tags = [("instrument", tag) for tag in TAGSETS["instrument"]] + [("mood", "sad")]  # one odd track is too few
    for name, chosen in (("", tags), ("/instrument", tags[:3])):
        found = []
        columns = [(truth(stand, *tag), means(stand, tag[1], not ending)) for tag in chosen]
        for row in range(24):
            known = [(true[row], mean[row]) for true, mean in columns if true[row] is not None]
            labels, values = zip(*known, strict=True)
            if any(labels):
                found.append(average_precision_score(labels, values))
        figure = figures[f"audio_to_text{name}/map{ending}"]
        assert figure["value"] == pytest.approx(np.mean(found))
        assert (figure["queries"], figure["candidates"]) == (24, len(chosen))
        assert 0 < figure["chance"] < 1
    assert "audio_to_text/mood/map" not in figures  # there is one word


@pytest.mark.parametrize(("name", "tags"), [("/instrument", TAGSETS["instrument"]), ("/mood", ["sad"])])
def test_probabilities_are_compared_with_the_tags(
    stand: Stand, figures: dict[str, dict[str, float]], name: str, tags: list[str]
) -> None:
    weights = [track.weights for track in stand.vectors("test").tracks]
    for ending, calibrated in (("", True), ("_of_cosines", False)):
        gaps: dict[tuple[str, int], float] = {}
        mass = square = constant = 0.0
        for tag in tags:
            known = [label for label in truth_of_reference(stand, name[1:], tag) if label is not None]
            share = sum(known) / len(known)
            for label, values, weight in zip(
                truth(stand, name[1:], tag), scores(stand, tag, calibrated), weights, strict=True
            ):
                for value, w in zip(values, weight, strict=True):
                    if label is not None:
                        place = (tag, min(max(int(value * 15), 0), 14))
                        gaps[place] = gaps.get(place, 0.0) + w * (value - label)
                        mass += w
                        square += w * (value - label) ** 2
                        constant += w * (share - label) ** 2
        assert figures[f"calibration{name}/ece{ending}"]["value"] == pytest.approx(
            sum(abs(gap) for gap in gaps.values()) / mass
        )
    assert figures[f"calibration{name}/brier_of_shares"]["value"] == pytest.approx(constant / mass)
    assert figures[f"calibration{name}/ece"]["value"] < figures[f"calibration{name}/ece_of_cosines"]["value"]
    assert figures[f"calibration{name}/brier"]["value"] < figures[f"calibration{name}/brier_of_shares"]["value"]


def truth_of_reference(stand: Stand, tagset: str, tag: str) -> list[bool | None]:
    manifest = stand.part("valid")
    has = set(manifest.tags.loc[manifest.tags["tag"] == tag, "track_id"])
    known = set(manifest.annotated.loc[manifest.annotated["tagset"] == tagset, "track_id"])
    return [name in has if name in known else None for name in manifest.tracks["track_id"]]


def test_names_tell_direction_tagset_and_metric(figures: dict[str, dict[str, float]]) -> None:
    both = ("map", "map_of_cosines")
    expected = {f"text_to_audio{name}/{m}" for name in ("", "/instrument", "/mood") for m in both}
    expected |= {f"audio_to_text{name}/{m}" for name in ("", "/instrument") for m in both}
    measures = ("ece", "ece_of_cosines", "brier", "brier_of_shares")
    expected |= {f"calibration{name}/{m}" for name in ("", "/instrument", "/mood") for m in measures}
    ends = ["", *(f"/{language}" for language in Lexicon.load().languages)]
    tagging = ("macro_roc_auc", "macro_average_precision")
    expected |= {f"tagging/{name}{end}/{m}" for name in ("instrument", "mood") for end in ends for m in tagging}
    expected |= {f"classification/instrument{end}/{m}" for end in ends for m in ("accuracy", "balanced_accuracy")}
    assert set(figures) == expected  # nothing of the tag that all tracks have
    assert ZeroShot.primary in figures
    assert figures["text_to_audio/map"]["queries"] == 5


def test_a_language_puts_the_tags_into_its_words(stand: Stand, figures: dict[str, dict[str, float]]) -> None:
    german = ZeroShot(languages=["de"], pivot="de", tagsets=["instrument"], draws=0).evaluate(stand).as_dict()  # type: ignore[arg-type]
    assert "text_to_audio/mood/map" not in german
    assert german["text_to_audio/instrument/map"]["value"] != figures["text_to_audio/instrument/map"]["value"]
    assert german["text_to_audio/instrument/map"]["low"] is None
    found = []
    for tag in TAGSETS["instrument"]:
        mean = [
            float(np.average(s, weights=t.weights))
            for s, t in zip(scores(stand, tag, False, "de"), stand.vectors("test").tracks, strict=True)
        ]
        found.append(average_precision_score(truth(stand, "instrument", tag), mean))
    assert german["text_to_audio/instrument/map_of_cosines"]["value"] == pytest.approx(np.mean(found))


def test_the_same_again(stand: Stand, figures: dict[str, dict[str, float]]) -> None:
    assert ZeroShot(draws=12).evaluate(stand).as_dict() == figures  # type: ignore[arg-type]


@pytest.mark.parametrize(("named", "lacking"), [(None, {"same"}), (["same", "mood"], {"same"}), (["mood"], set())])
def test_a_tagset_without_figures_is_left_out(stand: Stand, named: list[str] | None, lacking: set[str]) -> None:
    found = ZeroShot(tagsets=named, languages=["en"], draws=0).evaluate(stand)  # type: ignore[arg-type]
    assert found.left_out == dict.fromkeys(lacking, "no tag that some of its tracks have and others lack")
    assert "text_to_audio/mood/map" in found.metrics
    assert "text_to_audio/same/map" not in found.metrics


@pytest.mark.parametrize("of_others", [True, False])
def test_a_tagset_without_a_tag_in_the_part_is_left_out(of_others: bool) -> None:
    stand = Stand()
    for part, manifest in stand.manifests.items():
        nothing = manifest.tracks[["track_id"]].assign(tagset="nothing")
        tags = nothing.iloc[:5].assign(tag="rare") if part == "valid" and of_others else nothing.iloc[:0].assign(tag="")
        annotated = pd.concat([manifest.annotated, nothing])
        stand.manifests[part] = replace(manifest, tags=pd.concat([manifest.tags, tags]), annotated=annotated)
    found = ZeroShot(languages=["en"], draws=0).evaluate(stand)  # type: ignore[arg-type]
    assert set(found.left_out) == {"same", "nothing"}
    assert found.left_out["nothing"] == found.left_out["same"]


def test_an_experiment_without_words_cannot_have_it() -> None:
    config = SimpleNamespace(tasks={"neighbours": {}, "zero_shot": {}}, queries=[])
    with pytest.raises(InputError, match=r"^tasks\.zero_shot: words are asked, but text_encoder is none"):
        check_words(config, SimpleNamespace(reads=False))  # type: ignore[arg-type]
    check_words(config, SimpleNamespace(reads=True))  # type: ignore[arg-type]


def test_mistakes_are_told(stand: Stand) -> None:
    with pytest.raises(InputError, match="tagsets is empty"):
        ZeroShot(tagsets=[])
    with pytest.raises(InputError, match=r"has no tagset moood; it has instrument, mood, same"):
        ZeroShot(tagsets=["moood"]).evaluate(stand).as_dict()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="calibrated on part valid, so it cannot judge it"):
        ZeroShot().evaluate(stand, "valid").as_dict()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="part test has no tag that some of its tracks have and others lack"):
        ZeroShot(tagsets=["same"]).evaluate(stand).as_dict()  # type: ignore[arg-type]

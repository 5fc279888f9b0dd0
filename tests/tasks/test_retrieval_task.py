from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.tasks.retrieval import Retrieval, answers, own_queries, tag_queries

TRACKS = [f"t{number}" for number in range(8)]
TEXTS = [
    ("r1", "t0", "en", "review", "shared"),
    ("r1", "t1", "en", "review", "shared"),
    ("r2", "t2", "de", "review", "allein"),
    ("r3", "t3", "en", "caption", "same words"),
    ("r4", "t4", "en", "caption", "Same  Words"),
    ("r5", "t5", "tr", "review", "tek"),
]
ABOUT = {"shared": {"t0", "t1"}, "allein": {"t2"}, "same words": {"t3", "t4"}, "tek": {"t5"}}


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Vectors:
    track_ids: tuple[str, ...]
    vectors: np.ndarray


@dataclass
class Stand:
    """Stands for an `Embedded`: random vectors for tracks and words."""

    manifest: Manifest
    dim: int = 4
    split: str = "s"
    asked: list[str] = field(default_factory=list)

    def part(self, _name: str) -> Manifest:
        return self.manifest

    def vectors(self, _name: str) -> Vectors:
        ids = tuple(self.manifest.tracks["track_id"])
        return Vectors(ids, unit(np.random.default_rng(0).normal(size=(len(ids), self.dim))))

    def texts(self, texts: list[str]) -> np.ndarray:
        self.asked = list(texts)
        return unit(np.array([np.random.default_rng(list(text.encode())).normal(size=self.dim) for text in texts]))


@pytest.fixture
def stand() -> Stand:
    tracks = pd.DataFrame({"track_id": TRACKS, "path": TRACKS, "group": ["g0", "g0", "", "g3", "g4", "g5", "g6", "g6"]})
    texts = pd.DataFrame(TEXTS, columns=["text_id", "track_id", "language", "kind", "text"])
    tags = pd.DataFrame([("t0", "organ"), ("t6", "organ"), ("t7", "sad")], columns=["track_id", "tag"])
    return Stand(Manifest.build(tracks, texts=texts, tags=tags.assign(tagset="any")))


def ranks(scores: np.ndarray, relevant: set[int]) -> list[int]:
    """Ranks from 1 of the relevant items, by a plain loop; no ties."""
    order = sorted(range(len(scores)), key=lambda item: -scores[item])
    return [order.index(item) + 1 for item in sorted(relevant)]


def recall(found: list[list[int]], k: int) -> float:
    return float(np.mean([sum(rank <= k for rank in query) / len(query) for query in found]))


def average_precision(query: list[int]) -> float:
    return float(np.mean([place / rank for place, rank in enumerate(sorted(query), start=1)]))


def by_hand(stand: Stand) -> dict[str, list[list[int]]]:
    tracks, texts = stand.vectors("test").vectors, list(ABOUT)
    scores = stand.texts(texts) @ tracks.T
    places = [{TRACKS.index(track) for track in ABOUT[text]} for text in texts]
    found = {"text_to_audio": [ranks(scores[row], places[row]) for row in range(4)]}
    back = [{row for row, tracks_of in enumerate(places) if track in tracks_of} for track in range(8)]
    found["audio_to_text"] = [ranks(scores[:, track], rows) for track, rows in enumerate(back) if rows]
    likeness = tracks @ tracks.T
    np.fill_diagonal(likeness, -2)  # a track is no candidate for itself: it comes last
    friends = {0: {1}, 1: {0}, 3: {4}, 4: {3}}
    found["audio_to_audio"] = [ranks(likeness[track], others) for track, others in friends.items()]
    return found


def test_figures_equal_a_plain_computation(stand: Stand) -> None:
    figures = Retrieval(cutoffs=[1, 3], tags=False, draws=50).evaluate(stand).as_dict()  # type: ignore[arg-type]
    for direction, found in by_hand(stand).items():
        for k in (1, 3):
            assert figures[f"{direction}/recall@{k}"]["value"] == pytest.approx(recall(found, k)), (direction, k)
        expected = np.mean([average_precision(query) for query in found])
        assert figures[f"{direction}/map"]["value"] == pytest.approx(expected)
        assert figures[f"{direction}/median_rank"]["value"] == np.median([min(query) for query in found])
        assert figures[f"{direction}/map"]["queries"] == len(found)
        interval = figures[f"{direction}/recall@3"]
        assert interval["low"] <= interval["value"] <= interval["high"]
        assert figures[f"{direction}/median_rank"]["low"] is None
    assert [figures[f"{d}/map"]["candidates"] for d in by_hand(stand)] == [8, 4, 7]
    assert figures["text_to_audio/recall@3"]["chance"] == pytest.approx(3 / 8)


def test_names_tell_direction_kind_language_and_cutoff(stand: Stand) -> None:
    figures = Retrieval(cutoffs=[2], draws=0).evaluate(stand).as_dict()  # type: ignore[arg-type]
    texts = {"", "/review", "/review/en", "/review/de", "/review/tr", "/caption", "/caption/en", "/tags"}
    texts |= {f"/tags/{language}" for language in Lexicon.load().languages}
    metrics = ("recall@2", "map", "median_rank")
    expected = {
        f"{way}{text}/{metric}" for way in ("text_to_audio", "audio_to_text") for text in texts for metric in metrics
    }
    assert figures.keys() == expected | {f"audio_to_audio/{metric}" for metric in metrics}
    assert Retrieval.primary.split("/")[-1] == "recall@10"
    assert figures["text_to_audio/map"]["queries"] == 4  # tags are asked, but stand apart
    assert figures["text_to_audio/review/de/map"]["value"] == pytest.approx(
        average_precision(by_hand(stand)["text_to_audio"][1])
    )


def test_texts_of_the_same_words_are_one_query_about_all_their_tracks(stand: Stand) -> None:
    queries = own_queries(stand.manifest)
    assert {query.text: set(query.tracks) for query in queries} == ABOUT
    assert [query.language for query in queries] == ["en", "de", "en", "tr"]


def test_a_tag_is_asked_for_in_every_language(stand: Stand) -> None:
    lexicon = Lexicon.load()
    queries = tag_queries(stand.manifest, seed=0)
    assert len(queries) == 2 * len(lexicon.languages)
    for query in queries:
        tag, tracks = ("organ", {"t0", "t6"}) if "t0" in query.tracks else ("sad", {"t7"})
        assert query.tracks == tracks
        assert any(word.lower() in query.text.lower() for word in lexicon.words(tag, query.language))
    assert tag_queries(stand.manifest, seed=0) == queries


def test_without_words_there_is_nothing_to_ask_with(stand: Stand) -> None:
    bare = Stand(Manifest.build(stand.manifest.tracks))
    with pytest.raises(InputError, match="retrieval: part test of split s has neither texts nor tags"):
        Retrieval().evaluate(bare).as_dict()  # type: ignore[arg-type]


def test_answers_say_what_each_text_finds(stand: Stand) -> None:
    table = answers(stand).set_index("text")  # type: ignore[arg-type]
    scores = stand.texts(list(ABOUT)) @ stand.vectors("test").vectors.T
    assert list(table.index) == list(ABOUT)
    assert list(table["rank"]) == [min(found) for found in by_hand(stand)["text_to_audio"]]
    assert list(table["first"]) == [TRACKS[place] for place in scores.argmax(axis=1)]
    best = [
        max(tracks, key=lambda track: row[TRACKS.index(track)])
        for row, tracks in zip(scores, ABOUT.values(), strict=True)
    ]
    assert list(table["right"]) == best


def test_answers_to_tags_where_there_are_no_texts(stand: Stand) -> None:
    bare = Stand(Manifest.build(stand.manifest.tracks, tags=stand.manifest.tags))
    assert set(answers(bare)["kind"]) == {"tags"}  # type: ignore[arg-type]

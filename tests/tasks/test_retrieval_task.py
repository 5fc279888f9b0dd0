from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import bootstrap
from crossmodal.metrics.retrieval import per_query
from crossmodal.tasks._queries import Query, own_queries, tag_queries
from crossmodal.tasks._rankings import medians
from crossmodal.tasks.retrieval import Retrieval, answers

TRACKS = [f"t{number}" for number in range(8)]
TEXTS = [
    ("r1", "t0", "en", "review", "shared"),
    ("r1", "t1", "en", "review", "shared"),
    ("r2", "t2", "de", "review", "allein"),
    ("r3", "t3", "en", "caption", "same words"),
    ("r4", "t4", "en", "caption", "Same  Words"),
    ("r5", "t5", "tr", "review", "tek"),
]
TEXT_COLUMNS = ["text_id", "track_id", "language", "kind", "text"]
ABOUT = {"shared": {"t0", "t1"}, "allein": {"t2"}, "same words": {"t3", "t4"}, "tek": {"t5"}}


MEASURES = list(per_query(np.eye(2), np.eye(2, dtype=bool), ["a", "b"], ks=[2]))


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
    texts = pd.DataFrame(TEXTS, columns=TEXT_COLUMNS)
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
        ranks = figures[f"{direction}/median_rank"]
        assert ranks["low"] <= ranks["value"] <= ranks["high"]
    assert [figures[f"{d}/map"]["candidates"] for d in by_hand(stand)] == [8, 4, 7]
    assert figures["text_to_audio/recall@3"]["chance"] == pytest.approx(3 / 8)


def test_names_tell_direction_kind_language_and_cutoff(stand: Stand) -> None:
    figures = Retrieval(cutoffs=[2], draws=0).evaluate(stand).as_dict()  # type: ignore[arg-type]
    texts = {"", "/review", "/review/en", "/review/de", "/review/tr", "/caption", "/caption/en", "/tags"}
    texts |= {f"/tags/{language}" for language in Lexicon.load().languages}
    expected = {
        f"{way}{text}/{metric}" for way in ("text_to_audio", "audio_to_text") for text in texts for metric in MEASURES
    }
    tags = {"/tags", *(text for text in texts if "/tags/" in text)}  # no own text shares a track with another
    expected |= {f"text_to_text{text}/{metric}" for text in tags for metric in MEASURES}
    pairs = itertools.product(Lexicon.load().languages, repeat=2)
    few = ("recall@2", "map", "median_rank")
    expected |= {f"text_to_text/tags/{a}_to_{b}/{metric}" for a, b in pairs if a != b for metric in few}
    assert figures.keys() == expected | {f"audio_to_audio/{metric}" for metric in MEASURES}
    assert Retrieval.primary.split("/")[-1] == "recall@10"
    assert figures["text_to_audio/map"]["queries"] == 4  # tags are asked, but stand apart
    assert figures["text_to_audio/review/de/map"]["value"] == pytest.approx(
        average_precision(by_hand(stand)["text_to_audio"][1])
    )


def test_texts_of_the_same_words_are_one_query_about_all_their_tracks(stand: Stand) -> None:
    queries = own_queries(stand.manifest)
    assert {query.text: set(query.tracks) for query in queries} == ABOUT
    assert [query.language for query in queries] == ["en", "de", "en", "tr"]


def test_no_language_or_kind_loses_a_query_to_another_of_the_same_words(stand: Stand) -> None:
    rows = [("a", "t0", "en", "label", "Jazz"), ("b", "t1", "de", "label", "jazz"), ("c", "t2", "de", "review", "Jazz")]
    texts = pd.DataFrame([*rows, ("d", "t2", "de", "review", " jazz")], columns=TEXT_COLUMNS)
    jazz = Stand(Manifest.build(stand.manifest.tracks, texts=texts))
    assert own_queries(jazz.manifest) == [
        Query(text, kind, language, frozenset({"t0", "t1", "t2"})) for _, _, language, kind, text in rows
    ]
    figures = Retrieval(cutoffs=[1], draws=0).evaluate(jazz).metrics  # type: ignore[arg-type]
    for name, queries in {"": 3, "/label/en": 1, "/label/de": 1, "/review/de": 1}.items():
        assert figures[f"text_to_audio{name}/recall@1"].queries == queries
        assert figures[f"audio_to_text{name}/recall@1"].value == 1  # no text is wrong
    assert not any(name.startswith("text_to_text") for name in figures)  # there are no other words


def test_a_tag_is_asked_for_in_every_language(stand: Stand) -> None:
    lexicon = Lexicon.load()
    queries = tag_queries(stand.manifest, seed=0)
    assert len(queries) == 2 * len(lexicon.languages)
    for query in queries:
        tag, tracks = ("organ", {"t0", "t6"}) if "t0" in query.tracks else ("sad", {"t7"})
        assert query.tracks == tracks
        assert any(word.lower() in query.text.lower() for word in lexicon.words(tag, query.language))
    assert tag_queries(stand.manifest, seed=0) == queries


def partly(stand: Stand) -> tuple[Stand, dict[str, set[str]], dict[str, set[str]]]:
    """Three tagsets that annotate some of the tracks each; of each tag who has it, and of whom that is known."""
    rows = [("t0", "a", "organ"), ("t1", "a", "sad"), ("t2", "a", "organ"), ("t4", "b", "organ"), ("t6", "c", "bells")]
    annotated = [
        (f"t{row}", name) for name, known in (("a", range(4)), ("b", (3, 4, 5)), ("c", (5, 6))) for row in known
    ]
    manifest = Manifest.build(
        stand.manifest.tracks,
        tags=pd.DataFrame(rows, columns=["track_id", "tagset", "tag"]),
        annotated=pd.DataFrame(annotated, columns=["track_id", "tagset"]),
    )
    has = {tag: {track for track, _, own in rows if own == tag} for tag in ("organ", "sad", "bells")}
    of = {tag: {name for _, name, own in rows if own == tag} for tag in has}
    return Stand(manifest), has, {tag: {track for track, name in annotated if name in of[tag]} for tag in has}


def test_tracks_of_which_a_tag_is_not_known_are_no_candidates(stand: Stand) -> None:
    data, has, known = partly(stand)
    assert known == {"organ": set(TRACKS[:6]), "sad": set(TRACKS[:4]), "bells": {"t5", "t6"}}  # of t7 none
    made = Retrieval(cutoffs=[1, 3], draws=0, directions=["text_to_audio", "audio_to_text"]).evaluate(data)  # type: ignore[arg-type]
    queries = tag_queries(data.manifest, seed=0)
    tag = [next(tag for tag, tracks in has.items() if tracks == query.tracks) for query in queries]
    scores = data.texts([query.text for query in queries]) @ data.vectors("test").vectors.T
    found, chance = [], []
    for row, name in enumerate(tag):
        among = sorted(known[name])
        places = {place for place, track in enumerate(among) if track in has[name]}
        found.append(ranks(scores[row, [TRACKS.index(track) for track in among]], places))
        chance.append(min(3, len(among)) * len(places) / len(among) / min(3, len(places)))
    figure = made.metrics["text_to_audio/tags/recall@3"]
    assert figure.value == pytest.approx(capped(found, 3))
    assert figure.chance == pytest.approx(np.mean(chance))
    assert (figure.queries, figure.candidates) == (18, 6)
    assert made.metrics["text_to_audio/tags/map"].value == pytest.approx(np.mean([*map(average_precision, found)]))
    found = []
    for column, track in enumerate(TRACKS):
        among = [row for row, name in enumerate(tag) if track in known[name]]
        places = {place for place, row in enumerate(among) if track in has[tag[row]]}
        if places:
            found.append(ranks(scores[among, column], places))
    figure = made.metrics["audio_to_text/tags/map"]
    assert figure.value == pytest.approx(np.mean([*map(average_precision, found)]))
    assert (figure.queries, figure.candidates) == (len(found), 12) == (5, 12)
    table = answers(data)  # type: ignore[arg-type]
    assert list(table) == ["text", "kind", "language", "tracks", "rank", "right", "first"]
    assert all(track in known[name] for track, name in zip(table["first"], tag, strict=True))


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


PARALLEL = [
    ("a1", "t0", "en", "review", "loud organ"),
    ("a1", "t1", "en", "review", "loud organ"),
    ("a2", "t0", "de", "review", "laute Orgel"),
    ("a2", "t1", "de", "review", "laute Orgel"),
    ("a3", "t1", "en", "caption", "an organ plays"),
    ("b1", "t2", "en", "review", "sad flute"),
    ("b2", "t2", "en", "review", "a flute, sad"),
    ("b3", "t2", "de", "review", "traurige Flöte"),
    ("b4", "t2", "tr", "review", "hüzünlü flüt"),
    ("c1", "t4", "en", "review", "bells"),
    ("c2", "t4", "de", "review", "Glocken"),
    ("d1", "t6", "en", "review", "Adagio"),
    ("d2", "t6", "de", "review", "adagio"),  # the same words are a query of each language, and no other text
    ("e1", "t7", "de", "review", "nur hier"),
]


@pytest.fixture
def parallel(stand: Stand) -> Stand:
    texts = pd.DataFrame(PARALLEL, columns=TEXT_COLUMNS)
    return Stand(Manifest.build(stand.manifest.tracks, texts=texts, tags=stand.manifest.tags))


def similar(stand: Stand, queries: list[Query]) -> np.ndarray:
    vectors = stand.texts([query.text for query in queries])
    return vectors @ vectors.T


def found_texts(
    scores: np.ndarray, queries: list[Query], asked: Iterable[int], among: Iterable[int]
) -> list[list[int]]:
    """Ranks of the texts of other words that share a track, among some, by a plain loop."""
    found = []
    for row in asked:
        others = [other for other in among if queries[other].text.lower() != queries[row].text.lower()]
        right = {place for place, other in enumerate(others) if queries[other].tracks & queries[row].tracks}
        if right:
            found.append(ranks(scores[row, others], right))
    return found


def test_texts_find_texts_that_share_a_track(parallel: Stand) -> None:
    figures = Retrieval(cutoffs=[1, 3], tags=False, draws=20).evaluate(parallel).as_dict()  # type: ignore[arg-type]
    queries = own_queries(parallel.manifest)
    scores, every = similar(parallel, queries), range(len(queries))
    assert len(queries) == 12

    def rows(kind: str = "", language: str = "") -> list[int]:
        return [
            row
            for row in every
            if queries[row].kind in (kind or "review caption").split() and language in queries[row].language
        ]

    names = {"": (rows(), every), "/review": (rows("review"), every), "/caption": (rows("caption"), every)}
    names |= {f"/review/{code}": (rows("review", code), every) for code in ("en", "de", "tr")}
    names["/caption/en"] = names["/caption"]
    pairs = itertools.product(("review", "caption"), ("en", "de", "tr"), ("en", "de", "tr"))
    names |= {f"/{kind}/{a}_to_{b}": (rows(kind, a), rows("", b)) for kind, a, b in pairs}
    judged = {
        name.removeprefix("text_to_text").rpartition("/")[0] for name in figures if name.startswith("text_to_text")
    }
    for name, (asked, among) in names.items():
        found = found_texts(scores, queries, asked, among)
        assert (name in judged) == bool(found), name
        if found:
            figure = figures[f"text_to_text{name}/map"]
            assert figure["value"] == pytest.approx(np.mean([average_precision(query) for query in found])), name
            assert figures[f"text_to_text{name}/recall@3"]["value"] == pytest.approx(capped(found, 3)), name
            assert figures[f"text_to_text{name}/median_rank"]["value"] == np.median([min(query) for query in found])
            assert figure["queries"] == len(found)
    assert "/review/en_to_tr" in judged
    assert "/review/tr_to_tr" not in judged
    assert figures["text_to_text/map"]["candidates"] == 11
    assert figures["text_to_text/review/en_to_tr/map"]["candidates"] == 1
    assert figures["text_to_text/review/en_to_tr/map"]["value"] == 1.0


def capped(found: list[list[int]], k: int) -> float:
    return float(np.mean([sum(rank <= k for rank in query) / min(k, len(query)) for query in found]))


def test_a_tags_sentence_finds_those_of_the_other_languages(stand: Stand) -> None:
    tags = pd.DataFrame([("t0", "organ"), ("t6", "organ"), ("t6", "sad"), ("t7", "sad")], columns=["track_id", "tag"])
    both = Stand(Manifest.build(stand.manifest.tracks, tags=tags.assign(tagset="any")))  # a track has both
    figures = Retrieval(draws=0, directions=["text_to_text"]).evaluate(both).as_dict()  # type: ignore[arg-type]
    queries = tag_queries(both.manifest, seed=0)
    scores, found = similar(both, queries), []
    for row, query in enumerate(queries):
        others = [other for other in range(12) if other != row]
        same = {place for place, other in enumerate(others) if queries[other].tracks == query.tracks}
        found.append(ranks(scores[row, others], same))
    assert {len(query) for query in found} == {5}
    assert figures["text_to_text/tags/map"]["value"] == pytest.approx(np.mean([average_precision(q) for q in found]))
    assert all(name.startswith("text_to_text/tags") for name in figures)


def test_a_language_is_compared_with_the_pivot_where_they_ask_for_the_same(parallel: Stand) -> None:
    figures = Retrieval(cutoffs=[1], draws=60, tags=False).evaluate(parallel).as_dict()  # type: ignore[arg-type]
    queries = own_queries(parallel.manifest)
    scores = parallel.texts([query.text for query in queries]) @ parallel.vectors("test").vectors.T
    values: dict[tuple[frozenset[str], str], list[float]] = {}
    for row, query in enumerate(queries):
        if query.kind == "review":
            right = {TRACKS.index(track) for track in query.tracks}
            values.setdefault((query.tracks, query.language), []).append(average_precision(ranks(scores[row], right)))
    for language in ("de", "tr"):
        both = [tracks for tracks, code in values if code == "en" and (tracks, language) in values]
        lost = [np.mean(values[tracks, "en"]) - np.mean(values[tracks, language]) for tracks in both]
        groups = [
            parallel.manifest.tracks.set_index("track_id")["group"][min(tracks)] or min(tracks) for tracks in both
        ]
        expected = bootstrap(lost, groups, 60)
        drop = figures[f"text_to_audio/review/{language}/map"]["drop"]
        assert (drop["pivot"], drop["pairs"]) == ("en", len(both)) == ("en", {"de": 4, "tr": 1}[language])
        bounds = [*expected[1:]] if len(set(groups)) > 1 else [None, None]
        assert [drop[key] for key in ("value", "low", "high")] == pytest.approx([expected.mean, *bounds])
    for name, figure in figures.items():
        compared = name.split("/")[1:3] in (["review", "de"], ["review", "tr"]) and "median" not in name
        assert ("drop" in figure) == (compared and not name.startswith("audio_to_text")), name
    other = Retrieval(draws=0, tags=False, pivot="de").evaluate(parallel).as_dict()  # type: ignore[arg-type]
    assert other["text_to_audio/review/en/map"]["drop"]["value"] == pytest.approx(
        -figures["text_to_audio/review/de/map"]["drop"]["value"]
    )
    assert not any(
        "drop" in f for f in Retrieval(draws=0, tags=False, pivot="ja").evaluate(parallel).as_dict().values()
    )  # type: ignore[arg-type]


def test_tracks_are_compared_where_the_languages_have_texts_about_the_same(stand: Stand) -> None:
    figures = Retrieval(draws=0).evaluate(stand).as_dict()  # type: ignore[arg-type]
    found = figures["audio_to_text/tags/de/map"]
    assert found["drop"]["value"] == pytest.approx(figures["audio_to_text/tags/en/map"]["value"] - found["value"])
    assert found["drop"]["pairs"] == found["queries"] == 3
    assert "drop" not in figures["audio_to_text/review/de/map"]


def test_tables_hold_what_each_query_found(parallel: Stand) -> None:
    made = Retrieval(cutoffs=[1, 3], draws=0).evaluate(parallel)  # type: ignore[arg-type]
    assert set(made.tables) == {f"queries/{a}_to_{b}" for a in ("audio", "text") for b in ("audio", "text")}
    for direction in ("text_to_audio", "text_to_text", "audio_to_text", "audio_to_audio"):
        table = made.tables[f"queries/{direction}"]
        assert list(table) == [
            "kind",
            "language",
            "group",
            *per_query(np.eye(3), np.eye(3, dtype=bool), list("abc"), ks=[1, 3]),
        ]
        own = table[table["kind"] == ""] if direction.startswith("audio") else table[table["kind"] != "tags"]
        for measure in ("recall@3", "mrr", "precision@1"):
            assert own[measure].mean() == pytest.approx(made.metrics[f"{direction}/{measure}"].value)
    texts = made.tables["queries/text_to_audio"]
    assert list(texts.index[:3]) == ["loud organ", "laute Orgel", "an organ plays"]
    assert list(texts["group"][:4]) == ["g0", "g0", "g0", "t2"]  # a track without a group is its own
    asked = texts[texts["kind"] == "tags"].groupby("group")["language"]
    assert (asked.nunique() == asked.size()).all()  # a tag's sentences, in all languages, are a group of their own
    assert not set(asked.groups) & set(texts.loc[texts["kind"] != "tags", "group"])
    assert np.isnan(made.tables["queries/text_to_text"].loc["nur hier", "map"])
    assert set(made.tables["queries/audio_to_text"]["kind"]) == {"", "review", "caption", "tags"}


def test_medians_by_counts_are_those_of_the_repeated_values() -> None:
    rng = np.random.default_rng(2)
    for units in (1, 2, 5, 8):
        values, counts = rng.integers(1, 6, units).astype(float), rng.integers(0, 3, (40, units))
        counts[counts.sum(axis=1) == 0, 0] = 1
        expected = [np.median(np.repeat(values, row)) for row in counts]
        assert medians(values, counts) == pytest.approx(expected)


def test_only_the_directions_that_are_asked(stand: Stand) -> None:
    made = Retrieval(draws=0, directions=["audio_to_text"]).evaluate(stand)  # type: ignore[arg-type]
    assert {name.split("/")[0] for name in made.metrics} == {"audio_to_text"}
    assert list(made.tables) == ["queries/audio_to_text"]
    with pytest.raises(InputError, match="directions is empty"):
        Retrieval(directions=[])

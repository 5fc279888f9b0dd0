"""Where a model does best and worst, to be listened to: queries with what they found, and tracks taken for another."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.data.manifest import same_words
from crossmodal.report.listening import FOUND, Article, Floats, Heard, Listener
from crossmodal.report.tagsets import Pair

DIRECTIONS = ("text_to_audio", "audio_to_text", "audio_to_audio", "text_to_text")
BEST, WORST = 2, 3  # queries of a direction
MISTAKEN = 6  # tracks that are taken for another class
MEASURES = ("map", "average_precision", "mrr")  # by which queries are ranked: the first that a table has
RANK = "median_rank"
NAMES = {"map": "average precision"}  # what a measure is called of a single query
ABOUT = {"kind", "language", "group"}  # columns of a table of queries that are no measures


class Extremes(NamedTuple):
    """The queries of a direction that did best and worst."""

    name: str
    measure: str
    best: list[Article]
    worst: list[Article]


def ranked(found: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tables of queries among those of all tasks, in the order of `DIRECTIONS`."""
    names = [(task, name) for task, name in found if name.removeprefix("queries/") in DIRECTIONS]
    return sorted(names, key=lambda one: (one[0], DIRECTIONS.index(one[1].removeprefix("queries/"))))


def extremes(listener: Listener, name: str, table: pd.DataFrame) -> Extremes | None:
    """The best and the worst queries of a table ``queries/<direction>``, with what they found; None if it has none.

    A row is a query, its words or its track; its measures stand in columns. The rows of a query that stands there
    again, of other candidates or in another language, are passed over.
    """
    direction = name.removeprefix("queries/")
    measures = [column for column in table.columns if column not in ABOUT]
    measure = next((column for column in MEASURES if column in measures), measures[0] if measures else None)
    asks, _, finds = direction.partition("_to_")
    if measure is None:
        return None
    known = table[table[measure].notna() & ~table.index.duplicated()].sort_values(measure, kind="stable")
    if asks == "audio":
        known = known[known.index.isin(list(listener.row))]
    queries, best = _ends(known.index), min(BEST, len(known) // 2)
    told = [_article(listener, asks, finds, str(query), known.loc[query], measure) for query in queries]
    if not told:
        return None
    worst = len(told) - best
    return Extremes(direction, NAMES.get(measure, measure), told[worst:][::-1], told[:worst])


def _ends(queries: pd.Index[Any]) -> list[Any]:
    """The worst and then the best, each once."""
    best = min(BEST, len(queries) // 2)
    return [*queries[: min(WORST, len(queries) - best)], *queries[len(queries) - best :]]


def _article(listener: Listener, asks: str, finds: str, query: str, row: pd.Series[Any], measure: str) -> Article:
    if asks == "audio":
        vector = listener.found.vectors[listener.row[query]]
        title, asked = listener.title(query), listener.track(query, 0, vector, None)
    else:
        (vector,) = listener.embedded.texts([query])
        title, asked = query, None
    wanted = _wanted(listener, asks, finds, query)
    candidates = listener.found.vectors if finds == "audio" else listener.text_vectors
    scores = candidates @ vector
    if asks == finds:
        scores[_itself(listener, asks, query)] = -np.inf
    order = np.argsort(-scores, kind="stable")
    hits = []
    for rank, place in _shown(order, scores, wanted):
        right = None if wanted is None else bool(wanted[place])
        hits.append(_hit(listener, finds, int(place), rank, vector, right))
    facts = [str(row[name]) for name in ("kind", "language") if row.get(name)]
    note = " · ".join([*facts, f"{NAMES.get(measure, measure)} {row[measure]:.3f}", *_first(row)])
    return Article(title, str(row.get("language") or "") if asks == "text" else "", note, asked, hits)


def _first(row: pd.Series[Any]) -> list[str]:
    return [f"first relevant at rank {row[RANK]:,.0f}"] if RANK in row and np.isfinite(row[RANK]) else []


def _hit(listener: Listener, finds: str, place: int, rank: int, vector: Floats, right: bool | None) -> Heard:
    if finds == "audio":
        return listener.track(listener.found.track_ids[place], rank, vector, right)
    return listener.text(place, rank, vector, right)


def _shown(order: NDArray[np.intp], scores: Floats, wanted: NDArray[np.bool_] | None) -> list[tuple[int, int]]:
    """Rank and place of what came first, and, if nothing of that was relevant, of the first that is."""
    places = [int(place) for place in order if np.isfinite(scores[place])]
    shown = list(enumerate(places[: FOUND - 1], 1))
    if wanted is not None and not any(wanted[place] for _, place in shown):
        shown += [(rank, place) for rank, place in enumerate(places, 1) if wanted[place]][:1]
    return shown


def _wanted(listener: Listener, asks: str, finds: str, query: str) -> NDArray[np.bool_] | None:
    """Which candidates are relevant; None where it is not known, as for a sentence of a tag."""
    texts = listener.texts
    if asks == "text":
        found = texts["tracks"][texts["text"].map(same_words) == same_words(query)]
        if found.empty:
            return None
        tracks = found.iloc[0]
    elif finds == "audio":
        tracks = frozenset().union(*(about for about in texts["tracks"] if query in about)) - {query}
    else:
        tracks = frozenset([query])
    if finds == "audio":
        return np.array([track in tracks for track in listener.found.track_ids])
    return np.array([bool(about & tracks) for about in texts["tracks"]])


def _itself(listener: Listener, asks: str, query: str) -> NDArray[np.bool_]:
    if asks == "audio":
        return np.array([track == query for track in listener.found.track_ids])
    return np.asarray(listener.texts["text"].map(same_words) == same_words(query), dtype=bool)


def mistaken(listener: Listener, pair: Pair) -> list[Heard]:
    """The tracks whose wrong class was preferred to the true one by most, the worst first."""
    true, chosen = pair.labels
    scores, names = pair.scores.to_numpy(np.float64), np.array(pair.truth.columns, dtype=str)
    column = {name: number for number, name in enumerate(names)}
    rows = np.arange(len(scores))
    by = scores.max(axis=1) - scores[rows, [column[name] for name in true]]
    wrong = [row for row in np.argsort(-by, kind="stable") if true[row] != chosen[row]]
    made: list[Heard] = []
    for row in wrong:
        track = str(pair.truth.index[row])
        if track in listener.row and len(made) < MISTAKEN:
            vector = listener.found.vectors[listener.row[track]]
            heard = listener.track(track, len(made) + 1, vector, None)
            made.append({**heard, "true": str(true[row]), "chosen": str(chosen[row]), "score": float(by[row])})
    return made

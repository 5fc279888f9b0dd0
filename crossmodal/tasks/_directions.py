"""The directions of retrieval: what is ranked for what, and what is relevant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.data.manifest import same_words
from crossmodal.tasks._queries import TAGS, Query, about, subsets, topics, unknown
from crossmodal.tasks._rankings import Asked, Ranking

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Direction = Literal["text_to_audio", "audio_to_text", "audio_to_audio", "text_to_text"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


class Ranked(NamedTuple):
    """A direction: its rankings by the end of their name, those from language to language, and a table of queries."""

    rankings: dict[str, Ranking]
    pairs: dict[str, Ranking]
    table: pd.DataFrame


@dataclass(frozen=True)
class View:
    """Texts and tracks with their unit vectors.

    Attributes:
        queries: the texts.
        track_ids: the tracks.
        clusters: of the tracks, which the bootstrap draws as wholes.
        texts: ``(queries, dim)``.
        tracks: ``(tracks, dim)``.
        cutoffs: of the measures.
    """

    queries: Sequence[Query]
    track_ids: Sequence[str]
    clusters: Sequence[str]
    texts: Floats
    tracks: Floats
    cutoffs: Sequence[int]

    @cached_property
    def relevance(self) -> Bools:
        """``(queries, tracks)``: which tracks each text is about."""
        return about(self.queries, self.track_ids)

    @cached_property
    def unknown(self) -> Bools:
        """``(queries, tracks)``: of which tracks it is not known whether a text is about them."""
        return unknown(self.queries, self.track_ids)

    @cached_property
    def keys(self) -> list[str]:
        """What each text is about."""
        return topics(self.queries)

    @cached_property
    def from_tags(self) -> Bools:
        """Which texts are a tag's sentences."""
        return np.array([query.kind == TAGS for query in self.queries])

    @cached_property
    def by_text(self) -> Asked:
        """The texts as queries: a tag's sentences are a cluster, others are in that of the first of their tracks."""
        cluster = dict(zip(self.track_ids, self.clusters, strict=True))
        texts, asked = [query.text for query in self.queries], zip(self.queries, self.keys, strict=True)
        groups = [key if query.kind == TAGS else cluster[min(query.tracks)] for query, key in asked]
        return Asked(texts, self.keys, groups)

    @cached_property
    def by_track(self) -> Asked:
        """The tracks as queries."""
        return Asked(self.track_ids, self.track_ids, self.clusters)

    @cached_property
    def text_ids(self) -> list[str]:
        """The texts as candidates."""
        return [query.text + str(row) for row, query in enumerate(self.queries)]

    def of_queries(self, every: Ranking, pairs: dict[str, Ranking]) -> Ranked:
        """A ranking for all texts, in its parts, and its table."""
        names = [query.kind for query in self.queries], [query.language for query in self.queries]
        parts = {name: every.select(rows) for name, rows in subsets(self.queries).items()}
        return Ranked(parts, pairs, every.table(*names))


def text_to_audio(view: View) -> Ranked:
    """Texts against all tracks; a tag's sentences against those of which it is known whether they have it."""
    matrices = view.texts @ view.tracks.T, view.relevance
    return view.of_queries(Ranking.of(view.by_text, view.track_ids, *matrices, view.cutoffs, view.unknown), {})


def audio_to_text(view: View) -> Ranked:
    """Tracks against the texts, all the manifest's own, of each kind, and of each kind and language.

    Sentences of tags of which it is not known whether a track has them are no candidates for it.
    """
    found: dict[str, Ranking] = {}
    for name, rows in subsets(view.queries).items():
        ids, among = [view.text_ids[row] for row in rows], sorted(view.keys[row] for row in rows)
        matrices = view.tracks @ view.texts[rows].T, view.relevance[rows].T
        found[name] = Ranking.of(view.by_track, ids, *matrices, view.cutoffs, view.unknown[rows].T, among)
    tables = [ranking.table(name[1:]) for name, ranking in found.items() if name.count("/") < 2]
    return Ranked(found, {}, pd.concat(tables))


def audio_to_audio(view: View) -> Ranked:
    """Tracks against the other tracks; relevant is what shares one of the manifest's own texts."""
    own = view.relevance[~view.from_tags].astype(np.float32)
    scores, exclude = view.tracks @ view.tracks.T, np.eye(len(view.tracks), dtype=bool)
    found = Ranking.of(view.by_track, view.track_ids, scores, own.T @ own > 0, view.cutoffs, exclude)
    return Ranked({"": found}, {}, found.table())


def text_to_text(view: View) -> Ranked:
    """Texts against the other texts, of all languages and of each; the tags' sentences are apart from the others.

    Relevant is what shares a track; of the tags' sentences, what is about the very same tracks. The same words,
    such as a name that languages share, are no other text.
    """
    tracks, keys = view.relevance.astype(np.float32), np.array(view.keys)
    words = np.array([same_words(query.text) for query in view.queries])
    relevance = np.where(view.from_tags, keys[:, None] == keys, tracks @ tracks.T > 0)
    scores = view.texts @ view.texts.T
    exclude = (words[:, None] == words) | (view.from_tags[:, None] != view.from_tags)
    every = Ranking.of(view.by_text, view.text_ids, scores, relevance, view.cutoffs, exclude)
    return view.of_queries(every, _from_language_to_language(view, every, scores))


def _from_language_to_language(view: View, every: Ranking, scores: Floats) -> dict[str, Ranking]:
    """The texts of a kind and language against those of each language; nothing where there is but one."""
    languages = np.array([query.language for query in view.queries])
    found: dict[str, Ranking] = {}
    for name, rows in subsets(view.queries).items() if len(set(languages)) > 1 else ():
        for language in sorted(set(languages)) if name.count("/") == 2 else ():
            columns = np.flatnonzero((languages == language) & (view.from_tags == view.from_tags[rows[0]]))
            cells, ids = np.ix_(np.array(rows), columns), [view.text_ids[column] for column in columns]
            if ids:
                asked, matrices = view.by_text.select(rows), (scores[cells], every.relevance[cells])
                ranking = Ranking.of(asked, ids, *matrices, view.cutoffs, every.exclude[cells])
                found[f"{name}_to_{language}"] = ranking
    return found


ranked: dict[Direction, Callable[[View], Ranked]] = dict(
    zip(DIRECTIONS, (text_to_audio, audio_to_text, audio_to_audio, text_to_text), strict=True)
)

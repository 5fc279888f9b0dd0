"""Text-to-audio, audio-to-text and audio-to-audio retrieval with sets of relevant items, by kind and language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.metrics import retrieval as metrics
from crossmodal.settings import Count, Whole
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

TAGS = "tags"  # the kind of the queries that the lexicon makes: a sentence for each tag and language
Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


class Query(NamedTuple):
    """A text that is asked: its words, kind and language, and the set of tracks it is about."""

    text: str
    kind: str
    language: str
    tracks: frozenset[str]


class Retrieval(Task):
    """Whole tracks against whole texts by cosine, over all tracks of the part.

    Texts of the same words are one query. The figures without a kind are over the manifest's own texts of every kind;
    those of a kind, and of a kind and language, stand beside them, so that sentences made from templates or tags can
    be told from human words. Intervals: bootstrap over queries, clustered by the group of the tracks they are about.

    Args:
        cutoffs: k of recall@k.
        tags: also ask for every tag by name, in every language of the lexicon (kind ``tags``).
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap and of the tag sentences' wording.
    """

    primary: ClassVar[str] = "text_to_audio/recall@10"

    def __init__(
        self, cutoffs: list[Count] | None = None, tags: bool = True, draws: Whole = 1000, seed: Whole = 0
    ) -> None:
        self.cutoffs = [1, 5, 10] if cutoffs is None else cutoffs
        self.tags, self.draws, self.seed = tags, draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<direction>[/<kind>[/<language>]]/<metric>``."""
        vectors = embedded.vectors(part)
        manifest = embedded.part(part).select(vectors.track_ids)
        groups = dict(zip(manifest.tracks["track_id"], manifest.tracks["group"], strict=True))
        queries = [*own_queries(manifest), *(tag_queries(manifest, self.seed) if self.tags else [])]
        if not queries:
            raise InputError(f"retrieval: part {part} of split {embedded.split} has neither texts nor tags to ask with")
        view = _View(queries, vectors.track_ids, groups, embedded.texts([q.text for q in queries]), vectors.vectors)
        found: dict[str, Measured] = {}
        for name, rows in subsets(queries).items():
            found |= self._direction(f"text_to_audio{name}", view.text_to_audio(rows))
            found |= self._direction(f"audio_to_text{name}", view.audio_to_text(rows))
        own = [row for row, query in enumerate(queries) if query.kind != TAGS]
        if own:
            found |= self._direction("audio_to_audio", view.audio_to_audio(own))
        return Judgement(found)

    def _direction(self, name: str, asked: _Asked) -> dict[str, Measured]:
        """The metrics of one direction; nothing if no query has a relevant item (every track's text is its own)."""
        scores, relevance = asked.scores, asked.relevance
        exclude = np.eye(len(scores), dtype=bool) if name == "audio_to_audio" else None
        if not (relevance & ~exclude if exclude is not None else relevance).any():
            return {}
        values = metrics.per_query(scores, relevance, asked.items, exclude, ks=self.cutoffs)
        means = metrics.summary(values, name)
        chance = metrics.chance(name, relevance, exclude, self.cutoffs)
        units = Units(asked.queries, asked.groups, self.draws, self.seed)
        candidates = scores.shape[1] - (exclude is not None)
        wanted = [*(f"recall@{k}" for k in self.cutoffs), "map"]
        found = {
            f"{name}/{metric}": units.mean(values[metric], chance=chance[f"{name}/{metric}"], candidates=candidates)
            for metric in wanted
        }
        rank, queries = f"{name}/median_rank", int(means[f"{name}/queries"])
        return {**found, rank: Measured(means[rank], chance=chance[rank], queries=queries, candidates=candidates)}


class _Asked(NamedTuple):
    """One direction: ``scores`` and ``relevance (queries, items)``, the items' ids, the queries' ids and groups."""

    scores: Floats
    relevance: Bools
    items: list[str]
    queries: list[str]
    groups: list[str]


class _View(NamedTuple):
    """Queries and tracks with their unit vectors, and the matrices that each direction is scored on."""

    queries: list[Query]
    track_ids: tuple[str, ...]
    groups: dict[str, str]
    texts: Floats
    tracks: Floats

    def relevance(self, rows: Sequence[int]) -> Bools:
        """``(rows, tracks)``: which tracks each query is about."""
        places = {track: place for place, track in enumerate(self.track_ids)}
        relevant = np.zeros((len(rows), len(places)), dtype=bool)
        for row, query in enumerate(rows):
            relevant[row, [places[track] for track in self.queries[query].tracks]] = True
        return relevant

    def group(self, track: str) -> str:
        """A track's group; itself where it has none."""
        return self.groups[track] or track

    def text_to_audio(self, rows: Sequence[int]) -> _Asked:
        """Texts against all tracks; a text belongs to the group of the first of its tracks."""
        groups = [self.group(min(self.queries[row].tracks)) for row in rows]
        asked = [self.queries[row].text for row in rows]
        return _Asked(self.texts[rows] @ self.tracks.T, self.relevance(rows), list(self.track_ids), asked, groups)

    def audio_to_text(self, rows: Sequence[int]) -> _Asked:
        """Tracks against the texts of ``rows``."""
        groups = [self.group(track) for track in self.track_ids]
        ids = [self.queries[row].text + str(row) for row in rows]
        return _Asked(self.tracks @ self.texts[rows].T, self.relevance(rows).T, ids, list(self.track_ids), groups)

    def audio_to_audio(self, rows: Sequence[int]) -> _Asked:
        """Tracks against the other tracks; relevant is what shares one of the texts."""
        shared = self.relevance(rows).astype(np.float32)
        groups = [self.group(track) for track in self.track_ids]
        ids = list(self.track_ids)
        return _Asked(self.tracks @ self.tracks.T, shared.T @ shared > 0, ids, ids, groups)


def own_queries(manifest: Manifest) -> list[Query]:
    """The manifest's texts, each wording once, in the order in which they first stand."""
    about = manifest.relevance()
    found: dict[str, Query] = {}
    columns = manifest.texts[["text_id", "text", "kind", "language"]]
    for text_id, text, kind, language in columns.itertuples(index=False):
        found.setdefault(same_words(text), Query(text, kind, language, about[text_id]))
    return list(found.values())


def tag_queries(manifest: Manifest, seed: int) -> list[Query]:
    """A sentence for every tag, in every language of the lexicon, about all the tracks that have the tag."""
    lexicon, rng = Lexicon.load(), np.random.default_rng(seed)
    tagged = {tag: frozenset(tracks) for tag, tracks in manifest.tags.groupby("tag")["track_id"]}
    return [
        Query(lexicon.sentence([str(tag)], language, rng), TAGS, language, tracks)
        for tag, tracks in tagged.items()
        for language in lexicon.languages
    ]


def answers(embedded: Embedded, part: str = "test") -> pd.DataFrame:
    """What each text of a part finds, to look at one by one; sentences of the tags where the part has no texts.

    Returns:
        A row a text, each wording once: text, kind, language, tracks (those it is about); rank, from 1, of the first
        of them; ``right``, which one that is; ``first``, the track of rank 1.
    """
    vectors = embedded.vectors(part)
    manifest = embedded.part(part).select(vectors.track_ids)
    queries = own_queries(manifest) or tag_queries(manifest, seed=0)
    view = _View(queries, vectors.track_ids, {}, embedded.texts([query.text for query in queries]), vectors.vectors)
    order = metrics.id_order(vectors.track_ids)  # of equal tracks the first is the one that the ranking has first
    ids = np.array(vectors.track_ids)[order]
    scores, relevance = (view.texts @ view.tracks.T)[:, order], view.relevance(range(len(queries)))[:, order]
    return pd.DataFrame(queries, columns=list(Query._fields)).assign(
        rank=metrics.per_query(scores, relevance, list(ids))["median_rank"].astype(int),
        right=ids[np.where(relevance, scores, -np.inf).argmax(axis=1)],
        first=ids[scores.argmax(axis=1)],
    )


def subsets(queries: Sequence[Query]) -> dict[str, list[int]]:
    """Rows of the queries by the part of a metric's name: all the manifest's own, each kind, each kind and language."""
    found: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        names = ["", f"/{query.kind}", f"/{query.kind}/{query.language}"]
        for name in names if query.kind != TAGS else names[1:]:
            found.setdefault(name, []).append(row)
    return found

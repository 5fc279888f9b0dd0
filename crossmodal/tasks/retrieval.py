"""Retrieval between audio and text in all four directions, with sets of relevant items, by kind and language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from crossmodal.data.groups import clusters_of
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured
from crossmodal.metrics import retrieval as metrics
from crossmodal.settings import Count, Whole
from crossmodal.tasks._directions import DIRECTIONS, Direction, View, ranked
from crossmodal.tasks._queries import Query, about, own_queries, tag_queries, unknown
from crossmodal.tasks._rankings import RANK, Ranking
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Retrieval(Task):
    """Whole tracks and whole texts by cosine, in every direction, over all tracks of the part.

    Texts of the same words, kind and language are one query; it is about the tracks of all texts of these words, of
    whatever kind and language. The figures without a kind are over the manifest's own texts of every kind; those of a
    kind, and of a kind and language, stand beside them, so that sentences made from templates or tags can be told from
    human words. Intervals: bootstrap over queries with the candidates fixed, clustered by the artist and group of the
    tracks they are about; a tag's sentences are one cluster.

    - ``text_to_audio``: a text finds the tracks it is about, among all; a tag's sentence among those that are annotated
      with a tagset that has the tag.
    - ``audio_to_text``: a track finds the texts about it, among those of the kind and language; of tags, among those of
      the tagsets that it is annotated with.
    - ``audio_to_audio``: a track finds the tracks that share a text with it, among all others, those of its own artist
      and group too: they are what a review of an album is about. `crossmodal.tasks.neighbours` leaves them out.
    - ``text_to_text``: a text finds the texts of other words about one of its tracks, among the manifest's own of every
      kind and language; a tag's sentence finds those about the very same tracks, among the tags' sentences. The same
      words are no candidate, in whatever language. ``<language>_to_<language>`` is among the texts of the latter, in
      fewer measures.

    Where queries differ in their candidates, ``candidates`` is the largest number; chance is of each query's own.

    A language's figures have a ``drop`` against the pivot's: by how much they are lower, over the pairs of queries that
    ask for the same. These are texts of a kind about the very same tracks, such as the sentences of a tag; or, of audio
    to text, the same tracks, where both languages have texts about the very same.

    Args:
        cutoffs: k of recall@k, hit@k and precision@k.
        tags: also ask for every tag by name, in every language of the lexicon (kind ``tags``).
        directions: those that are judged; all if None.
        pivot: the language that the others are compared with.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap and of the tag sentences' wording.
    """

    primary: ClassVar[str] = "text_to_audio/recall@10"
    reads: ClassVar[bool] = True

    def __init__(
        self,
        cutoffs: list[Count] | None = None,
        tags: bool = True,
        directions: list[Direction] | None = None,
        pivot: str = "en",
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        self.cutoffs = [1, 5, 10] if cutoffs is None else cutoffs
        self.directions = list(DIRECTIONS) if directions is None else directions
        self.tags, self.pivot, self.draws, self.seed = tags, pivot, draws, seed
        if not self.directions:
            raise InputError("retrieval: directions is empty; name one at least, or give null for all")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<direction>[/<kind>[/<language>]]/<measure>``, and tables ``queries/<direction>``, a row a query."""
        vectors = embedded.vectors(part)
        manifest = embedded.part(part).select(vectors.track_ids)
        queries = [*own_queries(manifest), *(tag_queries(manifest, self.seed) if self.tags else [])]
        if not queries:
            raise InputError(f"retrieval: part {part} of split {embedded.split} has neither texts nor tags to ask with")
        clusters = clusters_of(manifest, vectors.track_ids)
        texts = embedded.texts([query.text for query in queries])
        view = View(queries, vectors.track_ids, clusters, texts, vectors.vectors, self.cutoffs)
        found: dict[str, Measured] = {}
        tables = {}
        for direction in self.directions:
            rankings, pairs, table = ranked[direction](view)
            figures = {name: self._measured(rankings, name) for name in rankings}
            few = [*(f"recall@{k}" for k in self.cutoffs), "map", RANK]
            figures |= {name: pair.figures(self.draws, self.seed, few) for name, pair in pairs.items()}
            found |= {f"{direction}{name}/{m}": figure for name, own in figures.items() for m, figure in own.items()}
            if table["map"].notna().any():
                tables[f"queries/{direction}"] = table
        return Judgement(found, tables)

    def _measured(self, rankings: Mapping[str, Ranking], name: str) -> dict[str, Measured]:
        """The figures of a name, with the drop where it is of a language other than the pivot."""
        found = rankings[name].figures(self.draws, self.seed)
        path, _, language = name.rpartition("/")
        pivot = rankings.get(f"{path}/{self.pivot}")
        if pivot is None or not path or language == self.pivot or pivot.among != rankings[name].among:
            return found
        lost = rankings[name].drop(pivot, self.draws, self.seed)
        drops = {measure: {"drop": {"pivot": self.pivot, **drop}} for measure, drop in lost.items()}
        return {measure: replace(figure, more=drops.get(measure, {})) for measure, figure in found.items()}


def answers(embedded: Embedded, part: str = "test") -> pd.DataFrame:
    """What each text of a part finds, to look at one by one; sentences of the tags where the part has no texts.

    Returns:
        A row a text, each wording once a kind and language: text, kind, language, tracks (those it is about); rank,
        from 1, of the first of them; ``right``, which one that is; ``first``, the track of rank 1.
    """
    vectors = embedded.vectors(part)
    manifest = embedded.part(part).select(vectors.track_ids)
    queries = own_queries(manifest) or tag_queries(manifest, seed=0)
    texts = embedded.texts([query.text for query in queries])
    order = metrics.id_order(vectors.track_ids)  # of equal tracks the first is the one that the ranking has first
    ids = np.array(vectors.track_ids)[order]
    scores, relevance = (texts @ vectors.vectors.T)[:, order], about(queries, list(ids))
    exclude = unknown(queries, list(ids))
    return (
        pd.DataFrame(queries, columns=list(Query._fields))
        .assign(
            rank=metrics.per_query(scores, relevance, list(ids), exclude)["median_rank"].astype(int),
            right=ids[np.where(relevance, scores, -np.inf).argmax(axis=1)],
            first=ids[np.where(exclude, -np.inf, scores).argmax(axis=1)],
        )
        .drop(columns="unknown")
    )

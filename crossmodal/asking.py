"""Queries to answers: what was asked becomes vectors, and an index's tracks become hits.

The figures are of the quickstart's test part, one seed; `experiments/queries.py` makes them, and `queries.md` beside it
has them with their intervals, and those of `real_small`.

**Mixing.** Each part is brought to length one, weighed, and added, or subtracted where it is not wanted; a text beside
sound counts double. "A -B" finds ten tracks of which .716 are tagged A and not B; "A" alone .567, the words "A without
B" .179. Projecting B out of A (.715) or scaling parts by the spread of their scores (.703) is not better. Of what a
song and a word find, .471 have the song's instrument and the word's tag, and .387 where the text counts once.

**Segments.** A track is as good as its best segment (``max``), which is the default since it finds what happens in a
part of a track: recall@10 .703 in medleys, by ``mean`` .355. ``mean`` weighs all its segments by their seconds;
``late`` takes the mean, over the segments of the query, of each one's best (late interaction; Khattab and Zaharia,
SIGIR 2020). Both re-rank the best `POOL` by ``max``.

**Copies.** A query with sound returns neither that sound nor its copies: of the `NEIGHBOURS` nearest tracks, those
whose waveform is the same (`crossmodal.data.copies`). So all mp3, ogg and quieter copies are found, .92 of those that
begin later, .98 of cut ones, and nothing else. Vectors do not tell: where they are as like as .98, .09 of the mp3
copies are found, and for .05 of the queries another track. They judge where a file is not there, at `SAME`.

**Hubs.** CSLS gains .010 [-.007, .026] in recall@10, so there is a correction only where there is a bank.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow
import pyarrow.compute
from numpy.typing import NDArray

from crossmodal.audio.decode import AudioError
from crossmodal.data.copies import Copies, copies_of, samples_of
from crossmodal.errors import InputError
from crossmodal.filters import Filter
from crossmodal.metrics.hubness import closeness, csls
from crossmodal.metrics.retrieval import id_key
from crossmodal.queries import Part, Query
from crossmodal.sounds import Sound, likeness, of_file, unit

if TYPE_CHECKING:
    from crossmodal.hits import Hit
    from crossmodal.model import DualEncoder
    from crossmodal.search import AnyIndex

Floats = NDArray[np.float32]
Match = Literal["max", "mean", "late"]
TEXT_BESIDE_SOUND = 2.0
POOL = 200  # tracks that are ranked again, where that is asked for
NEIGHBOURS = 20  # of a sound, among which its copies are looked for: they are there in all of the cases measured
SUSPECT = 0.6  # likeness: with less, no copy
SAME = 0.995  # likeness: with so much, a copy, where the sound cannot be compared
CANCELLED = 1e-3  # of the weights: a sum shorter than this has no direction


class Embedded(NamedTuple):
    """A query as vectors.

    Attributes:
        query: what was asked.
        vector: ``(dim,)``, at length one.
        segments: ``(segments, dim)``: the same with each segment of a wanted sound in its place, for late interaction.
        sounds: the wanted ones.
    """

    query: Query
    vector: Floats
    segments: Floats
    sounds: tuple[Sound, ...]


@dataclass(frozen=True)
class Wishes:
    """How a query is to be answered.

    Attributes:
        k: answers.
        where: conditions that all answers meet.
        per_artist: answers of one artist, at most; tracks whose artist is not known count each for itself.
        match: how the segments of a track answer together.
        copies: whether the query's own sound, and its copies, may be answers.
    """

    k: int = 10
    where: tuple[Filter, ...] = ()
    per_artist: int | None = None
    match: Match = "max"
    copies: bool = False

    def __post_init__(self) -> None:
        if self.per_artist is not None and self.per_artist < 1:
            raise InputError(f"answers of one artist are {self.per_artist}; valid is 1 or more")


class Answer(NamedTuple):
    """The best tracks, and the ids of those left out because they are the query's own sound, or copies of it."""

    hits: list[Hit]
    copies: list[str]


class Asker:
    """An index and the model that made its vectors.

    Args:
        index: what is asked.
        model: of the same fingerprint.
        bank: vectors of queries like those to come, ``(bank, dim)``; with them scores are corrected for hubs (CSLS).

    Raises:
        InputError: the index was made by another model.
    """

    def __init__(self, index: AnyIndex, model: DualEncoder, bank: Floats | None = None) -> None:
        self.index, self.model, self.bank = index, model, bank
        index.search(np.zeros((0, index.dim), np.float32), fingerprint=model.fingerprint)  # refuses another model

    def texts(self, queries: Iterable[Query]) -> dict[str, Floats]:
        """The unit vectors of all words in some queries, by the words: quicker than one by one."""
        found = list(dict.fromkeys(part.value for query in queries for part in query.parts if not part.sounds))
        return dict(zip(found, self.model.embed_text(found), strict=True))

    def embedded(self, query: Query, texts: Mapping[str, Floats] | None = None) -> Embedded:
        """A query as vectors.

        Args:
            query: what is asked.
            texts: of its words, if they are known already.

        Raises:
            AudioError: a file that cannot be used.
            InputError: a track that the index lacks, a stretch that a sound has not, or parts that cancel out.
        """
        known = self.texts([query]) if texts is None else texts
        sounds = {part: self._sound(part) for part in query.parts if part.sounds}
        units = [sounds[part].vector if part.sounds else known[part.value] for part in query.parts]
        double = TEXT_BESIDE_SOUND if sounds else 1.0
        weights = np.array([part.weight * (1.0 if part.sounds else double) for part in query.parts], np.float32)
        whole = weights @ np.stack(units)
        if np.linalg.norm(whole) < CANCELLED * np.abs(weights).sum():
            raise InputError(f"the parts of the query cancel out, so nothing is asked: {query}")
        wanted = tuple(sounds[part] for part in query.parts if part.sounds and part.weight > 0)
        rows = [
            whole + part.weight * (sounds[part].vectors - mean)
            for part, mean in zip(query.parts, units, strict=True)
            if part.sounds and part.weight > 0
        ]
        return Embedded(query, unit(whole), unit(np.concatenate(rows or [whole[None]])), wanted)

    def vectors(self, queries: Sequence[Query]) -> Floats:
        """Unit vectors of the queries, ``(queries, dim)``; raises what `embedded` does."""
        texts = self.texts(queries)
        none = np.zeros((0, self.index.dim), np.float32)
        return np.concatenate([none, *(self.embedded(query, texts).vector[None] for query in queries)])

    def ask(self, query: Query, wishes: Wishes | None = None) -> Answer:
        """The tracks that answer a query; raises what `embedded` and `answer` do."""
        return self.answer(self.embedded(query), wishes or Wishes())

    def answer(self, embedded: Embedded, wishes: Wishes) -> Answer:
        """The tracks that answer an embedded query.

        Raises:
            InputError: a filter that does not fit the index, or k below 1.
        """
        copies = [] if wishes.copies else self.copies(embedded)
        many = wishes.per_artist is None
        hits = self._ranked(embedded, wishes.k, wishes, copies) if many else self._of_many(embedded, wishes, copies)
        return Answer([hit._replace(rank=rank) for rank, hit in enumerate(hits, start=1)], copies)

    def answers(self, embedded: Sequence[Embedded], wishes: Sequence[Wishes]) -> list[Answer]:
        """As `answer` of each; those that one search answers, and that wish the same, are searched for together."""
        found: dict[int, Answer] = {}
        alike: dict[Wishes, list[int]] = {}
        for row, (one, wish) in enumerate(zip(embedded, wishes, strict=True)):
            if one.sounds or wish.per_artist or wish.match != "max" or self.bank is not None:
                found[row] = self.answer(one, wish)
            else:
                alike.setdefault(wish, []).append(row)
        for wish, rows in alike.items():
            hits = self.index.search(np.stack([embedded[row].vector for row in rows]), wish.k, where=wish.where)
            found |= {row: Answer(best, []) for row, best in zip(rows, hits, strict=True)}
        return [found[row] for row in range(len(embedded))]

    def copies(self, embedded: Embedded) -> list[str]:
        """The ids of the tracks that a query's wanted sounds are, or are copies of."""
        wanted = [part for part in embedded.query.parts if part.sounds and part.weight > 0]
        found = [self._copies(part, sound) for part, sound in zip(wanted, embedded.sounds, strict=True)]
        return list(dict.fromkeys(track_id for ids in found for track_id in ids))

    def _copies(self, part: Part, sound: Sound) -> list[str]:
        hits = self.index.search(sound.vector[None], NEIGHBOURS)[0]
        own = (
            [part.value]
            if part.kind == "id"
            else self.index.named("path", {os.path.abspath(part.value), os.path.realpath(part.value)})
        )
        paths = {hit.track_id: hit.metadata.get("path") or "" for hit in hits}
        path = paths.get(part.value, "") if part.kind == "id" else part.value
        near = {name: likeness(sound, self.track(name)) for name in paths if name not in own}
        others = {name: paths[name] for name, like in near.items() if like >= SUSPECT}
        try:
            found = copies_of(samples_of(path, part.start or 0.0, part.stop), others)
        except AudioError:  # of a track whose file is no longer there
            found = Copies([], list(others))
        return [*own, *found.same, *(name for name in found.unread if near[name] >= SAME)]

    def track(self, track_id: str, start: float = 0.0, stop: float = np.inf) -> Sound:
        """The segments of a track of the index that a stretch touches.

        Raises:
            InputError: there is no such track, or it ends before.
        """
        bounds, vectors = self.index.segments(track_id)
        within = (bounds[:, 1] > start) & (bounds[:, 0] < stop)
        if not within.any():
            raise InputError(
                f"{track_id} ends at {bounds[:, 1].max():.1f} s, before the stretch begins, at {start:g} s"
            )
        return Sound(vectors[within], (bounds[within, 1] - bounds[within, 0]).astype(np.float32))

    def _sound(self, part: Part) -> Sound:
        if part.kind == "id":
            return self.track(part.value, part.start or 0.0, np.inf if part.stop is None else part.stop)
        return of_file(part.value, self.model, part.start or 0.0, part.stop)

    def _by_others(self, artists: Collection[str]) -> NDArray[np.bool_]:
        """Which tracks of the index are by none of these artists."""
        column = self.index.tracks.table["artist"]
        theirs = pyarrow.compute.is_in(column, value_set=pyarrow.array(sorted(artists), column.type))
        return ~np.asarray(theirs.to_numpy(), dtype=bool)

    def _ranked(
        self,
        embedded: Embedded,
        count: int,
        wishes: Wishes,
        exclude: Sequence[str],
        allowed: NDArray[np.bool_] | None = None,
    ) -> list[Hit]:
        """The ``count`` best tracks, or as many as there are."""
        plain = wishes.match == "max" and self.bank is None
        pool = count if plain else max(POOL, 2 * count)
        hits = self.index.search(embedded.vector[None], pool, exclude=exclude, allowed=allowed, where=wishes.where)[0]
        if plain or not hits:
            return hits
        scores = self._scores(embedded, wishes.match, [hit.track_id for hit in hits])
        again = [hit._replace(score=round(float(score), 6)) for hit, score in zip(hits, scores, strict=True)]
        return sorted(again, key=lambda hit: (-hit.score, id_key(hit.track_id)))[:count]

    def _of_many(self, embedded: Embedded, wishes: Wishes, copies: Sequence[str]) -> list[Hit]:
        """The best tracks, so many of an artist: the others of an artist who has them are no candidates any more."""
        hits: list[Hit] = []
        full: set[str] = set()
        while True:
            count = 2 * (wishes.k - len(hits))
            own = [*copies, *(hit.track_id for hit in hits)]
            found = self._ranked(embedded, count, wishes, own, self._by_others(full) if full else None)
            hits, full = _limited([*hits, *found], wishes.per_artist or 0)
            if len(hits) >= wishes.k or len(found) < count:
                return hits[: wishes.k]

    def _scores(self, embedded: Embedded, match: Match, track_ids: Sequence[str]) -> NDArray[np.float64]:
        """How good tracks are, ``(tracks,)``, by their segments together, and corrected for hubs if there is a bank."""
        tracks = [self.track(track_id) for track_id in track_ids]
        scores = np.array([matched(embedded, track, match) for track in tracks], dtype=np.float64)
        if self.bank is None:
            return scores
        bank = np.stack([(self.bank @ track.vectors.T).max(axis=1) for track in tracks], axis=1)
        return np.asarray(csls(scores[None], closeness(bank))[0])


def matched(embedded: Embedded, track: Sound, match: Match) -> float:
    """How well the segments of a track answer a query together."""
    if match == "late":
        return float((embedded.segments @ track.vectors.T).max(axis=1).mean())
    scores = track.vectors @ embedded.vector
    return float(scores.max() if match == "max" else track.seconds @ scores / track.seconds.sum())


def _limited(hits: Sequence[Hit], most: int) -> tuple[list[Hit], set[str]]:
    """The hits without those of an artist that has so many better ones, and the artists that have as many."""
    seen: Counter[str] = Counter()
    kept = []
    for hit in hits:
        artist = hit.metadata.get("artist") or ""
        seen[artist] += 1
        if not artist or seen[artist] <= most:
            kept.append(hit)
    return kept, {artist for artist, count in seen.items() if artist and count >= most}

"""What to listen to: answers to queries, and tracks beside their neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.data.groups import clusters_of
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.embedding import Embedded
from crossmodal.report.plane import drawn
from crossmodal.report.sound import Excerpts
from crossmodal.tasks._queries import Query, own_queries

ASKED, FOUND = 3, 3  # tracks beside neighbours, and how many of these
LETTERS = 240  # of a text that is shown as an answer

Floats = NDArray[np.floating]
Heard = dict[str, Any]


class Article(NamedTuple):
    """A query with what it found.

    Attributes:
        title: its words, or the name of its track.
        language: of the words.
        note: what is said of it.
        asked: the query's own sound, if it is a track.
        hits: what it found.
    """

    title: str
    language: str
    note: str
    asked: Heard | None
    hits: list[Heard]


class Listener:
    """A part's tracks and texts, with their sound.

    Args:
        embedded: the model beside its data.
        part: of the split.
        excerpts: the room for sound that all share.
    """

    def __init__(self, embedded: Embedded, part: str, excerpts: Excerpts) -> None:
        self.embedded, self.excerpts = embedded, excerpts
        self.manifest, self.found = embedded.part(part), embedded.vectors(part)
        self.row = {track: row for row, track in enumerate(self.found.track_ids)}
        self.tags = self.manifest.tags.groupby("track_id")["tag"].agg(list).to_dict()
        self._tracks = self.manifest.tracks.set_index("track_id")

    @cached_property
    def texts(self) -> pd.DataFrame:
        """The part's texts, each wording once a kind and language: text, kind, language, and ``tracks`` it is about."""
        return pd.DataFrame(own_queries(self.manifest), columns=Query._fields).drop(columns="unknown")

    @cached_property
    def text_vectors(self) -> Floats:
        """Their unit vectors."""
        return self.embedded.texts(self.texts["text"].tolist())

    def track(self, track_id: str, rank: int, against: Floats, right: bool | None) -> Heard:
        """A track as an answer to a vector: the seconds of it that are nearest to that."""
        one = self.found.tracks[self.row[track_id]]
        start, end = map(float, one.bounds[int((one.vectors @ against).round(6).argmax())])
        sound, silence = self.excerpts.of(self.manifest.path(track_id), start, end)
        facts = self._tracks.loc[track_id]
        return {
            "rank": rank,
            "name": facts["title"] or track_id,
            "artist": facts["artist"],
            "score": float(one.vector @ against),
            "start": start,
            "end": end,
            "right": right,
            "tags": self.tags.get(track_id, []),
            "sound": sound,
            "silence": silence,
        }

    def text(self, place: int, rank: int, against: Floats, right: bool | None) -> Heard:
        """A text as an answer."""
        words = str(self.texts["text"][place])
        shown = words if len(words) <= LETTERS else f"{words[:LETTERS].rstrip()}…"
        score = float(self.text_vectors[place] @ against)
        return {"rank": rank, "name": shown, "score": score, "right": right, "words": True}

    def title(self, track_id: str) -> str:
        """What a track is called."""
        return str(self._tracks.loc[track_id, "title"] or track_id)


def answers(examples: Sequence[Mapping[str, Any]], manifest: Manifest, excerpts: Excerpts) -> list[dict[str, Any]]:
    """The example queries with, for each hit, its tags, its sound, and whether it is right where that is known.

    It is known for a query whose words are a text of the manifest. A hit's ``sound`` is None where the page would
    grow too large or the file cannot be decoded; ``silence`` says which.
    """
    keys = {
        text_id: same_words(text)
        for text_id, text in zip(manifest.texts["text_id"], manifest.texts["text"], strict=True)
    }
    about = {keys[text_id]: tracks for text_id, tracks in manifest.relevance().items()}
    tags = manifest.tags.groupby("track_id")["tag"].agg(list).to_dict()
    filled = []
    for example in examples:
        relevant = about.get(same_words(example["query"]))
        hits = []
        for hit in example["hits"]:
            track = hit["track_id"]
            sound, silence = excerpts.of(manifest.path(track), hit["start"], hit["end"])
            right = None if relevant is None else track in relevant
            name = hit.get("title") or Path(hit.get("path", "")).name or track
            more = {"name": name, "tags": tags.get(track, []), "right": right, "sound": sound, "silence": silence}
            hits.append({**hit, **more})
        filled.append({**example, "hits": hits})
    return filled


def neighbours(listener: Listener, tagset: str | None, seed: int) -> list[Article]:
    """Some tracks with the nearest of other artists and groups; relevant is what shares a tag of the tagset, if any."""
    ids, vectors = listener.found.track_ids, listener.found.vectors
    rows = listener.manifest.tags
    of = {} if tagset is None else rows[rows["tagset"] == tagset].groupby("track_id")["tag"].agg(set).to_dict()
    clusters = np.array(clusters_of(listener.manifest, ids))
    made = []
    for row in drawn(len(ids), ASKED, seed):
        scores = np.where(clusters == clusters[row], -np.inf, vectors @ vectors[row])
        best = [place for place in np.argsort(-scores, kind="stable")[:FOUND] if np.isfinite(scores[place])]
        own = of.get(ids[row])
        hits = [
            listener.track(
                ids[place], rank, vectors[row], None if own is None else bool(own & of.get(ids[place], set()))
            )
            for rank, place in enumerate(best, 1)
        ]
        asked = listener.track(ids[row], 0, vectors[row], None)
        made.append(Article(listener.title(ids[row]), "", "", asked, hits))
    return made

"""The texts that a part of a manifest is asked with: its own, and sentences for its tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest, same_words

TAGS = "tags"  # the kind of the queries that the lexicon makes: a sentence for each tag and language


class Query(NamedTuple):
    """A text that is asked: words, kind, language, the tracks it is about, and those of which that is unknown."""

    text: str
    kind: str
    language: str
    tracks: frozenset[str]
    unknown: frozenset[str] = frozenset()


def own_queries(manifest: Manifest) -> list[Query]:
    """The manifest's texts, each wording once a kind and language, in the order in which they first stand.

    Texts of the same words are about the tracks of all of them, whatever their kind and language.
    """
    about = manifest.relevance()
    found: dict[tuple[str, str, str], Query] = {}
    columns = manifest.texts[["text_id", "text", "kind", "language"]]
    for text_id, text, kind, language in columns.itertuples(index=False):
        found.setdefault((same_words(text), kind, language), Query(text, kind, language, about[text_id]))
    return list(found.values())


def tag_queries(manifest: Manifest, seed: int) -> list[Query]:
    """A sentence for every tag, in every language of the lexicon, about all the tracks that have the tag.

    Tagsets that have the same tag ask for it together; of tracks that are annotated with none of them, it is unknown.
    """
    lexicon, rng = Lexicon.load(), np.random.default_rng(seed)
    tagged = {tag: frozenset(tracks) for tag, tracks in manifest.tags.groupby("tag")["track_id"]}
    unknown = _unknown(manifest)
    return [
        Query(lexicon.sentence([str(tag)], language, rng), TAGS, language, tracks, unknown[str(tag)])
        for tag, tracks in tagged.items()
        for language in lexicon.languages
    ]


def _unknown(manifest: Manifest) -> dict[str, frozenset[str]]:
    """Of each tag the tracks that are annotated with no tagset that has it; one set for all tags of equal tagsets."""
    annotated = {name: set(tracks) for name, tracks in manifest.annotated.groupby("tagset")["track_id"]}
    tagsets = {str(tag): frozenset(names) for tag, names in manifest.tags.groupby("tag")["tagset"]}
    every = set(manifest.tracks["track_id"])
    found = {names: frozenset(every.difference(*(annotated[name] for name in names))) for names in tagsets.values()}
    return {tag: found[names] for tag, names in tagsets.items()}


def topics(queries: Sequence[Query]) -> list[str]:
    """A name for what each query is about, the same for those of a kind about the very same tracks."""
    seen: dict[tuple[str, frozenset[str]], str] = {}
    return [seen.setdefault((query.kind, query.tracks), f"{query.kind} {len(seen)}") for query in queries]


def about(queries: Sequence[Query], track_ids: Sequence[str]) -> NDArray[np.bool_]:
    """``(queries, tracks)``: which tracks each query is about."""
    places = {track: place for place, track in enumerate(track_ids)}
    found = np.zeros((len(queries), len(places)), dtype=bool)
    for row, query in enumerate(queries):
        found[row, [places[track] for track in query.tracks]] = True
    return found


def unknown(queries: Sequence[Query], track_ids: Sequence[str]) -> NDArray[np.bool_]:
    """``(queries, tracks)``: which tracks are no candidates of each query, since it is not known what is right."""
    rows = {tracks: np.isin(track_ids, list(tracks)) for tracks in {query.unknown for query in queries}}
    return np.stack([rows[query.unknown] for query in queries])


def subsets(queries: Sequence[Query]) -> dict[str, list[int]]:
    """Rows of the queries by the part of a metric's name: all the manifest's own, each kind, each kind and language."""
    found: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        names = ["", f"/{query.kind}", f"/{query.kind}/{query.language}"]
        for name in names if query.kind != TAGS else names[1:]:
            found.setdefault(name, []).append(row)
    return found

"""The space of a part: its map, how far texts are from their own tracks, and the answers to queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from crossmodal.audio.decode import AudioError
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.embedding import Embedded
from crossmodal.report.figures import Chart, histogram
from crossmodal.report.plane import FEWEST, drawn, plane
from crossmodal.report.sound import data_uri

TRACKS = 1000  # of the map
TEXTS = 256  # of the histogram
SOUND = 6_000_000  # characters of audio in the page
SIZE = 400  # of the map, in SVG units


class Map(NamedTuple):
    """Tracks and queries in the plane; ``labels`` and ``tags`` are what the page's script shows and colours by."""

    points: list[tuple[float, float]]
    queries: list[tuple[float, float, str]]
    labels: list[str]
    tagsets: dict[str, list[str]]
    tags: dict[str, list[list[int]]]
    total: int


def space_map(embedded: Embedded, part: str, queries: Sequence[str], seed: int) -> Map | None:
    """t-SNE (van der Maaten and Hinton 2008) by cosine of a part's tracks, and of queries among them.

    None if there are fewer than `FEWEST` tracks. Of more than `TRACKS`, that many are drawn.
    """
    found = embedded.vectors(part)
    if len(found.track_ids) < FEWEST:
        return None
    chosen = drawn(len(found.track_ids), TRACKS, seed)
    ids = [found.track_ids[row] for row in chosen]
    texts = embedded.texts(queries) if queries else np.empty((0, found.vectors.shape[1]), np.float32)
    spots = plane(np.concatenate([found.vectors[chosen], texts]), seed) * SIZE
    places = [(round(float(x), 1), round(float(y), 1)) for x, y in spots]
    marks = [(x, y, text) for (x, y), text in zip(places[len(ids) :], queries, strict=True)]
    manifest = embedded.part(part)
    tagsets, tags = _tags(manifest, ids)
    return Map(places[: len(ids)], marks, _labels(manifest, ids), tagsets, tags, len(found.track_ids))


def similarities(embedded: Embedded, part: str, seed: int) -> tuple[Chart, float] | None:
    """Cosines of texts with their own tracks and with others, and how often the former exceeds the latter.

    None if the part has no texts, or no pair of either kind, or the model is of audio alone.
    """
    if not embedded.model.reads:
        return None
    manifest, found = embedded.part(part), embedded.vectors(part)
    texts = manifest.texts.drop_duplicates("text_id")
    texts = texts.iloc[drawn(len(texts), TEXTS, seed)]
    if texts.empty:
        return None
    about = manifest.relevance()
    own = np.array([[track in about[text] for track in found.track_ids] for text in texts["text_id"]])
    if own.all() or not own.any():
        return None
    cosines = embedded.texts(texts["text"].tolist()) @ found.vectors.T
    chart = histogram(
        "Cosine similarity", {"a text and its own tracks": cosines[own], "a text and others": cosines[~own]}
    )
    return chart, float(roc_auc_score(own.ravel(), cosines.ravel()))


def answers(examples: Sequence[Mapping[str, Any]], manifest: Manifest) -> list[dict[str, Any]]:
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
    left, filled = SOUND, []
    for example in examples:
        relevant = about.get(same_words(example["query"]))
        hits = []
        for hit in example["hits"]:
            track = hit["track_id"]
            sound, silence = _sound(manifest.path(track), hit["start"], hit["end"], left)
            left -= len(sound or "")
            right = None if relevant is None else track in relevant
            name = hit.get("title") or Path(hit.get("path", "")).name or track
            more = {"name": name, "tags": tags.get(track, []), "right": right, "sound": sound, "silence": silence}
            hits.append({**hit, **more})
        filled.append({**example, "hits": hits})
    return filled


def _sound(path: Path, start: float, end: float, left: int) -> tuple[str | None, str]:
    if left <= 0:
        return None, "left out to keep this page small"
    try:
        return data_uri(path, start, end), ""
    except AudioError as error:
        return None, error.reason


def _labels(manifest: Manifest, ids: Sequence[str]) -> list[str]:
    tracks = manifest.tracks.set_index("track_id").loc[list(ids)]
    named = zip(ids, tracks["title"], tracks["artist"], strict=True)
    return [" — ".join(filter(None, (title or track, artist))) for track, title, artist in named]


def _tags(manifest: Manifest, ids: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[list[int]]]]:
    """The tags of each tagset, commonest first, and each track's as numbers; tagsets of one tag a track come first."""
    rows = manifest.tags[manifest.tags["track_id"].isin(ids)].drop_duplicates()
    single = {name: rows.loc[rows["tagset"] == name, "track_id"].is_unique for name in rows["tagset"].unique()}
    tagsets = {name: _commonest(rows, name) for name in sorted(single, key=lambda name: (not single[name], name))}
    tags = {name: _numbered(rows, name, names, ids) for name, names in tagsets.items()}
    return tagsets, tags


def _commonest(rows: Any, tagset: str) -> list[str]:
    counts = rows.loc[rows["tagset"] == tagset, "tag"].value_counts()
    return sorted(counts.index, key=lambda tag: (-counts[tag], tag))


def _numbered(rows: Any, tagset: str, names: Sequence[str], ids: Sequence[str]) -> list[list[int]]:
    number = {name: n for n, name in enumerate(names)}
    found = rows[rows["tagset"] == tagset].groupby("track_id")["tag"].agg(list).to_dict()
    return [sorted(number[tag] for tag in found.get(track, [])) for track in ids]

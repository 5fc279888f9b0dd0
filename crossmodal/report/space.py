"""The space of a part: its map, and the map over the steps of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.report.columns import Column, columns
from crossmodal.report.plane import FEWEST, Floats, Places, drawn, plane, planes, umap
from crossmodal.snapshots import Snapshots

TRACKS = 1000  # of the map
OTHERS = 500  # tracks of parts that are not judged, of these
FRAMES, MOVING = 10, 300  # steps and tracks of the map over the steps
SIZE = 400  # of the map, in SVG units

Spots = list[tuple[float, float]]


class Map(NamedTuple):
    """Tracks and queries in the plane.

    Attributes:
        points: the tracks, by t-SNE.
        queries: places and words.
        labels: what each track is called.
        tagsets: the tags of each tagset, the commonest first.
        tags: by tagset, each track's as places in these.
        total: how many tracks there were to draw.
        columns: all that the tracks can be coloured by; the tagsets first.
        layouts: by name, the places of the tracks and then of the queries.
        steps: the steps of training that the layouts are of.
    """

    points: Spots
    queries: list[tuple[float, float, str]]
    labels: list[str]
    tagsets: dict[str, list[str]]
    tags: dict[str, list[list[int]]]
    total: int
    columns: list[Column]
    layouts: dict[str, Spots]
    steps: Sequence[int] = ()


def space_map(
    embedded: Embedded, part: str, queries: Sequence[str], seed: int, others: bool = False, by_umap: bool = False
) -> Map | None:
    """A part's tracks, and queries among them, by t-SNE.

    None if there are fewer than `FEWEST` tracks. Of more than `TRACKS`, that many are drawn.

    Args:
        embedded: the model beside its data.
        part: of the split.
        queries: that are placed among the tracks.
        seed: of what is drawn, and of the layouts.
        others: also up to `OTHERS` tracks of other parts, where these have been embedded already.
        by_umap: also by UMAP.
    """
    found = embedded.vectors(part)
    if len(found.track_ids) < FEWEST:
        return None
    ids, vectors, parts, total = _drawn(embedded, part, seed, others)
    texts = embedded.texts(queries) if queries else np.empty((0, vectors.shape[1]), np.float32)
    every = np.concatenate([vectors, texts])
    layouts = {"t-SNE": _spots(plane(every, seed))} | ({"UMAP": _spots(umap(every, seed))} if by_umap else {})
    spots = layouts["t-SNE"]
    marks = [(x, y, text) for (x, y), text in zip(spots[len(ids) :], queries, strict=True)]
    manifest = embedded.manifest.select(ids)
    tagsets, tags = _tags(manifest, ids)
    colours = _colours(manifest, ids, tagsets, tags, parts)
    return Map(spots[: len(ids)], marks, _labels(manifest, ids), tagsets, tags, total, colours, layouts)


def first_tagset(manifest: Manifest) -> str | None:
    """The tagset by which tracks are told apart first, one of a tag a track if there is one; None without tags."""
    return next(iter(_tags(manifest, manifest.tracks["track_id"].tolist())[0]), None)


def training_map(snapshots: Snapshots, embedded: Embedded, seed: int, like: Map | None = None) -> Map | None:
    """The tracks of a run's snapshots over its steps; None if there are fewer than two, or too few tracks.

    Of more than `FRAMES` steps, that many are taken, evenly, the first and the last among them; of more than `MOVING`
    tracks, that many are drawn. Values have the order, and so the colours, that they have in the map ``like``.
    """
    rows = drawn(len(snapshots.track_ids), MOVING, seed)
    ids, steps = [snapshots.track_ids[row] for row in rows], snapshots.steps
    if len(ids) < FEWEST or len(steps) < 2:
        return None
    steps = [steps[int(place)] for place in np.unique(np.linspace(0, len(steps) - 1, FRAMES).round())]
    frames = planes([snapshots.vectors(step)[rows] for step in steps], seed)
    layouts = {f"{step:,}": _spots(places) for step, places in zip(steps, frames, strict=True)}
    part = embedded.manifest.select(ids)
    tagsets, tags = _tags(part, ids)
    total, last = len(snapshots.track_ids), layouts[f"{steps[-1]:,}"]
    known = {column.name: column.values for column in like.columns} if like else {}
    colours = [column.ordered(known.get(column.name, [])) for column in _colours(part, ids, tagsets, tags)]
    return Map(last, [], _labels(part, ids), tagsets, tags, total, colours, layouts, steps)


def _colours(
    manifest: Manifest,
    ids: Sequence[str],
    tagsets: dict[str, list[str]],
    tags: dict[str, list[list[int]]],
    parts: Sequence[str] = (),
) -> list[Column]:
    """The tagsets, and then all else that tells the tracks apart."""
    return [*(Column(name, tagsets[name], tags[name]) for name in tagsets), *columns(manifest, ids, parts)]


def _drawn(embedded: Embedded, part: str, seed: int, others: bool) -> tuple[list[str], Floats, list[str], int]:
    """Ids, vectors, parts, and how many tracks there are, of the part and then of the others."""
    known = embedded.known if others else {}
    named = [part, *sorted(known.keys() - {part})]
    ids: list[str] = []
    vectors: list[Floats] = []
    parts, total = [], 0
    for number, name in enumerate(named):
        found = embedded.vectors(name)
        limit = TRACKS if not number else min(OTHERS, TRACKS - len(vectors[0])) // (len(named) - 1)
        chosen = drawn(len(found.track_ids), limit, seed)
        ids += [found.track_ids[row] for row in chosen]
        vectors.append(found.vectors[chosen])
        parts += [name] * len(chosen)
        total += len(found.track_ids)
    return ids, np.concatenate(vectors), parts, total


def _spots(places: Places) -> Spots:
    return [(round(float(x), 1), round(float(y), 1)) for x, y in places * SIZE]


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

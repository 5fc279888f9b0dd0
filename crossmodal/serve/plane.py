"""The map: tracks in the plane, near to each other where they sound alike."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from crossmodal.report.plane import drawn, plane
from crossmodal.serve import shapes
from crossmodal.serve.catalogue import CHOICES, Catalogue, plain
from crossmodal.serve.lanes import Lane

TRACKS = 2000  # of the map: of more, so many are drawn; t-SNE takes seconds
SEED = 0

Places = dict[str, tuple[float, float]]


class Plane:
    """The map of a catalogue, which is computed once it is asked for, and again once the catalogue has changed.

    Args:
        lane: where it is computed.
        seconds: that someone who asks waits for it.
    """

    def __init__(self, lane: Lane[Any], seconds: float) -> None:
        self._lane, self._seconds = lane, seconds
        self._of: Catalogue | None = None
        self._places: asyncio.Future[Places] | None = None

    async def map(self, catalogue: Catalogue, colour: str | None) -> shapes.Map:
        """The map, its points grouped by a column.

        Raises:
            HTTPException: 422, the column is none that groups; 503, the map is still being computed.
        """
        columns = groupings(catalogue)
        if colour is not None and colour not in columns:
            raise HTTPException(422, f"the map cannot be coloured by {colour!r}; valid: {', '.join(columns) or 'none'}")
        if self._of is not catalogue or self._places is None:
            self._of = catalogue
            self._places = asyncio.ensure_future(self._lane.do(partial(places, catalogue), np.inf))
        awaited = self._places
        try:
            async with asyncio.timeout(self._seconds):
                found = await asyncio.shield(awaited)
        except TimeoutError:
            raise HTTPException(503, "the map is still being computed", {"Retry-After": "10"}) from None
        except Exception:  # who asks next begins anew; one who left has not failed
            if self._places is awaited:
                self._places = None
            raise
        return await asyncio.to_thread(_map, catalogue, found, colour or next(iter(columns), None), columns)


def groupings(catalogue: Catalogue) -> list[str]:
    """The columns by which a map is coloured: those of few values."""
    found = [column for column in catalogue.columns if column.type == "choice" and column.values]
    few = [column.name for column in found if 2 <= len(column.values or []) < CHOICES]
    return sorted(few, key=lambda name: not name.startswith("tags."))


def places(catalogue: Catalogue) -> Places:
    """Where each track is, -1 to 1 both ways; of more than `TRACKS` those that a seed draws."""
    ids = catalogue.index.tracks.table["track_id"]
    names = [ids[int(row)].as_py() for row in drawn(len(ids), TRACKS, SEED)]
    vectors = np.stack([catalogue.asker.track(name).vector for name in names])
    spots = 2 * plane(_spread(vectors), SEED) - 1
    return {name: (round(float(x), 4), round(float(y), 4)) for name, (x, y) in zip(names, spots, strict=True)}


def _spread(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors; where all are one, with a little noise, since t-SNE cannot place what has no neighbours."""
    if np.ptp(vectors, axis=0).max() > 0:
        return vectors
    return vectors + 1e-3 * np.random.default_rng(SEED).normal(size=vectors.shape).astype(np.float32)


def _map(catalogue: Catalogue, found: Places, colour: str | None, columns: list[str]) -> shapes.Map:
    points = [_point(catalogue.index.track(name), x, y, colour) for name, (x, y) in found.items()]
    names = [point.group for point in points if point.group]
    groups = sorted(set(names), key=lambda name: (-names.count(name), name))
    return shapes.Map(points=points, groups=groups, columns=columns, total=len(catalogue.index))


def _point(track: dict[str, Any], x: float, y: float, colour: str | None) -> shapes.Point:
    value = track.get(colour) if colour else None
    value = next(iter(value), None) if isinstance(value, list) else value
    title, artist = (str(plain(track.get(name)) or "") for name in ("title", "artist"))
    group = "" if plain(value) is None else str(plain(value))
    return shapes.Point(id=track["track_id"], title=title, artist=artist, x=x, y=y, group=group)

"""The tracks of a part that have a number in a column, with the frozen features it is to be read off."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.data.groups import clusters_of
from crossmodal.errors import InputError, listed
from crossmodal.heads import Reading
from crossmodal.judgement import Units
from crossmodal.tasks._frozen import Layer, Silence, viewed, views, whole

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Numbers(NamedTuple):
    """Tracks that have a number.

    Attributes:
        ids: of the tracks.
        clusters: of the tracks, which are drawn as wholes.
        features: ``(tracks, dim)``.
        values: ``(tracks,)``.
    """

    ids: list[str]
    clusters: list[str]
    features: NDArray[np.float32]
    values: NDArray[np.float64]

    def units(self, draws: int, seed: int) -> Units:
        """What the bootstrap draws from."""
        return Units(self.ids, self.clusters, draws, seed)


def numbers(embedded: Embedded, column: str, part: str, layer: Layer, silence: Silence = "include") -> Numbers:
    """The tracks of a part that have a number in a column of ``manifest.tracks``, and could be embedded.

    Args:
        embedded: the model beside its data.
        column: of numbers, or of words that are numbers; empty cells are unknown.
        part: train, valid or test.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection.
        silence: whether silent segments count in the mean of a track.

    Raises:
        InputError: there is no such column, a cell is no number, or fewer than two tracks have one.
    """
    tracks, every = embedded.part(part).tracks.set_index("track_id"), embedded.vectors(part).track_ids
    found = np.asarray(numbers_of(tracks.loc[list(every)], column), dtype=np.float64)
    known = np.flatnonzero(~np.isnan(found))
    if len(known) < 2:
        raise InputError(f"{len(known)} tracks of part {part} have a number in the column {column!r}; two are needed")
    ids = [every[row] for row in known]
    features = whole(viewed(embedded, part, known, views(Reading(), None, None, silence).judged), layer)
    return Numbers(ids, clusters_of(embedded.part(part), ids), features, found[known])


def numbers_of(tracks: pd.DataFrame, column: str) -> pd.Series[float]:
    """A column as numbers, by track id, NaN where it is empty.

    Args:
        tracks: of a manifest, by track id.
        column: of numbers, or of words that are numbers.

    Raises:
        InputError: there is no such column, or a cell is no number.
    """
    if column not in tracks:
        raise InputError(f"tracks have no column {column!r}; there are {listed(tracks.columns, 30)}")
    cells = tracks[column]
    found = pd.to_numeric(cells, errors="coerce").astype("float64")
    empty = cells.isna() | (cells.astype("str").str.strip() == "")
    if len(wrong := tracks.index[~np.isfinite(found) & ~empty]):
        raise InputError(f"column {column!r} of track {wrong[0]} is {cells[wrong[0]]!r}, which is no number")
    return found

"""What an index answers with, and how answers are told apart, wherever the index lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.material import Floats, check_directions

DECIMALS = 6  # of a cosine: what lies below is float32 noise, which differs between batch sizes
NOISE = 2e-6  # of float32 sums and of rounding: a track this close to what was not seen is not certain


class Hit(NamedTuple):
    """One track of an answer: its best segment answers for it.

    Attributes:
        track_id: of the track.
        score: cosine of the query and the segment, to six decimals.
        start: where the segment starts, in seconds.
        end: where it ends, in seconds.
        rank: from 1.
        metadata: the track's other columns, as plain values; None where there is none.
    """

    track_id: str
    score: float
    start: float
    end: float
    rank: int
    metadata: dict[str, Any]


class Tracks(Sequence[dict[str, Any]]):
    """The tracks of an index, a dict each, made when it is asked for.

    Attributes:
        table: all of them as an Arrow table, ``track_id`` and metadata: what a filter's mask is computed from.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self.table)

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, key: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """A track, or the tracks of a slice, as plain values."""
        rows = range(len(self))[key]
        if isinstance(rows, int):
            return self.table.slice(rows, 1).to_pylist()[0]  # type: ignore[no-any-return]
        return self.table.take(pa.array(rows, type=pa.int64())).to_pylist()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each track, in order."""
        for batch in self.table.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()


def rounded(query: Floats, vectors: Floats) -> NDArray[np.float64]:
    """The cosines of one query and ``vectors (n, dim)`` as they are told: in float64, the same in any batch."""
    return (vectors.astype(np.float64) @ query.astype(np.float64)).round(DECIMALS)


def certain(best: Sequence[float], k: int, bound: float) -> bool:
    """Whether the scores of the best tracks found, descending, are those of the k best of all.

    Args:
        best: at most k of them.
        k: as many as were asked for.
        bound: what no segment that was not seen exceeds; -inf if all were seen.
    """
    return bound == -np.inf or (len(best) == k and best[-1] > bound + NOISE)


def check_queries(queries: Floats, k: int, dim: int) -> None:
    """Refuse what no index can answer: k below 1, vectors of another shape, or without a direction."""
    if k < 1:
        raise InputError(f"k is {k}; valid is 1 or more")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise InputError(f"queries are {queries.shape}; valid is (queries, {dim})")
    check_directions(queries, lambda row: f"query {row}")


def check_mask(mask: NDArray[Any], tracks: int) -> None:
    """Refuse what is no mask over the tracks."""
    if mask.dtype != bool or mask.shape != (tracks,):
        raise InputError(f"allowed is {mask.dtype} {mask.shape}; valid is bool ({tracks},), one a track")


def check_model(own: str, given: str | None, what: str) -> None:
    """Refuse vectors of another model than the index's; None if that is known."""
    if given is not None and given != own:
        raise InputError(
            f"the index was built with model {own}, the {what} of model {given}; "
            "use that model, or build the index again"
        )

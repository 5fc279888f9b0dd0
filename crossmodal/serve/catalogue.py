"""What an index holds at one moment, as it may be shown: without a path of the host."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crossmodal.asking import Asker
from crossmodal.errors import InputError
from crossmodal.filters import Filter, allowed, columns_of
from crossmodal.search import Hit
from crossmodal.serve import shapes

NAMED = ("track_id", "title", "artist", "album", "duration")  # in a hit's own fields
HIDDEN = re.compile(r"(.*[_.\- ])?(path|paths|root|file|files|filename|folder|directory)", re.IGNORECASE)
PATH = re.compile(r"(/|~/|[A-Za-z]:[\\/]|\\\\|file:)[^/\\]*[/\\]", re.IGNORECASE)  # how a path of a host begins
LOOKED_AT = 100  # values of a column that tell whether it holds paths
CHOICES = 50  # values of a column that are told


class Catalogue:
    """An index and its model at one moment.

    Args:
        asker: of them.
    """

    def __init__(self, asker: Asker) -> None:
        self.asker, self.index = asker, asker.index

    @cached_property
    def shown(self) -> list[str]:
        """The columns that are shown and filtered by: those that hold no paths, by their names and first values."""
        table = self.index.tracks.table
        named = [name for name in table.column_names if not HIDDEN.fullmatch(name)]
        return [name for name in named if name in NAMED or not _holds_paths(table[name].slice(0, LOOKED_AT))]

    @cached_property
    def _hidden(self) -> set[str]:
        return set(self.index.tracks.table.column_names) - set(self.shown)

    @property
    def table(self) -> pa.Table:
        """The tracks' metadata without what is hidden, a row each."""
        return self.index.tracks.table.select(self.shown)

    @property
    def tells_paths(self) -> bool:
        """Whether the tracks' ids, which must be shown, are paths of the host."""
        return _holds_paths(self.index.tracks.table["track_id"].slice(0, LOOKED_AT))

    @property
    def audio(self) -> bool:
        """Whether the tracks' files are known."""
        return "path" in self.index.tracks.table.column_names

    def check(self, where: Sequence[Filter]) -> None:
        """Refuse conditions on a column that is not there, or not shown.

        Raises:
            InputError: there is one.
        """
        if where:
            allowed(where, self.table.slice(0, 0))
        for wanted in where:
            if self._hidden.intersection(columns_of(wanted, self.index.tracks.table.column_names)):
                raise InputError(f"the index has no column {wanted.column!r} to filter by")

    def path(self, track_id: str) -> Path | None:
        """Where the track's file is, by the index's own metadata.

        Raises:
            InputError: there is no such track.
        """
        path = self.index.track(track_id).get("path")
        return Path(path) if path else None

    def hit(self, hit: Hit) -> shapes.Hit:
        """A hit as it is shown."""
        return shapes.Hit(
            track_id=hit.track_id,
            rank=hit.rank,
            score=hit.score,
            start=hit.start,
            end=hit.end,
            **self._described(hit.metadata),
        )

    def track(self, track_id: str) -> shapes.Track:
        """A track as it is shown.

        Raises:
            InputError: there is no such track.
        """
        bounds, _ = self.index.segments(track_id)
        known = self._described(self.index.track(track_id))
        return shapes.Track(track_id=track_id, segments=[(start, end) for start, end in bounds.tolist()], **known)

    def _described(self, metadata: dict[str, Any]) -> dict[str, Any]:
        known = {name: plain(metadata.get(name)) for name in NAMED[1:]}
        words = {name: str(known[name] or "") for name in NAMED[1:-1]}
        duration = known["duration"] if isinstance(known["duration"], int | float) else None
        more = {name: plain(metadata.get(name)) for name in self.shown if name not in NAMED}
        return {**words, "duration": duration, "metadata": more}

    @cached_property
    def columns(self) -> list[shapes.Column]:
        """The columns of the metadata, but the id, with their values or their ends."""
        table = self.table
        return [_column(name, table[name]) for name in self.shown if name != "track_id"]

    @property
    def languages(self) -> list[str]:
        """Of the texts about the tracks, commonest first."""
        found = [column.values or [] for column in self.columns if column.name in ("languages", "language")]
        return [value for values in found for value, _ in values]


def plain(value: Any) -> Any:
    """A value of the metadata as JSON holds it; a number that is none and a path of the host are None."""
    if isinstance(value, str):
        return None if PATH.match(value) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value)


def _holds_paths(column: pa.ChunkedArray) -> bool:
    known = [value for value in column.to_pylist() if isinstance(value, str) and value]
    return 2 * sum(PATH.match(value) is not None for value in known) > len(known)


def counted(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """The values of words, or of lists of them, with the number of tracks, commonest first; none of a path."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_flatten(column)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or _is_bool(column)):
        return []
    pairs = [(row["values"], row["counts"]) for row in pc.value_counts(column.combine_chunks()).to_pylist()]
    known = [(str(plain(value)), count) for value, count in pairs if plain(value) not in (None, "")]
    return sorted(known, key=lambda pair: (-pair[1], pair[0]))


def _is_bool(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_boolean(column.type))


def _column(name: str, column: pa.ChunkedArray) -> shapes.Column:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        found = pc.min_max(pc.if_else(pc.is_finite(column), column, None) if pa.types.is_floating(kind) else column)
        return shapes.Column(name=name, type="number", min=found["min"].as_py(), max=found["max"].as_py())
    values = counted(column)
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if values and (listed or len(values) <= CHOICES):
        return shapes.Column(name=name, type="choice", values=values[:CHOICES])
    return shapes.Column(name=name, type="text")

"""What an index holds at one moment: a generation, and what its journal has put and deleted since."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.hits import Hit, Tracks
from crossmodal.material import Floats, Ints, hashed, joined, ranges
from crossmodal.search import journal
from crossmodal.search.generation import Generation, current, open_current
from crossmodal.search.journal import Delete, Put

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """The tracks of a generation and those put since. A track has a *slot*: its row in the generation, or one after.

    Rows of segments are numbered likewise: those of the generation, then those of the journal. What is replaced or
    deleted keeps its slot and is dead.

    Attributes:
        base: the generation.
        puts: what the journal put, in its order.
        slots: where the ids of the journal are now.
        dead: the slots that are no more.
        end: the byte after the last record of the journal that is counted in.
    """

    base: Generation
    puts: tuple[Put, ...] = ()
    slots: dict[str, int] = field(default_factory=dict)
    dead: frozenset[int] = frozenset()
    end: int = len(journal.MAGIC)

    def caught_up(self) -> View:
        """With what the journal has gained; the same view if that is nothing.

        Raises:
            InputError: a record that was changed after it was written.
        """
        path = self.base.folder / "journal"
        if path.exists() and path.stat().st_size == self.end > len(journal.MAGIC):
            return self
        puts, slots, dead, end = list(self.puts), dict(self.slots), set(self.dead), self.end
        free = self._slots
        for record, end in journal.records(path, self.end, self.dim):  # noqa: B007 (the last one is kept)
            named = record.track_ids if isinstance(record, Delete) else record.tracks["track_id"].to_pylist()
            dead.update(slot for name in named if (slot := slots.pop(name, self.base.find(name))) is not None)
            if isinstance(record, Put):
                slots.update(zip(named, range(free, free + len(named)), strict=True))
                free += len(named)
                puts.append(record)
        return replace(self, puts=tuple(puts), slots=slots, dead=frozenset(dead), end=end)

    def slot(self, track_id: str) -> int | None:
        """Where a track is, or None."""
        if track_id in self.slots:
            return self.slots[track_id]
        found = self.base.find(track_id)
        return None if found in self.dead else found

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.base.info["dim"])

    @property
    def _slots(self) -> int:
        """Slots, the dead ones too."""
        return len(self.base.hashes) + sum(len(put.counts) for put in self.puts)

    def __len__(self) -> int:
        """Tracks that are alive."""
        return self._slots - len(self.dead)

    @cached_property
    def live(self) -> Ints:
        """The slots of the tracks that are alive, ``(tracks,)``."""
        return np.flatnonzero(self.alive)

    @cached_property
    def alive(self) -> Bools:
        """Whether the track of a slot is, ``(slots,)``."""
        alive = np.ones(self._slots, dtype=bool)
        alive[list(self.dead)] = False
        return alive

    @property
    def schema(self) -> pa.Schema:
        """Of `table`."""
        return joined([part.slice(0, 0) for part in (self.base.tracks, *(put.tracks for put in self.puts))]).schema

    @cached_property
    def table(self) -> pa.Table:
        """A row a slot, the dead ones too."""
        return joined([self.base.tracks, *(put.tracks for put in self.puts)]) if self.puts else self.base.tracks

    @cached_property
    def tracks(self) -> Tracks:
        """Those that are alive."""
        return Tracks(self.table.take(pa.array(self.live)) if self.dead else self.table)

    @cached_property
    def added(self) -> Floats:
        """The vectors of the journal, ``(segments put, dim)``."""
        return np.concatenate([np.empty((0, self.dim), np.float32), *(put.vectors for put in self.puts)])

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """Of the journal's segments, ``(segments put, 2)``, seconds."""
        return np.concatenate([np.empty((0, 2)), *(put.bounds for put in self.puts)])

    @cached_property
    def counts(self) -> Ints:
        """Segments of each of the journal's slots."""
        return np.concatenate([np.empty(0, np.int64), *(put.counts for put in self.puts)])

    @cached_property
    def owner(self) -> Ints:
        """The slot of each of the journal's segments."""
        return np.repeat(np.arange(len(self.base.counts), self._slots), self.counts)

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Of the journal's ids, a slot each."""
        return hashed(name for put in self.puts for name in put.tracks["track_id"].to_pylist())

    def owners(self, rows: Ints) -> Ints:
        """The slots of segments."""
        return self._of(rows, self.base.owner, self.owner).astype(np.int64)

    def order(self, slots: Ints) -> NDArray[np.uint64]:
        """By what equals are told apart."""
        return self._of(slots, self.base.hashes, self.hashes)

    def sizes(self, slots: Ints) -> Ints:
        """How many segments slots have."""
        return self._of(slots, self.base.counts, self.counts)

    @property
    def segments(self) -> int:
        """Segments of all live tracks."""
        return len(self.base.owner) + len(self.owner) - int(self.sizes(np.array(list(self.dead), np.int64)).sum())

    def spans(self, rows: Ints) -> NDArray[np.float64]:
        """Start and end of segments, ``(rows, 2)``, in seconds."""
        ends = (self.base.start, self.bounds[:, 0]), (self.base.end, self.bounds[:, 1])
        return np.stack([self._of(rows, base, later) for base, later in ends], axis=1)

    def vectors(self, rows: Ints) -> Floats:
        """Of segments, ``(rows, dim)``."""
        return self._of(rows, self.base.vectors, self.added)

    @staticmethod
    def _of(places: Ints, base: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
        """Entries of two arrays that are numbered as one."""
        later = places >= len(base)
        if not later.any():
            return np.asarray(base[places])
        found = np.empty((len(places), *base.shape[1:]), dtype=more.dtype)
        found[~later], found[later] = base[places[~later]], more[places[later] - len(base)]
        return found

    @cached_property
    def standing(self) -> tuple[Bools | None, Bools | None]:
        """The rows of the generation, and of the journal, whose tracks are alive; None for all."""
        return self.rows_of(self.alive) if self.dead else (None, None)

    def allowed(self, mask: Bools | None) -> tuple[Bools | None, Bools | None]:
        """The rows of the generation, and of the journal, whose tracks a mask over the live tracks leaves."""
        if mask is None:
            return self.standing
        slots = np.zeros(self._slots, dtype=bool)
        slots[self.live] = mask
        return self.rows_of(slots)

    def rows_of(self, slots: Bools) -> tuple[Bools, Bools]:
        """The rows of the generation, and of the journal, of the slots that a mask marks."""
        return slots[self.base.owner], slots[self.owner]

    @cached_property
    def first(self) -> Ints:
        """The first row of each of the journal's slots."""
        return np.asarray(len(self.base.owner) + np.cumsum(self.counts) - self.counts)

    def rows(self, slots: Ints) -> Ints:
        """The rows of all segments of slots, one slot after another."""
        return ranges(self._of(slots, self.base.first, self.first), self.sizes(slots))

    def places(self, track_ids: Collection[str], need: bool = False) -> list[int]:
        """The slots of tracks; those that are not there are left out.

        Raises:
            InputError: some are not there, though they must be.
        """
        found = {name: self.slot(name) for name in track_ids}
        if need and (unknown := [name for name, slot in found.items() if slot is None]):
            raise InputError(f"the index has no track {listed(map(repr, unknown))}")
        return [slot for slot in found.values() if slot is not None]

    def hits(self, ranked: Sequence[Sequence[tuple[int, int, float]]]) -> list[list[Hit]]:
        """Answers from (slot, row, score); the metadata are read of these tracks alone."""
        return [self._answer(answer) for answer in ranked]

    def _answer(self, answer: Sequence[tuple[int, int, float]]) -> list[Hit]:
        spans = self.spans(np.array([row for _, row, _ in answer], dtype=np.int64)).tolist()
        found = []
        for rank, ((slot, _, score), (start, end)) in enumerate(zip(answer, spans, strict=True), start=1):
            metadata = self.metadata(slot)
            found.append(Hit(metadata.pop("track_id"), score, start, end, rank, metadata))
        return found

    def metadata(self, slot: int) -> dict[str, Any]:
        """A track's columns, from the one batch that it stands in: taking rows of many tables copies all of them."""
        part = bisect_right(self._starts, slot) - 1
        row, columns = slot - self._starts[part], self._columns[part]
        return {name: columns[name][row].as_py() if name in columns else None for name in self.table.column_names}

    @cached_property
    def _columns(self) -> list[dict[str, pa.Array]]:
        """The columns of each batch: a cell of an array is found faster than a row of a table."""
        return [dict(zip(batch.schema.names, batch.columns, strict=True)) for batch in self._batches]

    def name(self, slot: int) -> str:
        """The id of a track."""
        return str(self.metadata(slot)["track_id"])

    @cached_property
    def _starts(self) -> list[int]:
        """The first slot of each batch."""
        return [0, *itertools.accumulate(batch.num_rows for batch in self._batches)]

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        """The tracks of the generation, and of the puts, as they lie in their files: to join them copies them all."""
        return [
            batch for table in (self.base.tracks, *(put.tracks for put in self.puts)) for batch in table.to_batches()
        ]


def read(folder: Path, view: View | None = None) -> View:
    """What a folder holds now; a view of the generation in use goes on from where it is."""
    if view is None or current(folder) != (view.base.folder.name, view.base.digest):
        view = View(open_current(folder))
    try:
        return view.caught_up()
    except InputError:  # a writer may be cutting what another left while we read: then a second look finds it whole
        return view.caught_up()

"""The index that people open, search and change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock
from numpy.typing import NDArray

from crossmodal import filters
from crossmodal.errors import InputError, listed
from crossmodal.filters import Filter
from crossmodal.hits import Hit, Tracks, check_mask, check_model, check_queries
from crossmodal.material import Floats, Pieces, checked, joined, sampled, unit
from crossmodal.search import generation, journal, soundness, tuning
from crossmodal.search.answers import answered
from crossmodal.search.pieces import of_views
from crossmodal.search.publishing import BUILDING, WRITING, publish
from crossmodal.search.view import Bools, View, read
from crossmodal.types import PathLike


class SearchIndex:
    """An opened index; make one with `build` or `open`.

    Many processes may search an index, and threads one object. One writes at a time: writers wait for each other, but
    not for a compaction. A change is on the disk when its call returns; other objects see it after their `refresh`.
    """

    def __init__(self, folder: Path, view: View) -> None:
        self.folder, self._view = folder, view

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self._view)

    @property
    def tracks(self) -> Tracks:
        """Metadata, a dict a track with its track_id, made when asked for; ``tracks.table`` is the Arrow table."""
        return self._view.tracks

    @property
    def info(self) -> dict[str, Any]:
        """What ``info.json`` holds of the generation, with the tracks and segments that there are now."""
        view = self._view
        now = {"tracks": len(view), "segments": view.segments, "journal": view.end - len(journal.MAGIC)}
        return {**view.base.info, **now}

    @property
    def columns(self) -> list[str]:
        """Of the metadata."""
        return [str(name) for name in self.tracks.table.column_names if name != "track_id"]

    @property
    def location(self) -> str:
        """Where it lies, as `crossmodal.search.open_index` takes it."""
        return str(self.folder)

    @property
    def generation(self) -> str:
        """The name of the generation that is open."""
        return self._view.base.folder.name

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._view.dim

    @property
    def fingerprint(self) -> str:
        """Of the model whose vectors these are."""
        return str(self._view.base.info["fingerprint"])

    def __contains__(self, track_id: str) -> bool:
        """Whether a track of this id is there."""
        return self._view.slot(track_id) is not None

    def segments(self, track_id: str) -> tuple[NDArray[np.float64], Floats]:
        """Start and end of a track's segments in seconds, ``(segments, 2)``, and their unit vectors.

        Raises:
            InputError: there is no such track.
        """
        view = self._view
        rows = view.rows(np.array(view.places([track_id], need=True)))
        return view.spans(rows), view.vectors(rows)

    def pieces(self) -> Pieces:
        """All that the index holds, to be written elsewhere; memory holds a piece of it at a time."""
        return of_views([self._view])

    def named(self, column: str, values: Collection[str]) -> list[str]:
        """The ids of the tracks whose column holds exactly one of some words; none if there is no such column."""
        table = self.tracks.table
        if column not in table.column_names:
            return []
        mine = pc.is_in(table[column], value_set=pa.array(sorted(values), table[column].type))
        return [str(track_id) for track_id in table["track_id"].filter(mine).to_pylist()]

    def track(self, track_id: str) -> dict[str, Any]:
        """A track's columns, its id among them.

        Raises:
            InputError: there is no such track.
        """
        (slot,) = self._view.places([track_id], need=True)
        return self._view.metadata(slot)

    @classmethod
    def build(
        cls,
        folder: PathLike,
        vectors: Floats,
        segments: pd.DataFrame,
        tracks: pd.DataFrame,
        fingerprint: str,
        kind: str = "flat",
        *,
        settings: Mapping[str, Any] | None = None,
        recall: float = 0.95,
        frontend: str = "",
        queries: Floats | None = None,
    ) -> SearchIndex:
        """Write a new generation into ``folder``, make it the current one, and open it.

        Args:
            folder: made if it is not there; of what it held, the generation in use before stays.
            vectors: ``(segments, dim)``, a row a segment; they are brought to length one.
            segments: track_id, start, end (seconds), as many rows.
            tracks: one row a track, with ``track_id`` and any metadata; those without a segment are left out.
            fingerprint: the model's.
            kind: a plug-in of ``indexes/``.
            settings: of the kind.
            recall: the share of the ten nearest segments that an approximate kind shall find.
            frontend: the fingerprint of the model's front end.
            queries: ``(queries, dim)``, vectors like those that will be asked for, such as of texts, which do not lie
                where segments do: an approximate kind reaches the recall for them too. A sample is kept in the index.

        Raises:
            InputError: no vectors, or zero or not finite ones; tables that do not fit; a full disk.
        """
        given = dict(settings or {})
        head = {"kind": kind, "settings": given, "fingerprint": fingerprint, "frontend": frontend}
        tuning.check(kind, given, recall)
        material = checked(vectors, segments, tracks)
        pieces = Pieces.of(material)
        if queries is not None:
            check_queries(queries, 1, material.dim)
            pieces = replace(pieces, queries=sampled(unit(queries)))
        return cls.create(folder, pieces, head, recall)

    @classmethod
    def create(cls, folder: PathLike, pieces: Pieces, head: Mapping[str, Any], recall: float) -> SearchIndex:
        """As `build`, of material that is checked already; ``head`` is kind, settings, fingerprint and frontend."""
        path = generation.prepared(Path(folder))
        with FileLock(path / BUILDING):
            publish(path, pieces, head, recall)
        return cls.open(path)

    @classmethod
    def open(cls, folder: PathLike) -> SearchIndex:
        """Open what ``folder`` holds now, as memory maps, and replay its journal.

        Raises:
            InputError: there is no index, it is of another version, or sizes or counts are not as they were written.
                Checksums of whole files are `crossmodal.search.checks.verify`'s to check.
        """
        path = Path(folder)
        return cls(path, read(path))

    def refresh(self) -> SearchIndex:
        """Bring this object up to what the folder holds now; returns itself."""
        self._view = read(self.folder, self._view)
        return self

    def refreshed(self) -> SearchIndex:
        """Another object with what the folder holds now; this one stays as it is, for those who are using it."""
        return SearchIndex(self.folder, read(self.folder, self._view))

    def search(
        self,
        queries: Floats,
        k: int = 10,
        fingerprint: str | None = None,
        exclude: Collection[str] = (),
        allowed: Bools | None = None,
        where: Sequence[Filter] = (),
    ) -> list[list[Hit]]:
        """The k best tracks of each query, the best first; all tracks if there are fewer than k.

        A track is as good as its best segment, the earlier of equals; equal tracks stand in the order of their ids'
        hashes. Segments are asked for until k tracks are certain.

        Args:
            queries: ``(queries, dim)``; they are brought to length one.
            k: tracks a query.
            fingerprint: of the model that made the queries; None if it is known to be the index's.
            exclude: tracks that are no candidates, such as the query itself; ids that are not there do no harm.
            allowed: which tracks may answer, ``(tracks,)``, in the order of `tracks`; None for all.
            where: conditions on the metadata that all answers meet.

        Raises:
            InputError: vectors of another model or dimension, zero or not finite ones, k below 1, a mask that is not
                one a track, or conditions that do not fit the metadata.
        """
        view = self._view
        check_model(self.fingerprint, fingerprint, "query is")
        check_queries(queries, k, self.dim)
        if allowed is not None:
            check_mask(allowed, len(view))
        if where:
            met = filters.allowed(where, view.tracks.table)
            allowed = met if allowed is None else met & allowed
        with soundness.telling(self.folder):
            return answered(view, unit(queries), k, exclude, allowed)

    def add(
        self, vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame, fingerprint: str | None = None
    ) -> None:
        """Add tracks; arguments as `build`'s, the fingerprint as `search`'s.

        Raises:
            InputError: as `build`, ids that are there already, another model or dimension, or metadata of other types.
        """
        self._put(vectors, segments, tracks, fingerprint, new=True)

    def update(
        self, vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame, fingerprint: str | None = None
    ) -> None:
        """Add tracks, or replace those of the same ids with their metadata and all their segments; else as `add`."""
        self._put(vectors, segments, tracks, fingerprint, new=False)

    def delete(self, track_ids: Collection[str]) -> None:
        """Remove tracks.

        Raises:
            InputError: some are not there; then none is removed.
        """
        with self._writing() as view:
            view.places(track_ids, need=True)
            if track_ids:
                self._append(view, journal.delete(list(dict.fromkeys(track_ids))))

    def compact(
        self, kind: str | None = None, settings: Mapping[str, Any] | None = None, recall: float | None = None
    ) -> None:
        """Fold the journal into a new generation; readers of the old one go on until they refresh, writers at once.

        Args:
            kind: another kind; the same unless given.
            settings: of that kind.
            recall: another aim; the same unless given.
        """
        with FileLock(self.folder / BUILDING):
            view = self.refresh()._view
            head, aim = tuning.goes_on(view.base.info, kind, settings, recall)
            with soundness.telling(self.folder):
                publish(self.folder, of_views([view]), head, aim, view)
        self.refresh()

    def _put(
        self, vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame, fingerprint: str | None, new: bool
    ) -> None:
        check_model(self.fingerprint, fingerprint, "tracks are")
        material = checked(vectors, segments, tracks)
        if material.dim != self.dim:
            raise InputError(f"vectors are of {material.dim} numbers, the index's of {self.dim}")
        with self._writing() as view:
            check_model(self.fingerprint, fingerprint, "tracks are")
            ids = material.tracks["track_id"].to_pylist()
            if new and (twice := [name for name in ids if view.slot(name) is not None]):
                raise InputError(f"the index has tracks {listed(twice)} already; update replaces them")
            joined([view.schema.empty_table(), material.tracks])
            self._append(view, journal.put(material))

    def _append(self, view: View, payload: bytes) -> None:
        journal.append(view.base.folder / "journal", payload, view.end)
        self.refresh()

    @contextmanager
    def _writing(self) -> Iterator[View]:
        """The one writer, with the newest view."""
        with FileLock(self.folder / WRITING):
            yield self.refresh()._view

"""The index that people open, search and change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.search import generation, journal, tuning
from crossmodal.search.answers import answered
from crossmodal.search.material import Floats, Material, check_directions, checked, joined, unit
from crossmodal.search.view import Bools, Hit, Tracks, View
from crossmodal.types import PathLike

KEPT = ("kind", "settings", "fingerprint", "frontend")  # of info.json, from one generation to the next


class SearchIndex:
    """An opened index; make one with `build` or `open`.

    Many processes may search an index, and threads one object. One writes at a time: writers wait for each other. A
    change is on the disk when its call returns; other objects see it after their `refresh`.
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
        segments = int(view.counts[view.live].sum())
        now = {"tracks": len(view), "segments": segments, "journal": view.end - len(journal.MAGIC)}
        return {**view.base.info, **now}

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
        return np.array([view.span(int(row)) for row in rows]), view.vectors(rows)

    def track(self, track_id: str) -> dict[str, Any]:
        """A track's columns, its id among them.

        Raises:
            InputError: there is no such track.
        """
        (slot,) = self._view.places([track_id], need=True)
        return self._view.metadata(slot)

    def material(self) -> Material:
        """All that the index holds, to be written elsewhere."""
        return self._view.material()

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

        Raises:
            InputError: no vectors, or zero or not finite ones; tables that do not fit; a full disk.
        """
        given = dict(settings or {})
        head = {"kind": kind, "settings": given, "fingerprint": fingerprint, "frontend": frontend}
        tuning.check(kind, given, recall)
        return cls.create(folder, checked(vectors, segments, tracks), head, recall)

    @classmethod
    def create(cls, folder: PathLike, material: Material, head: Mapping[str, Any], recall: float) -> SearchIndex:
        """As `build`, of material that is checked already; ``head`` is kind, settings, fingerprint and frontend."""
        path = generation.prepared(Path(folder))
        with FileLock(path / ".lock"):
            _publish(path, material, head, recall)
        return cls.open(path)

    @classmethod
    def open(cls, folder: PathLike) -> SearchIndex:
        """Open what ``folder`` holds now, as memory maps, and replay its journal.

        Raises:
            InputError: there is no index, it is of another version, or sizes or counts are not as they were written.
                Checksums of whole files are `crossmodal.search.checks.verify`'s to check.
        """
        path = Path(folder)
        return cls(path, _read(path, None))

    def refresh(self) -> SearchIndex:
        """Bring this object up to what the folder holds now; returns itself."""
        self._view = _read(self.folder, self._view)
        return self

    def refreshed(self) -> SearchIndex:
        """Another object with what the folder holds now; this one stays as it is, for those who are using it."""
        return SearchIndex(self.folder, _read(self.folder, self._view))

    def search(
        self,
        queries: Floats,
        k: int = 10,
        fingerprint: str | None = None,
        exclude: Collection[str] = (),
        allowed: Bools | None = None,
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

        Raises:
            InputError: vectors of another model or dimension, zero or not finite ones, k below 1, or a mask that is
                not one a track.
        """
        view = self._view
        self._check_model(fingerprint, "query is")
        if k < 1:
            raise InputError(f"k is {k}; valid is 1 or more")
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InputError(f"queries are {queries.shape}; valid is (queries, {self.dim})")
        check_directions(queries, lambda row: f"query {row}")
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
        """Fold the journal into a new generation; readers of the old one go on until they refresh.

        Args:
            kind: another kind; the same unless given.
            settings: of that kind.
            recall: another aim; the same unless given.
        """
        with self._writing() as view:
            head = {key: view.base.info[key] for key in KEPT}
            if kind is not None:
                head |= {"kind": kind, "settings": dict(settings or {})}
            aim = view.base.info["recall"]["asked"] if recall is None else recall
            tuning.check(head["kind"], head["settings"], aim)
            _publish(self.folder, view.material(), head, aim)
        self.refresh()

    def _put(
        self, vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame, fingerprint: str | None, new: bool
    ) -> None:
        self._check_model(fingerprint, "tracks are")
        material = checked(vectors, segments, tracks)
        if material.dim != self.dim:
            raise InputError(f"vectors are of {material.dim} numbers, the index's of {self.dim}")
        with self._writing() as view:
            self._check_model(fingerprint, "tracks are")
            ids = material.tracks["track_id"].to_pylist()
            if new and (twice := [name for name in ids if view.slot(name) is not None]):
                raise InputError(f"the index has tracks {listed(twice)} already; update replaces them")
            joined([view.table, material.tracks])
            self._append(view, journal.put(material))

    def _append(self, view: View, payload: bytes) -> None:
        journal.append(view.base.folder / "journal", payload, view.end)
        self.refresh()

    @contextmanager
    def _writing(self) -> Iterator[View]:
        """The one writer, with the newest view."""
        with FileLock(self.folder / ".lock"):
            yield self.refresh()._view

    def _check_model(self, fingerprint: str | None, what: str) -> None:
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise InputError(
                f"the index was built with model {self.fingerprint}, the {what} of model {fingerprint}; "
                "use that model, or build the index again"
            )


def _read(folder: Path, view: View | None) -> View:
    """What a folder holds now; a view of the generation in use goes on from where it is."""
    if view is None or generation.current(folder) != (view.base.folder.name, view.base.digest):
        view = View(generation.open_current(folder))
    try:
        return view.caught_up()
    except InputError:  # a writer may be cutting what another left while we read: then a second look finds it whole
        return view.caught_up()


def _publish(folder: Path, material: Material, head: Mapping[str, Any], recall: float) -> None:
    """Write the next generation and point to it. Of the others the one in use until now stays, for its readers."""
    before = generation.current(folder)[0] if (folder / "CURRENT").exists() else ""
    name = generation.next_name(folder)
    generation.prune(folder, before)
    digest = generation.write(folder, name, material, head, recall)
    generation.point(folder, name, digest)

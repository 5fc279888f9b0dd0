"""An index in Milvus: the calls of `crossmodal.search.SearchIndex` where one machine is not enough.

A location says where: ``catalogue.db`` is a file of this machine, in which Milvus runs embedded in this process;
``https://host:19530`` is a server or a cluster, whose token stands in the environment variable MILVUS_TOKEN. Either
may end in ``#collection``. Rows are described in `crossmodal.indexes._rows`; docs/milvus.md says what differs from a
folder. It is no kind of FAISS index, so the registry does not list it: `crossmodal.search.open_index` knows it by its
location.

A track is replaced by upserting its new rows and then deleting what is left of the old ones. If a writer is killed in
between, the track has rows of both until it is put or deleted again; `MilvusIndex.verify` names it.
"""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.filters import Filter, folded
from crossmodal.hits import Hit, Tracks, check_mask, check_model, check_queries
from crossmodal.indexes import _whole
from crossmodal.indexes._answers import answered
from crossmodal.indexes._collection import Collection, settled
from crossmodal.indexes._conditions import NOTHING, among, both, expression
from crossmodal.indexes._place import Place, connected, place, released
from crossmodal.indexes._rows import Head, Row, coded, key, primary, rows, table, vectors_of
from crossmodal.material import Floats, Pieces, checked, joined, unit
from crossmodal.metrics.retrieval import id_key
from crossmodal.types import PathLike


class MilvusIndex:
    """An opened index in Milvus; make one with `build` or `open`.

    It holds no rows: what others change is seen by the next call, but for `tracks`, which is kept until `refresh`.
    """

    def __init__(self, collection: Collection) -> None:
        self._see(collection)

    def _see(self, collection: Collection) -> None:
        self._rows, self._head, self._schema = collection, collection.head, collection.head.schema
        self._tracks: Tracks | None = None

    def refresh(self) -> MilvusIndex:
        """See what was built in its place, and its tracks, anew; returns itself."""
        self._see(self._rows.again())
        return self

    def refreshed(self) -> MilvusIndex:
        """Another object that sees what is there now."""
        return MilvusIndex(self._rows.again())

    def close(self) -> None:
        """Let go of the connection, and of a file, which other processes can open then."""
        released(self._rows.at, self._rows.client)

    @property
    def columns(self) -> list[str]:
        """Of the metadata."""
        return [str(name) for name in self._schema.names if name != "track_id"]

    @property
    def location(self) -> str:
        """Where it lies, as `crossmodal.search.open_index` takes it; without a token."""
        return str(self._rows.at)

    @property
    def generation(self) -> str:
        """The name of the collection that is open."""
        return self._rows.name

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._head.dim

    @property
    def fingerprint(self) -> str:
        """Of the model whose vectors these are."""
        return self._head.fingerprint

    @property
    def info(self) -> dict[str, Any]:
        """What the collection says of itself, with its tracks and segments by now, as `SearchIndex.info`."""
        return {**self._head.info(), "tracks": len(self), "segments": self._rows.count("")}

    def __len__(self) -> int:
        """The number of tracks."""
        return self._rows.count(_whole.FIRST)

    def __contains__(self, track_id: str) -> bool:
        """Whether a track of this id is there."""
        return bool(self._rows.get([primary(key(track_id), 0)], ["track"]))

    @property
    def tracks(self) -> Tracks:
        """Metadata of all tracks, read at once: a walk over the collection, which a folder does not need."""
        if self._tracks is None:
            self._tracks = Tracks(_whole.tracks(self._rows, self._schema))
        return self._tracks

    def segments(self, track_id: str) -> tuple[NDArray[np.float64], Floats]:
        """Start and end of a track's segments, ``(segments, 2)`` seconds, and their unit vectors, or an InputError."""
        mine, first = key(track_id), self._first(track_id, ["count"])
        found = self._rows.segments({mine: first["count"]}, ["start", "end", "vector"])[mine]
        return np.array([(row["start"], row["end"]) for row in found]), vectors_of(found)

    def named(self, column: str, values: Some[str]) -> list[str]:
        """The ids of the tracks whose column holds exactly one of some words; none if there is no such column."""
        at = self._schema.get_field_index(column)
        if at < 0:
            return []
        near = both(_whole.FIRST, among(f"w{at}", sorted({folded(value) for value in values})))
        found = self._rows.query(near, ["track_id", "metadata"])
        same = [row["track_id"] for row in found if {**row, **row["metadata"]}[column] in values]
        return sorted(same, key=id_key)

    def pieces(self) -> Pieces:
        """All that the index holds, to be written elsewhere; memory holds the vectors of a piece at a time."""
        return _whole.pieces(self._rows, self._schema)

    def track(self, track_id: str) -> dict[str, Any]:
        """A track's columns, its id among them, or an InputError."""
        return dict(table([self._first(track_id, ["track_id", "metadata"])], self._schema).to_pylist()[0])

    def _first(self, track_id: str, fields: Sequence[str]) -> Row:
        """The first row of a track."""
        if not (found := self._rows.get([primary(key(track_id), 0)], fields)):
            raise InputError(f"the index has no track {track_id!r}")
        return found[0]

    @classmethod
    def build(
        cls,
        location: PathLike,
        vectors: Floats,
        segments: pd.DataFrame,
        tracks: pd.DataFrame,
        fingerprint: str,
        kind: str = "flat",
        *,
        settings: Mapping[str, Any] | None = None,
        frontend: str = "",
    ) -> MilvusIndex:
        """Write a new collection, give it the location's name once it is whole, drop the one before, and open it.

        Args:
            location: a file or a server; see the module.
            vectors: these, segments and tracks are `SearchIndex.build`'s.
            segments: likewise.
            tracks: likewise.
            fingerprint: the model's.
            kind: flat, hnsw, ivf, ivfsq, or auto, which leaves it to Milvus.
            settings: Milvus' own of that kind, such as M, efConstruction or nlist.
            frontend: the fingerprint of the model's front end.

        Raises:
            InputError: what `SearchIndex.build` refuses, or a Milvus that cannot be reached or refuses.
        """
        head = {"kind": kind, "settings": settings or {}, "fingerprint": fingerprint, "frontend": frontend}
        return cls.create(location, Pieces.of(checked(vectors, segments, tracks)), head)

    @classmethod
    def create(cls, location: PathLike, pieces: Pieces, head: Mapping[str, Any]) -> MilvusIndex:
        """As `build`, of material that is checked already; ``head`` is kind, settings, fingerprint and frontend."""
        settings = settled(head["kind"], head["settings"])
        said = Head(**{**head, "settings": settings}, dim=pieces.dim, columns=coded(pieces.schema))
        return cls(Collection.built(_milvus(location), said, rows(pieces.parts, pieces.schema)))

    @classmethod
    def open(cls, location: PathLike) -> MilvusIndex:
        """Open what a location holds.

        Raises:
            InputError: there is no such file or collection, it is of another program or version, or no server answers.
        """
        at = _milvus(location)
        return cls(Collection.opened(at, connected(at)))

    def search(
        self,
        queries: Floats,
        k: int = 10,
        fingerprint: str | None = None,
        exclude: Some[str] = (),
        allowed: NDArray[np.bool_] | None = None,
        where: Sequence[Filter] = (),
    ) -> list[list[Hit]]:
        """The k best tracks of each query, the best first; arguments, order and scores as `SearchIndex.search`'s.

        Conditions are evaluated by Milvus; a mask names the tracks, so it suits few. Of a kind that is not exact the
        answers are those that Milvus finds, by their exact scores.

        Raises:
            InputError: as there, or a range of numbers in a column of lists.
        """
        check_model(self.fingerprint, fingerprint, "query is")
        check_queries(queries, k, self.dim)
        met = expression(where, self._schema, lambda some: bool(self._rows.query(some, ["id"], limit=1)))
        barred = [key(track_id) for track_id in exclude]
        return answered(self._rows, self._schema, unit(queries), k, both(met, self._mask(allowed)), barred)

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

    def delete(self, track_ids: Some[str]) -> None:
        """Remove tracks.

        Raises:
            InputError: some are not there; then none is removed.
        """
        self.refresh()
        keys = {key(name): name for name in track_ids}
        there = self._rows.present(list(keys))
        if unknown := [name for track, name in keys.items() if track not in there]:
            raise InputError(f"the index has no track {listed(map(repr, unknown))}")
        self._rows.remove(list(keys))
        self._tracks = None

    def compact(
        self, kind: str | None = None, settings: Mapping[str, Any] | None = None, recall: float | None = None
    ) -> None:
        """Let Milvus fold what was changed, or build another kind of index over the same rows.

        Args:
            kind: another kind; the same unless given.
            settings: of that kind.
            recall: None: Milvus aims at none.

        Raises:
            InputError: no such kind or setting, or a recall.
        """
        if recall is not None:
            raise InputError("an index in Milvus is built for no recall; give a kind and its settings")
        self.refresh()
        if kind is None:
            self._rows.compact()
        else:
            self._rows.reindex(kind, settled(kind, settings or {}))
        self.refresh()

    def verify(self) -> list[str]:
        """The problems of the collection, in words; none if every track is whole. Every row is read."""
        return _whole.problems(self._rows)

    def _put(
        self, vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame, fingerprint: str | None, new: bool
    ) -> None:
        material = checked(vectors, segments, tracks)
        if material.dim != self.dim:
            raise InputError(f"vectors are of {material.dim} numbers, the index's of {self.dim}")
        self.refresh()
        check_model(self.fingerprint, fingerprint, "tracks are")
        names = {key(name): name for name in material.tracks["track_id"].to_pylist()}
        before = self._rows.present(list(names))
        if new and before:
            twice = [names[track] for track in names if track in before]
            raise InputError(f"the index has tracks {listed(twice)} already; update replaces them")
        schema = joined([self._schema.empty_table(), material.tracks.slice(0, 0)]).schema
        batches = rows([material], schema)
        if schema != self._schema:
            self._rows.say(replace(self._head, columns=coded(schema)))
        self._rows.put(batches, [name for mine in before.values() for name in mine])
        self.refresh()

    def _mask(self, allowed: NDArray[np.bool_] | None) -> str:
        if allowed is None:
            return ""
        check_mask(allowed, len(self.tracks))
        names = self.tracks.table["track_id"].filter(allowed).to_pylist()
        return among("track", map(key, names)) if names else NOTHING


def _milvus(location: PathLike) -> Place:
    at = place(location)
    if at is None:
        raise InputError(f"{location} is no place of Milvus; valid is catalogue.db or https://host:19530")
    return at

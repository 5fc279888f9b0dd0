"""Vectors leave an index and enter one as parquet, which other programs and vector databases read and write.

A row a segment: ``track_id``, ``start`` and ``end`` in seconds, ``vector`` (a list of float32), ``metadata`` (a struct
of the track's columns, the same in each of its rows). The file's own metadata, under ``crossmodal``, name the model
and the front end. The queries that an index was judged by stay behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crossmodal.errors import InputError, listed
from crossmodal.files import atomic, make_folder, remove
from crossmodal.material import Material
from crossmodal.search.opening import AnyIndex, beside, check_kind, create_index, holds_index
from crossmodal.search.scatter import COLUMNS, KEY, Parquet, scattered
from crossmodal.types import PathLike


def write_parquet(index: AnyIndex, path: PathLike) -> None:
    """Write all segments of an index, with their exact vectors, into one file; a piece of it is in memory at a time."""
    pieces = index.pieces()
    head = {key: index.info[key] for key in ("fingerprint", "frontend")}
    kinds = [pa.large_string(), pa.float64(), pa.float64(), pa.list_(pa.float32(), pieces.dim)]
    fields = [pa.field(name, kind) for name, kind in zip(COLUMNS, kinds, strict=True)]
    metadata = pa.struct([field for field in pieces.schema if field.name != "track_id"])
    if len(metadata):
        fields.append(pa.field("metadata", metadata))
    schema = pa.schema(fields, metadata={KEY: json.dumps(head).encode()})
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for piece in pieces.parts:
            if len(piece.rows):
                writer.write_table(_rows(piece, schema))


def _rows(piece: Material, schema: pa.Schema) -> pa.Table:
    """A row a segment."""
    tracks = piece.tracks.take(pa.array(np.repeat(np.arange(len(piece.counts)), piece.counts))).combine_chunks()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(piece.take(piece.rows).reshape(-1)), piece.dim)
    columns = [tracks["track_id"], *piece.bounds.T, vectors]
    if "metadata" in schema.names:
        columns.append(pa.array(tracks.drop(["track_id"]).to_struct_array().combine_chunks()))
    return pa.table([_whole(column) for column in columns], schema=schema)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else pa.array(column)


def read_parquet(
    paths: Sequence[PathLike],
    location: PathLike,
    kind: str = "flat",
    *,
    settings: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    fingerprint: str | None = None,
) -> AnyIndex:
    """Build an index of files as `write_parquet` writes them, with rows in any order; memory holds a piece at a time.

    Until it is built, the rows lie by the hashes of their ids in ``<location>.partial``.

    Args:
        paths: the files; each track stands in one of them.
        location: the index's, a folder or Milvus; arguments after it as `build_index`'s.
        kind: of the index.
        settings: of the kind.
        recall: what it shall reach.
        fingerprint: of the model; the files' unless given.

    Raises:
        InputError: no such file, other columns or types, vectors of several lengths, no fingerprint or several, tracks
            that stand in two files, or an index there.
    """
    if holds_index(location):
        raise InputError(f"{location} holds an index already; give the name of a new one")
    check_kind(location, kind, settings or {}, recall)
    files = [Parquet.of(Path(path)) for path in paths]
    marks = {"fingerprint": _mark("fingerprint", files, fingerprint), "frontend": _mark("frontend", files)}
    if not marks["fingerprint"]:
        raise InputError(f"{files[0].path} does not say which model its vectors are of; give the model's fingerprint")
    home = beside(location, Path())
    scratch = home.with_name(f"{home.name}.partial")
    remove(scratch)
    make_folder(scratch)
    try:
        pieces = scattered(files, scratch)
        return create_index(location, pieces, {"kind": kind, "settings": dict(settings or {}), **marks}, recall)
    finally:
        remove(scratch)


def _mark(key: str, files: Sequence[Parquet], given: str | None = None) -> str:
    """Which model, or front end, files are of."""
    found = {given} if given else {str(file.head.get(key, "")) for file in files}
    if len(found) != 1:
        told = listed(f"{file.path}: {file.head.get(key)}" for file in files)
        raise InputError(f"files of one {key} make an index, but they are of {told}")
    return found.pop()

"""Vectors leave an index and enter one as parquet, which other programs and vector databases read and write.

A row a segment: ``track_id``, ``start`` and ``end`` in seconds, ``vector`` (a list of float32), ``metadata`` (a struct
of the track's columns, the same in each of its rows). The file's own metadata, under ``crossmodal``, name the model
and the front end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crossmodal.errors import InputError, listed
from crossmodal.files import atomic
from crossmodal.material import BLOCK, Floats
from crossmodal.search.index import SearchIndex
from crossmodal.types import PathLike

KEY = b"crossmodal"
COLUMNS = ("track_id", "start", "end", "vector")


def write_parquet(index: SearchIndex, path: PathLike) -> None:
    """Write all segments of an index, with their exact vectors, into one file."""
    material = index.material()
    owner = np.repeat(np.arange(len(material.counts)), material.counts)
    head = {key: index.info[key] for key in ("fingerprint", "frontend")}
    kinds = [pa.large_string(), pa.float64(), pa.float64(), pa.list_(pa.float32(), material.dim)]
    fields = [pa.field(name, kind) for name, kind in zip(COLUMNS, kinds, strict=True)]
    metadata = pa.struct([field for field in material.tracks.schema if field.name != "track_id"])
    if len(metadata):
        fields.append(pa.field("metadata", metadata))
    schema = pa.schema(fields, metadata={KEY: json.dumps(head).encode()})
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start, vectors in zip(range(0, len(owner), BLOCK), material.blocks(), strict=True):
            rows = slice(start, start + len(vectors))
            tracks = material.tracks.take(pa.array(owner[rows])).combine_chunks()
            values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), material.dim)
            columns = [tracks["track_id"], *material.bounds[rows].T, values]
            if len(metadata):
                columns.append(pa.array(tracks.drop(["track_id"]).to_struct_array().combine_chunks()))
            writer.write_table(pa.table([_whole(column) for column in columns], schema=schema))


def read_parquet(
    path: PathLike,
    folder: PathLike,
    kind: str = "flat",
    *,
    settings: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    fingerprint: str | None = None,
) -> SearchIndex:
    """Build an index of a file as `write_parquet` writes it.

    Args:
        path: the file.
        folder: the index's; arguments after it as `SearchIndex.build`'s.
        kind: of the index.
        settings: of the kind.
        recall: what it shall reach.
        fingerprint: of the model; the file's unless given.

    Raises:
        InputError: no such file, other columns or types, vectors of several lengths, no fingerprint, or an index there.
    """
    if (Path(folder) / "CURRENT").exists():
        raise InputError(f"{folder} holds an index already; give the name of a new folder")
    table, vectors = _read(Path(path))
    head = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    mark = fingerprint or head.get("fingerprint")
    if not mark:
        raise InputError(f"{path} does not say which model its vectors are of; give the model's fingerprint")
    first = np.flatnonzero(~table["track_id"].to_pandas().duplicated())
    tracks = pa.table({"track_id": table["track_id"]}).take(pa.array(first))
    if "metadata" in table.column_names:
        found = table["metadata"].take(pa.array(first)).combine_chunks()
        for number, field in enumerate(found.type):
            tracks = tracks.append_column(field.name, found.field(number))
    segments = table.select(["track_id", "start", "end"]).to_pandas()
    frame = tracks.to_pandas(types_mapper=pd.ArrowDtype)
    front = head.get("frontend", "")
    return SearchIndex.build(
        folder, vectors, segments, frame, mark, kind, settings=settings, recall=recall, frontend=front
    )


def _read(path: Path) -> tuple[pa.Table, Floats]:
    """The columns but the vectors, and these as a matrix, filled row group by row group."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} cannot be read as parquet: {error}") from error
    names = file.schema_arrow.names
    if missing := set(COLUMNS) - set(names):
        raise InputError(f"{path} lacks the columns {listed(sorted(missing))}; it has {listed(names)}")
    if unknown := set(names) - {*COLUMNS, "metadata"}:
        raise InputError(f"{path} has columns {listed(sorted(unknown))}; what is told of tracks belongs into metadata")
    blocks, rows = [], 0
    for batch in file.iter_batches(BLOCK, columns=["vector"]):
        blocks.append(_matrix(batch["vector"], f"{path}, rows from {rows}"))
        rows += len(batch)
    if len({block.shape[1] for block in blocks}) != 1:
        raise InputError(f"{path} holds no vectors, or vectors of several lengths")
    return file.read([name for name in names if name != "vector"]), np.concatenate(blocks)


def _matrix(column: pa.Array, where: str) -> Floats:
    try:
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"{where}: vectors are {column.type}, not lists") from error
    if len(lengths) != 1 or None in lengths:
        raise InputError(f"{where}: vectors are lists of one length, but of {listed(lengths)}")
    try:
        values = column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: vectors are not numbers: {error}") from error
    return np.asarray(values, dtype=np.float32).reshape(len(column), *lengths)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else pa.array(column)

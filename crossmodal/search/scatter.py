"""Parquet files of any size and order as pieces of an index: their rows are sorted by hashes outside of memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.material import STRETCH, Material, Pieces, arrow, checked, cuts, hashed, joined

KEY = b"crossmodal"
COLUMNS = ("track_id", "start", "end", "vector")
MOST = 256  # stretches, each of which is an open file; with more than 16 million segments they become longer


@dataclass(frozen=True)
class Parquet:
    """A file that was looked at.

    Attributes:
        path: where it lies.
        rows: segments in it.
        head: what it says of the model.
        metadata: the columns of its tracks.
    """

    path: Path
    rows: int
    head: dict[str, Any]
    metadata: pa.Schema

    @classmethod
    def of(cls, path: Path) -> Parquet:
        """Look at a file.

        Raises:
            InputError: there is none, or it has other columns.
        """
        try:
            with pq.ParquetFile(path) as file:
                rows, schema = file.metadata.num_rows, file.schema_arrow
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path} cannot be read as parquet: {error}") from error
        if missing := set(COLUMNS) - set(schema.names):
            raise InputError(f"{path} lacks the columns {listed(sorted(missing))}; it has {listed(schema.names)}")
        if unknown := set(schema.names) - {*COLUMNS, "metadata"}:
            raise InputError(
                f"{path} has columns {listed(sorted(unknown))}; what is told of tracks belongs into metadata"
            )
        fields = list(schema.field("metadata").type) if "metadata" in schema.names else []
        head = json.loads((schema.metadata or {}).get(KEY, b"{}"))
        return cls(path, rows, head, pa.schema([field for field in fields if field.name != "track_id"]))


def scattered(files: Sequence[Parquet], scratch: Path) -> Pieces:
    """The tracks of files, in the order of their hashes; their rows lie in ``scratch`` meanwhile.

    Raises:
        InputError: columns of other types, vectors of several lengths, or tracks that cannot be indexed.
    """
    metadata = joined([file.metadata.empty_table() for file in files]).schema
    at = cuts(min(MOST, max(1, sum(file.rows for file in files) // STRETCH)))
    paths = [scratch / f"{stretch:03}.arrow" for stretch in range(len(at) + 1)]
    schema: pa.Schema = None
    with ExitStack() as stack:
        for rows in (rows for number, file in enumerate(files) for rows in _rows(file, number, metadata)):
            if schema is None:
                schema = rows.schema
                writers = [stack.enter_context(pa.ipc.new_stream(str(path), schema)) for path in paths]
            if rows.schema != schema:
                raise InputError(f"{listed(file.path for file in files)}: vectors are of several lengths")
            _scatter(rows, np.searchsorted(at, hashed(rows["track_id"].to_pylist()), side="right"), writers)
    if schema is None:
        raise InputError(f"{listed(file.path for file in files)}: there is no vector")
    parts = (_material(pa.ipc.open_stream(pa.memory_map(str(path))).read_all(), files) for path in paths)
    dim = schema.field("vector").type.list_size
    return Pieces(arrow(_tracks(schema.empty_table())).schema, dim, (part for part in parts if part is not None))


def _rows(file: Parquet, number: int, metadata: pa.Schema) -> Iterator[pa.Table]:
    """The segments of a file, some at a time, all with the same columns."""
    with pq.ParquetFile(file.path, pre_buffer=False) as opened:  # with it, all that was read stays in memory
        at = 0
        for batch in opened.iter_batches(STRETCH):
            vectors = _vectors(batch["vector"], f"{file.path}, rows from {at}")
            told = _metadata(batch, metadata)
            try:
                ids = batch["track_id"].cast(pa.large_string())
                bounds = [batch[name].cast(pa.float64()) for name in ("start", "end")]
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InputError(f"{file.path}, rows from {at}: {error}") from error
            if ids.null_count:
                raise InputError(f"{file.path}, rows from {at}: {ids.null_count} have no track_id")
            columns = [ids, *bounds, vectors, pa.array(np.full(len(batch), number, np.int32)), told]
            yield pa.table(columns, names=[*COLUMNS, "file", "metadata"])
            at += len(batch)


def _vectors(column: pa.Array, where: str) -> pa.FixedSizeListArray:
    try:
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"{where}: vectors are {column.type}, not lists") from error
    if len(lengths) != 1 or not lengths[0]:
        raise InputError(f"{where}: vectors are lists of one length, but of {listed(lengths)}")
    try:
        values = column.flatten().cast(pa.float32())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{where}: vectors are not numbers: {error}") from error
    return pa.FixedSizeListArray.from_arrays(values, lengths[0])


def _metadata(batch: pa.RecordBatch, schema: pa.Schema) -> pa.StructArray:
    """What is told of the tracks, in columns of the schema's types, null where a file lacks one."""
    found = batch["metadata"] if "metadata" in batch.schema.names else pa.array([{}] * len(batch), pa.struct([]))
    columns = dict(zip([field.name for field in found.type], found.flatten(), strict=True))
    cells = [columns.get(field.name, pa.nulls(len(batch))).cast(field.type) for field in schema]
    return pa.StructArray.from_arrays(cells, fields=list(schema)) if cells else found


def _scatter(rows: pa.Table, stretch: NDArray[np.int64], writers: Sequence[Any]) -> None:
    """Append each row to the file of its stretch."""
    order = np.argsort(stretch, kind="stable")
    ordered, edges = rows.take(pa.array(order)), np.searchsorted(stretch[order], np.arange(len(writers) + 1))
    for writer, (start, stop) in zip(writers, pairwise(edges.tolist()), strict=True):
        if start < stop:
            writer.write_table(ordered[start:stop])


def _material(rows: pa.Table, files: Sequence[Parquet]) -> Material | None:
    """The tracks of a stretch, each as the first of its rows tells of it; None if there is none."""
    if not len(rows):
        return None
    segments = rows.select(["track_id", "start", "end", "file"]).to_pandas()
    first = ~segments["track_id"].duplicated()
    other = segments["track_id"].map(segments[first].set_index("track_id")["file"]) != segments["file"]
    if other.any():
        names = listed(segments["track_id"][other].unique())
        raise InputError(f"track ids stand in more than one file of {listed(file.path for file in files)}: {names}")
    vectors = rows["vector"].combine_chunks()
    matrix = vectors.flatten().to_numpy().reshape(len(rows), -1)
    return checked(matrix, segments, _tracks(rows.filter(pa.array(first))))


def _tracks(rows: pa.Table) -> pd.DataFrame:
    """The id and metadata of each row."""
    names = [field.name for field in rows.schema.field("metadata").type]
    columns = [rows["track_id"], *rows["metadata"].combine_chunks().flatten()]
    table: pd.DataFrame = pa.table(columns, names=["track_id", *names]).to_pandas(types_mapper=pd.ArrowDtype)
    return table

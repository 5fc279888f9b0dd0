"""The files of a generation that hold numbers and metadata: written piece by piece, read as memory maps."""

from __future__ import annotations

import mmap
import tempfile
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from crossmodal.errors import InputError
from crossmodal.material import Floats, Pieces, joined
from crossmodal.search import soundness

ROWS = 131072  # tracks of a batch: opening a file takes so much longer the more batches it has


def write(path: Path, pieces: Pieces) -> tuple[int, int]:
    """Write tracks, ids, segments, vectors and queries into a folder; of all one piece is in memory at a time.

    The bytes do not depend on how the pieces are cut.

    Returns:
        How many tracks and segments there were.
    """
    tracks, rows = 0, 0
    with (
        _Columns(path / "ids.arrow", hash=np.uint64, first=np.int64, segments=np.int64) as ids,
        _Columns(path / "segments.arrow", track=np.int32, start=np.float64, end=np.float64) as segments,
        _Batches(path / "tracks.arrow", pieces.schema) as batches,
        (path / "vectors.npy").open("wb") as vectors,
    ):
        _write_header(vectors, (0, pieces.dim))
        for piece in pieces.parts:
            counts = piece.counts
            ids.append(piece.hashes, rows + np.cumsum(counts) - counts, counts)
            segments.append(np.repeat(tracks + np.arange(len(counts)), counts), *piece.bounds.T)
            batches.append(piece.tracks)
            for block in piece.blocks():
                vectors.write(np.ascontiguousarray(block, dtype="<f4").data)
            tracks, rows = tracks + len(counts), rows + len(piece.rows)
        vectors.seek(0)
        _write_header(vectors, (rows, pieces.dim))
    if len(pieces.queries):
        np.save(path / soundness.QUERIES, pieces.queries)
    return tracks, rows


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Of an array; numpy gives it the same length for any number of rows."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


class _Columns:
    """Columns of numbers; in the file they stand in one batch, so that a column is one stretch of memory."""

    def __init__(self, path: Path, **kinds: DTypeLike) -> None:
        self.path, self.kinds = path, {name: np.dtype(kind) for name, kind in kinds.items()}
        self.files = [tempfile.TemporaryFile(dir=path.parent) for _ in kinds]  # noqa: SIM115 (closed in the end)

    def append(self, *columns: NDArray[Any]) -> None:
        """As many numbers of each."""
        for file, kind, column in zip(self.files, self.kinds.values(), columns, strict=True):
            file.write(np.ascontiguousarray(column, dtype=kind).data)

    def __enter__(self) -> _Columns:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            for file in self.files:
                with suppress(OSError):  # of a full disk, which was told already
                    file.close()

    def _write(self) -> None:
        """Of memory maps, so that it takes no memory."""
        columns = [_filled(file, kind) for file, kind in zip(self.files, self.kinds.values(), strict=True)]
        table = pa.table(dict(zip(self.kinds, columns, strict=True)))
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, len(table)))


def _filled(file: Any, kind: np.dtype[Any]) -> NDArray[Any]:
    """What was written, as a memory map; nothing cannot be mapped."""
    file.flush()
    size = file.tell()
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b"", kind)


class _Batches:
    """A table of tracks, in batches of `ROWS`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.left = schema.empty_table()
        self.sink = pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_file(self.sink, schema)

    def append(self, table: pa.Table) -> None:
        """Rows, whose columns may be fewer than the schema's."""
        self.left = joined([self.left, table])
        while len(self.left) >= ROWS:
            self._write(self.left[:ROWS])
            self.left = self.left[ROWS:]

    def __enter__(self) -> _Batches:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self.sink, self.writer:
            if kind is None and len(self.left):
                self._write(self.left)

    def _write(self, table: pa.Table) -> None:
        rows = table.take(pa.array(np.arange(len(table))))  # made anew, so that nothing is left of how it was cut
        self.writer.write_table(rows.combine_chunks(), max_chunksize=ROWS)


def mapped(path: Path) -> Floats:
    """An array file as a memory map; an empty one cannot be mapped, and is loaded."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
        found: Floats = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (ValueError, OverflowError, SyntaxError, TokenError) as error:
        raise InputError(f"{path} is no array of vectors: {error}") from error
    soundness.check_vectors(path, found)
    return np.asarray(found)  # a memmap's own indexing is slow


def read(path: Path) -> pa.Table:
    """A table as a memory map."""
    try:
        found = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not what was written: {error}; build the index again") from error
    soundness.check_table(path, found)
    return found


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of numbers, of a table that stands in one batch."""
    values = table[name]
    if not values.num_chunks:
        return np.empty(0, dtype=values.type.to_pandas_dtype())
    return values.chunk(0).to_numpy()  # type: ignore[no-any-return]

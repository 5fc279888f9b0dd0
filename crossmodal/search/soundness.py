"""What an index's folder may hold, whoever made it: its files are data, of the sizes and types that are written here.

Nothing in a folder is run, nothing outside of it is read, and no more memory is taken than its files have bytes. What
only reading all of it can tell, `crossmodal.search.checks.verify` does.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import faiss
import numpy as np
import pyarrow as pa

from crossmodal.errors import InputError, listed
from crossmodal.material import Floats
from crossmodal.settings import Range, Setting, Share, Whole, check

FILES = ("tracks.arrow", "ids.arrow", "segments.arrow", "vectors.npy")
INDEX, QUERIES = "index.faiss", "queries.npy"  # which it may have
INFO = {
    "kind": str,
    "settings": dict[str, Any],
    "fingerprint": str,
    "frontend": str,
    "dim": Whole,
    "segments": Whole,
    "tracks": Whole,
    "built": str,
    "built_settings": dict[str, Any],
    "effort": dict[str, Annotated[int, Range(1, 1 << 20)]],
    "recall": dict[str, Any],
    "files": dict[str, dict[str, Any]],
}
RECALL = {
    "asked": Setting(Share, True),
    "measured": Setting(Share, True),
    "of": Setting(dict[str, Share], False),
}
ONE = Lock()
SCHEMAS = {
    "ids.arrow": pa.schema({"hash": pa.uint64(), "first": pa.int64(), "segments": pa.int64()}),
    "segments.arrow": pa.schema({"track": pa.int32(), "start": pa.float64(), "end": pa.float64()}),
}


def size_of(path: Path) -> int:
    """Bytes of a file of an index.

    Raises:
        OSError: it is not there.
        InputError: it is no file but a link, which may lead anywhere, or a pipe or device, which may never end.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no file of an index but a link, a pipe or a folder; build the index again")
    return found.st_size


def small(path: Path, most: int = 1 << 20) -> bytes:
    """The bytes of a file that has few; else as `size_of`."""
    if size_of(path) > most:
        raise InputError(f"{path} has more than {most} bytes; build the index again")
    return path.read_bytes()


def checked_info(path: Path, info: Any) -> dict[str, Any]:
    """What ``info.json`` says, unless no index says so; what else it says does not matter."""
    if not isinstance(info, dict):
        raise InputError(f"{path} is no JSON object; build the index again")
    known = {key: info[key] for key in INFO if key in info}
    check(str(path), known, {key: Setting(kind, True) for key, kind in INFO.items()})
    check(f"{path}, recall", {key: said for key, said in info["recall"].items() if key in RECALL}, RECALL)
    files = info["files"]
    if set(files) - {INDEX, QUERIES} != set(FILES):
        more = f"an index has {listed(FILES)} and may have {INDEX} and {QUERIES}"
        raise InputError(f"{path} names the files {listed(files)}; {more}")
    for name, said in files.items():
        check(f"{path}, {name}", said, {"bytes": Setting(Whole, True), "sha256": Setting(str, True)})
    return info


def check_table(path: Path, table: pa.Table) -> None:
    """Refuse a table of other columns, or that has not the bytes which it declares."""
    try:
        table.validate()
        if path.name == "tracks.arrow":
            check_tracks(table)
        elif table.schema != SCHEMAS[path.name] or table[0].num_chunks > 1 or any(c.null_count for c in table.columns):
            raise ValueError(f"its columns are {listed(table.schema)}")
    except ValueError as error:
        raise InputError(f"{path} is not what was written: {error}; build the index again") from error


def check_tracks(table: pa.Table) -> None:
    """Raise ValueError for a table whose first column is not that of the ids."""
    if table.schema.names[:1] != ["track_id"] or table.schema.field(0).type != pa.large_string():
        raise ValueError(f"its first column is no track_id: {listed(table.schema)}")
    if table.column(0).null_count or len(set(table.schema.names)) != len(table.schema):
        raise ValueError("tracks have no id, or columns one name")


def check_vectors(path: Path, vectors: Floats) -> None:
    """Refuse an array of another type."""
    if vectors.dtype != np.dtype("<f4") or vectors.ndim != 2 or not vectors.flags.c_contiguous:
        shape = " x ".join(map(str, vectors.shape))
        raise InputError(f"{path} holds {shape} numbers of type {vectors.dtype}; valid is (segments, dim) of float32")


@contextmanager
def bounded_faiss(path: Path) -> Iterator[None]:
    """Let FAISS take no more memory for what it reads than the file has bytes; it believes a terabyte otherwise."""
    with ONE:  # the limit is the whole process's
        before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(max(1, size_of(path)))
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before)


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """What files lead to that do not agree with each other, as an `InputError`; nothing else may go wrong within."""
    try:
        yield
    except InputError:
        raise
    except (IndexError, MemoryError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[-1]
        raise InputError(
            f"the files of {folder} do not agree with each other ({reason}); `crossmodal index verify` says where"
        ) from error

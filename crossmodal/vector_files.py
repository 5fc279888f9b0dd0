"""Vectors as files that others read: npz for NumPy, pt for PyTorch, parquet for tables; the suffix decides.

Each holds a row a track, or a segment with its start and end in seconds; its id, its vector in the joint space, the
audio encoder's feature; and the fingerprint of the model that made them.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import parquet

from crossmodal.errors import InputError, listed
from crossmodal.files import atomic
from crossmodal.types import PathLike

Floats = NDArray[np.float32]
Arrays = dict[str, Floats]


def check(path: PathLike) -> None:
    """An `InputError` if a file's suffix names no format."""
    suffix = Path(path).suffix
    if suffix not in WRITERS:
        raise InputError(f"{path}: vectors are written as {listed(WRITERS)}, not as {suffix or 'anything'}")


def write(path: PathLike, rows: pd.DataFrame, arrays: Arrays, fingerprint: str) -> None:
    """Write rows and what belongs to them, whole or not at all.

    Args:
        path: with a suffix of `WRITERS`.
        rows: ``track_id``, and start and end where a row is a segment.
        arrays: ``vectors`` and ``features``, ``(rows, dim)`` each.
        fingerprint: of the model.

    Raises:
        InputError: another suffix, or a full disk.
    """
    check(path)
    with atomic(path) as temporary:
        WRITERS[Path(path).suffix](temporary, rows, arrays, fingerprint)


def _npz(path: Path, rows: pd.DataFrame, arrays: Arrays, fingerprint: str) -> None:
    """``track_ids``, ``vectors``, ``features``, ``fingerprint``, and ``start`` and ``end``; nothing is pickled."""
    content: dict[str, Any] = {"track_ids": np.array(rows["track_id"].tolist(), dtype=np.str_)}
    content |= _bounds(rows) | arrays | {"fingerprint": np.array(fingerprint)}
    with path.open("wb") as file:
        np.savez(file, **content)


def _pt(path: Path, rows: pd.DataFrame, arrays: Arrays, fingerprint: str) -> None:
    """The same names: ids as a list of str, numbers as tensors; ``torch.load`` reads it with ``weights_only=True``."""
    numbers = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in (_bounds(rows) | arrays).items()}
    written = BytesIO()  # torch.save reports a full disk in its own way
    torch.save({"track_ids": rows["track_id"].tolist(), **numbers, "fingerprint": fingerprint}, written)
    path.write_bytes(written.getbuffer())


def _parquet(path: Path, rows: pd.DataFrame, arrays: Arrays, fingerprint: str) -> None:
    """Columns ``track_id``, ``start``, ``end``, ``vector`` and ``features``, lists of a fixed size; metadata."""
    columns = {"track_id": pa.array(rows["track_id"].tolist(), pa.string())}
    columns |= {name: pa.array(values) for name, values in _bounds(rows).items()}
    for name, array in arrays.items():
        flat = pa.array(np.ascontiguousarray(array).reshape(-1))
        columns[name.replace("vectors", "vector")] = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    table = pa.table(columns)
    parquet.write_table(table.replace_schema_metadata({"fingerprint": fingerprint}), path)


def _bounds(rows: pd.DataFrame) -> dict[str, Floats]:
    return {name: rows[name].to_numpy(np.float32, copy=True) for name in ("start", "end") if name in rows}


Writer = Callable[[Path, pd.DataFrame, Arrays, str], None]
WRITERS: dict[str, Writer] = {".npz": _npz, ".pt": _pt, ".parquet": _parquet}

"""Files that hold pickles, read without running what is in them: pandas' HDF5 frames, and plain pickles of tables.

``DataFrame.to_hdf`` (format "fixed", the default) lets PyTables pickle every column of objects into one long cell. To
unpickle is to call whatever the file names, so here a pickle may name only what makes arrays and plain containers, and
even these are made by the code below, not by the pickle.

Memory: the columns of a block are one pickle, whose bytes and values are in memory at once. A million tracks with nine
million tags (a file of 0.43 GB) took 12 s and 3.4 GB, of which the strings of the tags are the most.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from crossmodal.errors import InputError, listed

CONTAINERS = {"list": list, "dict": dict, "tuple": tuple, "set": set, "frozenset": frozenset}
DTYPE = re.compile(r"[<>=|]?(?:[biuf][1248]|[SU]\d{1,6}|O8?|[?])")


def read_frame(path: Path, key: str | None = None) -> pd.DataFrame:
    """The frame that ``DataFrame.to_hdf(path, key=key)`` wrote, in the format "fixed".

    Args:
        path: an HDF5 file.
        key: of the frame; not needed if there is one alone.

    Returns:
        The frame; a column of words has the dtype str, one of lists object, with NaN where there is nothing.

    Raises:
        InputError: the file is missing or broken, has no such frame, or holds a pickle that asks for anything but
            arrays and containers; it names the file, and what was asked for.
    """
    try:
        with h5py.File(path, "r") as file:
            return _frame(_group(file, path, key), path)
    except InputError:
        raise
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a whole HDF5 file of pandas: {error}") from error


def read_pickle(path: Path) -> Any:
    """What a pickle file holds (also .gz), if that is containers, words, numbers and numpy's arrays.

    Python 2's pickles are read, their ``str`` as Latin-1.

    Raises:
        InputError: as `read_frame`.
    """
    try:
        data = path.read_bytes()
        return unpickled(gzip.decompress(data) if path.suffix == ".gz" else data, path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def unpickled(data: bytes, path: Path) -> Any:
    """The value of a pickle that was found in the file ``path``; errors as `read_frame`."""
    try:
        return _Unpickler(data, path).load()
    except InputError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise InputError(f"{path} holds a broken pickle: {type(error).__name__}: {error}") from error


class _Array(np.ndarray):
    """An array whose pickled state is checked before numpy believes it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, values = state
        made = np.dtype(dtype.name)
        if not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(f"an array of the shape {shape}")
        if made.hasobject:
            right = isinstance(values, list) and len(values) == math.prod(shape)
        else:  # Python 2's bytes come as str
            values = values.encode("latin-1") if isinstance(values, str) else bytes(values)
            right = len(values) == math.prod(shape) * made.itemsize
        if not right:
            raise ValueError("an array's values do not fill its shape")
        super().__setstate__((tuple(shape), made, bool(fortran), values))  # type: ignore[arg-type]


class _Dtype:
    """The name of a dtype; of its pickled state only the byte order is believed, and that a name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name if isinstance(name, str) else "?"
        if not DTYPE.fullmatch(self.name):
            raise ValueError(f"there is no plain dtype {name!r}")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.name = state[1] + self.name.lstrip("<>=|")


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """What stands for ``module.name``; an `InputError` for all that a table of words never asks for."""
        if module in ("builtins", "__builtin__") and name in CONTAINERS:
            return CONTAINERS[name]
        made = self._makers().get((module.replace("numpy._core", "numpy.core"), name))
        if made is None:
            raise InputError(
                f"{self.path} holds a pickle that asks for {module}.{name}, which a table has no use for; it was not"
                " run. Get the file again from where it was published"
            )
        return made

    def _makers(self) -> dict[tuple[str, str], Callable[..., Any]]:
        # bound methods, because a pickle can set attributes of what it is given, and theirs it cannot
        return {
            ("numpy", "ndarray"): self._none,
            ("numpy", "dtype"): self._dtype,
            ("numpy.core.multiarray", "_reconstruct"): self._array,
            ("numpy.core.multiarray", "scalar"): self._scalar,
            ("numpy.core.numeric", "_frombuffer"): self._buffer,
            ("_codecs", "encode"): self._bytes,
        }

    def _none(self, *_: Any) -> None:
        raise ValueError("an array of its own making")

    def _dtype(self, *arguments: Any) -> _Dtype:
        return _Dtype(*arguments)

    def _array(self, *_: Any) -> _Array:
        return np.ndarray.__new__(_Array, (0,))

    def _scalar(self, dtype: _Dtype, value: Any) -> Any:
        array = self._array()
        array.__setstate__((1, (1,), dtype, False, value))
        return array[0]

    def _buffer(self, values: Any, dtype: _Dtype, shape: Any, order: str) -> Any:
        return np.frombuffer(bytes(values), dtype.name).reshape(shape, order=order)  # type: ignore[call-overload]

    def _bytes(self, value: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes in {encoding!r}")
        return value.encode("latin-1")


def _group(file: h5py.File, path: Path, key: str | None) -> h5py.Group:
    kinds: dict[str, str] = {}

    def note(name: str, node: Any) -> None:
        if kind := _word(node.attrs.get("pandas_type", "")):
            kinds[name] = kind

    file.visititems(note)
    wanted = [key.strip("/")] if key is not None else list(kinds)
    if len(wanted) != 1 or wanted[0] not in kinds:
        said = f"has no frame {key!r}" if key is not None else f"has {len(kinds)} frames of pandas, not one"
        raise InputError(f"{path} {said}; there are: {listed(kinds) or 'none'}")
    if kinds[wanted[0]] != "frame":
        raise InputError(f"{path}: {wanted[0]} is of pandas' kind {kinds[wanted[0]]}; to_hdf(format='fixed') is read")
    return file[wanted[0]]


def _frame(group: h5py.Group, path: Path) -> pd.DataFrame:
    said = _word(group.attrs.get("encoding", ""))
    encoding = said if re.fullmatch(r"[\w-]+", said) else "utf-8"  # Python 2 wrote a pickled None
    columns, index = (_values(group[name], path, encoding) for name in ("axis0", "axis1"))
    cells: dict[Any, Any] = {}
    for block in range(int(group.attrs["nblocks"])):
        items = _values(group[f"block{block}_items"], path, encoding)
        values = _values(group[f"block{block}_values"], path, encoding)
        table = values.reshape(-1, len(items)) if values.ndim < 2 else values
        if table.shape != (len(index), len(items)):
            raise InputError(f"{path}: block {block} of {group.name} has {table.shape} values for {len(index)} rows")
        cells |= {item: table[:, column] for column, item in enumerate(items)}
    return pd.DataFrame(cells, index=pd.Index(index), columns=columns)


def _values(node: h5py.Dataset, path: Path, encoding: str) -> Any:
    """An array as pandas' block has it, but rows first: ``(rows,)`` or ``(rows, columns)``."""
    if "shape" in node.attrs:  # PyTables has no empty arrays, so pandas pickles their shape
        shape = unpickled(bytes(node.attrs["shape"]), path)
        found = np.empty(shape if 0 in shape else 0, dtype="object")
    elif h5py.check_vlen_dtype(node.dtype) is not None:
        found = np.asarray(unpickled(node[0].tobytes(), path)).view(np.ndarray)
    else:
        found = node[...]
    if found.dtype.kind == "S":
        found = np.char.decode(found, encoding).astype("object")
    return found if found.ndim < 2 or node.attrs.get("transposed", 1) else found.T


def _word(value: Any) -> str:
    """An attribute of PyTables as a word; it stores none as an empty dataset."""
    return value.decode() if isinstance(value, bytes) else value if isinstance(value, str) else ""

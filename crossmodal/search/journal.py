"""The journal of a generation: records that are whole or not there.

A line names the format; each record follows as its length, its crc32 and the crc32 of these two, then the payload: a
line of JSON and the arrays it speaks of. A record is appended in one go and brought to the disk before it is
acknowledged. What a killed writer leaves is the beginning of a record, or zeros, at the end: readers ignore it and the
next writer cuts it. Anything else that does not agree with its checksum was changed later, and is refused: to take it
for the end would lose what was acknowledged after it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.files import sync
from crossmodal.material import Floats, Ints, Material
from crossmodal.search import soundness

MAGIC = b"crossmodal journal 1\n"
HEAD = struct.Struct("<QI")
SUM = struct.Struct("<I")
SIZE = HEAD.size + SUM.size


@dataclass(frozen=True)
class Put:
    """Tracks that are added, or take the place of those of the same ids.

    Attributes:
        tracks: a row a track.
        counts: segments of each, ``(tracks,)``.
        bounds: ``(segments, 2)``, seconds.
        vectors: ``(segments, dim)``.
    """

    tracks: pa.Table
    counts: Ints
    bounds: NDArray[np.float64]
    vectors: Floats


@dataclass(frozen=True)
class Delete:
    """Tracks that are removed."""

    track_ids: list[str]


def create(path: Path) -> None:
    """An empty journal."""
    path.write_bytes(MAGIC)


def put(material: Material) -> bytes:
    """The payload that adds or replaces tracks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, material.tracks.schema) as writer:
        writer.write_table(material.tracks)
    tracks = sink.getvalue().to_pybytes()
    line = {"put": len(tracks), "tracks": len(material.counts), "segments": len(material.rows), "dim": material.dim}
    arrays = [material.counts.astype("<i8"), material.bounds.astype("<f8"), material.take(material.rows).astype("<f4")]
    return b"".join([json.dumps(line).encode() + b"\n", tracks, *(array.tobytes() for array in arrays)])


def delete(track_ids: list[str]) -> bytes:
    """The payload that removes tracks."""
    return json.dumps({"delete": track_ids}).encode() + b"\n"


def records(path: Path, offset: int, dim: int) -> Iterator[tuple[Put | Delete, int]]:
    """What the records from a byte on say, each with the byte after it.

    Raises:
        InputError: as `replay`, or a record that is whole but makes no sense in an index of so many dimensions.
    """
    for payload, end in replay(path, offset):
        try:
            yield parsed(payload, dim), end
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            start = end - len(payload) - SIZE
            raise InputError(f"{path}: the record at byte {start} cannot be understood: {error}") from error


def parsed(payload: bytes, dim: int) -> Put | Delete:
    """What a payload says; many kinds of error if that makes no sense."""
    end = payload.index(b"\n") + 1
    line = json.loads(payload[:end])
    if "delete" in line:
        return Delete([name.encode().decode() for name in line["delete"]])
    tracks = pa.ipc.open_stream(payload[end : end + line["put"]]).read_all()
    at, n, m = end + line["put"], line["tracks"], line["segments"]
    counts = np.frombuffer(payload, "<i8", n, at)
    bounds = np.frombuffer(payload, "<f8", 2 * m, at + 8 * n).reshape(m, 2)
    vectors = np.frombuffer(payload, "<f4", m * line["dim"], at + 8 * n + 16 * m).reshape(m, line["dim"])
    found = Put(tracks, counts, bounds, vectors)
    _check(found, dim)
    return found


def _check(put: Put, dim: int) -> None:
    put.tracks.validate(full=True)
    soundness.check_tracks(put.tracks)
    total, segments = len(put.tracks), len(put.vectors)
    if len(put.counts) != total or (put.counts < 1).any() or (put.counts > segments).any():
        raise ValueError(f"{total} tracks have not the {segments} segments")
    if put.counts.sum() != segments or put.vectors.shape[1] != dim or not np.isfinite(put.vectors).all():
        raise ValueError(f"vectors are not {dim} numbers for each of {put.counts.sum()} segments")


def replay(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """The whole records from a byte on, each with the byte after it; 0 is the beginning.

    Raises:
        InputError: no journal, one of another version, or a record that was changed after it was written.
    """
    try:
        soundness.size_of(path)
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; build the index again") from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path} is no journal of version 1; build the index again")
        file.seek(offset or len(MAGIC))
        while (payload := _record(file, path)) is not None:
            yield payload, file.tell()


def _record(file: BinaryIO, path: Path) -> bytes | None:
    """The next payload, or None at the end and at what a killed writer left there."""
    start, head = file.tell(), file.read(SIZE)
    if len(head) < SIZE:
        return None
    length, checksum = HEAD.unpack_from(head)
    if SUM.unpack_from(head, HEAD.size)[0] != zlib.crc32(head[: HEAD.size]):
        if any(head) or any(file.read()):
            raise _changed(path, start)
        return None
    if length > os.fstat(file.fileno()).st_size - file.tell():
        return None
    payload = file.read(length)
    if zlib.crc32(payload) != checksum:
        raise _changed(path, start)
    return payload


def _changed(path: Path, start: int) -> InputError:
    return InputError(
        f"{path}: the record at byte {start} is not what was written (its checksum differs); bring the file back from"
        f" a copy, or give up this record and what follows: truncate -s {start} {path}"
    )


def append(path: Path, payload: bytes, end: int) -> None:
    """Write a record at ``end``, where the last whole one ends, and bring it to the disk; what lay there is cut.

    Raises:
        InputError: the disk is full, say; the journal is as it was.
    """
    head = HEAD.pack(len(payload), zlib.crc32(payload))
    try:
        with path.open("r+b", buffering=0) as file:
            file.truncate(end)
            file.seek(end)
            try:
                _written(file.fileno(), head + SUM.pack(zlib.crc32(head)) + payload)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise InputError(f"could not write {path}: {error.strerror or error}; nothing was changed") from error


def carry(source: Path, start: int, target: Path) -> None:
    """Append the whole records of a journal from a byte on to another one."""
    end = max((end for _, end in replay(source, start)), default=start)
    with source.open("rb") as old, target.open("ab") as new:
        old.seek(start)
        new.write(old.read(end - start))
    sync(target)


def _written(descriptor: int, data: bytes) -> None:
    """Write all of it: the system may take less than it is given."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]

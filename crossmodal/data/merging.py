"""Merging shards into one feature store: streamed, so memory does not grow with the tracks, and resumable.

The file is written whole under a temporary name, its datasets allocated but not filled; then the frames are copied in
the order of the tracks, with a note now and then of how far it is. A kill at any byte leaves the shards and the note,
and the bytes of the store do not depend on whether there was one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.audio import frontends
from crossmodal.data.store import VERSION
from crossmodal.data.work import Results
from crossmodal.errors import InputError
from crossmodal.files import Skipped, make_folder, read_json, remove, write_json

NOTE_BYTES = 1 << 28  # from one note to the next


@dataclass(frozen=True)
class Lengths:
    """One number of frames for all tracks: longer ones are cropped at their end, shorter ones padded with silence."""

    frames: int = 0
    crop: bool = False
    pad: bool = False

    @property
    def most(self) -> int | None:
        """The number of frames that a track may have."""
        return self.frames if self.crop else None

    @property
    def least(self) -> int:
        """The number of frames that a track must have."""
        return self.frames if self.pad else 0


class _Piece(NamedTuple):
    """The frames of a track: how many are copied, and how many of silence follow."""

    track_id: str
    copied: int
    padded: int


def merge(results: Results, out: Path, lengths: Lengths = Lengths()) -> None:
    """Put the frames of all tracks into the store ``out``, in their order.

    Args:
        results: of a work whose identity is that of `crossmodal.data.extraction.Features`.
        out: the file to write; ``<out>.merging`` and ``<out>.merging.json`` stand beside it until it is whole.
        lengths: crop and pad now what was not when it was extracted.

    Raises:
        InputError: the disk is full.
    """
    make_folder(out.absolute().parent)
    temporary = out.with_name(out.name + ".merging")
    note = temporary.with_name(temporary.name + ".json")
    pieces = [_piece(track, entry.rows, lengths) for track, entry in results.tracks.items()]
    plan = _plan(results, pieces)
    try:
        begun = read_json(note) if note.exists() and temporary.exists() else {}
        if begun.get("plan") != plan:
            note.unlink(missing_ok=True)
            _allocate(temporary, results, pieces)
            begun = {"plan": plan, "tracks": 0}
        _fill(temporary, note, results, pieces, begun)
        with h5py.File(temporary, "r+") as file:
            file.attrs["complete"] = True
        temporary.replace(out)
        note.unlink(missing_ok=True)
    except OSError as error:
        remove(temporary)
        note.unlink(missing_ok=True)
        raise InputError(f"could not write {out}: {error.strerror or error}; nothing was changed") from error


def _piece(track_id: str, rows: int, lengths: Lengths) -> _Piece:
    copied = rows if lengths.most is None else min(rows, lengths.most)
    return _Piece(track_id, copied, max(0, lengths.least - copied))


def _plan(results: Results, pieces: list[_Piece]) -> str:
    """A hash of what is copied from where: a merge that was begun by another plan is not gone on with."""
    told = hashlib.sha256(json.dumps([results.work.identity, results.skipped]).encode())
    for piece, entry in zip(pieces, results.tracks.values(), strict=True):
        told.update(f"{piece}\t{entry.key}\t{entry.shard}\t{entry.start}\n".encode())
    return told.hexdigest()


def _allocate(path: Path, results: Results, pieces: list[_Piece]) -> None:
    """The whole file, with all but the frames in it."""
    identity = results.work.identity
    frontend = frontends.build(identity["frontend"])
    offsets = np.cumsum([0, *(piece.copied + piece.padded for piece in pieces)], dtype=np.int64)
    text, columns = h5py.string_dtype(), len(Skipped._fields)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # or every byte would be written twice
    with h5py.File(path, "w") as file:
        file.create_dataset("track_ids", data=[piece.track_id for piece in pieces], dtype=text)
        file.create_dataset("offsets", data=offsets)
        file.create_dataset("skipped", data=np.array(results.skipped, object).reshape(-1, columns), dtype=text)
        file.attrs["version"] = VERSION
        file.attrs["frontend"] = json.dumps(frontends.described(frontend))
        file.attrs["fingerprint"] = frontend.fingerprint
        file.attrs["silence"] = frontend.silence
        file.attrs["recipe"] = json.dumps(identity)
        shape = (int(offsets[-1]), *results.work.shape)
        file.create_dataset("frames", shape, results.work.dtype, dcpl=creation)


def _fill(path: Path, note: Path, results: Results, pieces: list[_Piece], begun: dict[str, object]) -> None:
    """Copy the frames from the track that the note names on."""
    with h5py.File(path, "r") as file:
        base, silence = int(file["frames"].id.get_offset()), float(file.attrs["silence"])
    row_bytes = int(np.prod(results.work.shape, dtype=int)) * results.work.dtype.itemsize
    first = int(str(begun["tracks"]))
    before = sum(piece.copied + piece.padded for piece in pieces[:first]) * row_bytes
    size = sum(piece.copied + piece.padded for piece in pieces) * row_bytes
    bar = tqdm(total=size, initial=before, desc="merge", unit="B", unit_scale=True, disable=None)
    with path.open("r+b", buffering=0) as file, bar:
        file.seek(base + before)
        noted = written = 0
        for number, piece in enumerate(pieces[first:], start=first + 1):
            for block in _blocks(results, piece, silence):
                _write(file, block)
                written += block.nbytes
                bar.update(block.nbytes)
            if written - noted >= NOTE_BYTES:
                write_json(note, begun | {"tracks": number})
                noted = written


def _blocks(results: Results, piece: _Piece, silence: float) -> Iterator[NDArray[np.floating]]:
    yield results.rows(piece.track_id)[: piece.copied]
    if piece.padded:
        yield np.full((piece.padded, *results.work.shape), silence, results.work.dtype)


def _write(file: BinaryIO, block: NDArray[np.floating]) -> None:
    """All bytes of a block: an unbuffered file may take fewer at a time."""
    rest = np.ascontiguousarray(block).data.cast("B")
    while len(rest):
        rest = rest[file.write(rest) :]

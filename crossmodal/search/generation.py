"""One generation: files that are written once, described and summed up by ``info.json``, and opened as memory maps."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.files import atomic, make_folder, remove, sync, write_json
from crossmodal.material import Floats, Ints, Pieces, hashed
from crossmodal.search import journal, soundness, tables
from crossmodal.search.tuning import Fitted, built, fit
from crossmodal.types import Approximate

VERSION = 2
NAME = re.compile(r"gen-\d{6}")
CURRENT = re.compile(rf"({NAME.pattern}) ([0-9a-f]{{64}})\n?")


@dataclass(frozen=True)
class Generation:
    """An opened generation; nothing of its files is read before it is needed.

    Attributes:
        folder: where it lies.
        digest: the sha256 of its ``info.json``.
        info: what ``info.json`` holds.
        tracks: a row a track.
        hashes: of the ids, ascending, ``(tracks,)``.
        first: each track's first segment, ``(tracks,)``.
        counts: each track's segments, ``(tracks,)``.
        owner: the track of each segment, ``(segments,)`` int32.
        start: of each segment, in seconds.
        end: likewise.
        vectors: ``(segments, dim)`` float32, of length one.
        queries: ``(queries, dim)``, likewise: what the kind was judged by beside segments of its own.
        fitted: the kind and how hard it looks, with its index.
    """

    folder: Path
    digest: str
    info: dict[str, Any]
    tracks: pa.Table
    hashes: NDArray[np.uint64]
    first: Ints
    counts: Ints
    owner: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    vectors: Floats
    queries: Floats
    fitted: Fitted

    def find(self, track_id: str) -> int | None:
        """The row of a track, by bisection."""
        digest = hashed([track_id])[0]
        at = int(np.searchsorted(self.hashes, digest))
        while at < len(self.hashes) and self.hashes[at] == digest:
            if self.tracks["track_id"][at].as_py() == track_id:
                return at
            at += 1
        return None


def write(folder: Path, name: str, pieces: Pieces, head: Mapping[str, Any], recall: float) -> str:
    """Write a generation as ``folder/name``, all of it on the disk before it has that name.

    Args:
        folder: the index's.
        name: the generation's.
        pieces: its content.
        head: kind, settings, fingerprint, frontend: kept in ``info.json``.
        recall: what an approximate kind shall reach.

    Returns:
        The sha256 of its ``info.json``.
    """
    with atomic(folder / name) as path:
        path.mkdir()
        tracks, segments = tables.write(path, pieces)
        vectors = tables.mapped(path / "vectors.npy")
        asked = vectors, pieces.queries, recall
        kind, settings, fitted = fit(head["kind"], head["settings"], *asked, path / "index.faiss")
        if fitted.index is not None and not (path / "index.faiss").exists():
            _write_index(fitted.index, path / "index.faiss")
        counts = {"dim": pieces.dim, "segments": segments, "tracks": tracks}
        how = {"built": kind, "built_settings": settings, "effort": fitted.effort, "recall": fitted.recall}
        files = {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in sorted(path.iterdir())}
        write_json(path / "info.json", {"version": VERSION, **head, **counts, **how, "files": files})
        journal.create(path / "journal")
        sync(path)
        digest = sha256(path / "info.json")
    sync(folder)
    return digest


def _write_index(index: faiss.Index, path: Path) -> None:
    """By a file of Python's: FAISS only prints that the last bytes did not fit, and goes on."""
    with path.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def point(folder: Path, name: str, digest: str) -> None:
    """Make a generation the current one, on the disk."""
    with atomic(folder / "CURRENT") as temporary:
        temporary.write_text(f"{name} {digest}\n", encoding="utf-8")
        sync(temporary)
    sync(folder)


def current(folder: Path) -> tuple[str, str]:
    """The generation in use and the sha256 of its ``info.json``."""
    try:
        text = soundness.small(folder / "CURRENT").decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} holds no index (no file CURRENT in it); build one first") from error
    found = CURRENT.fullmatch(text)
    if not found:
        shown = text.strip()[:80]
        raise InputError(f"{folder / 'CURRENT'} says {shown!r}, which names no generation; build the index again")
    return found[1], found[2]


def open_current(folder: Path) -> Generation:
    """Open the generation in use, also if it is replaced, and the one before removed, in the meantime."""
    name, digest = current(folder)
    while True:
        try:
            return opened(folder / name, digest)
        except InputError:
            again = current(folder)
            if again == (name, digest):
                raise
            name, digest = again


def opened(folder: Path, digest: str) -> Generation:
    """Open a generation: sizes and counts are checked, contents are not (see `crossmodal.search.checks`).

    Raises:
        InputError: it is not there, is of another version, or a file has another size or count than was written.
    """
    info = read_info(folder, digest)
    for name, file in info["files"].items():
        _check_size(folder / name, file["bytes"])
    tracks, ids, segments = (tables.read(folder / f"{name}.arrow") for name in ("tracks", "ids", "segments"))
    vectors = tables.mapped(folder / "vectors.npy")
    queries = tables.mapped(folder / soundness.QUERIES) if soundness.QUERIES in info["files"] else vectors[:0]
    fitted = _fitted(folder / "index.faiss", info)
    found = {
        "tracks": {len(tracks), len(ids)},
        "segments": {len(segments), len(vectors)},
        "dim": {vectors.shape[1], queries.shape[1]},
    }
    if fitted.index is not None:
        found["segments"].add(fitted.index.ntotal)
        found["dim"].add(fitted.index.d)
    if wrong := [f"{key} {sorted(value)}" for key, value in found.items() if value != {info[key]}]:
        raise InputError(f"{folder} holds {', '.join(wrong)}, but info.json says otherwise; build the index again")
    first, counts = tables.column(ids, "first"), tables.column(ids, "segments")
    owner, start, end = (tables.column(segments, name) for name in ("track", "start", "end"))
    hashes = tables.column(ids, "hash")
    return Generation(folder, digest, info, tracks, hashes, first, counts, owner, start, end, vectors, queries, fitted)


def read_info(folder: Path, digest: str) -> dict[str, Any]:
    """Read ``info.json``, whose sha256 must be ``digest``."""
    path = folder / "info.json"
    try:
        data = soundness.small(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; build the index again") from error
    try:
        info = json.loads(data)
    except (ValueError, RecursionError):
        info = None  # its checksum tells
    version = info.get("version") if isinstance(info, dict) else VERSION
    if version != VERSION:
        raise InputError(f"{path} is of version {version}, this program reads {VERSION}; build the index again")
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(f"{path} is not what was written (its checksum differs); build the index again")
    return soundness.checked_info(path, info)


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def next_name(folder: Path) -> str:
    """The name after the last, also after one that never became current."""
    return f"gen-{max((int(path.name[4:]) for path in folder.glob('gen-*')), default=0) + 1:06d}"


def prune(folder: Path, *kept: str) -> None:
    """Remove the other generations, and what killed writers left; only the one writer may do so."""
    for path in [*folder.glob("gen-*"), *folder.glob(".gen-*.tmp"), *folder.glob(".CURRENT.*.tmp")]:
        if path.name not in kept:
            remove(path)


def prepared(folder: Path) -> Path:
    """The index's folder, made if it is not there."""
    make_folder(folder)
    return folder


def _check_size(path: Path, size: int) -> None:
    try:
        found = soundness.size_of(path)
    except OSError as error:
        raise InputError(f"{path} does not exist; build the index again") from error
    if found != size:
        raise InputError(f"{path} is not what was written: it has {found} bytes of {size}; build the index again")


def _fitted(path: Path, info: Mapping[str, Any]) -> Fitted:
    """The kind and its index, where there is one; all else is exact search."""
    if path.name not in info["files"]:
        return Fitted(None, None, {}, info["recall"])
    kind = built(info["built"], info["built_settings"])
    if not isinstance(kind, Approximate):
        raise InputError(f"{path} is there, though {info['built']} is exact search; build the index again")
    effort, steps = info["effort"], kind.efforts(max(1, info["segments"]))
    if effort.keys() != steps[0].keys():
        raise InputError(f"{path} is searched with {effort}; valid is such as {steps[0]}; build the index again")
    try:
        with soundness.bounded_faiss(path):
            return Fitted(kind, kind.read(str(path)), effort, info["recall"])
    except (RuntimeError, MemoryError, AttributeError) as error:
        reason = (str(error) or "too large").splitlines()[-1]
        raise InputError(f"{path} is not what was written: {reason}; build the index again") from error

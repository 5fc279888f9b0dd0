"""Is an index what was written? Everything is read: checksums, counts, order, and every record of the journal."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossmodal.errors import InputError
from crossmodal.material import BLOCK, hashed
from crossmodal.search import generation
from crossmodal.search.generation import Generation
from crossmodal.search.view import View
from crossmodal.types import PathLike


def verify(folder: PathLike) -> list[str]:
    """The problems of an index, in words; none if it is whole. What a killed writer left behind is no problem."""
    folder = Path(folder)
    try:
        name, digest = generation.current(folder)
        info = generation.read_info(folder / name, digest)
    except InputError as error:
        return [str(error)]
    if problems := [text for file, said in info["files"].items() if (text := _file(folder / name / file, said))]:
        return problems
    try:
        opened = generation.opened(folder / name, digest)
    except InputError as error:
        return [str(error)]
    return _content(opened) + _journal(opened)


def _file(path: Path, said: dict[str, object]) -> str:
    try:
        found = {"bytes": path.stat().st_size, "sha256": generation.sha256(path)}
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found["bytes"] != said["bytes"]:
        return f"{path} has {found['bytes']} bytes, but {said['bytes']} were written"
    return "" if found == said else f"{path} is not what was written: its checksum differs"


def _content(opened: Generation) -> list[str]:
    """What must hold whoever wrote the files."""
    folder, problems = opened.folder, []
    ids = opened.tracks["track_id"].to_pylist()
    if len(set(ids)) != len(ids):
        problems.append(f"{folder}: {len(ids) - len(set(ids))} track ids stand more than once")
    if not np.array_equal(hashed(ids), opened.hashes) or (np.diff(opened.hashes.astype(object)) < 0).any():
        problems.append(f"{folder}: the tracks are not in the order of their ids' hashes")
    if not np.array_equal(np.repeat(np.arange(len(ids)), opened.counts), opened.owner):
        problems.append(f"{folder}: segments do not stand with their tracks")
    if off := sum(_not_unit(opened, start) for start in range(0, len(opened.vectors), BLOCK)):
        problems.append(f"{folder}: {off} vectors are not of length one")
    return problems


def _not_unit(opened: Generation, start: int) -> int:
    lengths = np.linalg.norm(opened.vectors[start : start + BLOCK].astype(np.float64), axis=1)
    return int(np.count_nonzero(~(np.abs(lengths - 1) < 1e-5)))


def _journal(opened: Generation) -> list[str]:
    """Each record, and that it can be put together with those before it."""
    try:
        view = View(opened).caught_up()
        return [] if len(view.tracks) == len(view) else [f"{opened.folder}: the journal's counts do not agree"]
    except InputError as error:
        return [str(error)]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{opened.folder / 'journal'}: a record cannot be understood: {error}"]

"""Is an index what was written? Everything is read: checksums, counts, order, and every record of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from crossmodal.errors import InputError, listed
from crossmodal.material import BLOCK, Floats, hashed
from crossmodal.search import generation, soundness
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
        found = {"bytes": soundness.size_of(path), "sha256": generation.sha256(path)}
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found["bytes"] != said["bytes"]:
        return f"{path} has {found['bytes']} bytes, but {said['bytes']} were written"
    return "" if found == said else f"{path} is not what was written: its checksum differs"


def _content(opened: Generation) -> list[str]:
    """What must hold whoever wrote the files; of each kind of problem the first of some thousand rows is told."""
    problems = [text for start in range(0, len(opened.hashes), BLOCK) for text in _tracks(opened, start)]
    for what, vectors in (("vectors", opened.vectors), ("queries", opened.queries)):
        if off := sum(_not_unit(vectors[start : start + BLOCK]) for start in range(0, len(vectors), BLOCK)):
            problems.append(f"{off} {what} are not of length one")
    return [f"{opened.folder}: {text}" for text in problems]


def _tracks(opened: Generation, start: int) -> Iterator[str]:
    """The order of some tracks and the one before them, and whether their segments stand with them."""
    before, stop = max(0, start - 1), min(start + BLOCK, len(opened.hashes))
    ids = opened.tracks["track_id"][before:stop].to_pylist()
    hashes = hashed(ids)
    keys = list(zip(hashes.tolist(), ids, strict=True))
    if twice := [second for (_, first), (_, second) in pairwise(keys) if first == second]:
        yield f"track ids stand more than once: {listed(twice)}"
    if not np.array_equal(hashes, opened.hashes[before:stop]) or keys != sorted(keys):
        yield "the tracks are not in the order of their ids' hashes"
    first, counts = opened.first[start:stop], opened.counts[start:stop]
    begin = opened.first[before] + opened.counts[before] if start else 0
    end = begin + counts.sum() if stop < len(opened.hashes) else len(opened.owner)
    if (counts < 1).any() or (counts > len(opened.owner)).any() or not 0 <= begin <= end <= len(opened.owner):
        yield "tracks have segments that are not there"
        return
    owner = np.repeat(np.arange(start, stop), counts)
    if not (
        np.array_equal(first, begin + np.cumsum(counts) - counts) and np.array_equal(opened.owner[begin:end], owner)
    ):
        yield "segments do not stand with their tracks"


def _not_unit(vectors: Floats) -> int:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return int(np.count_nonzero(~(np.abs(lengths - 1) < 1e-5)))


def _journal(opened: Generation) -> list[str]:
    """Each record, and that it can be put together with those before it."""
    try:
        view = View(opened).caught_up()
        agree = view.schema is not None and np.count_nonzero(view.alive) == len(view)
        return [] if agree else [f"{opened.folder}: the journal's counts do not agree"]
    except InputError as error:
        return [str(error)]

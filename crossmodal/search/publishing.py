"""A new generation takes the place of the one in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from crossmodal.material import Pieces
from crossmodal.search import generation, journal
from crossmodal.search.view import View

WRITING, BUILDING = ".lock", ".building"  # held while a record is appended; while a generation is written


def publish(folder: Path, pieces: Pieces, head: Mapping[str, Any], recall: float, view: View | None = None) -> None:
    """Write the next generation and point to it. Of the others the one in use until now stays, for its readers.

    The caller alone builds. What the journal has gained since ``view`` was read goes on into the new one's.
    """
    before = generation.current(folder)[0] if (folder / "CURRENT").exists() else ""
    name = generation.next_name(folder)
    generation.prune(folder, before)
    digest = generation.write(folder, name, pieces, head, recall)
    with FileLock(folder / WRITING):
        if view is not None:
            journal.carry(view.base.folder / "journal", view.end, folder / name / "journal")
        generation.point(folder, name, digest)

"""What sources share: finding their files, reading their lines, and counting what they read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from crossmodal.data import rows
from crossmodal.data.source import Source, Step
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped


class Tally:
    """What a source reads, step by step: how many rows, how many of them are kept, and why the others are not."""

    def __init__(self) -> None:
        self.steps: tuple[Step, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()

    def step(self, name: str, read: int, skipped: Sequence[Skipped] = ()) -> None:
        """Count one step: a file, a join, a rule. What it loses stands in ``skipped``, row by row.

        Args:
            name: what is read or joined, in words: "annotations_final.csv", "reviews joined to tracks".
            read: rows that come in.
            skipped: those that do not come out, each with its reason.
        """
        self.steps = (*self.steps, Step(name, read, read - len(skipped)))
        self.skipped = (*self.skipped, *skipped)


def optional(source: Source, *names: str) -> Path | None:
    """The first of some files, or of the same gzipped, that lies below the source's root."""
    found = [path for name in names for path in (source.root / name, source.root / f"{name}.gz") if path.exists()]
    return found[0] if found else None


def required(source: Source, *names: str) -> Path:
    """As `optional`, but there must be one.

    Raises:
        InputError: there is none; it says what to download, from where, and how to lay it out.
    """
    if (path := optional(source, *names)) is None:
        raise missing(source, " or ".join(names))
    return path


def missing(source: Source, what: str) -> InputError:
    """The error for files that are not there: what, where to get it, and where to put it."""
    name = type(source).__module__.rpartition(".")[2]
    where = f"download it from {source.home}; " if source.home else ""
    return InputError(f"{name} finds no {what} in {source.root}; {where}layout: {source.layout}")


def lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, gzipped or not, without their ends; a byte order mark is no part of the first.

    Raises:
        InputError: the file cannot be read, or a line is not in ``encoding``.
    """
    found = rows.text_of(path, encoding).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return found[:-1] if found[-1] == "" else found


def altered(source: Source) -> list[str]:
    """The files below the root whose checksum is not the published one, as problems; files that are absent are none."""
    present = {name: digest for name, digest in source.checksums.items() if (source.root / name).is_file()}
    wrong = [name for name, digest in present.items() if not _has(source.root / name, digest)]
    return [f"not as published, by their checksums: {listed(wrong)}; broken, or another version"] if wrong else []


def _has(path: Path, digest: str) -> bool:
    kind, _, wanted = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest() == wanted

"""Files that are either whole or absent: everything is written under a temporary name and renamed."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from crossmodal.errors import InputError, listed


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, of a file or a folder; rename it to ``path`` if the block succeeds.

    On any error the temporary file or folder is removed and ``path`` is as it was. A full disk becomes an
    `InputError` that names the file. A file is replaced in one step; a folder in two, between which a kill leaves the
    old one under another name, from where `recover` brings it back. A folder with anything in it that the new one has
    not, someone's music for instance, is not replaced, which is an `InputError` too.
    """
    path = Path(path).absolute()
    make_folder(path.parent)
    recover(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            _only_ours(path, temporary)
            os.replace(path, _aside(path))
        os.replace(temporary, path)
        remove(_aside(path))
    except OSError as error:
        remove(temporary)
        raise InputError(f"could not write {path}: {error.strerror or error}; nothing was changed") from error
    except BaseException:
        remove(temporary)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in; `InputError` if one of them is a file, or may not be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {path} cannot be made: {error.strerror}") from error


def _only_ours(path: Path, new: Path) -> None:
    ours = {entry.name for entry in new.iterdir()} if new.is_dir() else set()
    if others := sorted({entry.name for entry in path.iterdir()} - ours):
        raise InputError(f"{path} holds {listed(others, 3)}, which would be lost; give the name of a new folder")


def recover(path: Path) -> None:
    """Bring a folder back that a kill caught between the two steps of its replacement."""
    if _aside(path).exists():
        if path.exists():
            remove(_aside(path))
        else:
            os.replace(_aside(path), path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Bring a file, or a folder and the files in it, to the disk: a rename must not get there before them."""
    for found in [*path.iterdir(), path] if path.is_dir() else [path]:
        descriptor = os.open(found, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def printable(text: str) -> str:
    """A text that may hold a file's name, which need not be UTF-8: bytes that are not are escaped."""
    return text.encode(errors="backslashreplace").decode()


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, indented, keys in the order given, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or broken file is an `InputError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error


class Skipped(NamedTuple):
    """One thing that could not be used: its id, where it lies, and why."""

    id: str
    path: str
    reason: str

    def __str__(self) -> str:
        """In words, for a message."""
        return f"{self.id} ({self.path}): {self.reason}"


def write_skipped(path: str | Path, rows: Sequence[Skipped]) -> None:
    """Write ``skipped.csv``: id, path, reason; written also when there is nothing in it, so that it can be trusted."""
    with (
        atomic(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(Skipped._fields)
        writer.writerows(rows)


def read_skipped(path: str | Path) -> tuple[Skipped, ...]:
    """Read what `write_skipped` wrote; a file that is missing or of another form is an `InputError`."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            return tuple(Skipped(*row) for row in list(csv.reader(file))[1:])
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (UnicodeDecodeError, csv.Error, TypeError) as error:
        raise InputError(f"{path} is not a table of id, path and reason: {error}") from error

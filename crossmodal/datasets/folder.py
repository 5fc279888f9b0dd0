"""A folder of audio with nothing beside it: every file is a track, and the name of the folder it lies in its tag.

The data block of an experiment, split by a hash of the tracks' paths, or of the folders, where a folder is an album::

    data:
      name: folder
      root: ~/Music
      group: folder
    split: group
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from crossmodal.audio import SUFFIXES
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally
from crossmodal.data.splits import FRACTIONS, add_split, split_by_group
from crossmodal.errors import InputError
from crossmodal.files import Skipped


class Folder(Source):
    """Every audio file below ``root``; its id is its path, and the tagset "folder" holds its folder's name.

    Hidden files and folders are left out; files that are no audio by their name, or whose name is not UTF-8, are
    skipped.

    Args:
        root: the folder.
        group: what the split, which is called "group", does not cut: a folder, or a track alone.
        fractions: the share of the groups that each part gets.
        salt: another salt gives another split.
    """

    licence: ClassVar[str] = "that of each file"
    citation: ClassVar[str] = ""
    layout: ClassVar[str] = "audio files, in folders as you like"

    def __init__(
        self,
        root: str,
        group: Literal["track", "folder"] = "track",
        fractions: dict[str, float] | None = None,
        salt: str = "",
    ) -> None:
        self.root = Path(root).expanduser()
        self.group, self.fractions, self.salt = group, dict(FRACTIONS) if fractions is None else fractions, salt

    def read(self) -> Manifest:
        """One row a file, in the order of their paths.

        Raises:
            InputError: the root is no folder, or has no audio in it.
        """
        if not self.root.is_dir():
            raise InputError(f"root {self.root} is not a folder")
        paths = _walk(self.root)
        skipped = [Skipped(_shown(path), _shown(path), why) for path in paths if (why := _unfit(path))]
        audio = [path for path in paths if not _unfit(path)]
        if not audio:
            raise InputError(f"{self.root} has no audio files; by their names those are {', '.join(SUFFIXES)}")
        tally = Tally()
        tally.step("files", len(paths), skipped)
        ids = [path.as_posix() for path in audio]
        tracks = pd.DataFrame(
            {"track_id": ids, "path": ids, "title": [path.stem for path in audio], "source": "folder"}
        )
        folders = pd.DataFrame({"track_id": ids, "tagset": "folder", "tag": [path.parent.name for path in audio]})
        folders = folders[folders["tag"] != ""]
        groups = [path.parent.as_posix() for path in audio] if self.group == "folder" else ids
        tracks = tracks.assign(group=groups)
        made = Manifest.build(tracks, tags=folders, root=self.root, steps=tally.steps, skipped=tally.skipped)
        parts = split_by_group(tracks.set_index("track_id")["group"], self.fractions, self.salt)
        return add_split(made, "group", parts)


def _unfit(path: Path) -> str:
    """Why a file cannot be a track, by its name, or nothing."""
    if _shown(path) != path.as_posix():
        return "its name is not UTF-8"
    return "" if path.name.lower().endswith(SUFFIXES) else "not audio by its name"


def _shown(path: Path) -> str:
    """The path as it can be written: bytes that are not UTF-8 become question marks."""
    return path.as_posix().encode("utf-8", "replace").decode()


def _walk(root: Path) -> list[Path]:
    """Every file below ``root``, relative to it, in the order of their paths, but for what is hidden."""
    found: list[Path] = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [Path(folder, name).relative_to(root) for name in names if not name.startswith(".")]
    return sorted(found, key=Path.as_posix)

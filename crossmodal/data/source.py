"""What a data set promises: its files become a manifest, in steps that are counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.data.manifest import Manifest


class Step(NamedTuple):
    """A step of reading a data set, a file or a join in words: rows that came in, and rows that were kept."""

    name: str
    read: int
    kept: int

    def __str__(self) -> str:
        """In words, for a summary."""
        lost = f", {self.read - self.kept:,} skipped" if self.kept < self.read else ""
        return f"{self.name}: {self.read:,} read, {self.kept:,} kept{lost}"


class Source(Protocol):
    """A data set: its files become a Manifest.

    Constants of the class say whose it is and how to get it: ``licence`` and ``citation``; ``home``, where one
    downloads it, empty for folders of one's own; ``layout``, in one line, what lies where below ``root``;
    ``checksums`` of published files below the root, as ``md5:...``.
    """

    licence: ClassVar[str]
    citation: ClassVar[str]
    home: ClassVar[str] = ""
    layout: ClassVar[str]
    checksums: ClassVar[Mapping[str, str]] = {}
    root: Path

    def read(self) -> Manifest:
        """The labels, and where the audio would lie; no audio is looked at.

        Raises:
            InputError: a file is missing or unreadable; it says where to get it and where it belongs.
        """
        ...

    def fetch(self, manifest: Manifest) -> None:
        """Make the audio that is not there yet; by default there is nothing to make."""
        return None  # noqa: RET501 (without it mypy takes the method for abstract)

    def manifest(self, limit: int | None = None, labels_only: bool = False) -> Manifest:
        """The data set's tracks, or the first ``limit`` of them; those without an audio file are skipped.

        With ``labels_only`` no audio is needed, and none looked at.

        Raises:
            InputError: as `read`, or there is not one track.
        """
        found = self.read() if limit is None else self.read().head(limit)
        if not len(found):
            name, first = type(self).__module__.rpartition(".")[2], f": {found.skipped[0]}" if found.skipped else ""
            raise InputError(f"{name} finds no track in {self.root}, {len(found.skipped)} rows were skipped{first}")
        if labels_only:
            return found
        self.fetch(found)
        return found.with_audio()

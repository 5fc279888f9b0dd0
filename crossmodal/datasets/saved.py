"""A manifest that was saved before: by `crossmodal data`, by the notebooks, or by your own code."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source


class Saved(Source):
    """What was saved in ``root``, checked again, since people edit tables by hand.

    Args:
        root: the manifest's folder; its audio stays where it is.
    """

    licence: ClassVar[str] = "that of each track"
    citation: ClassVar[str] = ""
    layout: ClassVar[str] = "the parquet files, manifest.json and skipped.csv that `crossmodal data` writes"

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def read(self) -> Manifest:
        """The manifest.

        Raises:
            InputError: there is none, or what it says does not fit together.
        """
        return Manifest.load(self.root).check()

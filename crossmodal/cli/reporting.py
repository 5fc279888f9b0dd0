"""The command that writes the reports of a run anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossmodal.cli.shared import RunFolder, say


def report(
    run: RunFolder,
    manifest: Annotated[list[Path] | None, typer.Option(help="Data that a protocol judged; may be repeated.")] = None,
    umap: Annotated[bool, typer.Option("--umap", help="Draw the maps by UMAP too, with umap-learn.")] = False,
) -> None:
    """Write a run's report.html anew, and one for each protocol that judged it, from the results that are there."""
    from crossmodal import reporting
    from crossmodal.data.manifest import Manifest

    for page in reporting.write(run, [Manifest.load(folder) for folder in manifest or []], umap, say):
        say(f"open {page}")

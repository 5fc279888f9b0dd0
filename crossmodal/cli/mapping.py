"""`crossmodal map`: an index as a page to wander in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crossmodal.cli.shared import say
from crossmodal.errors import InputError

Home = Annotated[Path, typer.Argument(metavar="RUN_OR_INDEX", help="A run's folder, its experiment's, or an index's.")]
HEARD = (
    "Excerpts within the page, which makes it large; links to the files, relative to the page; or none of either. "
    "Where a page with links lies, the music must be too."
)


def map_(
    home: Home,
    out: Annotated[Path, typer.Option(help="The page, an .html file.")] = Path("map.html"),
    colour: Annotated[
        str | None, typer.Option(help="A column of the metadata; a kind of tags unless given.", show_default=False)
    ] = None,
    neighbours: Annotated[int, typer.Option(min=1, max=50, help="Of each track.")] = 10,
    audio: Annotated[Literal["embed", "link", "none"], typer.Option(help=HEARD)] = "embed",
) -> None:
    """Write an index as one page: a map of its tracks to pan, zoom and listen to, and each track's neighbours.

    Of more than 5,000 tracks that many are drawn at random, always the same. No model is needed.
    """
    from crossmodal.report.catalogue import write
    from crossmodal.search import SearchIndex

    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out is {out}; it must end in .html")
    folder, name = _found(home)
    page = write(SearchIndex.open(folder), out, name, colour, neighbours, audio)
    drawn = "" if page.tracks == page.total else f" of {page.total:,}, drawn at random"
    say(f"{out}: {page.tracks:,} tracks{drawn}, {page.sounds:,} with sound; {out.stat().st_size:,} bytes")


def _found(home: Path) -> tuple[Path, str]:
    """The index's folder, and what its page is called."""
    from crossmodal.runs import find_run

    if (home / "CURRENT").is_file():
        return home, home.absolute().name
    run = find_run(home)
    return run.folder / "index", run.config.name

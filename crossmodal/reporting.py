"""The reports of a run that was judged before: its own page, and one beside the results of each protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossmodal import report, results
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import open_run
from crossmodal.report.plane import check_umap
from crossmodal.types import PathLike

Say = Callable[[str], None]


def write(folder: PathLike, manifests: Sequence[Manifest], by_umap: bool, say: Say) -> list[Path]:
    """Write ``report.html`` anew for the run and for every protocol that judged it.

    Args:
        folder: the run's.
        manifests: of other data that protocols judged.
        by_umap: whether the maps are also drawn by UMAP.
        say: is told of results that cannot be shown.

    Returns:
        The pages.

    Raises:
        InputError: no such run, nobody judged it, or umap-learn is wanted and missing.
    """
    if by_umap:
        check_umap()
    run, own = open_run(folder)
    known = [own, *(Embedded(own.model, manifest, own.split) for manifest in manifests)]
    pages = []
    for place in _judged(run.folder):
        found = results.read(place)
        embedded = _data(found.found["split"], known)
        if embedded is None:
            say(f"{place}: passed over, since it judged other data; give its manifest with --manifest")
            continue
        pages.append(report.write(run, embedded, found.found, found.tables, place, by_umap))
    if not pages:
        raise InputError(f"{run.folder} holds no results to report; crossmodal evaluate writes them")
    return pages


def _judged(folder: Path) -> Iterator[Path]:
    if (folder / results.RESULTS).is_file():
        yield folder
    yield from sorted(path.parent for path in folder.glob(f"{results.PROTOCOLS}/*/{results.RESULTS}"))


def _data(split: dict[str, Any], known: Sequence[Embedded]) -> Embedded | None:
    """The data that holds a split of the same name and hash; the vectors of a split are made once."""
    for embedded in known:
        names = set(embedded.manifest.splits["name"])
        if split["name"] in names and split_hash(embedded.manifest, split["name"]) == split["hash"]:
            same = embedded.split == split["name"]
            return embedded if same else replace(embedded, split=split["name"])
    return None

"""Several indexes of one model become one: shards that were built side by side, or collections of several people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossmodal.errors import InputError, listed
from crossmodal.search import tuning
from crossmodal.search.index import SearchIndex
from crossmodal.search.pieces import of_views
from crossmodal.search.view import read
from crossmodal.types import PathLike


def merge(
    folder: PathLike,
    sources: Sequence[PathLike],
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    recall: float | None = None,
) -> SearchIndex:
    """Write an index of all the tracks of others, which stay as they are, with the bytes of one built of all at once.

    Memory holds a piece of them at a time, their journals, and what the kind needs to be built. Of the queries that
    they were judged by a sample goes on.

    Args:
        folder: of the new index; it may hold none.
        sources: folders of indexes of one model and front end.
        kind: of the new index; the first one's unless given.
        settings: of that kind.
        recall: what it shall reach; the first one's unless given.

    Raises:
        InputError: ids that stand in two of them, models or front ends that differ, metadata whose types differ, or an
            index where the new one shall be.
    """
    if (Path(folder) / "CURRENT").exists():
        raise InputError(f"{folder} holds an index already; give the name of a new folder")
    if not sources:
        raise InputError("there is no index to merge; give one or more")
    views = [read(Path(source)) for source in sources]
    for key in ("dim", "fingerprint", "frontend"):
        if len({view.base.info[key] for view in views}) > 1:
            found = listed(f"{source}: {view.base.info[key]}" for source, view in zip(sources, views, strict=True))
            raise InputError(f"indexes of one {key} can be merged, but they are of {found}")
    head, aim = tuning.goes_on(views[0].base.info, kind, settings, recall)
    return SearchIndex.create(folder, of_views(views), head, aim)

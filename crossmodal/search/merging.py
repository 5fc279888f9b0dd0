"""Several indexes of one model become one: shards that were built side by side, or collections of several people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossmodal.errors import InputError, listed
from crossmodal.material import merged
from crossmodal.search import generation, tuning
from crossmodal.search.index import KEPT, SearchIndex
from crossmodal.types import PathLike


def merge(
    folder: PathLike,
    sources: Sequence[PathLike],
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    recall: float | None = None,
) -> SearchIndex:
    """Write an index of all the tracks of others, which stay as they are.

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
    indexes = [SearchIndex.open(source) for source in sources]
    for key in ("dim", "fingerprint", "frontend"):
        if len({index.info[key] for index in indexes}) > 1:
            found = listed(f"{index.folder}: {index.info[key]}" for index in indexes)
            raise InputError(f"indexes of one {key} can be merged, but they are of {found}")
    counts = Counter(name for index in indexes for name in index.tracks.table["track_id"].to_pylist())
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InputError(f"track ids stand in more than one index: {listed(twice)}")
    info = indexes[0].info
    head = {key: info[key] for key in KEPT}
    if kind is not None:
        head |= {"kind": kind, "settings": dict(settings or {})}
    aim = info["recall"]["asked"] if recall is None else recall
    tuning.check(head["kind"], head["settings"], aim)
    generation.prepared(Path(folder))
    return SearchIndex.create(folder, merged([index.material() for index in indexes]), head, aim)

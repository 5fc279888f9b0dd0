"""What is said of tracks in one table, a row a track: the metadata of an index, by which answers are filtered."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from crossmodal.data.manifest import Manifest


def catalogue(manifest: Manifest, track_ids: Sequence[str]) -> pd.DataFrame:
    """The columns of the manifest's tracks, with lists beside them, in the order of ``track_ids``.

    ``tags.<tagset>`` holds a track's tags, nothing if it was annotated with none, None if it was not annotated;
    ``languages`` those of its texts, None if it has no text. The paths are absolute.
    """
    tracks = manifest.tracks.set_index("track_id", drop=False).loc[list(track_ids)].reset_index(drop=True)
    lists = {"languages": _lists(manifest.texts, "language")}
    for tagset in sorted(manifest.annotated["tagset"].unique()):
        annotated = manifest.annotated.loc[manifest.annotated["tagset"] == tagset, "track_id"]
        tags = _lists(manifest.tags[manifest.tags["tagset"] == tagset], "tag")
        lists[f"tags.{tagset}"] = {track: tags.get(track, []) for track in annotated}
    found = {name: [values.get(track) for track in tracks["track_id"]] for name, values in lists.items()}
    paths = [str(manifest.path(track)) for track in tracks["track_id"]]
    return tracks.assign(path=paths, **{name: pd.Series(cells, dtype=object) for name, cells in found.items()})


def _lists(table: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """The values of each track, each once, in order of the alphabet."""
    known = table[table[column] != ""]
    return {str(track): sorted(set(values)) for track, values in known.groupby("track_id")[column]}

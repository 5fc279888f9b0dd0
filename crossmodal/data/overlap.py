"""What the parts of a split have in common: artists, albums, groups, words, near-duplicates."""

from __future__ import annotations

import pandas as pd

from crossmodal.data.checks import among
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.data.splits import aligned


def shared(manifest: Manifest, split: str) -> pd.DataFrame:
    """What the parts of a split have in common, by artist, album, group and text (the same words, whatever the id).

    Returns:
        A row for each of these: how many ``values`` there are, how many of them are ``in several parts``, and how
        many ``tracks outside train share with train``.
    """
    parts = manifest.parts(split)
    words = manifest.texts["text"].map({text: same_words(text) for text in manifest.texts["text"].unique()})
    tracks = manifest.tracks.set_index("track_id")
    columns = {name: tracks[name] for name in ("artist", "album", "group")}
    columns["text"] = words.set_axis(manifest.texts["track_id"])
    return pd.DataFrame({name: _shared(values, parts) for name, values in columns.items()}).T


def _shared(values: pd.Series[str], parts: pd.Series[str]) -> dict[str, int]:
    frame = pd.DataFrame({"value": values, "part": parts.reindex(values.index)})
    frame = frame[(frame["value"] != "") & frame["part"].notna()]
    trained = among(frame["value"], frame.loc[frame["part"] == "train", "value"])
    return {
        "values": frame["value"].nunique(),
        "in several parts": int((frame.groupby("value")["part"].nunique() > 1).sum()),
        "tracks outside train share with train": frame.index[trained & (frame["part"] != "train")].nunique(),
    }


def leaks(manifest: Manifest, split: str, clusters: pd.Series[str]) -> list[str]:
    """A line if tracks of a cluster of near-duplicates lie in different parts of a split, with the first few of them.

    ``clusters`` are by track id; tracks without one, or with an empty one, are like no other.
    """
    parts = manifest.parts(split)
    frame = pd.DataFrame({"cluster": aligned(clusters, parts.index), "part": parts})
    frame = frame[frame["cluster"] != ""].sort_index()
    several = frame.groupby("cluster")["part"].nunique()
    cut = several.index[several > 1]
    said = [
        ", ".join(f"{track} {part}" for track, part in frame["part"][frame["cluster"] == c].items()) for c in cut[:3]
    ]
    more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
    return [f"split {split!r} cuts {len(cut)} clusters of near-duplicates: {'; '.join(said)}{more}"] if said else []

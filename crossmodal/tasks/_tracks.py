"""What tracks have in common: the group that stands or falls together, and the tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError

Bools = NDArray[np.bool_]


def groups_of(manifest: Manifest, ids: Sequence[str]) -> NDArray[np.str_]:
    """The group of each track; itself where it has none."""
    groups = dict(zip(manifest.tracks["track_id"], manifest.tracks["group"], strict=True))
    return np.array([groups[track] or track for track in ids])


def shared(manifest: Manifest, tagset: str, ids: Sequence[str]) -> Bools:
    """``(tracks, tracks)``: which tracks share a tag of a tagset, in the order of ``ids``."""
    rows = manifest.tags[manifest.tags["tagset"] == tagset]
    if rows.empty:
        raise InputError(f"there is no tagset {tagset!r} in the part that is judged")
    places = {track: place for place, track in enumerate(ids)}
    names = {tag: place for place, tag in enumerate(rows["tag"].unique())}
    has = np.zeros((len(ids), len(names)), np.float32)
    has[rows["track_id"].map(places), rows["tag"].map(names)] = 1
    return has @ has.T > 0

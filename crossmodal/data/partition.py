"""Partitions that look at more than one column: near-duplicates, the rarest tag, who has a review.

All give the part of each track by track id, for `add_split`, and none cuts a group in two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pandas as pd

from crossmodal.data.checks import among
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import FRACTIONS, aligned, check_fractions, group_keys, split_by_group, uniform
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped


def joined(groups: pd.Series[str], clusters: pd.Series[str]) -> pd.Series[str]:
    """Groups, united where a cluster has tracks of several: a split by these cuts neither group nor cluster.

    Args:
        groups: by track id; a track whose group is empty is a group of its own.
        clusters: of near-duplicates, or another column that no split may cut, by track id. Tracks without one are in
            none; those that ``groups`` has not are not looked at.

    Returns:
        The group of each track. United groups have the name that comes first among theirs, so it does not depend on
        the order of the rows; tracks without a group are named after the first of them.
    """
    keys = pd.Series(group_keys(groups), index=groups.index, dtype="str")
    linked = aligned(clusters, groups.index)
    parents = {key: key for key in keys.unique()}
    first: dict[str, str] = {}
    for key, cluster in zip(keys[linked != ""], linked[linked != ""], strict=True):
        _unite(parents, key, first.setdefault(cluster, key))
    roots = [_root(parents, key) for key in keys]
    tracks = Counter(roots)
    return pd.Series([_name(root, tracks[root]) for root in roots], index=groups.index, dtype="str", name="group")


def _name(root: str, tracks: int) -> str:
    kind, _, name = root.partition("\0")
    if kind == "group":
        return name
    return f"near-duplicates of {name}" if tracks > 1 else ""


def _root(parents: dict[str, str], key: str) -> str:
    while parents[key] != key:
        parents[key] = parents[parents[key]]  # halving the path keeps all paths short
        key = parents[key]
    return key


def _unite(parents: dict[str, str], one: str, other: str) -> None:
    """Union-find, where the first name in the alphabet is the root: groups come before tracks without one."""
    low, high = sorted((_root(parents, one), _root(parents, other)))
    parents[high] = low


def split_by_rarest_tag(
    manifest: Manifest,
    tagset: str,
    groups: pd.Series[str] | None = None,
    fractions: Mapping[str, float] = FRACTIONS,
    salt: str = "",
) -> pd.Series[str]:
    """The part of each track, stratified by the least frequent tag, so that rare tags are in all parts.

    A track's stratum is the least frequent of its tags, as in Schindler's partition; a group's is the least frequent
    among those of its tracks; groups without any are a stratum too. Within a stratum the groups stand in the order of
    their hashes and are cut where the fractions of its *tracks* say, in the order of ``fractions``. If every track is
    a group, each part of a stratum is within one track of its share.

    A stratum of one group goes to the first part, train: a tag that is only tested tells nothing. Where there are more
    groups but too few for every part, a hash of the tag says where within the groups the cuts fall, so that over many
    rare tags each part gets its share (systematic sampling with a random start); cut at the middle of each group
    alone, testing would get next to nothing of a data set with a long tail of tags.

    Unlike `split_by_group`, tracks or tags that are added may move others to another part.

    Args:
        manifest: the tracks and their tags.
        tagset: whose tags count.
        groups: the group of each track, by track id; the manifest's own by default.
        fractions: the share of the tracks that each part gets; they sum to one.
        salt: another salt gives another split.
    """
    check_fractions(fractions)
    given, (tags, ranks) = _groups(manifest, groups), _rarity(manifest, tagset)
    frame = pd.DataFrame({"key": group_keys(given), "rank": ranks.to_numpy()})
    found = frame.groupby("key")["rank"].agg(["min", "size"]).set_axis(["stratum", "tracks"], axis=1)
    found["place"] = [uniform(f"{salt}\0{key}") for key in found.index]
    found = found.rename_axis("key").sort_values(["stratum", "place", "key"])
    start = found["stratum"].map({rank: uniform(f"{salt}\0tag\0{tag}") for rank, tag in enumerate(tags)})
    strata = found.groupby("stratum")["tracks"]
    start = start.where(strata.transform("size") > 1, 0)  # the only group of a stratum lies in the first part
    within = (strata.cumsum() - (1 - start) * found["tracks"]) / strata.transform("sum")
    bounds = list(accumulate(fractions.values()))[:-1]
    parts = np.array(list(fractions))[np.searchsorted(bounds, within, side="right")]
    drawn = dict(zip(found.index, parts, strict=True))
    return pd.Series([drawn[key] for key in frame["key"]], index=given.index, dtype="str", name="part")


def _rarity(manifest: Manifest, tagset: str) -> tuple[list[str], pd.Series[int]]:
    """The tags, the rarest first, then ``""`` for none; and for each track the place of its rarest among them."""
    rows = manifest.tags[manifest.tags["tagset"] == tagset].drop_duplicates(["track_id", "tag"])
    if rows.empty:
        known = listed(sorted(manifest.tags["tagset"].unique())) or "none"
        raise InputError(f"there is no tagset {tagset!r} with tags; there are: {known}")
    counts = rows["tag"].value_counts().rename_axis("tag").reset_index().sort_values(["count", "tag"])
    tags = [*counts["tag"], ""]
    ranks = rows["tag"].map({tag: rank for rank, tag in enumerate(tags)})
    rarest = ranks.groupby(rows["track_id"]).min()
    return tags, manifest.tracks["track_id"].map(rarest).fillna(len(counts)).astype("int64")


def split_by_text(
    manifest: Manifest,
    kind: str = "review",
    valid: float = 0.01,
    groups: pd.Series[str] | None = None,
    salt: str = "",
) -> pd.Series[str]:
    """Train on the tracks that have a text of a kind, test on those that have none, as Schindler's for ISMIR 2020.

    Where only some tracks of a group have such a text, those that have none are in no part: in train they would not
    be what train is, in test their group would be known. `left_out` names them.

    Args:
        manifest: the tracks and their texts.
        kind: of the texts that decide.
        valid: the share of the groups with texts that validates; it is drawn as by `split_by_group`.
        groups: the group of each track, by track id; the manifest's own by default.
        salt: another salt draws other groups for validation.
    """
    given, known = _groups(manifest, groups), _known(manifest, kind)
    train = split_by_group(given[known], {"train": 1 - valid, "valid": valid}, salt)
    out = {skipped.id for skipped in left_out(manifest, kind, groups)}
    parts = train.reindex(given.index).fillna("test").astype("str")
    return parts[[track not in out for track in parts.index]]


def left_out(manifest: Manifest, kind: str = "review", groups: pd.Series[str] | None = None) -> list[Skipped]:
    """The tracks that `split_by_text` puts into no part, each with the reason."""
    given, known = _groups(manifest, groups), _known(manifest, kind)
    trained = known.groupby(group_keys(given)).transform("any")
    rows = manifest.tracks[(trained & ~known).to_numpy()]
    return [
        Skipped(track, path, f"has no {kind}, but its group {given[track]!r} has one and is trained on")
        for track, path in zip(rows["track_id"], rows["path"], strict=True)
    ]


def _groups(manifest: Manifest, groups: pd.Series[str] | None) -> pd.Series[str]:
    """The group of each track of a manifest, in its order, ``""`` where there is none."""
    found = manifest.tracks.set_index("track_id")["group"] if groups is None else groups
    return aligned(found, manifest.tracks["track_id"])


def _known(manifest: Manifest, kind: str) -> pd.Series[bool]:
    """Which tracks have a text of a kind, by track id."""
    rows = manifest.texts[manifest.texts["kind"] == kind]
    if rows.empty:
        kinds = listed(sorted(manifest.texts["kind"].unique())) or "none"
        raise InputError(f"there are no texts of kind {kind!r}; there are: {kinds}")
    tracks = manifest.tracks["track_id"]
    return pd.Series(among(tracks, rows["track_id"]), index=pd.Index(tracks))


def without_splits(manifest: Manifest, names: Iterable[str]) -> Manifest:
    """The manifest without the splits of these names, so that they can be made anew."""
    kept = ~manifest.splits["name"].isin(list(names))
    return replace(manifest, splits=manifest.splits[kept].reset_index(drop=True))

"""Splits by group, which stay as they are when the data set grows.

A track goes where its group goes, and a group goes where the hash of its name and a salt says. So neither the order
of the rows, nor the other groups, nor the machine matters, and a track that is added moves no other: fractions are
met in expectation, by groups, not exactly. A group is whatever must not be cut in two: an artist, an album, a piece,
a cluster of duplicates: ``split_by_group(tracks.set_index("track_id")["artist"])``.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate

import pandas as pd

from crossmodal.data.manifest import PARTS, Manifest
from crossmodal.errors import InputError, listed

FRACTIONS: Mapping[str, float] = {"train": 0.8, "valid": 0.1, "test": 0.1}


def split_by_group(
    groups: pd.Series[str], fractions: Mapping[str, float] = FRACTIONS, salt: str = ""
) -> pd.Series[str]:
    """The part of each track, by track id.

    Args:
        groups: the group of each track, by track id; a track whose group is empty is a group of its own.
        fractions: the share of the groups that each part gets; they sum to one.
        salt: another salt gives another split.
    """
    check_fractions(fractions)
    keys = group_keys(groups)
    bounds = list(accumulate(fractions.values()))[:-1]
    drawn = {key: list(fractions)[bisect(bounds, uniform(f"{salt}\0{key}"))] for key in set(keys)}
    return pd.Series([drawn[key] for key in keys], index=groups.index, dtype="str", name="part")


def group_keys(groups: pd.Series[str]) -> list[str]:
    """What is drawn, a key a track: that of its group, or its own where the group is empty."""
    tracks, names = groups.index.astype("str").tolist(), groups.astype("str").fillna("").tolist()
    return [f"group\0{name}" if name else f"track\0{track}" for track, name in zip(tracks, names, strict=True)]


def aligned(values: pd.Series[str], tracks: pd.Index | pd.Series[str]) -> pd.Series[str]:
    """Groups, or clusters, by track id, for these tracks in their order; ``""`` for those that have none."""
    if len(twice := values.index[values.index.duplicated()]):
        raise InputError(f"tracks stand in several groups, or twice in one: {listed(twice.unique(), 3)}")
    return values.reindex(pd.Index(tracks)).astype("str").fillna("")


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Refuse parts that there are not, and shares that do not sum to one, with an `InputError`."""
    if unknown := [part for part in fractions if part not in PARTS]:
        raise InputError(f"unknown parts {listed(unknown)}; a split has {listed(PARTS)}")
    if min(fractions.values(), default=-1.0) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise InputError(f"fractions must be at least 0 and sum to 1, not {dict(fractions)}")


def uniform(key: str) -> float:
    """A number in [0, 1) that the key alone decides."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48


def add_split(manifest: Manifest, name: str, parts: pd.Series[str]) -> Manifest:
    """The manifest with one more split: ``parts`` gives train, valid or test by track id; not all need be in it."""
    if name in set(manifest.splits["name"]):
        raise InputError(f"there is a split {name!r} already; there are: {listed(manifest.splits['name'].unique())}")
    if unknown := sorted(set(parts) - set(PARTS)):
        raise InputError(f"split {name!r} has unknown parts {listed(unknown)}; a split has {listed(PARTS)}")
    if len(absent := parts.index.difference(pd.Index(manifest.tracks["track_id"]))):
        raise InputError(f"split {name!r} has {len(absent)} tracks that the manifest has not: {listed(absent, 3)}")
    rows = pd.DataFrame({"track_id": parts.index, "name": name, "part": parts.to_numpy()}, dtype="str")
    return replace(manifest, splits=pd.concat([manifest.splits, rows], ignore_index=True))


def split_hash(manifest: Manifest, name: str) -> str:
    """Sixteen hex digits that say which track is in which part of a split, whatever the order of the rows."""
    lines = sorted(f"{track}\t{part}\n" for track, part in manifest.parts(name).items())
    return hashlib.blake2b("".join(lines).encode(), digest_size=8).hexdigest()

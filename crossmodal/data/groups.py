"""Which tracks belong together: those of a group and, where their likeness counts, those of an artist.

Names are compared as words are: in NFKC, without case, with single spaces. A name that says that there is none, or that
there are several (`NAMELESS`, after MusicBrainz' special purpose artists), whatever it adds in brackets, is unknown,
and two unknown ones are not the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from crossmodal.data.manifest import Manifest, same_words
from crossmodal.data.partition import joined

NAMELESS = frozenset(
    f"{open_}{name}{close}"
    for name in (
        *("unknown", "unknown artist", "unknown album", "no artist", "none", "nan", "n/a", "untitled", "anonymous"),
        *("various", "various artists", "various performers", "va", "v/a", "v.a.", "traditional", "trad.", "-", "?"),
    )
    for open_, close in (("", ""), ("[", "]"), ("<", ">"), ("(", ")"))
)
"""What stands for a name where there is none."""
ADDED = re.compile(r"\s+\(.*\)$")  # as in "traditional (Ireland)"
MOST = 0.5  # of the tracks: one draw that is more of them than all others is no sample


def is_none(name: str) -> bool:
    """Whether a name says that there is none, or several: it is empty, or one of `NAMELESS`, whatever it adds."""
    return ADDED.sub("", same_words(name)) in NAMELESS | {""}


def names_of(manifest: Manifest, column: str) -> pd.Series[str]:
    """The names of a column of tracks, by track id, so that equal ones are the same; ``""`` for those that are none."""
    values = manifest.tracks[column].set_axis(manifest.tracks["track_id"])
    known = {value: "" if is_none(value) else same_words(value) for value in values.unique()}
    return values.map(known).astype("str")


def groups_of(manifest: Manifest, ids: Sequence[str]) -> list[str]:
    """The group of each track; itself where it has none."""
    groups = dict(zip(manifest.tracks["track_id"], manifest.tracks["group"], strict=True))
    return [groups[track] or track for track in ids]


def mostly_by(manifest: Manifest) -> str | None:
    """The artist of more tracks than all others together, whom `clusters_of` does not draw; None if there is none.

    Of the ways in which the name is written, the first by the alphabet.
    """
    written, artists = manifest.tracks["artist"], names_of(manifest, "artist")
    often = (_often(artists) & (artists != "")).to_numpy()
    return min(written[often]) if often.any() else None


def _often(artists: pd.Series[str]) -> pd.Series[bool]:
    return artists.map(artists.value_counts()) > MOST * len(artists)


def clusters_of(manifest: Manifest, ids: Sequence[str]) -> list[str]:
    """What the bootstrap draws as a whole, of each track: the tracks that groups and artists connect.

    Tracks of an artist are alike, and tracks of a group are, be they of several artists. Whose tracks are more than all
    others together, such as the one orchestra of a collection of notes, connects none: figures are of that artist,
    whoever is drawn. A cluster is called after the first of its groups by the alphabet, so the order of the rows does
    not matter.

    Args:
        manifest: the part that is judged: what its tracks have in common with others connects nothing.
        ids: some of its tracks.
    """
    every = manifest.tracks["track_id"].tolist()
    groups = pd.Series(groups_of(manifest, every), index=every, dtype="str")
    artists = names_of(manifest, "artist")
    found = joined(groups, artists.mask(_often(artists), "")).to_dict()
    return [found[track] for track in ids]

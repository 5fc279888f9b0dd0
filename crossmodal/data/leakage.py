"""What judged tracks share with others: the track, the file, the artist, the album, the group, the sound.

Names are compared as in `crossmodal.data.groups`: two unknown ones are not the same. An album is its title and its
artist's name: many have the title "Live". A track is its id and its source, and a group likewise, since other data sets
may use the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import pandas as pd

from crossmodal.data.engine import ALONE, Engine
from crossmodal.data.groups import names_of
from crossmodal.data.manifest import Manifest
from crossmodal.data.sameness import Heard, Shared, hear, same_sound

Kind = Literal["track", "file", "artist", "album", "group", "duplicate"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHOWN = 3  # examples that are kept


class Leak(NamedTuple):
    """What the judged tracks share with others, of one kind.

    Attributes:
        kind: what is shared.
        of: whom they share it with: ``split``, the train and valid part, or ``run``, what the model was trained on.
        tracks: how many of the judged ones do.
        share: of all of them.
        unknown: of how many it cannot be told: their own artist is not known, or their audio cannot be heard.
        unknown_others: the same of the others.
        examples: the first few of them, each with the track that it shares it with.
    """

    kind: Kind
    of: str
    tracks: int
    share: float
    unknown: int
    unknown_others: int
    examples: list[str]


def named(judged: Manifest, others: Manifest, of: str) -> list[Leak]:
    """The leaks that the tables tell: all kinds but duplicates; of files only their paths are compared."""
    return [leak(kind, of, judged, _shared(judged, others, keys)) for kind, keys in KEYS.items()]


def heard(judged: Manifest, others: Manifest, of: str, folder: Path, engine: Engine = ALONE) -> list[Leak]:
    """The leaks that the audio tells: files with the same bytes or at the same place, and the same sound in others.

    What was heard is kept in ``folder``, where `ledger.check` may have left it, and what was found as well.
    """
    sounds = hear(judged, folder, engine), hear(others, folder, engine)
    near = same_sound(*sounds, folder)
    files = _bytes(*sounds) | _shared(judged, others, _paths).pairs
    alike = {track: other for track, other in near.pairs.items() if track not in files}
    found: dict[Kind, dict[str, str]] = {"file": files, "duplicate": alike}
    return [leak(kind, of, judged, near._replace(pairs=pairs)) for kind, pairs in found.items()]


def leak(kind: Kind, of: str, judged: Manifest, shared: Shared) -> Leak:
    """The leak of a kind; examples are in the order of the judged tracks, one for each name that is shared."""
    tracks = judged.tracks[judged.tracks["track_id"].isin(list(shared.pairs))]
    called = kind in ("artist", "album", "group")
    shown = tracks.drop_duplicates(kind) if called else tracks
    names = [f" ({name})" for name in shown[kind]] if called else [""] * len(shown)
    told = [f"{track} and {shared.pairs[track]}{name}" for track, name in zip(shown["track_id"], names, strict=True)]
    share = len(tracks) / max(len(judged), 1)
    return Leak(kind, of, len(tracks), share, shared.unknown, shared.unknown_others, told[:SHOWN])


def _shared(judged: Manifest, others: Manifest, keys: Callable[[Manifest], pd.Series[str]]) -> Shared:
    """Judged tracks to the first other with the same key; an empty key is unknown."""
    own, theirs = keys(judged), keys(others)
    known = theirs[theirs != ""]
    first = dict(zip(reversed(known.tolist()), reversed(known.index.tolist()), strict=True))
    pairs = {str(track): str(first[key]) for track, key in own.items() if key in first}
    return Shared(pairs, int((own == "").sum()), len(theirs) - len(known))


def _bytes(judged: Heard, others: Heard) -> dict[str, str]:
    """Judged tracks to the first other whose file has the same bytes."""
    first = {sha: track for track, sha in reversed(others.sha256.items())}
    return {track: first[sha] for track, sha in judged.sha256.items() if sha in first}


# --- keys by track id


def _tracks(manifest: Manifest) -> pd.Series[str]:
    return _sourced(manifest, manifest.tracks["track_id"])


def _paths(manifest: Manifest) -> pd.Series[str]:
    return manifest.paths()


def _artists(manifest: Manifest) -> pd.Series[str]:
    return names_of(manifest, "artist")


def _albums(manifest: Manifest) -> pd.Series[str]:
    albums = names_of(manifest, "album")
    return (albums + "\0" + names_of(manifest, "artist")).where(albums != "", "")


def _groups(manifest: Manifest) -> pd.Series[str]:
    """A track without a group is alone in its own, which is known."""
    tracks = manifest.tracks
    own = "track\0" + tracks["track_id"]
    return _sourced(manifest, ("group\0" + tracks["group"]).where(tracks["group"] != "", own))


def _sourced(manifest: Manifest, values: pd.Series[str]) -> pd.Series[str]:
    return (manifest.tracks["source"] + "\0" + values).set_axis(manifest.tracks["track_id"])


KEYS: dict[Kind, Callable[[Manifest], pd.Series[str]]] = {
    "track": _tracks,
    "file": _paths,
    "artist": _artists,
    "album": _albums,
    "group": _groups,
}

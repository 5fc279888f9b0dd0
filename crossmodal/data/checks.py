"""What can be wrong with a manifest; `Manifest.validate` puts these together.

Each check gives lines, each with the first few ids and how many there are. All but `audio` are vectorised: a million
tracks take seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crossmodal.errors import InputError, listed

if TYPE_CHECKING:
    from crossmodal.audio.decode import AudioInfo

PARTS = ("train", "valid", "test")
DURATION_S = 1.0  # an mp3's header may be off by some frames


def tables(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What is wrong within the five tables and between them."""
    tracks, texts, tags = tables["tracks"], tables["texts"], tables["tags"]
    found = _line("duplicate track ids", tracks.loc[tracks["track_id"].duplicated(), "track_id"])
    for name, table in tables.items():
        found += _empty_ids(name, table)
    for name in ("texts", "tags", "annotated", "splits"):
        known = among(tables[name]["track_id"], tracks["track_id"])
        found += _line(f"{name} of unknown tracks", tables[name].loc[~known, "track_id"])
    return found + _texts(texts) + _tags(tags, tables["annotated"]) + _splits(tables["splits"], tracks)


def among(values: pd.Series, known: pd.Series) -> np.ndarray:
    """Which values are known, as bool; ``Series.isin`` takes minutes where both are long columns of strings."""
    return np.asarray(pd.Index(known.unique()).get_indexer(pd.Index(values)) >= 0)


def _line(problem: str, ids: pd.Series) -> list[str]:
    """The problem, with how many rows and which ids have it; nothing if none has."""
    return [f"{len(ids)} {problem}: {listed(ids.unique(), 3)}"] if len(ids) else []


def _empty_ids(name: str, table: pd.DataFrame) -> list[str]:
    keys = [column for column in ("track_id", "text_id") if column in table]
    counts = {column: int((table[column].str.strip() == "").sum()) for column in keys}
    return [f"{count} rows of {name} have an empty {column}" for column, count in counts.items() if count]


def _texts(texts: pd.DataFrame) -> list[str]:
    distinct = texts.drop_duplicates(["text_id", "text"])
    return (
        _line("empty texts", texts.loc[texts["text"].str.strip() == "", "text_id"])
        + _line("text ids with several texts", distinct.loc[distinct["text_id"].duplicated(), "text_id"])
        + _line("rows repeat a text of a track", texts.loc[texts.duplicated(["text_id", "track_id"]), "text_id"])
    )


def _tags(tags: pd.DataFrame, annotated: pd.DataFrame) -> list[str]:
    keys = ["track_id", "tagset"]
    covered = pd.MultiIndex.from_frame(tags[keys]).isin(pd.MultiIndex.from_frame(annotated[keys]))
    return _line("empty tags", tags.loc[tags["tag"].str.strip() == "", "track_id"]) + [
        line
        for tagset, rows in tags[~covered].groupby("tagset")
        for line in _line(f"tags of {tagset!r} on tracks not said to be annotated", rows["track_id"])
    ]


def _splits(splits: pd.DataFrame, tracks: pd.DataFrame) -> list[str]:
    found = _line(f"split parts other than {listed(PARTS)}", splits.loc[~splits["part"].isin(PARTS), "part"])
    groups = tracks.drop_duplicates("track_id").set_index("track_id")["group"]
    for name, rows in splits.groupby("name"):
        twice = rows.loc[rows["track_id"].duplicated(), "track_id"]
        found += _line(f"tracks stand twice in split {name!r}", twice)
        found += _leaks(str(name), rows.assign(group=rows["track_id"].map(groups).fillna("")))
    return found


def _leaks(split: str, rows: pd.DataFrame) -> list[str]:
    """Groups with tracks in several parts of a split: what was trained on would be tested on."""
    counts = rows[rows["group"] != ""].groupby(["group", "part"]).size()
    parts = counts.groupby("group").size()
    leaking = parts.index[parts > 1]
    said = [f"{group} ({listed(f'{part} {n}' for part, n in counts[group].items())})" for group in leaking[:3]]
    more = f" and {len(leaking) - 3} more" if len(leaking) > 3 else ""
    return [f"split {split!r} cuts {len(leaking)} groups in two: {', '.join(said)}{more}"] if said else []


def paths(tracks: pd.DataFrame, root: Path) -> list[str]:
    """Tracks without a path, and paths that leave the root."""
    empty = tracks["path"].str.strip() == ""
    # only an absolute path or one with ".." can leave, so the slow look is for these few
    suspect = tracks[tracks["path"].str.contains(r"\.\.|^[/\\]|^[A-Za-z]:", regex=True)]
    named = zip(suspect["track_id"], suspect["path"], strict=True)
    shown = [f"{track} ({path})" for track, path in named if leaves(path, root)]
    lines = [f"{len(shown)} paths leave the root {root}: {listed(shown, 3)}"] if shown else []
    return _line("tracks without a path", tracks.loc[empty, "track_id"]) + lines


def leaves(path: str, root: Path) -> bool:
    """Whether a path, absolute or relative to ``root``, points outside of it; links are not followed."""
    base = os.path.abspath(root)
    whole = os.path.abspath(os.path.join(base, path.replace("\\", "/")))
    return not whole.startswith(base.rstrip(os.sep) + os.sep)


def audio(tracks: pd.DataFrame, paths: pd.Series[str]) -> list[str]:
    """Files that cannot be read, or whose header disagrees with the table; reads the header of every file."""
    from tqdm import tqdm

    from crossmodal.audio.decode import probe

    found: list[str] = []
    rows = zip(tracks["track_id"], tracks["duration"], tracks["sample_rate"], strict=True)
    for track, duration, sample_rate in tqdm(rows, total=len(tracks), desc="audio", unit="file", disable=None):
        try:
            found += _disagrees(track, probe(Path(paths[track])), duration, sample_rate)
        except InputError as error:
            found.append(f"track {track}: {error}")
    return found


def _disagrees(track: str, info: AudioInfo, duration: float, sample_rate: int) -> list[str]:
    found = []
    if abs(info.duration - duration) > DURATION_S:  # false for NaN, which is unknown
        found.append(f"track {track}: lasts {info.duration:.2f} s, not {duration:.2f} s as the table says")
    if sample_rate and info.sample_rate != sample_rate:
        found.append(f"track {track}: is sampled at {info.sample_rate} Hz, not {sample_rate} Hz as the table says")
    return found

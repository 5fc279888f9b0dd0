"""A catalogue to wander in: one HTML file with a map of an index's tracks, what is near to each, and sound."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from crossmodal.audio.decode import AudioError
from crossmodal.errors import InputError, listed
from crossmodal.files import write_text
from crossmodal.report.columns import grouping
from crossmodal.report.pages import rendered
from crossmodal.report.plane import drawn, plane
from crossmodal.report.sound import SECONDS, data_uri
from crossmodal.search import SearchIndex
from crossmodal.sounds import Sound

TRACKS = 5000  # of a map
SOUND = 16_000_000  # characters of audio in the page
COMPRESSION, RATE = 0.7, 6500  # of excerpts, and the characters that a second then takes, about
SHORTEST = 2.0  # seconds of an excerpt
GROUPS = 50  # values of a column of words that still make groups

Audio = Literal["embed", "link", "none"]


Neighbour = tuple[int, float, float, float]  # its place among the tracks, cosine, and the seconds that match


class Page(NamedTuple):
    """What was written: tracks on the map, of how many, and how many of them have sound."""

    tracks: int
    total: int
    sounds: int


def write(
    index: SearchIndex, out: Path, name: str, colour: str | None = None, neighbours: int = 10, audio: Audio = "embed"
) -> Page:
    """Write the map of an index as one file that needs nothing but itself, or, with links, the music.

    Args:
        index: of more than `TRACKS` tracks that many are drawn, and neighbours are found among these.
        out: the file.
        name: what the page calls the catalogue.
        colour: a column of the metadata; one that has few values, the tags first, unless given.
        neighbours: of each track.
        audio: excerpts in the page, as long as `SOUND` allows and from `SHORTEST` seconds to `sound.SECONDS`; links to
            the files, relative to ``out``; or none.

    Raises:
        InputError: no tracks, a column that does not colour, or a full disk.
    """
    rows = drawn(len(index), TRACKS, 0)
    tracks = [index.tracks[int(row)] for row in rows]
    if not tracks:
        raise InputError(f"{index.folder} holds no tracks to map")
    table = index.tracks.table.take(pa.array(rows))
    sounds = [_sound_of(index, track["track_id"]) for track in tracks]
    near = nearest(index, rows, sounds, neighbours)
    colours = groupings(table, near, colour)
    spots = plane(np.stack([sound.vector for sound in sounds]), 0)
    heard = _heard(index, tracks, sounds, audio, out)
    content = {
        "tracks": [
            {**_described(track), "x": round(float(x), 4), "y": round(float(y), 4), **play}
            for track, (x, y), play in zip(tracks, spots, heard, strict=True)
        ],
        "colours": colours,
        "neighbours": near,
        "follows": audio == "link",
    }
    playable = sum(play["sound"] is not None for play in heard)
    facts = {"name": name, "shown": len(tracks), "total": len(index), "playable": playable, "audio": audio}
    write_text(out, rendered("catalogue.html", **facts, content=content))
    return Page(len(tracks), len(index), playable)


def nearest(
    index: SearchIndex, rows: Sequence[int] | np.ndarray[Any, Any], sounds: Sequence[Sound], count: int
) -> list[list[Neighbour]]:
    """The nearest of the tracks at ``rows`` to each of them, as a query for its id finds them, itself left out.

    Returns:
        For each track the ``count`` best others.
    """
    allowed = np.zeros(len(index), dtype=bool)
    allowed[rows] = True
    ids = [index.tracks[int(row)]["track_id"] for row in rows]
    place = {track_id: number for number, track_id in enumerate(ids)}
    answers = index.search(np.stack([sound.vector for sound in sounds]), count + 1, allowed=allowed)
    found = [
        [hit for hit in hits if hit.track_id != track_id][:count] for track_id, hits in zip(ids, answers, strict=True)
    ]
    return [[(place[h.track_id], h.score, round(h.start, 3), round(h.end, 3)) for h in hits] for hits in found]


def groupings(table: pa.Table, near: Sequence[Sequence[Neighbour]], first: str | None = None) -> list[dict[str, Any]]:
    """The columns that make groups: name, whether they are tags, values by size, and each track's values as numbers.

    Tags stand before other columns, and what neighbours share most before others; ``first`` before all.

    Raises:
        InputError: ``first`` is no such column.
    """
    names = [name for name in table.column_names if name not in ("track_id", "path", "title", "duration")]
    every = [
        (name.removeprefix("tags."), name.startswith("tags."), _grouping(table[name].to_pylist())) for name in names
    ]
    made = [{"name": name, "tags": tags, **found} for name, tags, found in every if found]
    chosen = first.removeprefix("tags.") if first else None
    if chosen is not None and chosen not in [column["name"] for column in made]:
        raise InputError(
            f"--colour is {first!r}; columns that make groups are {listed(c['name'] for c in made) or 'none'}"
        )
    return sorted(made, key=lambda c: (c["name"] != chosen, not c["tags"], -shared(c["of"], near)))


def shared(groups: Sequence[Sequence[int]], near: Sequence[Sequence[Neighbour]]) -> float:
    """What neighbours share: how often they are of the same groups, times the log of how much oftener than any two."""
    keys = [tuple(one) for one in groups]
    pairs = [(keys[row], keys[other[0]]) for row, others in enumerate(near) for other in others]
    chance = sum((count / len(keys)) ** 2 for count in Counter(keys).values())
    same = sum(a == b for a, b in pairs) / max(len(pairs), 1)
    return same * math.log(same / chance) if same else 0.0


def _grouping(cells: Sequence[Any]) -> dict[str, Any] | None:
    found = grouping(cells, GROUPS)
    return {"values": found[0], "of": found[1]} if found else None


def _sound_of(index: SearchIndex, track_id: str) -> Sound:
    bounds, vectors = index.segments(track_id)
    return Sound(vectors, (bounds[:, 1] - bounds[:, 0]).astype(np.float32))


def _described(track: dict[str, Any]) -> dict[str, Any]:
    """What the page says of a track; no path of the host."""
    duration = track.get("duration")
    known = isinstance(duration, int | float) and math.isfinite(duration) and duration > 0
    words = {key: str(track.get(key) or "") for key in ("title", "artist", "album")}
    return {"id": track["track_id"], **words, "duration": duration if known else None}


def _heard(
    index: SearchIndex, tracks: Sequence[dict[str, Any]], sounds: Sequence[Sound], audio: Audio, out: Path
) -> list[dict[str, Any]]:
    """How each track plays: its address or None, from which second to which, and why not."""
    seconds = min(max(SOUND / (RATE * len(tracks)), SHORTEST), SECONDS)
    left, heard = SOUND, []
    for track, sound in tqdm(list(zip(tracks, sounds, strict=True)), desc="map", unit="track", disable=None):
        start, end = index.segments(track["track_id"])[0][
            int((sound.vectors @ sound.vector).round(6).argmax())
        ].tolist()
        address, silence = _address(track.get("path"), start, min(end, start + seconds), audio, out, left)
        left -= len(address or "") if audio == "embed" else 0
        stop = end if audio == "link" else min(end, start + seconds)
        heard.append({"sound": address, "silence": silence, "from": round(start, 3), "to": round(stop, 3)})
    return heard


def _address(path: str | None, start: float, end: float, audio: Audio, out: Path, left: int) -> tuple[str | None, str]:
    """Where a track's sound is, or why there is none."""
    if audio == "none" or not path:
        return None, "it is not part of this page" if path else "the index names no file"
    if audio == "link":
        if not Path(path).is_file():
            return None, "there is no such file"
        return quote(Path(os.path.relpath(path, out.absolute().parent)).as_posix()), ""
    if left <= 0:
        return None, "left out to keep this page small"
    try:
        return data_uri(Path(path), start, end, COMPRESSION), ""
    except AudioError as error:
        return None, error.reason

"""MTG-Jamendo: 55,000 whole tracks under Creative Commons licences, with the tags that their uploaders gave them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import pandas as pd

from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, optional, required
from crossmodal.errors import InputError
from crossmodal.files import Skipped

HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
META = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "TRACK_NAME", "ARTIST_NAME", "ALBUM_NAME", "RELEASEDATE", "URL"]
TAGSETS = ("genre", "instrument", "mood/theme")
PARTS = {"train": "train", "validation": "valid", "test": "test"}


class Row(NamedTuple):
    """A track of a split's file."""

    track_id: str
    artist: str
    album: str
    path: str
    duration: float
    tags: tuple[str, ...]
    part: str


class MTGJamendo(Source):
    """The tracks of one subset of tags, in one of the five published splits, which is called "split-0" to "split-4".

    A tag ``genre---rock`` is the tag "rock" of the tagset "genre"; the others are "instrument" and "mood/theme". All
    five splits of a subset have the same tags: 87 genres, 40 instruments, 56 moods and themes, the 50 most frequent of
    all, or all 183. Every track counts as annotated with each tagset of its subset, as in the published evaluation: a
    tag that it does not have is a no. The tags of a track are sorted.

    A group is an artist; split 0 of genre (3,546 artists), instrument, mood/theme and top50 keeps all of them
    whole.

    Titles, names and URLs come from ``raw.meta.tsv``, and each track's licence from ``audio_licenses.txt``, if they
    are there; without them artist and album are ids.

    Args:
        root: a checkout of the data set's repository, or a folder with splits in it.
        subset: whose tags.
        split: which of the five.
        audio: where the audio lies below the root, named as its publishers name it; the low quality is
            ``14/214.low.mp3`` where the full one is ``14/214.mp3``.
    """

    licence: ClassVar[str] = "metadata CC BY-NC-SA 4.0; audio Creative Commons, each track its own: audio_licenses.txt"
    citation: ClassVar[str] = (
        "Bogdanov, Won, Tovstogan, Porter, Serra: The MTG-Jamendo dataset for automatic music tagging, ICML 2019"
        " Machine Learning for Music Discovery Workshop"
    )
    home: ClassVar[str] = "https://github.com/MTG/mtg-jamendo-dataset"
    layout: ClassVar[str] = (
        "data/splits/split-N/autotagging_SUBSET-{train,validation,test}.tsv (or splits/split-N/, split-N/,"
        " mtg-jamendo-splitN/); raw_30s/audio/14/214.mp3, the audio; if you have them, data/raw.meta.tsv and"
        " audio_licenses.txt"
    )

    def __init__(
        self,
        root: str,
        subset: Literal["genre", "instrument", "moodtheme", "top50tags", "overall"] = "top50tags",
        split: Literal[0, 1, 2, 3, 4] = 0,
        audio: Literal[
            "raw_30s/audio", "raw_30s/audio-low", "autotagging_moodtheme/audio", "autotagging_moodtheme/audio-low"
        ] = "raw_30s/audio",
    ) -> None:
        self.root = Path(root).expanduser()
        self.subset, self.split, self.audio = subset, split, audio

    def read(self) -> Manifest:
        """One row a track, in the order of the files, training part first.

        Raises:
            InputError: a file is missing, not in UTF-8, or has other columns.
        """
        tally = Tally()
        rows: dict[str, Row] = {}
        for name, part in PARTS.items():
            self._part(name, part, rows, tally)
        tags = self._tags(list(rows.values()), tally)
        tracks = self._tracks(list(rows.values()), tally)
        tagsets = pd.DataFrame({"tagset": sorted(tags["tagset"].unique())}, dtype="str")
        return Manifest.build(
            tracks,
            tags=tags,
            annotated=tracks[["track_id"]].merge(tagsets, how="cross"),
            splits=pd.DataFrame(
                {"track_id": list(rows), "name": f"split-{self.split}", "part": [row.part for row in rows.values()]}
            ),
            root=self.root,
            skipped=tally.skipped,
            steps=tally.steps,
        )

    def _part(self, name: str, part: str, rows: dict[str, Row], tally: Tally) -> None:
        """Add the rows of a file that are whole to ``rows``."""
        prefix = "autotagging" if self.subset == "overall" else f"autotagging_{self.subset}"
        folders = [f"{above}split-{self.split}" for above in ("data/splits/", "splits/", "")]
        folders.append(f"mtg-jamendo-split{self.split}")
        path = required(self, *(f"{folder}/{prefix}-{name}.tsv" for folder in folders))
        header, *body = lines(path) or [""]
        if header.split("\t") != HEADER:
            raise InputError(f"{path} line 1: the columns are not {', '.join(HEADER)}")
        skipped = []
        for number, line in enumerate(body, start=2):
            row = _row(line.split("\t"), part)
            if isinstance(row, Row) and row.track_id not in rows:
                rows[row.track_id] = row
            elif isinstance(row, Row):
                skipped.append(Skipped(row.track_id, path.name, "stands twice"))
            else:
                skipped.append(Skipped(f"{path.name} line {number}", path.name, row))
        tally.step(path.name, len(body), skipped)

    def _tags(self, rows: list[Row], tally: Tally) -> pd.DataFrame:
        """The tags as rows of the manifest, sorted within each track."""
        found: dict[tuple[str, str, str], None] = {}
        lost = []
        for row in rows:
            for tag in row.tags:
                tagset, _, word = tag.partition("---")
                if not word:
                    why = f"the tag {tag!r} is not of the form genre---rock"
                elif tagset not in TAGSETS:
                    why = f"the tag {tag!r} is of none of {', '.join(TAGSETS)}"
                elif (row.track_id, tagset, word) in found:
                    why = f"the tag {tag!r} stands twice"
                else:
                    found[row.track_id, tagset, word] = None
                    continue
                lost.append(Skipped(row.track_id, row.path, why))
        tally.step("tags", len(found) + len(lost), lost)
        return pd.DataFrame(list(found), columns=["track_id", "tagset", "tag"], dtype="str")

    def _tracks(self, rows: list[Row], tally: Tally) -> pd.DataFrame:
        tracks = pd.DataFrame(rows, columns=Row._fields).drop(columns=["tags", "part"])
        meta = self._meta(set(tracks["track_id"]), tally)
        told = meta.reindex(tracks["track_id"]).fillna("").reset_index()
        licences = self._licences(set(tracks["path"]), tally)
        names = tracks["path"].str.removesuffix(".mp3") + (".low.mp3" if self.audio.endswith("low") else ".mp3")
        return tracks.assign(
            path=f"{self.audio}/" + names,
            group=tracks["artist"],
            artist=told["ARTIST_NAME"].where(told["ARTIST_NAME"] != "", tracks["artist"]),
            album=told["ALBUM_NAME"].where(told["ALBUM_NAME"] != "", tracks["album"]),
            title=told["TRACK_NAME"],
            released=told["RELEASEDATE"],
            url=told["URL"],
            source="mtg_jamendo",
            licence=tracks["path"].map(licences).fillna(""),
        )

    def _meta(self, known: set[str], tally: Tally) -> pd.DataFrame:
        """The rows of raw.meta.tsv for tracks of the subset, by track id; none if it is not there."""
        path = optional(self, "data/raw.meta.tsv", "raw.meta.tsv")
        if path is None:
            return pd.DataFrame(columns=META, dtype="str").set_index("TRACK_ID")
        body = [_words(line.split("\t")) for line in lines(path)[1:]]
        reasons = [f"{len(row)} cells under {len(META)} columns" if len(row) != len(META) else "" for row in body]
        broken = [Skipped(row[0], path.name, why) for row, why in zip(body, reasons, strict=True) if why]
        tally.step(path.name, len(body), broken)
        whole = pd.DataFrame(
            [row for row, why in zip(body, reasons, strict=True) if not why], columns=META, dtype="str"
        )
        _join(f"{path.name} joined to tracks", whole["TRACK_ID"], known, tally)
        return whole[whole["TRACK_ID"].isin(known)].drop_duplicates("TRACK_ID").set_index("TRACK_ID")

    def _licences(self, known: set[str], tally: Tally) -> Mapping[str, str]:
        """The URL of each track's licence, by path; none if audio_licenses.txt is not there."""
        path = optional(self, "audio_licenses.txt")
        if path is None:
            return {}
        blocks = [block.strip().split("\n") for block in "\n".join(lines(path)).split("\n\n") if block.strip()]
        whole = {block[0]: block[-1].rpartition(" ")[2] for block in blocks if len(block) == 3}
        broken = [
            Skipped(block[0], path.name, "not a path, a work and a licence") for block in blocks if len(block) != 3
        ]
        tally.step(path.name, len(blocks), broken)
        _join(
            f"{path.name} joined to tracks", pd.Series([b[0] for b in blocks if len(b) == 3], dtype="str"), known, tally
        )
        return whole


def _row(cells: list[str], part: str) -> Row | str:
    """A line of a split's file, which has a cell a tag after the others; or what is wrong with it."""
    if len(cells) < len(HEADER):
        return f"{len(cells)} cells where {', '.join(HEADER)} are wanted"
    track, artist, album, path, duration, *tags = cells
    if not track:
        return "no track id"
    if not path.removesuffix(".mp3"):
        return "no path"
    seconds = math.nan
    with suppress(ValueError):
        seconds = float(duration)
    if not 0 < seconds < math.inf:
        return f"the duration {duration!r} is no number of seconds"
    if not any(tags):
        return "no tags"
    return Row(track, artist, album, path, seconds, tuple(sorted(filter(None, tags))), part)


def _words(cells: list[str]) -> list[str]:
    """The cells of a line of raw.meta.tsv: two of the published lines have an empty one after the title."""
    return cells[:4] + cells[5:] if len(cells) == len(META) + 1 and cells[4] == "" else cells


def _join(name: str, ids: pd.Series[str], known: set[str], tally: Tally) -> None:
    """Count a join: the rows of unknown tracks, and those of a track that has had one, are lost."""
    reasons = (~ids.isin(known)).map({True: "no track of this id in the subset", False: ""})
    reasons = reasons.mask(ids.duplicated(), "stands twice")
    lost = [Skipped(key or "no id", name, why) for key, why in zip(ids, reasons, strict=True) if why]
    tally.step(name, len(ids), lost)

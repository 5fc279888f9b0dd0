"""MagnaTagATune: clips of 29 s of Magnatune's tracks, tagged by the players of a game, and three published splits."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import pandas as pd

from crossmodal.data import rows
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, optional, required
from crossmodal.errors import InputError
from crossmodal.files import Skipped

EMPTY = (  # of zero bytes in the distribution: clips 35644, 55753 and 57881
    "6/norine_braun-now_and_zen-08-gently-117-146",
    "8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233",
    "9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-le_petit_rien_xiveme_ordre_couperin-88-117",
)
# folder/artist-album-number-title-start-end; no part has a "-" of its own, in none of the 25,860
NAME = r"^[0-9a-f]/(?P<artist>[^-]+)-(?P<album>[^-]+)-\d+-(?P<title>[^-]*)-(?P<start_s>\d+)-\d+$"
ID = re.compile(r"[0-9a-f]/.+")
WORDS = ("artist", "album", "title")
FOLDERS = {**dict.fromkeys("0123456789ab", "train"), "c": "valid", **dict.fromkeys("def", "test")}
PUB = {part: (f"{part}_list_pub.txt", f"mtat_pub_split_{part}.txt") for part in ("train", "valid", "test")}


class Clip(NamedTuple):
    """A row of the labels."""

    track_id: str
    clip_id: str
    tags: tuple[str, ...]


class MagnaTagATune(Source):
    """The 25,860 clips that have sound; 4,752 of them have none of the 50 tags, and count as annotated.

    The labels are read from ``annotations_final.csv``, or from ``mtat_top50_maest_split.tsv``, which holds the 50 tags
    alone. A clip's id is its path without ".mp3". Artist, album and title are those of ``clip_info_final.csv`` if it
    is there, else they are read off the path.

    There are three published splits, and figures on different ones are not comparable:

    - ``pons2017`` ("original", "12:1:3"): all clips by folder, 0 to b for training, c to validate, d, e and f to test:
      18,706 / 1,825 / 5,329.
    - ``minz`` ("clean"): those of them that have one of the 50 tags: 15,247 / 1,529 / 4,332.
    - ``jongpillee`` ("pub"): from its own lists, without 3 clips that are too short: 15,244 / 1,529 / 4,332. Its
      authors publish pickles, which can run code and are not read: write the names into ``train_list_pub.txt`` and so
      on, one a line. Without the lists there is no such split, and a step says so.

    A group is an album. All three splits keep the 446 albums whole, and cut artists: most test clips are by one who is
    in train or valid as well, which the guard of leaks counts.

    Args:
        root: the folder of the label files.
        audio: the folder of the clips below it, which has 0/ to f/ in it; "." if that is the root.
        tags: the 50 most frequent, `TAGS`, or all 188 of ``annotations_final.csv``; synonyms are not merged.
    """

    licence: ClassVar[str] = "CC BY-NC-SA 1.0 (Magnatune's audio); the labels are free for research"
    citation: ClassVar[str] = (
        "Law, West, Mandel, Bay, Downie: Evaluation of algorithms using games: the case of music tagging, ISMIR 2009."
        " Splits: Pons et al., arXiv:1711.02520; Won et al., arXiv:2006.00751; Lee et al., arXiv:1703.01789"
    )
    home: ClassVar[str] = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
    layout: ClassVar[str] = (
        "annotations_final.csv or mtat_top50_maest_split.tsv; mp3/0/ to mp3/f/, the clips; if you have them,"
        " clip_info_final.csv, and {train,valid,test}_list_pub.txt or mtat_pub_split_{train,valid,test}.txt"
    )
    # as keunwoochoi/kapre's datasets.py and two other loaders have them
    checksums: ClassVar[Mapping[str, str]] = {
        "annotations_final.csv": "md5:f04fa01752a8cc64f6e1ca142a0fef1d",
        "clip_info_final.csv": "md5:03ef3cb8ddcfe53fdcdb8e0cda005be2",
        "mp3.zip.001": "md5:179c91c8c2a6e9b3da3d4e69d306fd3b",
        "mp3.zip.002": "md5:acf8265ff2e35c6ff22210e46457a824",
        "mp3.zip.003": "md5:582dc649cabb8cd991f09e14b99349a5",
    }
    TAGS: ClassVar[tuple[str, ...]] = (  # by frequency, and of equals ("no vocal", "pop") in the order of jongpillee's
        *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano"),
        *("ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing"),
        *("vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop"),
        *("soft", "sitar", "solo", "man", "classic", "choir", "voice", "new age", "dance", "male voice"),
        *("female vocal", "beats", "harp", "cello", "no voice", "weird", "country", "female voice", "metal", "choral"),
    )

    def __init__(self, root: str, audio: str = "mp3", tags: Literal["top50", "all"] = "top50") -> None:
        self.root = Path(root).expanduser()
        self.audio, self.tags = audio, tags

    def read(self) -> Manifest:
        """One row a clip, in the order of the label file.

        Raises:
            InputError: a file is missing or broken, or the pub lists are there as pickles only.
        """
        tally = Tally()
        clips = self._clips(tally)
        tracks = self._tracks(pd.DataFrame(clips, columns=Clip._fields).drop(columns="tags"), tally)
        tags = [(clip.track_id, "tags", tag) for clip in clips for tag in clip.tags]
        return Manifest.build(
            tracks,
            tags=pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
            annotated=tracks[["track_id"]].assign(tagset="tags"),
            splits=self._splits(clips, tally),
            root=self.root,
            skipped=tally.skipped,
            steps=tally.steps,
        )

    def _clips(self, tally: Tally) -> list[Clip]:
        """The rows of the label file that are whole, of clips that have sound."""
        others = ("mtat_top50_maest_split.tsv",) if self.tags == "top50" else ()
        path = required(self, "annotations_final.csv", *others)
        read = _annotations if path.name.startswith("annotations") else _maest
        clips: dict[str, Clip] = {}
        skipped = []
        for number, row in enumerate(read(path), start=1):
            if isinstance(row, str):
                skipped.append(Skipped(f"{path.name} row {number}", path.name, row))
            elif row.track_id in EMPTY:
                skipped.append(Skipped(row.track_id, self._audio(row.track_id), "0 bytes in the distribution"))
            elif row.track_id in clips:
                skipped.append(Skipped(row.track_id, path.name, "stands twice"))
            else:
                clips[row.track_id] = row
        tally.step(path.name, len(clips) + len(skipped), skipped)
        if read is _maest:
            self._count_tags(clips.values(), path, tally)
        if self.tags == "all":
            return list(clips.values())
        return [clip._replace(tags=tuple(tag for tag in self.TAGS if tag in clip.tags)) for clip in clips.values()]

    def _count_tags(self, clips: Iterable[Clip], path: Path, tally: Tally) -> None:
        """Count the tags of a table that should hold the 50 alone, each once a clip."""
        lost = []
        for clip in clips:
            for place, tag in enumerate(clip.tags):
                if tag not in self.TAGS:
                    lost.append(Skipped(clip.track_id, path.name, f"the tag {tag!r} is none of the 50"))
                elif tag in clip.tags[:place]:
                    lost.append(Skipped(clip.track_id, path.name, f"the tag {tag!r} stands twice"))
        tally.step("tags", sum(len(clip.tags) for clip in clips), lost)

    def _audio(self, track: str) -> str:
        return (Path(self.audio) / f"{track}.mp3").as_posix()

    def _tracks(self, tracks: pd.DataFrame, tally: Tally) -> pd.DataFrame:
        named = tracks["track_id"].str.extract(NAME).fillna("")
        tracks = tracks.assign(
            path=tracks["track_id"].map(self._audio),
            **{str(name): named[name].str.replace("_", " ").str.split().str.join(" ") for name in named},
            group=(named["artist"] + "-" + named["album"]).where(named["artist"] != "", ""),
            source="magnatagatune",
            licence="CC BY-NC-SA 1.0",
        )
        path = optional(self, "clip_info_final.csv")
        return tracks if path is None else self._described(tracks, path, tally)

    def _described(self, tracks: pd.DataFrame, path: Path, tally: Tally) -> pd.DataFrame:
        """The tracks with the words of clip_info_final.csv, where it has any."""
        header, *cells = _cells(path)
        broken = [
            Skipped(f"{path.name} row {number}", path.name, f"{len(row)} cells under {len(header)} columns")
            for number, row in enumerate(cells, start=1)
            if len(row) != len(header)
        ]
        tally.step(path.name, len(cells), broken)
        frame = pd.DataFrame([row for row in cells if len(row) == len(header)], columns=header)
        words = {name: rows.column(frame, name, path) for name in ("mp3_path", "clip_id", *WORDS)}
        words["track_id"] = words["mp3_path"].str.removesuffix(".mp3")
        found = pd.DataFrame(words)
        reasons = _unmatched(found["track_id"], tracks["track_id"])
        ids = "clip " + found["clip_id"]
        lost = [Skipped(clip, path.name, why) for clip, why in zip(ids, reasons, strict=True) if why]
        tally.step(f"{path.name} joined to clips", len(found), lost)
        told = found[reasons == ""].set_index("track_id").reindex(tracks["track_id"]).fillna("").reset_index()
        return tracks.assign(**{name: told[name].where(told[name] != "", tracks[name]) for name in WORDS})

    def _splits(self, clips: list[Clip], tally: Tally) -> pd.DataFrame:
        parts = {clip.track_id: FOLDERS[clip.track_id[0]] for clip in clips}
        tagged = {clip.track_id for clip in clips if any(tag in self.TAGS for tag in clip.tags)}
        found = [(track, "pons2017", part) for track, part in parts.items()]
        found += [(track, "minz", part) for track, part in parts.items() if track in tagged]
        known = pd.Series([clip.track_id for clip in clips], dtype="str")
        for part in PUB:
            found += [(track, "jongpillee", part) for track in self._listed(part, known, tally)]
        return pd.DataFrame(found, columns=["track_id", "name", "part"])

    def _listed(self, part: str, known: pd.Series[str], tally: Tally) -> list[str]:
        """The clips of one of the pub lists, which name files of samples, ``f/....npy``."""
        path = optional(self, *PUB[part])
        if path is None:
            if (pickle := optional(self, f"{part}_list_pub.cP")) is not None:
                raise InputError(
                    f"{pickle} is a pickle, which may run any code when it is read, so it is not; if you trust it,"
                    f" write the names in it into {PUB[part][0]} beside it, one a line"
                )
            tally.step(f"{PUB[part][0]} is not there: no {part} part of the split jongpillee", 0)
            return []
        names = pd.Series([line.strip().removesuffix(".npy") for line in lines(path)], dtype="str")
        reasons = _unmatched(names, known)
        lost = [
            Skipped(name or "an empty line", path.name, why) for name, why in zip(names, reasons, strict=True) if why
        ]
        tally.step(f"{path.name} joined to clips", len(names), lost)
        return list(names[reasons == ""])


def _cells(path: Path) -> list[list[str]]:
    """The rows of a table of quoted cells between tabs; a quote that never ends would hide the rows after it."""
    reader = csv.reader((f"{line}\n" for line in lines(path)), delimiter="\t", strict=True)
    try:
        cells = list(reader)
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num} is not of quoted cells between tabs: {error}") from error
    if not cells:
        raise InputError(f"{path} is empty")
    return cells


def _unmatched(names: pd.Series[str], known: pd.Series[str]) -> pd.Series[str]:
    """Why a row joins no clip; nothing where it does."""
    return (~names.isin(known)).map({True: "no clip of this path", False: ""}).mask(names.duplicated(), "stands twice")


def _annotations(path: Path) -> Iterator[Clip | str]:
    """The rows of annotations_final.csv: clip_id, a column of 0 and 1 a tag, mp3_path; or what is wrong with one."""
    header, *cells = _cells(path)
    if len(header) < 3 or (header[0], header[-1]) != ("clip_id", "mp3_path"):
        raise InputError(f"{path} has no columns clip_id, the tags and mp3_path, in this order")
    for row in cells:
        if len(row) != len(header):
            yield f"{len(row)} cells under {len(header)} columns"
        elif not set(row[1:-1]) <= {"0", "1"}:
            yield "a tag is neither 0 nor 1"
        elif not row[-1]:
            yield "no mp3_path"
        else:
            tags = tuple(tag for tag, cell in zip(header[1:-1], row[1:-1], strict=True) if cell == "1")
            yield _clip(row[-1], row[0], tags)


def _maest(path: Path) -> Iterator[Clip | str]:
    """The rows of the table of the 50 tags, whose cells are not quoted: clip, split, tags between "|"."""
    header, *cells = [line.split("\t") for line in lines(path)] or [[]]
    if header != ["clip", "split", "tags"]:
        raise InputError(f"{path} line 1: the columns are not clip, split and tags")
    for row in cells:
        if len(row) != 3:
            yield f"{len(row)} cells under 3 columns"
            continue
        clip = _clip(row[0], "", tuple(filter(None, row[2].split("|"))))
        if isinstance(clip, Clip) and row[1].removesuffix("ation") != FOLDERS[clip.track_id[0]]:
            yield f"the split {row[1]!r} is not that of the folder of {clip.track_id}"
        else:
            yield clip


def _clip(name: str, clip_id: str, tags: tuple[str, ...]) -> Clip | str:
    """A clip by its path, or what is wrong with that: its folder tells its part in the splits."""
    track = name.removesuffix(".mp3")
    return (
        Clip(track, clip_id, tags) if ID.fullmatch(track) else f"the path {name!r} is in none of the folders 0/ to f/"
    )

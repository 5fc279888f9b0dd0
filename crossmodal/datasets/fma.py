"""The Free Music Archive: genres, free tags, and what artists write about their albums, themselves and their tracks.

The data block of an experiment on the small subset::

    data:
      name: fma
      root: ~/fma
      subset: small
    split: fma
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from crossmodal.data import ragged, rows, tagging
from crossmodal.data.manifest import COLUMNS, Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, required
from crossmodal.files import Skipped

SUBSETS = ("small", "medium", "large", "full")  # each holds those before it; large and full hold the same tracks
PARTS = {"training": "train", "validation": "valid", "test": "test"}
CLIP_S = 30.0
SILENT = ("99134", "108925", "133297")  # https://github.com/mdeff/fma/issues/44: "have no audio at all"
TEXTS = {"album": ("album.id", "album.information"), "artist": ("artist.id", "artist.bio")}
TEXTS |= {"track": ("track_id", "track.information")}
NEEDED = (
    *("track_id", "set.split", "set.subset", "artist.id", "artist.name", "album.id", "album.title", "track.title"),
    *("track.duration", "track.license", "track.language_code", "track.genre_top", "track.genres", "track.genres_all"),
    *("track.tags", "album.information", "artist.bio", "track.information"),
)


class Fma(Source):
    """The tracks of a subset of FMA, by Defferrard, Benzi, Vandergheynst and Bresson.

    Tagsets: ``genre_top``, a track's one root genre, where it has one; ``genres``, those its artist chose, and
    ``genres_all``, these and their parents, by title; ``tags``, free words, often the artist's name. A track without
    any was not annotated. Texts, without their HTML: kinds ``album``, one text on all tracks of the album, ``artist``,
    on all of the artist, and ``track``, whose language is the track's, where that is given.

    The published split "fma" has no artist on two sides, so the artist is the group. Three clips are without audio,
    by the authors' word, and skipped; others are shorter than the 30 s that the tables say, because the durations that
    they were cut by were wrong (https://github.com/mdeff/fma/issues/8).

    Args:
        root: where fma_metadata.zip and the archive of the subset were unzipped.
        subset: 8,000, 25,000, or all 106,574 tracks as clips of 30 s, or all in full.
    """

    licence: ClassVar[str] = "metadata: CC BY 4.0; audio: what the artist chose, in each track's licence; for research"
    citation: ClassVar[str] = (
        "Defferrard, Benzi, Vandergheynst, Bresson: FMA: A Dataset For Music Analysis, ISMIR 2017, arXiv:1612.01840"
    )
    home: ClassVar[str] = "https://github.com/mdeff/fma"
    layout: ClassVar[str] = "fma_metadata/tracks.csv, fma_metadata/genres.csv, and fma_small/000/000002.mp3 ..."
    # README of https://github.com/mdeff/fma, release of 2017-05-09; to read the larger archives takes too long
    checksums: ClassVar[Mapping[str, str]] = {
        "fma_metadata.zip": "sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
        "fma_small.zip": "sha1:ade154f733639d52e35e32f5593efe5be76c6d70",
        "fma_medium.zip": "sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b",
    }

    def __init__(self, root: str, subset: Literal["small", "medium", "large", "full"] = "small") -> None:
        self.root = Path(root).expanduser()
        self.subset = subset

    def read(self) -> Manifest:
        """Tracks in the order of tracks.csv.

        Raises:
            InputError: a table is missing, broken, or lacks a column.
        """
        tally = Tally()
        frame = self._frame(tally)
        tagsets = [tagging.tables(frame["track_id"], *cells) for cells in self._tagsets(tally, frame).items()]
        tags, annotated = (pd.concat(found, ignore_index=True) for found in zip(*tagsets, strict=True))
        texts = _texts(tally, frame)
        splits = pd.DataFrame({"track_id": frame["track_id"], "name": "fma", "part": frame["set.split"].map(PARTS)})
        lost = frame[splits["part"].isna()]
        reasons = [f"its part is {part!r}, none of {', '.join(PARTS)}" for part in lost["set.split"]]
        tally.step("tracks in the split 'fma'", len(frame), _skipped(lost, reasons))
        made = {"texts": texts, "tags": tags, "annotated": annotated, "splits": splits.dropna()}
        return Manifest.build(
            _tracks(frame, self.subset), **made, root=self.root, steps=tally.steps, skipped=tally.skipped
        )

    def _frame(self, tally: Tally) -> pd.DataFrame:
        """The rows of tracks.csv that are in the subset and have audio."""
        path = required(self, "fma_metadata/tracks.csv")
        frame, read, lost = ragged.read(path, ",", headers=3)
        frame = pd.DataFrame({name: rows.column(frame, name, path).str.strip() for name in NEEDED})
        wrong, twice = ~frame["track_id"].str.fullmatch(r"\d{1,6}"), frame["track_id"].duplicated()
        lost += [Skipped(track or "?", path.name, "is no track id") for track in frame.loc[wrong, "track_id"]]
        lost += [
            Skipped(track, path.name, "stands there twice; the first counts")
            for track in frame.loc[twice & ~wrong, "track_id"]
        ]
        tally.step(path.name, read, lost)
        within = SUBSETS[: SUBSETS.index(self.subset) + 1]
        frame = frame[~wrong & ~twice & frame["set.subset"].isin(within)].reset_index(drop=True)
        frame["path"] = _paths(frame["track_id"], self.subset)
        silent = frame["track_id"].isin(SILENT) & (self.subset != "full")
        reason = "its clip has no audio, see https://github.com/mdeff/fma/issues/44"
        tally.step(f"tracks of the subset {self.subset}", len(frame), _skipped(frame[silent], reason))
        return frame[~silent].reset_index(drop=True)

    def _tagsets(self, tally: Tally, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        path = required(self, "fma_metadata/genres.csv")
        table, read, lost = ragged.read(path, ",")
        tally.step(path.name, read, lost)
        ids, names = (rows.column(table, name, path).str.strip() for name in ("genre_id", "title"))
        titles = dict(zip(ids, names, strict=True))
        found = {"genre_top": _some([[cell] if cell else None for cell in frame["track.genre_top"]])}
        for name in ("genres", "genres_all"):
            genres = [[str(key) for key in cell or ()] for cell in tagging.lists(frame[f"track.{name}"])]
            known = [[titles[key] for key in cell if key in titles] for cell in genres]
            named = zip(frame["track_id"], genres, strict=True)
            lost = [
                Skipped(track, path.name, f"there is no genre {key}")
                for track, cell in named
                for key in cell
                if key not in titles
            ]
            tally.step(f"{name} joined to their titles", sum(map(len, genres)), lost)
            found[name] = _some(known)
        return found | {"tags": _some(list(tagging.lists(frame["track.tags"])))}


def _some(lists: Sequence[list[str] | None]) -> np.ndarray:
    """Lists as `tagging.tables` takes them, where an empty one says nothing: nobody was made to tag."""
    made = np.empty(len(lists), dtype="object")
    made[:] = [cell or None for cell in lists]
    return made


def _tracks(frame: pd.DataFrame, subset: str) -> pd.DataFrame:
    duration = pd.to_numeric(frame["track.duration"], errors="coerce")
    return pd.DataFrame(
        {
            "track_id": frame["track_id"],
            "path": frame["path"],
            "artist": frame["artist.name"],
            "album": frame["album.title"],
            "title": frame["track.title"],
            "group": ("artist " + frame["artist.id"]).where(frame["artist.id"] != "", ""),
            "source": "fma",
            "duration": duration if subset == "full" else duration.clip(upper=CLIP_S),
            "licence": frame["track.license"],
        }
    )


def _paths(ids: pd.Series[str], subset: str) -> pd.Series[str]:
    padded = ids.str.zfill(6)
    return f"fma_{subset}/" + padded.str[:3] + "/" + padded + ".mp3"


def _texts(tally: Tally, frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each text of a track; the first of an album or artist counts for all of its tracks."""
    found = []
    for kind, (key, column) in TEXTS.items():
        known = frame[(frame[column] != "") & (frame[key] != "")]
        first = known.drop_duplicates(key).set_index(key)[column]
        words = known[key].map(first.map(plain))
        language = known["track.language_code"] if kind == "track" else ""
        ids = f"{kind}:" + known[key]
        table = pd.DataFrame({"text_id": ids, "track_id": known["track_id"], "language": language, "kind": kind})
        tally.step(f"texts of kind {kind}", len(known), _skipped(known[words == ""], f"its {column} has no words"))
        found.append(table.assign(text=words)[words != ""])
    return pd.concat(found, ignore_index=True)[list(COLUMNS["texts"])]


def _skipped(frame: pd.DataFrame, reasons: str | list[str]) -> list[Skipped]:
    said = [reasons] * len(frame) if isinstance(reasons, str) else reasons
    return [Skipped(*row) for row in zip(frame["track_id"], frame["path"], said, strict=True)]


class _Words(HTMLParser):
    """The words of a page; what starts a line in it starts one here."""

    lines: ClassVar[frozenset[str]] = frozenset(
        ("br", "p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4")
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("script", "style")
        self.words.append("\n" if tag in self.lines else "")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style") and self.hidden > 0
        self.words.append("\n" if tag in self.lines else "")

    def handle_data(self, data: str) -> None:
        self.words.append("" if self.hidden else data)


def plain(page: str) -> str:
    """The words of HTML, with single spaces and line breaks; a text without markup stays as it is but for these."""
    parser = _Words()
    parser.feed(page)
    parser.close()
    return "\n".join(line for raw in "".join(parser.words).split("\n") if (line := " ".join(raw.split())))

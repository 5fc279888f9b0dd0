"""LibriSpeech: read audio books, for transcripts and for telling speakers apart.

The data block of an experiment on speakers, as in CLMR's, with CPC's lists beside the corpus::

    data:
      name: librispeech
      root: ~/data
    split: cpc2018
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pandas as pd

from crossmodal.data.checks import among
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, missing, optional, required
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped

SUBSETS = {"train-clean-100": "train", "train-clean-360": "train", "train-other-500": "train"}
SUBSETS |= {"dev-clean": "valid", "dev-other": "valid", "test-clean": "test", "test-other": "test"}
LISTS = "LibriSpeech100_labels_split"
UTTERANCE = re.compile(r"\d+-\d+-\d{4}")


class Librispeech(Source):
    """Utterances of some subsets of LibriSpeech: a row a line of their transcripts.

    Texts have the kind ``transcript`` and are English, in capitals. Tagsets: ``speaker``, the reader's number, and
    ``sex``, F or M. The artist is the reader, the album the book, the title the chapter, as far as the corpus' tables
    say.

    Splits: "librispeech", the corpus' own, by subset, which no reader crosses. And "cpc2018", that of van den Oord, Li
    and Vinyals for telling the speakers of train-clean-100 apart, if its lists are there; it has no valid part. Each
    reader is in both of its parts, so with these lists utterances have no group; without, the reader is the group.

    Args:
        root: the folder that holds the folder LibriSpeech, or this itself.
        subsets: the subsets' names; by default train-clean-100, as in CLMR.
    """

    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Panayotov, Chen, Povey, Khudanpur: LibriSpeech: An ASR Corpus Based on Public Domain Audio Books, ICASSP 2015;"
        " split cpc2018: van den Oord, Li, Vinyals: Representation Learning with Contrastive Predictive Coding, 2018"
    )
    home: ClassVar[str] = "https://www.openslr.org/12"
    layout: ClassVar[str] = (
        "LibriSpeech/SPEAKERS.TXT, LibriSpeech/CHAPTERS.TXT and LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac"
        f" with 103-1240.trans.txt beside; for the split cpc2018, {LISTS}/train_split.txt and test_split.txt"
    )
    # https://www.openslr.org/resources/12/md5sum.txt; to read the larger archives takes too long
    checksums: ClassVar[Mapping[str, str]] = {
        "dev-clean.tar.gz": "md5:42e2234ba48799c1f50f24a7926300a1",
        "dev-other.tar.gz": "md5:c8d0bcc9cca99d4f8b62fcc847357931",
        "test-clean.tar.gz": "md5:32fa31d27d2e1cad72775fee3f4849a9",
        "test-other.tar.gz": "md5:fb5a50374b501bb3bac4815ee91d3135",
        "train-clean-100.tar.gz": "md5:2a93770f6d5c6c964bc36631d331a522",
    }

    def __init__(self, root: str, subsets: list[str] | None = None) -> None:
        self.root = Path(root).expanduser()
        self.subsets = ["train-clean-100"] if subsets is None else subsets
        if not self.subsets or set(self.subsets) - set(SUBSETS):
            raise InputError(f"librispeech has the subsets {listed(SUBSETS)}, not {listed(self.subsets) or 'none'}")

    def read(self) -> Manifest:
        """Utterances by subset, in the order of their paths.

        Raises:
            InputError: a subset or SPEAKERS.TXT is missing, or a file is no text.
        """
        tally = Tally()
        frame = self._utterances(tally)
        speakers = self._described(tally, frame)
        empty = frame["text"] == ""
        tally.step("transcripts", len(frame), _skipped(frame[empty], "has no words"))
        said = frame.loc[~empty, ["track_id", "text"]].assign(kind="transcript", language="en")
        tags = [frame[["track_id"]].assign(tagset=name, tag=frame[name]) for name in ("speaker", "sex")]
        own = frame[["track_id"]].assign(name="librispeech", part=frame["subset"].map(SUBSETS))
        listed_parts = self._lists(tally, frame)
        frame = frame.assign(group="" if len(listed_parts) else frame["speaker"])
        kept = ["track_id", "path", "artist", "album", "title", "group", "speaker", "chapter", "subset"]
        tracks = frame[kept].assign(source="librispeech", sample_rate=16_000, licence="CC BY 4.0")
        return Manifest.build(
            tracks,
            texts=said.assign(text_id=said["track_id"]),
            tags=pd.concat([tags[0], tags[1][among(frame["speaker"], speakers)]], ignore_index=True),
            splits=pd.concat([own, listed_parts], ignore_index=True),
            root=self.root,
            steps=tally.steps,
            skipped=tally.skipped,
        )

    def _base(self) -> Path:
        inner = self.root / "LibriSpeech"
        return inner if inner.is_dir() else self.root

    def _utterances(self, tally: Tally) -> pd.DataFrame:
        found: list[tuple[str, ...]] = []
        for subset in self.subsets:
            folder = self._base() / subset
            files = sorted(folder.glob("*/*/*.trans.txt"))
            if not files:
                raise missing(self, f"LibriSpeech/{subset} with transcripts")
            lost: list[Skipped] = []
            rows = [(subset, *row) for file in files for row in _transcript(file, self.root, lost)]
            tally.step(f"{subset}: lines of {len(files):,} transcripts", len(rows) + len(lost), lost)
            found += rows
        frame = pd.DataFrame(found, columns=["subset", "track_id", "path", "text"], dtype="str")
        twice = frame["track_id"].duplicated()
        tally.step("utterances", len(frame), _skipped(frame[twice], "stands there twice; the first counts"))
        frame = frame[~twice].reset_index(drop=True)
        numbers = frame["track_id"].str.split("-", expand=True).reindex(columns=range(3))
        return frame.assign(speaker=numbers[0], chapter=numbers[1])

    def _described(self, tally: Tally, frame: pd.DataFrame) -> pd.Series[str]:
        """Add sex, reader, book and chapter to the utterances; the speakers that the tables know."""
        base = self._base().relative_to(self.root).as_posix()
        speakers = _table(tally, required(self, f"{base}/SPEAKERS.TXT".removeprefix("./")), 5)
        own = frame["speaker"].drop_duplicates()
        unknown = own[~among(own, speakers[0])]
        tally.step(
            "speakers joined to SPEAKERS.TXT",
            len(own),
            [Skipped(name, "SPEAKERS.TXT", "is not there") for name in unknown],
        )
        about = speakers.set_index(0)
        frame["sex"] = frame["speaker"].map(about[1]).fillna("")
        frame["artist"] = frame["speaker"].map(about[4]).fillna("")
        frame["album"] = frame["title"] = ""
        if path := optional(self, f"{base}/CHAPTERS.TXT".removeprefix("./")):
            chapters = _table(tally, path, 8).set_index(0)
            frame["album"], frame["title"] = (frame["chapter"].map(chapters[column]).fillna("") for column in (7, 6))
        return speakers.loc[speakers[1] != "", 0]

    def _lists(self, tally: Tally, frame: pd.DataFrame) -> pd.DataFrame:
        """The parts that CPC's lists give to utterances."""
        found = []
        for part in ("train", "test"):
            name = f"{part}_split.txt"
            if path := optional(self, f"{LISTS}/{name}", name):
                ids = pd.Series([line.strip() for line in lines(path) if line.strip()], dtype="str")
                known = among(ids, frame["track_id"])
                lost = [Skipped(track, path.name, "there is no transcript of this id") for track in ids[~known]]
                tally.step(f"{path.name} joined to utterances", len(ids), lost)
                found.append(pd.DataFrame({"track_id": ids[known], "name": "cpc2018", "part": part}))
        if not found:
            return pd.DataFrame(columns=["track_id", "name", "part"], dtype="str")
        table = pd.concat(found, ignore_index=True)
        twice = table["track_id"].duplicated()
        tally.step(
            "utterances in the split 'cpc2018'",
            len(table),
            [Skipped(t, LISTS, "is in it twice") for t in table.track_id[twice]],
        )
        return table[~twice]


def _transcript(file: Path, root: Path, lost: list[Skipped]) -> Iterator[tuple[str, str, str]]:
    """Id, path and words of each line; into ``lost`` go the lines that are not of this file."""
    speaker, chapter = file.parent.parent.name, file.parent.name
    folder = file.parent.relative_to(root).as_posix()
    for number, line in enumerate(lines(file), start=1):
        track, _, text = line.strip().partition(" ")
        if track.startswith(f"{speaker}-{chapter}-") and UTTERANCE.fullmatch(track):
            yield track, f"{folder}/{track}.flac", text.strip()
        else:
            lost.append(
                Skipped(track or f"line {number}", f"{folder}/{file.name}", f"line {number} is not an id and words")
            )


def _table(tally: Tally, path: Path, columns: int) -> pd.DataFrame:
    """A table of the corpus: cells between bars, ; before comments; the last cell may hold bars, as a reader's does."""
    body = [line for line in lines(path) if line.strip() and not line.startswith(";")]
    cells = [[cell.strip() for cell in line.split("|", columns - 1)] for line in body]
    lost = [
        Skipped(row[0] or "?", path.name, f"has {len(row)} cells, not {columns}")
        for row in cells
        if len(row) != columns
    ]
    tally.step(path.name, len(cells), lost)
    frame = pd.DataFrame([row for row in cells if len(row) == columns], columns=range(columns), dtype="str")
    return frame.drop_duplicates(0)


def _skipped(frame: pd.DataFrame, reason: str) -> list[Skipped]:
    return [Skipped(track, path, reason) for track, path in zip(frame["track_id"], frame["path"], strict=True)]

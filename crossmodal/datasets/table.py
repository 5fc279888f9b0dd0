"""Any folder of audio with a table beside it.

The data block of an experiment on a JSON lines file, with several texts a track, in languages and kinds of their own,
tags in several tagsets, some of them for some of the tracks only, and a split with groups::

    data:
      name: table
      root: ../shared/data
      file: manifest.jsonl
      columns: {track_id: id, source: origin, album: meta.album}
      texts:
        - {column: text.text, language_column: text.lang, kind_column: text.kind}
      tagsets:
        tags: tags
        melody: meta.melody
        makam: meta.makam
        philharmonia_instrument: {column: folder, where: {path: audio/philharmonia/*}}
        symbtr_instrument: {column: meta.instrument, where: {path: audio/synth/symbtr/*}}
        length: {column: meta.length, names: {1.5 s: long notes, "*long": long notes, 1 s: "", 0.*: short notes}}
      splits:
        dev: dev_split.tsv
    split: dev
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

import pandas as pd

from crossmodal import registry
from crossmodal import settings as plain
from crossmodal.data import rows
from crossmodal.data.manifest import COLUMNS, Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally
from crossmodal.data.splits import FRACTIONS, add_split, split_by_group
from crossmodal.errors import InputError
from crossmodal.files import Skipped

Spec = TypeVar("Spec")
NUMBERS = ("duration", "sample_rate")


@dataclass(frozen=True)
class TextColumn:
    """Where texts stand: a cell is a text or a list of them. The language, kind and id are of all, or have a column."""

    column: str
    language: str = ""
    language_column: str | None = None
    kind: str = ""
    kind_column: str | None = None
    id_column: str | None = None  # a review of an album has one id on all its tracks
    where: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TagColumn:
    """Where the tags of a tagset stand, and which rows count: those whose cells match all patterns of ``where``.

    ``names`` says what the column's values are called as tags, by patterns, the first that matches; a value that is
    called "" is no tag, and one that matches none keeps its own name.
    """

    column: str
    where: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def tag(self, value: str) -> str:
        """What a value is called, without blanks around it."""
        value = value.strip()
        return next((name for pattern, name in self.names.items() if fnmatchcase(value, pattern)), value)


@dataclass(frozen=True)
class GroupSplit:
    """A split by a hash of a column of the tracks: artist, album, group, track_id, ..."""

    group: str
    fractions: dict[str, float] = field(default_factory=lambda: dict(FRACTIONS))
    salt: str = ""


class Table(Source):
    """A folder of audio, and a CSV, TSV or JSON lines file (each also .gz) with a row a track.

    A cell of a tagset holds a tag, or several: a JSON list, or words between ``separators``. Only a list may say that
    a track was annotated with nothing, ``[]``; an empty cell says that it was not annotated. Paths and patterns use
    ``/``; ``*`` in a pattern stands for anything. Besides the table's own columns there is ``folder``, the name of
    the folder the audio file is in. A row whose file is missing, or is no audio by its name, is skipped; so is an
    empty text, and both are recorded in the manifest.

    Args:
        root: the folder that paths are relative to, and that none may leave.
        file: the table, relative to ``root``.
        columns: the table's name for columns of the manifest's tracks; one of the same name needs no mention, others
            are added as words. The table has ``path`` or a column for it; without ``track_id``, the path is the id.
        texts: where texts stand, each with the fields of `TextColumn`.
        tagsets: the column of each tagset, or the fields of `TagColumn`.
        splits: by name, a table that has the column of the track ids, ``part`` and perhaps ``group``, or the fields of
            `GroupSplit`. The first table with groups gives the tracks theirs, unless ``columns`` does.
        separators: the characters between the tags of a cell.
        encoding: of the tables.
    """

    layout: ClassVar[str] = "a table with a row a track, and the audio where its column path says"
    licence: ClassVar[str] = "that of each track"
    citation: ClassVar[str] = ""

    def __init__(
        self,
        root: str,
        file: str,
        columns: dict[str, str] | None = None,
        texts: list[dict[str, Any]] | None = None,
        tagsets: dict[str, str | dict[str, Any]] | None = None,
        splits: dict[str, str | dict[str, Any]] | None = None,
        separators: str = ";|",
        encoding: str = "utf-8",
    ) -> None:
        self.root = Path(root).expanduser()
        self.file, self.encoding = self.root / file, encoding
        self.columns = columns or {}
        self.separators = separators
        self.texts = [_fields(TextColumn, f"texts[{n}]", block) for n, block in enumerate(texts or [])]
        self.tagsets = {
            name: TagColumn(block) if isinstance(block, str) else _fields(TagColumn, f"tagset {name}", block)
            for name, block in (tagsets or {}).items()
        }
        self.splits = {
            name: block if isinstance(block, str) else _fields(GroupSplit, f"split {name}", block)
            for name, block in (splits or {}).items()
        }

    def read(self) -> Manifest:
        """Read the table and its splits; what cannot be used is in the manifest's ``skipped``.

        Raises:
            InputError: a file or a column is missing or broken, an id is there twice, a path leaves the root, or a
                split does not fit.
        """
        if not self.root.is_dir():
            raise InputError(f"root {self.root} is not a folder")
        tally = Tally()
        frame = self._frame()
        tracks = self._tracks(frame)
        tally.step(self.file.name, len(tracks))
        texts = self._texts(frame, tracks)
        empty = texts["text"].str.strip() == ""
        paths = dict(zip(tracks["track_id"], tracks["path"], strict=True))
        tally.step("texts", len(texts), [Skipped(track, paths[track], "empty text") for track in texts[empty].track_id])
        tags, annotated = self._tags(frame, tracks["track_id"])
        made = Manifest.build(
            tracks, texts[~empty], tags, annotated, root=self.root, steps=tally.steps, skipped=tally.skipped
        )
        for name, split in self.splits.items():
            made = self._split(made, name, split)
        return made.check()

    def _frame(self) -> pd.DataFrame:
        """The cells of the table as they are, and the column ``folder``."""
        frame = rows.read(self.file, self.encoding)
        if frame.empty:
            raise InputError(f"{self.file} has no rows")
        if "folder" not in frame:
            paths = self._column(frame, self.columns.get("path", "path"))
            frame["folder"] = [PurePosixPath(rows.word(path)).parent.name for path in paths]
        return frame

    def _column(self, frame: pd.DataFrame, name: str) -> pd.Series:
        return rows.column(frame, name, self.file)

    def _tracks(self, frame: pd.DataFrame) -> pd.DataFrame:
        own = {name: name for name in COLUMNS["tracks"] if name in frame}
        cells = {name: self._column(frame, column) for name, column in (own | self.columns).items()}
        read = {name: column.map(rows.number if name in NUMBERS else rows.word) for name, column in cells.items()}
        tracks = pd.DataFrame(read)
        return tracks if "track_id" in tracks else tracks.assign(track_id=tracks["path"].map(self._below_root))

    def _below_root(self, path: str) -> str:
        """A path as an id: relative to the root where it can be, since an id is shown to those who search."""
        pure, root = PurePosixPath(path), PurePosixPath(self.root.absolute())
        return str(pure.relative_to(root)) if pure.is_relative_to(root) else path

    def _matching(self, frame: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
        for column, pattern in where.items():
            cells = self._column(frame, column)
            frame = frame[[any(fnmatchcase(rows.word(i), pattern) for i in rows.items(cell) or []) for cell in cells]]
        return frame

    def _texts(self, frame: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
        """A row a text, the empty ones too; without an id of its own, a text is numbered within its track."""
        found = pd.DataFrame(
            [row for spec in self.texts for row in self._texts_of(frame, tracks["track_id"], spec)],
            columns=list(COLUMNS["texts"]),
            dtype="str",
        )
        numbered = found["track_id"] + ":" + found.groupby("track_id").cumcount().astype("str")
        return found.assign(text_id=found["text_id"].where(found["text_id"] != "", numbered))

    def _texts_of(self, frame: pd.DataFrame, tracks: pd.Series, spec: TextColumn) -> Iterator[tuple[str, ...]]:
        chosen = self._matching(frame, spec.where)
        sources = ((spec.id_column, ""), (spec.language_column, spec.language), (spec.kind_column, spec.kind))
        beside = [self._column(chosen, name) if name else [constant] * len(chosen) for name, constant in sources]
        for track, cell, *others in zip(tracks[chosen.index], self._column(chosen, spec.column), *beside, strict=True):
            texts = rows.items(cell) or []
            lists = [_spread(rows.items(other) or [""], len(texts)) for other in others]
            if any(len(values) != len(texts) for values in lists):
                raise InputError(
                    f"track {track}: the {len(texts)} texts of {spec.column} need as many ids and languages"
                )
            for text, key, language, kind in zip(texts, *lists, strict=True):
                yield rows.word(key), track, rows.word(language), rows.word(kind), rows.word(text)

    def _tags(self, frame: pd.DataFrame, tracks: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tags, and which tracks are annotated: those whose cell is a list, be it empty."""
        tags, annotated = [], []
        for tagset, spec in self.tagsets.items():
            cells = self._column(self._matching(frame, spec.where), spec.column)
            for track, cell in zip(tracks[cells.index], cells, strict=True):
                found = rows.items(cell, self.separators)
                if found is not None:
                    annotated.append((track, tagset))
                    tags += [(track, tagset, tag) for item in found if (tag := spec.tag(rows.word(item)))]
        table = pd.DataFrame(tags, columns=list(COLUMNS["tags"]), dtype="str").drop_duplicates()
        return table, pd.DataFrame(annotated, columns=list(COLUMNS["annotated"]), dtype="str")

    def _split(self, manifest: Manifest, name: str, split: str | GroupSplit) -> Manifest:
        if isinstance(split, GroupSplit):
            groups = rows.column(manifest.tracks, split.group, self.file)
            parts = split_by_group(groups.set_axis(manifest.tracks["track_id"]), split.fractions, split.salt)
            return add_split(manifest, name, parts)
        file = self.root / split
        table = rows.read(file, self.encoding)
        ids = rows.column(table, self.columns.get("track_id", "track_id"), file).map(rows.word)
        parts = rows.column(table, "part", file).map(rows.word).set_axis(ids)
        if "group" in table and (manifest.tracks["group"] == "").all():
            groups = manifest.tracks["track_id"].map(dict(zip(ids, table["group"].map(rows.word), strict=True)))
            manifest = replace(manifest, tracks=manifest.tracks.assign(group=groups.astype("str").fillna("")))
        return add_split(manifest, name, parts)


def _fields(kind: type[Spec], where: str, block: Mapping[str, Any]) -> Spec:
    """A block of the settings as what it describes, its keys and types checked."""
    plain.check(f"datasets table, {where}", block, registry.settings(kind))
    return kind(**block)


def _spread(values: list[Any], count: int) -> list[Any]:
    """One value for all, or the values as they are."""
    return values * count if len(values) == 1 else values

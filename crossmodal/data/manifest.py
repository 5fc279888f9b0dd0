"""The manifest: what a data set holds, as five tidy tables.

`tracks` has a row a track; `texts` a row for each text of each track, so that the review of an album is one
``text_id`` on the rows of all its tracks; `tags` a row for each tag of each track; `annotated` says which tagsets a
track was annotated with, because a track annotated with no tag is not a track without annotation; `splits` puts
tracks into the train, valid and test part of any number of named splits.

Unknown values are ``""`` for words, NaN for ``duration`` (seconds) and 0 for ``sample_rate`` (Hz).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pandas as pd
from tqdm import tqdm

from crossmodal import files
from crossmodal.audio import SUFFIXES
from crossmodal.data import checks
from crossmodal.data.source import Step
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped

VERSION = 1
PARTS = checks.PARTS
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "tracks": {
        **dict.fromkeys(("track_id", "path", "artist", "album", "title", "group", "source"), "str"),
        "duration": "float64",
        "sample_rate": "int64",
        "licence": "str",
    },
    "texts": dict.fromkeys(("text_id", "track_id", "language", "kind", "text"), "str"),
    "tags": dict.fromkeys(("track_id", "tagset", "tag"), "str"),
    "annotated": dict.fromkeys(("track_id", "tagset"), "str"),
    "splits": dict.fromkeys(("track_id", "name", "part"), "str"),
}
"""The columns every table has, and their dtypes; `tracks` may have more."""


@dataclass(frozen=True)
class Manifest:
    """A data set: its tables, the folder its audio paths are resolved against, and what could not be used.

    Make one with `Manifest.build`, which fills in what is not given.

    Attributes:
        tracks: track_id, path (absolute, or relative to ``root``), artist, album, title, group, source, duration in
            seconds, sample_rate in Hz, licence, and more; a group is what no split may cut in two.
        texts: text_id, track_id, language, kind, text.
        tags: track_id, tagset, tag.
        annotated: track_id, tagset.
        splits: track_id, name, part, which is train, valid or test.
        root: the folder of the audio.
        skipped: what the source could not use, each with its id and the reason.
        steps: the files and joins it was read from, each with the rows read and kept; what they lost is ``skipped``.
    """

    tracks: pd.DataFrame
    texts: pd.DataFrame
    tags: pd.DataFrame
    annotated: pd.DataFrame
    splits: pd.DataFrame
    root: Path
    skipped: tuple[Skipped, ...] = ()
    steps: tuple[Step, ...] = ()

    @classmethod
    def build(
        cls,
        tracks: pd.DataFrame,
        texts: pd.DataFrame | None = None,
        tags: pd.DataFrame | None = None,
        annotated: pd.DataFrame | None = None,
        splits: pd.DataFrame | None = None,
        root: str | Path = ".",
        skipped: Sequence[Skipped] = (),
        steps: Sequence[Step] = (),
    ) -> Manifest:
        """A manifest from the tables at hand; columns that are missing are added, with unknown values.

        ``annotated`` is, unless it is given, every track and tagset that `tags` names.
        """
        if annotated is None and tags is not None:
            annotated = tags[["track_id", "tagset"]].drop_duplicates()
        given = {"tracks": tracks, "texts": texts, "tags": tags, "annotated": annotated, "splits": splits}
        tables = {name: _typed(name, table) for name, table in given.items()}
        return cls(**tables, root=Path(root), skipped=tuple(skipped), steps=tuple(steps))

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self.tracks)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The five tables by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def save(self, folder: str | Path) -> None:
        """Write a parquet file a table, manifest.json and skipped.csv into ``folder``: all of them or none."""
        with files.atomic(folder) as temporary:
            temporary.mkdir()
            for name, table in self.tables.items():
                table.to_parquet(temporary / f"{name}.parquet", index=False)
            counts = {name: len(table) for name, table in self.tables.items()}
            about = {"version": VERSION, "root": str(self.root.absolute()), "counts": counts, "steps": self.steps}
            files.write_json(temporary / "manifest.json", about)
            files.write_skipped(temporary / "skipped.csv", self.skipped)

    @classmethod
    def load(cls, folder: str | Path) -> Manifest:
        """Read what `save` wrote; a file or a column that is missing is an `InputError` that names it."""
        folder = Path(folder)
        files.recover(folder)
        about = files.read_json(folder / "manifest.json")
        if not isinstance(about, dict) or about.get("version") != VERSION or "root" not in about:
            raise InputError(f"{folder / 'manifest.json'} is not that of a manifest of version {VERSION}")
        tables = {name: _read(folder / f"{name}.parquet", name) for name in COLUMNS}
        steps = tuple(Step(*step) for step in about.get("steps", []))
        return cls(**tables, root=Path(about["root"]), skipped=files.read_skipped(folder / "skipped.csv"), steps=steps)

    def validate(self, read_audio: bool = False) -> list[str]:
        """What is wrong, a line a problem, each with ids and numbers; nothing if the manifest is sound.

        ``read_audio`` also looks at every file: whether it is there, and its header's duration and sample rate.
        """
        found = checks.tables(self.tables) + checks.paths(self.tracks, self.root)
        return found + checks.audio(self.tracks, self.paths()) if read_audio else found

    def check(self) -> Manifest:
        """The manifest itself, if it is sound; an `InputError` with the first few problems if not."""
        if problems := self.validate():
            more = f" (and {len(problems) - 3} more problems)" if len(problems) > 3 else ""
            raise InputError("; ".join(problems[:3]) + more)
        return self

    def part(self, split: str, part: str) -> Manifest:
        """The tracks of one part of a split, with all their rows."""
        parts = self.parts(split)
        chosen = parts.index[parts == part]
        if chosen.empty:
            raise InputError(f"split {split!r} has no part {part!r}; it has: {_names(parts)}")
        return self.select(chosen)

    def parts(self, split: str) -> pd.Series[str]:
        """The part of each track of a split, by track id."""
        rows = self.splits[self.splits["name"] == split]
        if rows.empty:
            raise InputError(f"there is no split {split!r}; there are: {_names(self.splits['name'])}")
        return cast("pd.Series[str]", rows.set_index("track_id")["part"])

    def select(self, track_ids: Iterable[str]) -> Manifest:
        """The tracks of ``track_ids`` with all their rows, in the order they have here."""
        wanted = pd.Series(list(track_ids), dtype="str")
        unknown = wanted[~checks.among(wanted, self.tracks["track_id"])]
        if len(unknown):
            raise InputError(f"{len(unknown)} track ids are not in the manifest: {listed(unknown, 3)}")
        kept = {name: table[checks.among(table["track_id"], wanted)] for name, table in self.tables.items()}
        changes: dict[str, Any] = {name: table.reset_index(drop=True) for name, table in kept.items()}
        return replace(self, **changes)

    def head(self, tracks: int) -> Manifest:
        """The first ``tracks`` of them, or all, if there are not so many."""
        return self.select(self.tracks["track_id"].head(tracks))

    def with_audio(self) -> Manifest:
        """The tracks whose audio file is there; the others become skipped, in one more step."""
        rows = zip(self.tracks["track_id"], self.tracks["path"], self.paths(), strict=True)
        seen = tqdm(rows, "audio files", len(self), unit="file", disable=None, leave=False)
        absent = [Skipped(track, path, why) for track, path, whole in seen if (why := _absent(whole))]
        kept = self.select(set(self.tracks["track_id"]) - {skipped.id for skipped in absent}) if absent else self
        step = Step("audio files", len(self), len(kept))
        return replace(kept, skipped=(*self.skipped, *absent), steps=(*self.steps, step))

    def path(self, track_id: str) -> Path:
        """The absolute path of a track's audio."""
        try:
            return Path(self._absolute[track_id])
        except KeyError as error:
            raise InputError(f"there is no track {track_id!r} among {len(self)}") from error

    def paths(self) -> pd.Series[str]:
        """The absolute paths of all audio, by track id."""
        return pd.Series(self._absolute, dtype="str")

    @cached_property
    def _absolute(self) -> dict[str, str]:
        root = self.root.absolute()
        joined = [os.path.join(root, path) for path in self.tracks["path"]]  # pathlib takes ten times as long
        return dict(zip(self.tracks["track_id"], joined, strict=True))

    def relevance(self, kind: str | None = None, language: str | None = None) -> dict[str, frozenset[str]]:
        """The set of tracks that each text is about, by text id; of one ``kind`` and ``language``, or of all.

        Texts of the same words (in NFKC, without case, with single spaces) are one query: each has the tracks of all
        of them, whatever their kind.
        """
        words = self.texts["text"].map({text: same_words(text) for text in self.texts["text"].unique()})
        about = {key: frozenset(tracks) for key, tracks in self.texts["track_id"].groupby(words)}
        chosen = pd.Series(True, index=self.texts.index)
        for column, value in (("kind", kind), ("language", language)):
            chosen &= (self.texts[column] == value) if value is not None else True
        return {text: about[key] for text, key in zip(self.texts.loc[chosen, "text_id"], words[chosen], strict=True)}

    def labels(self, tagset: str) -> pd.Series[str]:
        """The tag of each track that has one, by track id, for a tagset that gives a track one tag."""
        rows = self.tags[self.tags["tagset"] == tagset]
        if rows.empty:
            raise InputError(f"there is no tagset {tagset!r} with tags; there are: {_names(self.tags['tagset'])}")
        if len(several := rows.loc[rows["track_id"].duplicated(), "track_id"].unique()):
            raise InputError(f"tagset {tagset!r} gives several tags to {len(several)} tracks: {listed(several, 3)}")
        return cast("pd.Series[str]", rows.set_index("track_id")["tag"])


def same_words(text: str) -> str:
    """The form in which two texts of the same words are equal: NFKC, without case, with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _absent(path: str) -> str:
    """Why there is no audio at a path, or nothing; the file is not opened."""
    if not path.lower().endswith(SUFFIXES):
        return "not audio by its name"
    try:
        return "" if os.stat(path).st_size else "is empty: 0 bytes"
    except FileNotFoundError:
        return "the file does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _names(values: pd.Series[str]) -> str:
    return listed(sorted(values.unique())) or "none"


def _typed(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    """A table with all its columns, those of the contract first, unknown values filled in."""
    columns = COLUMNS[name]
    table = pd.DataFrame() if table is None else table.reset_index(drop=True)
    unknown = pd.Series(None, index=table.index, dtype="object")
    known: dict[str, pd.Series] = {c: _column(c, table.get(c, unknown), kind) for c, kind in columns.items()}
    more = {str(column): table[column] for column in table if column not in columns}
    return pd.DataFrame({**known, **more}, index=table.index)


def _column(name: str, values: pd.Series, kind: str) -> pd.Series:
    if kind == "str":
        return values.astype("str").fillna("")
    try:
        numbers = values.astype("float64")
    except ValueError as error:
        raise InputError(f"column {name} must hold numbers: {error}") from error
    return numbers.fillna(0).astype("int64") if kind == "int64" else numbers


def _read(path: Path, name: str) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} does not exist; a manifest has {listed(f'{table}.parquet' for table in COLUMNS)}")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole parquet file") from error
    if missing := [column for column in COLUMNS[name] if column not in table]:
        raise InputError(f"{path} lacks {listed(missing)}; it has {listed(table.columns)}")
    return table

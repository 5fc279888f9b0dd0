"""The ledger of a manifest's audio: what every file really is, its duplicates, and what its licence permits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from crossmodal import files
from crossmodal.audio.fingerprint import Fingerprint
from crossmodal.data import duplicates, licences
from crossmodal.data.engine import ALONE, Engine, run
from crossmodal.data.extraction import TOLERANCE, TOLERANCE_S
from crossmodal.data.listening import Listening, Note
from crossmodal.data.manifest import Manifest
from crossmodal.data.work import Results
from crossmodal.errors import InputError, listed

SUFFIXES = {
    **dict.fromkeys(("WAV", "WAVEX", "RF64"), (".wav", ".wave", ".rf64")),
    **{"FLAC": (".flac",), "OGG": (".ogg", ".oga", ".opus"), "MP3": (".mp3",), "AIFF": (".aif", ".aiff", ".aifc")},
    **{"AU": (".au", ".snd"), "CAF": (".caf",), "W64": (".w64",)},
}
"""Of the formats that libsndfile names; a file of one of these with another suffix is mislabelled."""

UNUSABLE = {
    "missing": "files are missing or empty",
    "corrupt": "files are corrupt",
    "silent": "files are silent",
    "too short": "files are too short",
}


@dataclass(frozen=True)
class Ledger:
    """What was found about the audio of a manifest.

    Attributes:
        table: a row a track, in the manifest's order: track_id, path, what a `Note` has, declared_duration_s, licence,
            and commercial: whether the licence permits commercial use, missing where it does not say.
        duplicates: track_a, track_b, kind ("exact" or "near"), offset_s, similarity, and splits: each split in whose
            parts the two are apart, as "name part/part", joined by "; ".
    """

    table: pd.DataFrame
    duplicates: pd.DataFrame

    @property
    def clusters(self) -> pd.Series[str]:
        """The cluster of every track that has a duplicate, by track id; it is called after its first track."""
        ids = pd.Index(self.table["track_id"])
        numbers = duplicates.clusters(self.duplicates, ids)
        first = pd.Series(ids, index=ids).groupby(numbers).transform("first")
        return first[numbers.duplicated(keep=False)].astype("str").rename("cluster")

    def problems(self) -> list[str]:
        """A line a kind of problem, each with how many tracks or pairs have it and the first of them."""
        kinds = [line for kind, says in UNUSABLE.items() for line in self._unusable(kind, says)]
        return [*kinds, *self._mislabelled(), *self._duplicated()]

    def terms(self) -> list[str]:
        """What the licences ask of a model trained on the tracks, a line for each demand, and how many are unknown."""
        return licences.summary(self.table["licence"])

    def _unusable(self, kind: str, says: str) -> list[str]:
        rows = self.table[self.table["kind"] == kind]
        return _line(says, (f"{track} ({why})" for track, why in zip(rows["track_id"], rows["status"], strict=True)))

    def _mislabelled(self) -> list[str]:
        table = self.table[self.table["kind"] == "ok"]
        declared = table["declared_sample_rate"]
        rates = table[(declared != 0) & (declared != table["sample_rate"])]
        longest = _far(table["duration_s"], table["declared_duration_s"])
        header = table[_far(table["duration_s"], table["header_duration_s"])]
        suffixes = table["path"].map(lambda path: Path(path).suffix.lower())
        pairs = zip(table["format"], suffixes, strict=True)
        wrong = table[np.array([suffix not in SUFFIXES.get(format, (suffix,)) for format, suffix in pairs], bool)]
        return [
            *_line("files have another sample rate than their table says", _told(rates, "sample_rate", "Hz")),
            *_line("files last longer or shorter than their table says", _told(table[longest], "duration_s", "s")),
            *_line("files last longer or shorter than their header says", _told(header, "duration_s", "s")),
            *_line("files are of another format than their suffix says", _told(wrong, "format", "")),
        ]

    def _duplicated(self) -> list[str]:
        pairs = self.duplicates
        lines = [
            line
            for kind, says in (("exact", "pairs of files are the same"), ("near", "pairs of files sound the same"))
            for line in _line(says, _named(pairs[pairs["kind"] == kind]))
        ]
        apart = pairs.assign(split=pairs["splits"].str.split("; ")).explode("split")
        apart = apart[apart["split"] != ""]
        for name, rows in apart.groupby(apart["split"].str.rsplit(" ", n=1).str[0]):
            lines += _line(f"duplicates lie in different parts of split {name!r}", _named(rows))
        return lines

    def save(self, folder: str | Path) -> None:
        """Write ledger.parquet and duplicates.csv into ``folder``: both or none."""
        with files.atomic(folder) as temporary:
            temporary.mkdir()
            self.table.to_parquet(temporary / "ledger.parquet", index=False)
            self.duplicates.to_csv(temporary / "duplicates.csv", index=False)

    @classmethod
    def load(cls, folder: str | Path) -> Ledger:
        """Read what `save` wrote; a file that is missing or broken is an `InputError` that names it."""
        folder = Path(folder)
        files.recover(folder)
        try:
            table = pd.read_parquet(folder / "ledger.parquet")
            columns = {**duplicates.COLUMNS, "splits": "str"}
            pairs = pd.read_csv(folder / "duplicates.csv", dtype=columns, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} is not a ledger: it lacks ledger.parquet or duplicates.csv, or they are broken"
            ) from error
        return cls(table, pairs)


def check(manifest: Manifest, folder: str | Path, engine: Engine = ALONE) -> Ledger:
    """Listen to all audio of a manifest and look for duplicates.

    What was heard is kept in ``folder``, so a check that was killed goes on where it stopped, and another check of the
    same files, or of some more, only listens to those that are new or have changed.

    Args:
        manifest: whose tracks; their table need not be right about them.
        folder: of what was heard.
        engine: what does the work; near-duplicates are verified on this machine by as many processes.

    Raises:
        InputError: another process works in ``folder``, or the disk is full.
    """
    with run(manifest, Listening(), Path(folder), engine) as results:
        table = _table(manifest, results)
        pairs = _pairs(table, results, manifest.paths(), getattr(engine, "workers", 1))
    return Ledger(table, pairs.assign(splits=_splits(pairs, manifest.splits)))


def _table(manifest: Manifest, results: Results) -> pd.DataFrame:
    skipped = {one.id: Note(one.reason, "corrupt") for one in results.skipped}
    ids = manifest.tracks["track_id"]
    notes = [results.tracks[track].note if track in results.tracks else asdict(skipped[track]) for track in ids]
    found = pd.DataFrame(notes, columns=list(Note.__dataclass_fields__))
    known = manifest.tracks[["track_id", "path"]].reset_index(drop=True)
    licence = manifest.tracks["licence"].reset_index(drop=True)
    permits = {name: licences.commercial(name) for name in licence.unique()}
    return pd.concat([known, found], axis=1).assign(
        declared_duration_s=manifest.tracks["duration"].to_numpy(),
        licence=licence,
        commercial=pd.array(list(licence.map(permits)), dtype="boolean"),
    )


def _pairs(table: pd.DataFrame, results: Results, paths: pd.Series[str], workers: int) -> duplicates.Pairs:
    """Exact duplicates, and near ones among the first files of each hash."""
    exact = duplicates.exact_duplicates(table.set_index("track_id")["sha256"])
    usable = table.loc[table["kind"] == "ok", "track_id"]
    first = usable[~usable.isin(exact["track_b"])]
    prints = {track: Fingerprint(*np.transpose(results.rows(track))) for track in first}
    near = duplicates.near_duplicates(prints, {track: paths[track] for track in first}, workers)
    return pd.concat([exact, near], ignore_index=True)


def _splits(pairs: duplicates.Pairs, splits: pd.DataFrame) -> pd.Series[str]:
    """For each pair the splits in whose parts its tracks lie apart."""
    apart = duplicates.across(pairs, splits)
    keys = ["track_a", "track_b"]
    words = apart["split"] + " " + apart["part_a"] + "/" + apart["part_b"]
    joined = words.groupby([apart[key] for key in keys]).agg("; ".join)
    return joined.reindex(pd.MultiIndex.from_frame(pairs[keys])).astype("str").fillna("").set_axis(pairs.index)


def _far(found: pd.Series[float], said: pd.Series[float]) -> pd.Series[bool]:
    """Which durations are off by more than rounding; what is not known is not."""
    return (found - said).abs() > np.maximum(TOLERANCE_S, TOLERANCE * said)


def _told(rows: pd.DataFrame, column: str, unit: str) -> Iterable[str]:
    values = rows[column].map(lambda value: f"{value:.6g}" if isinstance(value, float) else str(value))
    return (f"{track} ({value} {unit}".rstrip() + ")" for track, value in zip(rows["track_id"], values, strict=True))


def _named(pairs: pd.DataFrame) -> Iterable[str]:
    return (f"{a} and {b}" for a, b in zip(pairs["track_a"], pairs["track_b"], strict=True))


def _line(says: str, names: Iterable[str]) -> list[str]:
    shown = list(names)
    return [f"{len(shown):,} {says}: {listed(shown, 3)}"] if shown else []

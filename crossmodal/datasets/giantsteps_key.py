"""GiantSteps key: previews of two minutes of electronic dance music, each in one of 24 keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from crossmodal import files
from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, optional, required
from crossmodal.errors import InputError
from crossmodal.files import Skipped

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SHARPS = {"C#": "Db", "D#": "Eb", "E#": "F", "F#": "Gb", "G#": "Ab", "A#": "Bb", "B#": "C", "Cb": "B", "Fb": "E"}
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS)
"""The 24 keys, as they are spelt here: with flats, as in the published annotations."""
COPYRIGHT = "in copyright: a preview of Beatport"


class Row(NamedTuple):
    """What a layout says of a track; ``key`` as it is written there."""

    file: str
    key: str
    genres: tuple[str, ...] = ()

    @property
    def track_id(self) -> str:
        """Beatport's number, with which every file name begins, without leading zeros."""
        digits = re.match(r"\d*", Path(self.file).name)
        return digits[0].lstrip("0") if digits else ""


class GiantStepsKey(Source):
    """The 604 previews of the original annotations, or the 600 of their revision, GiantSteps+; of a known, single key.

    Tagset "key" has the 24 keys, enharmonics unified to flats ("C# minor" is "Db minor") and a church mode after the
    key ("F minor aeolian") left out; the column ``written_key`` has the key as it was written. Tagset "genre" has
    Beatport's genres, where the layout tells them. A track whose key is unknown or ambiguous ("-", "C major / A minor")
    is skipped. There is no published split; a group is an artist, where the layout names any.

    Of the layouts, the first that is there is read: ``giantsteps_key.tsv`` (id, key, genre); ``annotations/key/``, a
    file a track, as the data set's repository has them; ``keys_gs+/``, as mirdata lays them out;
    ``metadata.json``, records with key and file_path. `scripts/download_giantsteps.py` gets the audio and any but the
    first.

    Args:
        root: the folder of one of these, and of the folder ``audio``.
    """

    licence: ClassVar[str] = "annotations CC BY-SA 4.0; audio: previews of Beatport, in copyright"
    citation: ClassVar[str] = (
        "Knees, Faraldo, Herrera, Vogl, Böck, Hörschläger, Le Goff: Two data sets for tempo estimation and key"
        " detection in electronic dance music annotated from user corrections, ISMIR 2015. GiantSteps+: Faraldo,"
        " doi:10.5281/zenodo.1101082"
    )
    home: ClassVar[str] = "https://github.com/GiantSteps/giantsteps-key-dataset"
    layout: ClassVar[str] = (
        "giantsteps_key.tsv, annotations/key/*.key, keys_gs+/*.txt or metadata.json; audio/*.mp3;"
        " scripts/download_giantsteps.py lays it out"
    )
    # of doi:10.5281/zenodo.1095691, as mirdata has them
    checksums: ClassVar[Mapping[str, str]] = {
        "audio.zip": "md5:8ec9ade888d5a88ce435d7fda031929b",
        "keys.zip": "md5:775b7d17e009f5818544cf505b6a96fd",
        "original_metadata.zip": "md5:54181e0f34c35d9720439750d0b08091",
    }

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def read(self) -> Manifest:
        """One row a track, in the order of the table, or of the files' names.

        Raises:
            InputError: there is none of the layouts, or a file is broken.
        """
        required(self, *READERS)
        name, path = next((name, path) for name in READERS if (path := optional(self, name)))
        tally = Tally()
        rows: dict[str, Row] = {}
        skipped = []
        found = list(READERS[name](path))
        for row in found:
            if isinstance(row, Skipped):
                skipped.append(row)
            elif why := _fault(row, rows):
                skipped.append(Skipped(row.track_id or row.file, row.file, why))
            else:
                rows[row.track_id] = row
        tally.step(name, len(found), skipped)
        names = pd.Series([Path(row.file).stem for row in rows.values()], dtype="str")
        words = names.str.extract(r"^\d+ (?P<artist>.+?) - (?P<title>.+)$").fillna("")
        tracks = pd.DataFrame(
            {"track_id": list(rows), "path": [f"audio/{Path(row.file).name}" for row in rows.values()]}, dtype="str"
        ).assign(
            **words,
            group=words["artist"],
            source="giantsteps_key",
            licence=COPYRIGHT,
            written_key=[row.key for row in rows.values()],
        )
        tags = [(track, "key", spelt(row.key)) for track, row in rows.items()]
        tags += [(track, "genre", genre) for track, row in rows.items() for genre in row.genres]
        return Manifest.build(
            tracks,
            tags=pd.DataFrame(tags, columns=["track_id", "tagset", "tag"], dtype="str"),
            root=self.root,
            skipped=tally.skipped,
            steps=tally.steps,
        )


def spelt(key: str) -> str:
    """A key as `KEYS` spells it; ``""`` if it is none of them, such as "-", or two."""
    match = re.fullmatch(r"([A-G][#b]?) (major|minor)( [a-z]+)?", key.strip().replace("♯", "#").replace("♭", "b"))
    return f"{SHARPS.get(match[1], match[1])} {match[2]}" if match else ""


def _fault(row: Row, known: Container[str]) -> str:
    """Why a track is not used, or nothing."""
    if not row.track_id:
        return "no Beatport number at the beginning of its file's name"
    if not spelt(row.key):
        return f"the key {row.key!r} is not one of the 24"
    return "stands there twice" if row.track_id in known else ""


def _table(path: Path) -> Iterator[Row | Skipped]:
    """The rows of a table of id, key and genre."""
    for number, line in enumerate(lines(path)[1:], start=2):
        cells = line.split("\t")
        if len(cells) == 3 and cells[0].isdecimal():
            yield Row(f"{int(cells[0]):07d}.LOFI.mp3", cells[1], tuple(filter(None, cells[2:])))
        else:
            yield Skipped(cells[0] or f"line {number}", path.name, "not an id, a key and a genre between tabs")


def _repository(folder: Path) -> Iterator[Row]:
    """The files ``0010089.LOFI.key`` and ``../genre/0010089.LOFI.genre``, each of one line."""
    for path in sorted(folder.glob("*.key")):
        genre = folder.parent / "genre" / f"{path.stem}.genre"
        genres = lines(genre)[:1] if genre.is_file() else []
        yield Row(f"{path.stem}.mp3", "".join(lines(path)[:1]), tuple(filter(None, genres)))


def _mirdata(folder: Path) -> Iterator[Row]:
    """The files ``10089 Artist - Title.txt`` and, with what Beatport says, ``../meta/10089 Artist - Title.json``."""
    for path in sorted(folder.glob("*.txt")):
        meta = folder.parent / "meta" / f"{path.stem}.json"
        told = _list(files.read_json(meta), "genres") if meta.is_file() else []
        genres = dict.fromkeys(
            _genre(str(genre["name"])) for genre in told if isinstance(genre, dict) and "name" in genre
        )
        yield Row(f"{path.stem}.mp3", "".join(lines(path)[:1]), tuple(genres))


def _list(record: Any, name: str) -> list[Any]:
    """What a record lists under a name; nothing if it does not."""
    found = record.get(name) if isinstance(record, dict) else None
    return found if isinstance(found, list) else []


def _genre(name: str) -> str:
    """Beatport's "Indie Dance / Nu Disco" as the original annotations have it: "indie-dance nu-disco"."""
    parts = name.lower().replace(" & ", " and ").split(" / ")
    return " ".join("-".join(part.split()) for part in parts)


def _records(path: Path) -> Iterator[Row | Skipped]:
    """The records of metadata.json; only the name of a file_path counts, the folder may have been moved."""
    records: Any = files.read_json(path)
    if not isinstance(records, list):
        raise InputError(f"{path} is not a list of records with key and file_path")
    for number, record in enumerate(records):
        told = record if isinstance(record, dict) else {}
        if isinstance(told.get("key"), str) and isinstance(told.get("file_path"), str):
            yield Row(Path(told["file_path"]).name, told["key"], tuple(map(str, _list(told, "genres"))))
        else:
            yield Skipped(f"record {number}", path.name, "has no key and file_path")


READERS: Mapping[str, Callable[[Path], Iterator[Row | Skipped]]] = {
    "giantsteps_key.tsv": _table,
    "annotations/key": _repository,
    "keys_gs+": _mirdata,
    "metadata.json": _records,
}

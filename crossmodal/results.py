"""The folder of an evaluation: results.json, the samples that its intervals come from, and the tasks' tables."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.files import atomic, read_json, write_json
from crossmodal.judgement import Judgement
from crossmodal.types import PathLike

FORMAT = 2
RESULTS, SAMPLES, TABLES = "results.json", "samples.npz", "tables"
PROTOCOLS = "protocols"  # the folder of a run that holds its evaluations by protocols, each by its name
BROKEN = (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile)  # what readers of cut files raise


class Sample(NamedTuple):
    """A figure on each sample of the bootstrap, ``(draws,)``, and the name of the units that were sampled."""

    values: NDArray[np.float64]
    units: str


class Tables(Mapping[tuple[str, str], pd.DataFrame]):
    """The tables of an evaluation by task and name, read when asked for; an `InputError` if one is broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, key: tuple[str, str]) -> pd.DataFrame:
        path = _place(self.folder, *key)
        if not path.is_file():
            raise KeyError(key)
        with _whole(path):
            return pd.read_parquet(path)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.folder.glob("*/*.parquet")):
            yield path.parent.name, path.stem.replace("__", "/")

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Samples(Mapping[tuple[str, str], Sample]):
    """The samples of an evaluation by task and metric, read when first asked for; an `InputError` if broken or gone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _read(self) -> dict[tuple[str, str], Sample]:
        with _whole(self.path), self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {_key(n): Sample(arrays[n], str(arrays[f"{n}|units"])) for n in arrays if _is_value(n)}

    def __getitem__(self, key: tuple[str, str]) -> Sample:
        return self._read[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


class Results(NamedTuple):
    """What `write` wrote.

    Attributes:
        found: the content of results.json.
        samples: by task and metric.
        tables: by task and name.
    """

    found: dict[str, Any]
    samples: Samples
    tables: Tables


def write(folder: PathLike, found: Mapping[str, Any], judgements: Mapping[str, Judgement]) -> None:
    """Write an evaluation; results.json last, so that its presence says that the rest is there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / SAMPLES) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **_arrays(judgements))  # type: ignore[arg-type]
    with atomic(folder / TABLES) as temporary:
        for task, judgement in judgements.items():
            for name, table in judgement.tables.items():
                place = _place(temporary, task, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                table.to_parquet(place)
        temporary.mkdir(exist_ok=True)
    write_json(folder / RESULTS, {"format": FORMAT, **found})


def read(folder: PathLike) -> Results:
    """Read an evaluation.

    Raises:
        InputError: there is none, or it is of another format.
    """
    folder = Path(folder)
    if not (folder / RESULTS).is_file():
        raise InputError(f"{folder} holds no {RESULTS}; the end of a training, or evaluate --protocol, writes it")
    found = read_json(folder / RESULTS)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{folder / RESULTS} is not of format {FORMAT}; a version before wrote it, and no samples")
    return Results(found, Samples(folder / SAMPLES), Tables(folder / TABLES))


def _arrays(judgements: Mapping[str, Judgement]) -> dict[str, NDArray[Any]]:
    """``<task>|<metric>`` to samples, and ``<task>|<metric>|units`` to their units' name."""
    found: dict[str, NDArray[Any]] = {}
    for task, judgement in judgements.items():
        for name, figure in judgement.metrics.items():
            if figure.samples is not None:
                found |= {f"{task}|{name}": figure.samples, f"{task}|{name}|units": np.array(figure.units)}
    return found


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What is read within is whole, or an `InputError` names it."""
    try:
        yield
    except BROKEN as error:
        raise InputError(f"{path} is missing or broken; judge the run again") from error


def _is_value(name: str) -> bool:
    return name.count("|") == 1


def _key(name: str) -> tuple[str, str]:
    task, _, metric = name.partition("|")
    return task, metric


def _place(folder: Path, task: str, name: str) -> Path:
    return folder / task / f"{name.replace('/', '__')}.parquet"

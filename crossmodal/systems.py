"""Judged systems: the figures of runs, of which those of one experiment and settings are pooled over their seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal import config as configs
from crossmodal import results
from crossmodal.errors import InputError, listed
from crossmodal.metrics.paired import Difference, Pooled, pooled
from crossmodal.results import Results

Key = tuple[str, str]  # of a figure: its task and its metric
LEVEL = 0.05  # a difference with a corrected p below it is told as one


@dataclass(frozen=True)
class Judged:
    """One run, judged: its folder, the seed of its training, what names its settings, and the evaluation."""

    folder: Path
    seed: int
    settings: str
    evaluation: Results

    @cached_property
    def metrics(self) -> dict[Key, dict[str, Any]]:
        """The metrics as results.json has them."""
        tasks = self.evaluation.found["tasks"]
        return {(task, name): one for task, found in tasks.items() for name, one in found["metrics"].items()}

    def judged_on(self, key: Key) -> str:
        """The units if it was sampled, or else the split and part; and how many queries and candidates there were."""
        sample, split, metric = self.evaluation.samples.get(key), self.evaluation.found["split"], self.metrics[key]
        where = sample.units if sample else f"{split['hash']}/{split['part']}"
        return f"{where} {metric.get('queries')} {metric.get('candidates')}"


@dataclass(frozen=True)
class Figure:
    """A metric of a system.

    Attributes:
        value: the mean over seeds.
        low: of the interval; None where the metric was not sampled, or not alike with all seeds.
        high: likewise.
        sd: over seeds; None with one.
        seeds: how many.
        chance: None where it is not known.
        judged_on: names the units, queries and candidates; figures of equal names may be compared. "" if the seeds
            differ in it.
        difference: from the reference; None for the reference itself, and where there can be no test.
        p: of the difference, corrected for all the tests of the comparison.
        values: one a seed.
        groups: how many the units form; of seeds that differ in it the fewest, None where it is not known.
    """

    value: float
    low: float | None
    high: float | None
    sd: float | None
    seeds: int
    chance: float | None
    judged_on: str
    difference: Difference | None = None
    p: float | None = None
    values: tuple[float, ...] = ()
    groups: int | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the difference from the reference is more than chance."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class System:
    """Runs of one experiment and settings, each with its own seed."""

    name: str
    runs: tuple[Judged, ...]

    @cached_property
    def keys(self) -> list[Key]:
        """The metrics that it has with every seed."""
        every = [run.metrics for run in self.runs]
        return [key for key in every[0] if all(key in other for other in every)]

    def figure(self, key: Key) -> Figure:
        """The metric, pooled over seeds."""
        found = [run.metrics[key] for run in self.runs]
        places = {run.judged_on(key) for run in self.runs}
        values = tuple(float(one["value"]) for one in found)
        both = self.pooled(key)
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        chances = [float(one["chance"]) for one in found if one.get("chance") is not None]
        chance = float(np.mean(chances)) if len(chances) == len(found) else None
        on = places.pop() if len(places) == 1 else ""
        low, high = (both.low, both.high) if both else (None, None)
        groups = min((one["groups"] for one in found if one.get("groups") is not None), default=None)
        return Figure(float(np.mean(values)), low, high, sd, len(values), chance, on, values=values, groups=groups)

    def samples(self, key: Key) -> list[np.ndarray] | None:
        """Of each seed; None where one has none, or those of other units than the first's."""
        found = [run.evaluation.samples.get(key) for run in self.runs]
        drawn = [sample.values for sample in found if sample is not None]
        alike = len(drawn) == len(found) and len({run.judged_on(key) for run in self.runs}) == 1
        return drawn if alike else None

    def pooled(self, key: Key) -> Pooled | None:
        """Mean and interval; None without samples."""
        samples = self.samples(key)
        if samples is None:
            return None
        values = [float(run.metrics[key]["value"]) for run in self.runs]
        return pooled(values, np.stack(samples), corrected=self.corrected(key))

    def corrected(self, key: Key) -> bool:
        """Whether intervals of the metric are corrected for the samples' bias."""
        return all(run.metrics[key].get("corrected") for run in self.runs)


# --- finding systems


def systems(given: Sequence[str], protocol: str | None = None) -> tuple[list[System], list[str]]:
    """The systems that are named, and what was left out.

    Args:
        given: ``RUN`` or ``name=RUN`` each: a run's folder, an experiment's, which stands for its finished runs, or an
            evaluation's. Runs of the same settings but for the seed are one system.
        protocol: whose evaluations are compared; the runs' own if None.

    Raises:
        InputError: a folder without an evaluation, a name that stands for runs of several settings, or none.
    """
    found: dict[str, list[Judged]] = {}
    names: dict[str, str] = {}
    notes: list[str] = []
    for argument in given:
        name, folder = _named(argument)
        runs, left = _runs(folder, protocol)
        notes += left
        for run in runs:
            called = name or names.get(run.settings) or str(run.evaluation.found.get("experiment") or run.folder.name)
            key = name or run.settings
            names[key] = called
            found.setdefault(key, []).append(run)
    if not found:
        raise InputError("there is no run to compare; give folders of runs")
    for key, runs in found.items():
        if len({run.settings for run in runs}) > 1:
            raise InputError(f"{names[key]} names runs of several settings: {listed(run.folder for run in runs)}")
    made = [System(names[key], tuple(_one_a_seed(runs, notes))) for key, runs in found.items()]
    return _told_apart(made), notes


def _named(argument: str) -> tuple[str, Path]:
    """``name=RUN`` in its two parts; a folder may hold the sign, too."""
    name, sign, folder = argument.partition("=")
    if not sign or Path(argument).exists():
        name, sign, folder = "", "", argument
    if not folder.strip() or (sign and not name.strip()):
        lacking = "name" if folder.strip() else "folder"
        raise InputError(f"{argument!r} lacks the {lacking}; valid is RUN or name=RUN")
    return name, Path(folder)


def _runs(folder: Path, protocol: str | None) -> tuple[list[Judged], list[str]]:
    """The judged runs of a folder, and those that are not, in words."""
    inner = [folder] if _is_run(folder) else sorted(path.parent for path in folder.glob("*/config.yaml"))
    if not inner and (folder / results.RESULTS).is_file() and protocol is None:
        return [_read(folder, folder)], []
    if not inner:
        raise InputError(f"{folder} is no run, and holds none: there is no config.yaml")
    places = {run: run / results.PROTOCOLS / protocol if protocol else run for run in inner}
    judged = [run for run, place in places.items() if (place / results.RESULTS).is_file()]
    absent = [run for run in inner if run not in judged]
    if not judged:
        how = f"crossmodal evaluate {folder} --protocol {protocol}" if protocol else "it is not finished"
        raise InputError(f"{folder} was not judged{f' by protocol {protocol}' if protocol else ''}: {how}")
    return [_read(run, places[run]) for run in judged], [f"left out: {run} has no results" for run in absent]


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _read(run: Path, place: Path) -> Judged:
    """An evaluation, and what its run was trained with; one without a run is of settings of its own."""
    evaluation = results.read(place)
    if not _is_run(run):
        return Judged(place, int(evaluation.found.get("seed") or 0), str(place.resolve()), evaluation)
    config = configs.load(run / "config.yaml")
    return Judged(run, config.seed, configs.config_hash(replace(config, seed=0)), evaluation)


def _one_a_seed(runs: Iterable[Judged], notes: list[str]) -> list[Judged]:
    """The newest run of each seed, in the order of the seeds."""
    last: dict[int, Judged] = {}
    for run in sorted(runs, key=lambda run: run.folder.name):
        if run.seed in last and last[run.seed].folder.resolve() != run.folder.resolve():
            notes.append(f"left out: {last[run.seed].folder} has the seed of {run.folder}, which is newer")
        last[run.seed] = run
    return [last[seed] for seed in sorted(last)]


def _told_apart(found: list[System]) -> list[System]:
    """Systems that are called alike get into their name the folder of their first run, or where that lies."""
    for told in (lambda folder: folder.name, str):
        names = [system.name for system in found]
        found = [
            replace(one, name=f"{one.name} ({told(one.runs[0].folder)})") if names.count(one.name) > 1 else one
            for one in found
        ]
    return found

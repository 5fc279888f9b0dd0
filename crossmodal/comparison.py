"""Systems side by side: the figures of finished runs, with intervals, and which differences are more than chance.

A *system* is one run, or several of the same experiment and settings with other seeds, which are pooled: its figure is
the mean over seeds, and the interval holds that other units, and other seeds, might have been drawn. Every system is
tested against one of them, the *reference*, by the paired bootstrap, with Holm's correction over all the tests of a
comparison: of every system and metric that it shows. Two figures are compared only if they are of the same units, as
many queries and as many candidates; where they are not, the cell says so, and there is no test. Nor is there one of
fewer groups than `FEWEST`, which is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from crossmodal.errors import InputError, listed
from crossmodal.metrics.paired import Difference, enough, holm, paired_bootstrap
from crossmodal.systems import Figure, Key, System

LESS = ("median_rank", "mean_rank", "mae", "rmse", "ece", "brier", "other")  # how what is better if less begins
NEITHER = ("fifth", "relative", "parallel")  # shares of keys that are half wrong: better than others, worse than right


@dataclass(frozen=True)
class Comparison:
    """Systems by metrics.

    Attributes:
        systems: by name, in the order in which they were given.
        reference: the name of the one that the others are tested against.
        keys: the metrics, in the order of the first system that has them.
        cells: by system and metric; a system need not have all.
    """

    systems: dict[str, System]
    reference: str
    keys: list[Key]
    cells: dict[tuple[str, Key], Figure]

    def best(self, key: Key) -> set[str]:
        """The systems whose figure is the best, as it is shown, of those judged on what the reference was judged on."""
        column = {name: self.cells[name, key] for name in self.systems if self.comparable(name, key)}
        if len(column) < 2 or neither_is_better(key[1]):
            return set()
        sign = -1 if less_is_better(key[1]) else 1
        top = max(sign * round(figure.value, 3) for figure in column.values())
        return {name for name, figure in column.items() if sign * round(figure.value, 3) == top}

    def comparable(self, name: str, key: Key) -> bool:
        """Whether a system was judged on what the reference was judged on; False where either was not judged."""
        own, other = self.cells.get((name, key)), self.cells.get((self.reference, key))
        return own is not None and other is not None and own.judged_on == other.judged_on != ""

    def better(self, name: str, key: Key) -> bool | None:
        """Whether a system is better than the reference, or worse; None if neither, or if they are not told apart."""
        figure = self.cells[name, key]
        if not figure.told_apart or figure.difference is None or neither_is_better(key[1]):
            return None
        return (figure.difference.value < 0) == less_is_better(key[1])


def compare(
    found: Sequence[System],
    against: str | None = None,
    tasks: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compare systems.

    Args:
        found: at least one, of names that differ.
        against: the name of the reference; the first if None.
        tasks: only these, if any is named.
        metrics: patterns such as ``text_to_audio/*``, or a measure, such as ``map``; each task's primary one if none.

    Raises:
        InputError: no such system, task or metric.
    """
    by_name = {system.name: system for system in found}
    reference = against or found[0].name
    if reference not in by_name:
        raise InputError(f"there is no system {reference!r}; there are {listed(by_name)}")
    known = list(dict.fromkeys(key for system in found for key in system.keys))
    if unknown := set(tasks) - {task for task, _ in known}:
        raise InputError(
            f"no task {listed(sorted(unknown))}; there are {listed(dict.fromkeys(task for task, _ in known))}"
        )
    keys = [key for key in known if (not tasks or key[0] in tasks) and _wanted(found, key, metrics)]
    if not keys:
        raise InputError(
            f"no metric is called {listed(metrics)}; there are {listed(dict.fromkeys(m for _, m in known))}"
        )
    cells = {(one.name, key): one.figure(key) for one in found for key in keys if key in one.keys}
    made = Comparison(by_name, reference, keys, cells)
    tests = {place: test for key in keys for place, test in _tests(made, key).items()}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    order = [(name, key) for key in keys for name in by_name if (name, key) in cells]
    tested = {place: replace(cells[place], difference=tests.get(place), p=adjusted.get(place)) for place in order}
    return replace(made, cells=tested)


def _wanted(found: Sequence[System], key: Key, patterns: Sequence[str]) -> bool:
    task, metric = key
    if patterns:
        return any(fnmatchcase(metric, pattern) or metric.endswith(f"/{pattern}") for pattern in patterns)
    told = [run.evaluation.found["tasks"].get(task, {}) for system in found for run in system.runs]
    return any(metric == one["primary"] or metric.endswith(f"/{one['primary']}") for one in told if one)


def _tests(made: Comparison, key: Key) -> dict[tuple[str, Key], Difference]:
    """The differences of a metric's figures from the reference's, where there can be a test."""
    fit = [name for name in made.systems if made.comparable(name, key) and enough(made.cells[name, key].groups)]
    own = {name: made.systems[name].samples(key) for name in fit}
    rival = own.get(made.reference)
    tests: dict[tuple[str, Key], Difference] = {}
    for name, samples in own.items():
        if name != made.reference and samples is not None and rival is not None:
            values = made.cells[name, key].values, made.cells[made.reference, key].values
            corrected = all(made.systems[one].corrected(key) for one in (name, made.reference))
            drawn = np.stack(samples), np.stack(rival)
            tests[name, key] = paired_bootstrap(values[0], drawn[0], values[1], drawn[1], corrected=corrected)
    return tests


def less_is_better(metric: str) -> bool:
    """Whether a smaller figure is the better one, by the name of the measure."""
    return metric.rpartition("/")[2].startswith(LESS)


def neither_is_better(metric: str) -> bool:
    """Whether a figure says what systems do, and not how well."""
    return metric.rpartition("/")[2] in NEITHER

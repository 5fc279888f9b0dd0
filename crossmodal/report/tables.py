"""The report's figures in rows: metrics by task, training curves, what was skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from crossmodal import guards
from crossmodal.data.leakage import Leak
from crossmodal.report.figures import Chart, Points, ceiling, line_chart, number
from crossmodal.runs import SCORE

VALID, COLLAPSE, GRADIENT = "valid/", "collapse/", "gradient/"
BETWEEN, SHARE = "_to_", "%/"
MORE = ("prompts", "languages", "drop")  # what a figure may say of itself
HEADLINES = 8  # figures of a task at the top of the page
NO_TERMS = {"step", "lr", "grad_norm"}

Metric = Mapping[str, Any]
Logged = Mapping[str, Any]


class Row(NamedTuple):
    """Metrics over the same queries and candidates; ``subset`` is the kind and language of texts, "" for all."""

    group: str
    subset: str
    queries: int | None
    candidates: int | None
    metrics: dict[str, Metric]

    def said(self, key: str, first: str) -> tuple[str, Metric] | None:
        """What a metric says beside its value, the metric ``first`` or else the first that does, and its name."""
        names = [first, *self.metrics]
        return next(((n, self.metrics[n][key]) for n in names if self.metrics.get(n, {}).get(key)), None)


class Grid(NamedTuple):
    """One measure from each language to each."""

    title: str
    measure: str
    names: list[str]
    rows: list[list[Metric | None]]


class Table(NamedTuple):
    """A task's metrics. The bars show ``measure`` and end at ``scale``.

    ``more`` names what figures say of themselves, `MORE`; ``grids`` are those from one language to another;
    ``left_out`` says what could not be judged, and why.
    """

    task: str
    measure: str
    measures: list[str]
    rows: list[Row]
    scale: float
    more: list[str]
    grids: list[Grid]
    left_out: Mapping[str, str]


def headlines(results: Mapping[str, Any]) -> list[tuple[str, str, Metric]]:
    """Task, name and value of the primary metrics, at most `HEADLINES` a task.

    A task without the metric of that name has one for each of its tagsets; of several shares, ``<tagset>@1%``, the
    last is taken.
    """
    found: list[tuple[str, str, Metric]] = []
    for task, one in results.get("tasks", {}).items():
        primary, metrics = one["primary"], one["metrics"]
        named = [primary] if primary in metrics else [name for name in metrics if name.endswith(f"/{primary}")]
        shown = {name.partition("@")[0] if SHARE in name else name: name for name in named}
        found += [(task, name, metrics[name]) for name in list(shown.values())[:HEADLINES]]
    return found


def table(task: str, found: Mapping[str, Any]) -> Table:
    """The metrics ``<group>/<subset...>/<measure>`` of a task: a row for each group and subset, a column a measure."""
    primary = found["primary"].rpartition("/")[2]
    rows: dict[tuple[Any, ...], Row] = {}
    between: dict[str, dict[str, Metric]] = {}
    for name, metric in found["metrics"].items():
        *path, measure = name.split("/")
        group, subset = words(path[0]) if path else "", " · ".join(map(words, path[1:]))
        if any(BETWEEN in one for one in path[1:]):
            if measure == primary:
                between.setdefault(" · ".join(map(words, path[:-1])), {})[path[-1]] = metric
            continue
        key = (group, subset, metric.get("queries"), metric.get("candidates"))
        rows.setdefault(key, Row(*key, {})).metrics[measure] = metric
    others = {measure: None for row in rows.values() for measure in row.metrics if measure != primary}
    shown = [row.metrics[primary] for row in rows.values() if primary in row.metrics]
    bounds = [metric[key] for metric in shown for key in ("value", "high", "chance") if metric.get(key) is not None]
    groups = list(dict.fromkeys(row.group for row in rows.values()))
    together = sorted(rows.values(), key=lambda row: groups.index(row.group))
    more = [key for key in MORE if any(row.said(key, primary) for row in together)]
    grids = [_grid(title, primary, metrics) for title, metrics in between.items()]
    left_out = found.get("left_out", {})
    return Table(task, primary, [primary, *others], together, ceiling(bounds), more, grids, left_out)


def _grid(title: str, measure: str, metrics: Mapping[str, Metric]) -> Grid:
    """From the metrics by ``<language>_to_<language>``."""
    names = list(dict.fromkeys(one for pair in metrics for one in pair.split(BETWEEN)))
    return Grid(title, measure, names, [[metrics.get(f"{a}{BETWEEN}{b}") for b in names] for a in names])


class Guards(NamedTuple):
    """What the guards said: leaks in words, kinds that were looked for and not found, and how each tower spreads."""

    leaks: list[str]
    clean: list[str]
    collapse: dict[str, str]


def guarded(results: Mapping[str, Any]) -> Guards | None:
    """What results.json says of the guards; None if nothing."""
    found = results.get("guards")
    if not found:
        return None
    leaks = [Leak(**leak) for leak in found["leaks"]]
    told = guards.told(leaks, (results.get("protocol") or {}).get("forbids", ()))
    clean = dict.fromkeys(leak.kind for leak in leaks)
    for leak in leaks:
        if leak.tracks or leak.unknown or leak.unknown_others:
            clean.pop(leak.kind, None)
    return Guards(told, list(clean), {words(name): said(spread) for name, spread in found["collapse"].items()})


def said(value: Any) -> str:
    """Anything that JSON holds, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(name)} {said(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value)) or "none"
    return number(value) if isinstance(value, float) else words(str(value))


def words(name: str) -> str:
    """A metric's or task's name as one reads it."""
    return name.replace("_", " ")


def charts(rows: Sequence[Logged]) -> tuple[list[Chart], int | None]:
    """Charts of the rows of metrics.jsonl, the loss and its terms first, and the best step, if there was validation."""
    best = best_step(rows)
    terms = _series([row for row in rows if "loss" in row], _is_term)
    if len(terms) == 2:  # the only term is the loss itself, but for its weight
        terms = {"loss": terms["loss"]}
    found = [line_chart("Training loss", terms, best)] if terms else []
    judged = _series(rows, lambda name: name.startswith(VALID))
    measures = dict.fromkeys(name.rpartition("/")[2] for name in judged)
    for measure in measures:
        lines = {words(name): judged[name] for name in judged if name.rpartition("/")[2] == measure}
        named = {_between(name, measure): points for name, points in lines.items()}
        found.append(line_chart(f"Validation: {words(measure)}", named, best))
    return found, best


def monitored(rows: Sequence[Logged]) -> list[Chart]:
    """Charts of what the monitor saw: one a measure of collapse, one of the gradients, one of their cosines."""
    seen = _series(rows, lambda name: name.startswith(COLLAPSE))
    lines: dict[str, dict[str, Points]] = {}
    for name, points in seen.items():
        what, _, measure = name.removeprefix(COLLAPSE).rpartition("_")
        lines.setdefault(measure.capitalize(), {})[words(what)] = points
    for name, points in _series(rows, lambda name: name.startswith(GRADIENT)).items():
        title = "Cosine of two objectives' gradients" if "~" in name else "Norm of a term's gradient"
        lines.setdefault(title, {})[words(name.removeprefix(GRADIENT)).replace("~", " and ")] = points
    return [line_chart(title, named) for title, named in lines.items()]


def alarms(rows: Sequence[Logged]) -> list[tuple[int, str]]:
    """The steps at which a run was told to collapse, and the warnings."""
    return [(int(row["step"]), str(row["alarm"])) for row in rows if "alarm" in row]


def best_step(rows: Sequence[Logged]) -> int | None:
    """The first step with the highest validation score."""
    scored = [row for row in rows if not math.isnan(row.get(SCORE, math.nan))]
    return int(max(scored, key=lambda row: row[SCORE])["step"]) if scored else None


def _is_term(name: str) -> bool:
    return name not in NO_TERMS and not name.startswith((COLLAPSE, GRADIENT))


def _series(rows: Sequence[Logged], wanted: Callable[[str], bool]) -> dict[str, Points]:
    names = dict.fromkeys(name for row in rows for name in row if wanted(name))
    return {name: [(row["step"], row[name]) for row in rows if row.get(name) is not None] for name in names}


def _between(name: str, measure: str) -> str:
    inner = name.removeprefix(VALID).removesuffix(words(measure)).strip("/")
    return inner.replace("/", " · ") or words(measure)

"""The report's figures in rows: metrics by task, training curves, what was skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from crossmodal.report.figures import Chart, Points, ceiling, line_chart, number
from crossmodal.runs import SCORE

VALID, COLLAPSE, GRADIENT = "valid/", "collapse/", "gradient/"
BETWEEN, MORE = "_to_", ("prompts", "drop")
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


class Table(NamedTuple):
    """A task's metrics. The bars show ``measure`` and end at ``scale``.

    ``more`` names what else a figure of that measure may say of itself: how it varies with the prompts, and by how much
    it is lower than in the pivot language. ``pairs`` are rows from one language to another.
    """

    task: str
    measure: str
    measures: list[str]
    rows: list[Row]
    scale: float
    more: list[str]
    pairs: list[Row]


def headlines(results: Mapping[str, Any]) -> list[tuple[str, str, Metric]]:
    """Task, name and value of the primary metrics; a task may have one for each of its tagsets."""
    return [
        (task, name, metric)
        for task, found in results.get("tasks", {}).items()
        for name, metric in found["metrics"].items()
        if name == found["primary"] or name.endswith(f"/{found['primary']}")
    ]


def table(task: str, found: Mapping[str, Any]) -> Table:
    """The metrics ``<group>/<subset...>/<measure>`` of a task: a row for each group and subset, a column a measure."""
    rows: dict[tuple[Any, ...], Row] = {}
    between = set()
    for name, metric in found["metrics"].items():
        *path, measure = name.split("/")
        group, subset = words(path[0]) if path else "", " · ".join(map(words, path[1:]))
        key = (group, subset, metric.get("queries"), metric.get("candidates"))
        rows.setdefault(key, Row(*key, {})).metrics[measure] = metric
        if any(BETWEEN in one for one in path[1:]):
            between.add(key)
    primary = found["primary"].rpartition("/")[2]
    others = {measure: None for row in rows.values() for measure in row.metrics if measure != primary}
    shown = [row.metrics[primary] for row in rows.values() if primary in row.metrics]
    bounds = [metric[key] for metric in shown for key in ("value", "high", "chance") if metric.get(key) is not None]
    groups = list(dict.fromkeys(row.group for row in rows.values()))
    together = sorted(rows.values(), key=lambda row: groups.index(row.group))
    more = [key for key in MORE if any(key in metric for metric in shown)]
    single, pairs = ([row for row in together if (row[:4] in between) == apart] for apart in (False, True))
    return Table(task, primary, [primary, *others], single, ceiling(bounds), more, pairs)


def guards(results: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """What is told of leaks, in words, and the measures of collapse, by name."""
    found = results.get("guards") or {}
    leaks = [said(leak) for leak in found.get("leaks") or []]
    return leaks, {words(name): said(value) for name, value in (found.get("collapse") or {}).items()}


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

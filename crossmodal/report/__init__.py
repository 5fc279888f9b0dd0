"""The report of a run: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossmodal.config import Config
from crossmodal.embedding import Embedded
from crossmodal.files import Skipped, read_json, write_text
from crossmodal.report import space, tables
from crossmodal.report.pages import rendered
from crossmodal.runs import Run

SKIPPED = 10  # rows shown


def write(run: Run, embedded: Embedded, results: Mapping[str, Any]) -> Path:
    """Write ``report.html`` into the run's folder: results, curves, a map of the space, answers to listen to.

    Args:
        run: its config.yaml, environment.json and metrics.jsonl are read.
        embedded: its best model beside its data; the part that the results judge is shown.
        results: the content of results.json.

    Returns:
        The file, which loads nothing from elsewhere and may be moved.
    """
    path = run.folder / "report.html"
    write_text(path, rendered("page.html", **content(run, embedded, results)))
    return path


def content(run: Run, embedded: Embedded, results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows, by the names its template uses."""
    part = results.get("split", {}).get("part", "test")
    examples = results.get("examples", [])
    queries = list(dict.fromkeys(example["query"] for example in examples))
    config, machine = run.folder / "config.yaml", run.folder / "environment.json"
    environment = read_json(machine) if machine.is_file() else {}
    logged = run.metrics()
    charts, best = tables.charts(logged)
    return {
        "name": results.get("experiment", run.config.name),
        "config": run.config,
        "part": part,
        "facts": facts(run.config, results, logged, environment) | ({"Best step": best} if best is not None else {}),
        "headlines": tables.headlines(results),
        "tables": [tables.table(task, found) for task, found in results.get("tasks", {}).items()],
        "charts": charts,
        "validated": best is not None,
        "monitored": tables.monitored(logged),
        "alarms": tables.alarms(logged),
        "map": space.space_map(embedded, part, queries, run.config.seed),
        "similarities": space.similarities(embedded, part, run.config.seed),
        "examples": space.answers(examples, embedded.part(part)),
        "skipped": _skipped(embedded.vectors(part).skipped, embedded.manifest.skipped),
        "settings": config.read_text(encoding="utf-8") if config.is_file() else "",
        "environment": environment,
    }


def alarms(run: Run) -> list[str]:
    """The warnings of a run that its vectors collapse, each with its step."""
    return [f"step {step}: {warning}" for step, warning in tables.alarms(run.metrics())]


def facts(
    config: Config, results: Mapping[str, Any], logged: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """What a figure depends on, by name, where it is known."""
    split = results.get("split", {})
    synthetic = results.get("synthetic")
    metrics = [metric for _, _, metric in tables.headlines(results)[:1]]
    known = {
        "Data": config.data["name"],
        "Audio": None if synthetic is None else "synthetic" if synthetic else "real",
        "Split": split.get("name", config.split),
        "Split hash": split.get("hash"),
        "Tracks judged": split.get("tracks"),
        "Queries": metrics[0].get("queries") if metrics else None,
        "Candidates": metrics[0].get("candidates") if metrics else None,
        "Seed": results.get("seed", config.seed),
        "Steps": max((int(row["step"]) for row in logged), default=None),
        "Collapses told": len(tables.alarms(logged)) or None,
        "Precision": environment.get("precision"),
        "Threads": environment.get("threads"),
        "Model": results.get("model"),
    }
    return {name: value for name, value in known.items() if value is not None}


def _skipped(embedding: Sequence[Skipped], reading: Sequence[Skipped]) -> dict[str, Any]:
    rows = [*embedding, *reading]
    return {"embedding": len(embedding), "reading": len(reading), "rows": rows[:SKIPPED], "more": len(rows[SKIPPED:])}

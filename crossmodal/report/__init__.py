"""The report of a run, or of a run by a protocol: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crossmodal.config import Config
from crossmodal.data.groups import clusters_of
from crossmodal.embedding import Embedded
from crossmodal.files import Skipped, read_json, write_text
from crossmodal.report import curves, failures, listening, pairs, space, tables, tagsets
from crossmodal.report.pages import rendered
from crossmodal.report.sound import LIMIT, Excerpts
from crossmodal.runs import Run
from crossmodal.snapshots import Snapshots

SKIPPED = 10  # rows shown

Tables = Mapping[tuple[str, str], pd.DataFrame]


def write(
    run: Run,
    embedded: Embedded,
    results: Mapping[str, Any],
    found: Tables | None = None,
    folder: Path | None = None,
    by_umap: bool = False,
) -> Path:
    """Write ``report.html``: results, tags, curves, maps of the space, and what to listen to.

    Args:
        run: its config.yaml, environment.json, metrics.jsonl and snapshots are read.
        embedded: its best model beside the data; the part that the results judge is shown.
        results: the content of results.json.
        found: the tables that the tasks gave, by task and name.
        folder: where the page is written; the run's own unless given.
        by_umap: whether the map is also drawn by UMAP, which takes half a minute and umap-learn.

    Returns:
        The file, which loads nothing from elsewhere and may be moved.
    """
    path = (folder or run.folder) / "report.html"
    write_text(path, rendered("page.html", **content(run, embedded, results, found or {}, by_umap)))
    return path


def content(
    run: Run, embedded: Embedded, results: Mapping[str, Any], found: Tables, by_umap: bool = False
) -> dict[str, Any]:
    """Everything that the page shows, by the names its template uses."""
    config, machine = run.folder / "config.yaml", run.folder / "environment.json"
    environment = read_json(machine) if machine.is_file() else {}
    part = results.get("split", {}).get("part", "test")
    logged = run.metrics()
    charts, best = tables.charts(logged)
    excerpts = Excerpts(LIMIT)
    examples = listening.answers(results.get("examples", []), embedded.part(part), excerpts)
    return {
        "name": results.get("experiment", run.config.name),
        "protocol": results.get("protocol"),
        "config": run.config,
        "part": part,
        "facts": facts(run.config, results, logged, environment) | ({"Best step": best} if best is not None else {}),
        "headlines": tables.headlines(results),
        "tables": [tables.table(task, one) for task, one in results.get("tasks", {}).items()],
        "guards": tables.guarded(results),
        "curves": curves.charts(found),
        "charts": charts,
        "validated": best is not None,
        "monitored": tables.monitored(logged),
        "alarms": tables.alarms(logged),
        "examples": examples,
        **_space(run, embedded, part, results, by_umap),
        **_heard(embedded, part, found, excerpts, run.config.seed),
        "skipped": _skipped(embedded.vectors(part).skipped, embedded.manifest.skipped),
        "settings": config.read_text(encoding="utf-8") if config.is_file() else "",
        "environment": environment,
    }


def _space(run: Run, embedded: Embedded, part: str, results: Mapping[str, Any], by_umap: bool) -> dict[str, Any]:
    """The maps, and how near what belongs together is."""
    queries = list(dict.fromkeys(example["query"] for example in results.get("examples", [])))
    seed, tagset = run.config.seed, space.first_tagset(embedded.part(part))
    still = space.space_map(embedded, part, queries, seed, others=True, by_umap=by_umap)
    folder = Snapshots(run.folder / "snapshots")
    moving = None if "protocol" in results else space.training_map(folder, embedded, seed, still)
    near = [
        pairs.texts_and_tracks(embedded, part, seed),
        pairs.tracks_and_tracks(embedded, part, tagset, seed) if tagset else None,
    ]
    return {
        "map": still,
        "moving": moving,
        "pairs": [one for one in near if one is not None],
    }


def _heard(embedded: Embedded, part: str, found: Tables, excerpts: Excerpts, seed: int) -> dict[str, Any]:
    """Tags, neighbours, and what went well and wrong."""
    listener = listening.Listener(embedded, part, excerpts)
    tagset = space.first_tagset(listener.manifest)
    told = [failures.extremes(listener, name, found[task, name]) for task, name in failures.ranked(found)]
    ids = listener.manifest.tracks["track_id"].tolist()
    clusters = dict(zip(ids, clusters_of(listener.manifest, ids), strict=True))
    return {
        "tagset": tagset,
        "neighbours": listening.neighbours(listener, tagset, seed),
        "extremes": [one for one in told if one is not None],
        "judged": [
            (tagsets.judged(pair, clusters, seed), failures.mistaken(listener, pair) if pair.single else [])
            for pair in tagsets.pairs(found)
        ],
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
        "Data": ", ".join(results.get("data", {}).get("sources", [])) or config.data["name"],
        "Audio": None if synthetic is None else "synthetic" if synthetic else "real",
        "Split": split.get("name", config.split),
        "Split hash": split.get("hash"),
        "Tracks judged": split.get("tracks"),
        "More than half by": split.get("mostly_by"),
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

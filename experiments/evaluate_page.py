"""The page of `evaluate.py`: a table for each data set and protocol, of what lies in the runs' folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluate_systems import ELSEWHERE, REAL, RECORD, SYNTHETIC, SYSTEMS, Job, protocol_of

from crossmodal import comparison_tables, protocols, results
from crossmodal.comparison import Comparison, compare
from crossmodal.files import read_json
from crossmodal.protocols import ANY
from crossmodal.systems import LEVEL, Key, System, systems

RIVALS = {"u": "untrained", "h": "hand-crafted"}
INDEPENDENT = ("macro_roc_auc", "macro_average_precision")  # of tags that do not exclude each other
WHAT = {SYNTHETIC: "Synthetic music", REAL: "Real clips"}
KIND = {
    SYNTHETIC: "Composed and synthesised by the package, with reviews and tags that it writes itself: nothing here says"
    " how well human words about recorded music are understood.",
    REAL: "Openly licensed clips, more than half of them single notes. Nearly all of their texts are templates made"
    " from the labels (kind `template`), and what is reached on them says nothing about understanding words; people's"
    " own (kinds `human` and `human-short`) stand in rows of their own, and are few.",
}
HEAD = """# What four systems are worth by every protocol
Made by `make evaluate` (`python experiments/evaluate.py`, {at_once} at a time, {threads} thread each). The runs, their
reports and logs, and each table as CSV and LaTeX, are in `{runs}`. **These are small budgets**, of what a laptop trains
and judges in half an hour: they show that every protocol runs and what it tells apart, not what larger models reach.

{systems}

{seeds} seeds of the training each. A cell is the mean over seeds with its 95 % interval, which holds that other tracks
(in clusters: artists and groups) and other seeds might have been drawn. `u+` is better than **u**ntrained, `h+` better
than **h**and-crafted, `u-` and `h-` are worse: paired bootstrap, p below {level} after Holm's correction over all that
the table tests against the one; no mark says that they are not told apart, that there is no interval, or fewer than 20
clusters. Chance is what guesses, or a random order, are expected to reach. The hand-crafted system has no weights: its
seeds are of the windows that its numbers are standardised by. Not run at all: {elsewhere}, which needs other data than
a run was trained on.
"""


def page(runs: Mapping[Job, Path], names: Sequence[str], given: argparse.Namespace) -> str:
    """The whole page."""
    told = {key: getattr(given, key) for key in ("at_once", "threads", "runs", "seeds")}
    lines = [
        HEAD.format(systems="\n".join(map(_described, SYSTEMS)), level=LEVEL, elsewhere=", ".join(ELSEWHERE), **told)
    ]
    for data in dict.fromkeys(job.data for job in runs):
        own = {job: folder for job, folder in runs.items() if job.data == data}
        copies = given.copies if data == REAL else {}
        lines += [f"## {WHAT[data]}", KIND[data], "", *_facts(own), *_copies(copies), *_left_out(own, names)]
        for name in names:
            lines += _protocol(protocol_of(name, data), own, given.runs / data / "tables")
    if given.data is None:
        lines += [f"## {WHAT[REAL]}", "Not judged: their folder was not given, or is not there.", ""]
    return "\n".join(lines)


def _described(system: str) -> str:
    each = [f"`{name}.yaml`" + "".join(f" `{one}`" for one in changes) for name, changes in SYSTEMS[system].values()]
    return f"- **{system}**: {'; '.join(each)}"


def _facts(runs: Mapping[Job, Path]) -> list[str]:
    """What was judged, as the first evaluation tells it."""
    every = [path for folder in runs.values() for path in sorted(folder.glob(f"protocols/*/{results.RESULTS}"))]
    if not every:
        return []
    found = read_json(every[0])
    split, data = found["split"], found["data"]
    where = f"split `{split['name']}` (hash `{split['hash']}`), part {split['part']}, {split['tracks']} tracks"
    return [f"{data['tracks']:,} tracks of {', '.join(data['sources'])}; {where}.", ""]


def _copies(copies: Mapping[str, str]) -> list[str]:
    """What is in no part, since the protocols would refuse it."""
    pairs = ", ".join(f"{track} (train or valid have it as {other})" for track, other in copies.items())
    return [f"In no part, since its sound is in train or valid, which the protocols forbid: {pairs}.", ""] * bool(
        copies
    )


def _left_out(runs: Mapping[Job, Path], names: Iterable[str]) -> list[str]:
    """What was refused, with the reason; protocols of other data in one line."""
    elsewhere = [name for name in names if protocols.load(name).data.source != ANY]
    lines = [f"Not run, since the audio of their data is not here: {', '.join(elsewhere)}.", ""] if elsewhere else []
    why: dict[tuple[str, str], list[str]] = {}
    for job, folder in runs.items():
        record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
        for name in (name for name in names if name not in elsewhere and "refused" in record.get(name, {})):
            reason = record[name]["refused"].replace(str(folder), "the run").replace("|", "/")
            why.setdefault((name, reason), []).append(job.system)
    rows = [[name, ", ".join(dict.fromkeys(systems)), reason] for (name, reason), systems in sorted(why.items())]
    return [*lines, "Refused:", "", *_table(["protocol", "systems", "why"], rows)] if rows else lines


def _protocol(name: str, runs: Mapping[Job, Path], folder: Path) -> list[str]:
    """A protocol's table, which is also written into a folder; nothing if no system was judged by it."""
    stem = Path(name).stem
    judged = [
        f"{job.system}={run}"
        for job, run in runs.items()
        if (run / results.PROTOCOLS / stem / results.RESULTS).is_file()
    ]
    if not judged:
        return []
    found, _ = systems(judged, stem)
    keys = _shown(found)
    made = {letter: compare(found, rival, metrics=[metric for _, metric in keys]) for letter, rival in _rivals(found)}
    for letter, each in made.items():
        comparison_tables.write(each, folder / stem / RIVALS[letter])
    protocol = protocols.load(name)
    silent = [system for system in SYSTEMS if system not in next(iter(made.values())).systems]
    told = [f"Not judged, see above: {', '.join(silent)}."] if silent else []
    lines = [protocol.about.strip(), *(f"- {paper}" for paper in protocol.papers), *told, ""]
    rows = [_row(key, made) for key in keys]
    return [f"### {stem}: {protocol.title}", *lines, *_table(["", "asked", "of", "chance", *SYSTEMS], rows)]


def _rivals(found: Sequence[System]) -> list[tuple[str, str]]:
    names = {system.name for system in found}
    return [(letter, rival) for letter, rival in RIVALS.items() if rival in names] or [("u", found[0].name)]


def _shown(found: Sequence[System]) -> list[Key]:
    """Of each task the metrics that sum it up: those of the primary one's direction and measure."""
    keys: dict[Key, None] = {}
    for system in found:
        for task, told in system.runs[0].evaluation.found["tasks"].items():
            direction, _, measure = told["primary"].rpartition("/")
            last = (f"/{measure}", *(f"/{each}" for each in INDEPENDENT))
            keys |= {
                (task, metric): None
                for metric in told["metrics"]
                if (task, metric) in system.keys
                and (metric == measure or (metric.startswith(direction) and metric.endswith(last)))
            }
    return list(keys)


def _row(key: Key, made: Mapping[str, Comparison]) -> list[str]:
    first = next(iter(made.values()))
    facts = _told(first, key)
    counts = ["" if facts.get(count) is None else str(facts[count]) for count in ("queries", "candidates")]
    chance = "" if facts.get("chance") is None else f"{facts['chance']:.3f}"
    return [key[1], *counts, chance, *(_cell(system, key, made) for system in SYSTEMS)]


def _told(made: Comparison, key: Key) -> Mapping[str, Any]:
    """A metric in the results of the first system that has it."""
    own = next(made.systems[name] for name in made.systems if (name, key) in made.cells)
    found: Mapping[str, Any] = own.runs[0].evaluation.found["tasks"][key[0]]["metrics"][key[1]]
    return found


def _cell(system: str, key: Key, made: Mapping[str, Comparison]) -> str:
    """Value, interval, and what it is told apart from."""
    figure = next(iter(made.values())).cells.get((system, key))
    if figure is None:
        return ""
    bounds = f" [{figure.low:.3f}, {figure.high:.3f}]" if figure.low is not None else ""
    better = {letter: each.better(system, key) for letter, each in made.items()}
    marks = [f"{letter}{'+' if one else '-'}" for letter, one in better.items() if one is not None]
    return " ".join([f"{figure.value:.3f}{bounds}", *marks])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]] + [""]

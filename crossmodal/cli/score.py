"""The command score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossmodal.cli.shared import say
from crossmodal.errors import InputError, listed

if TYPE_CHECKING:
    from crossmodal.data.tables import Table
    from crossmodal.judgement import Measured, Units
    from crossmodal.scoring import Scored

SPELT = {"roc_auc": "ROC-AUC", "f1": "F1", "map": "mAP", "mrr": "MRR", "clip": "per-clip"}
Kept = dict[str, list[str]]


def score(
    truth: Annotated[Path, typer.Argument(help="A table: an id, then 1, 0 or -1 (unknown) for each tag; or a class.")],
    scores: Annotated[Path, typer.Argument(help="A table: an id, then a score for each tag or class; or a class.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found, as JSON.")] = False,
    groups: Annotated[
        Path | None, typer.Option(help="A table of id and group, such as the artist; whole groups are drawn.")
    ] = None,
    draws: Annotated[int, typer.Option(min=0, help="Samples of the bootstrap; 0 for no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    tags: Annotated[
        Path | None, typer.Option(help="A text file of the columns' names, one a line, in place of the tables' own.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Scores of another system, to test the difference in pairs.")
    ] = None,
    per_tag: Annotated[bool, typer.Option("--per-tag", help="Tell the figures of each tag.")] = False,
    per_clip: Annotated[bool, typer.Option("--per-clip", help="Tell the figures of each row.")] = False,
    common: Annotated[
        bool, typer.Option("--common", help="Leave out ids and columns that only one table has.")
    ] = False,
    valid: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Truth and scores by which the thresholds of F1 are chosen.", metavar="TRUTH SCORES"),
    ] = None,
    retrieval: Annotated[
        bool, typer.Option("--retrieval", help="Rows are queries, columns items, 1 what is relevant.")
    ] = False,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="The first line names the columns; found out otherwise.")
    ] = None,
) -> None:
    """Judge any system by its table of scores: ROC-AUC, average precision, accuracy, F1, with 95% intervals.

    Tables are csv, tsv or txt (also .gz), npz, npy or parquet, a row a track, its id first. Both are put in the same
    order by their ids, and by the names of their columns if both name them.
    """
    from crossmodal.judgement import Units
    from crossmodal.scoring import differences, retrieve, too_few
    from crossmodal.scoring import score as judged

    by = {"--per-tag": per_tag, "--per-clip": per_clip, "--valid": valid}
    _refuse_beside(retrieval, "--retrieval has figures of queries alone", by)
    _refuse_beside(not draws, "--draws 0 has no samples", {"--groups": groups, "--against": against, "--seed": seed})
    _refuse_beside(bool(against), "thresholds are of one system, --against another", {"--valid": valid})
    names = _lines(tags) if tags else None
    (one, other, *rival), left_out = _read([truth, scores, *([against] if against else [])], names, header, common)
    units = Units(one.ids, _groups(groups, one.ids) if groups else one.ids, draws, seed)
    known, lacking = _read(list(valid), names, header, common) if valid else (None, {})
    left_out |= lacking

    def judge(table: Table) -> Scored:
        return retrieve(one, table, units) if retrieval else judged(one, table, units, known)

    found = judge(other)
    if per_clip and not found.rows:
        raise InputError("no row has figures of its own, by scores of several tags or classes; leave --per-clip out")
    tests = differences(found, judge(*rival)) if rival else {}
    few = too_few(found) if rival else {}
    if as_json:
        tested = {"against": {"path": str(against), "differences": tests, "too_few_groups": few}} if against else {}
        say(json.dumps(_described(one, other, left_out, units, groups) | _all(found, per_clip) | tested, indent=1))
    else:
        _tell(found, one, other, left_out, units, per_tag, per_clip)
        _tell_tests(tests, few, against)


def _refuse_beside(given: bool, why: str, others: Mapping[str, object]) -> None:
    """Refuse options of which nothing would come beside one that is given."""
    if given and (refused := [option for option, value in others.items() if value]):
        raise InputError(f"{why}; leave {', '.join(refused)} out")


def _read(paths: list[Path], names: list[str] | None, header: bool | None, common: bool) -> tuple[list[Table], Kept]:
    """Truth and the scores of one system or more, all of the same rows and columns, and what was left out."""
    from crossmodal.data.aligned import align
    from crossmodal.data.tables import read

    tables = [read(path, header) for path in paths]
    if names is not None:
        single = all(len(table.columns) == 1 for table in tables)
        tables = [table.rename(names) if single or len(table.columns) > 1 else table for table in tables]
    truth, *systems = tables
    left_out: Kept = {}
    for system in systems:
        truth, _, lacking = align(truth, system, common)
        left_out |= lacking
    return [truth, *(align(truth, system, common=True)[1] for system in systems)], left_out


def _lines(path: Path) -> list[str]:
    from crossmodal.data.rows import text_of

    return [line.strip() for line in text_of(path).splitlines() if line.strip()]


def _groups(path: Path, ids: tuple[str, ...]) -> list[str]:
    """The group of each row, as it is written; a header is one more id that is not asked for."""
    from crossmodal.data.groups import is_none
    from crossmodal.data.tables import read

    table = read(path, header=False, words=True)
    if len(table.columns) != 1:
        raise InputError(f"{path} has {len(table.columns)} columns beside the id; the group is one")
    known = dict(zip(table.ids, table.values[:, 0].tolist(), strict=True))
    if lacking := [name for name in ids if name not in known]:
        raise InputError(f"{path} has no group for {len(lacking)} of {len(ids)} ids: {listed(lacking, 3)}")
    if unnamed := [name for name in ids if is_none(known[name])]:
        row, called = table.ids.index(unnamed[0]) + 1, known[unnamed[0]] or "empty"
        more = f", as in {len(unnamed) - 1} more rows" if len(unnamed) > 1 else ""
        raise InputError(f"{path} row {row}: the group of {unnamed[0]} is {called}{more}; to be alone it needs a name")
    return [known[name] for name in ids]


def _described(one: Table, other: Table, left_out: Kept, units: Units, groups: Path | None) -> dict[str, Any]:
    tables = {
        name: {"path": str(table.path), "notes": list(table.notes)}
        for name, table in (("truth", one), ("scores", other))
    }
    drawn: dict[str, Any] = {"draws": units.draws, "seed": units.seed, "level": _level()}
    drawn |= {"groups": len(set(units.groups)), "by": str(groups) if groups else None}
    return tables | {"rows": len(one.ids), "columns": list(other.columns), "left_out": left_out, "bootstrap": drawn}


def _all(found: Scored, per_clip: bool) -> dict[str, Any]:
    return found.as_dict() | ({"clips": found.rows} if per_clip else {})


def _tell(found: Scored, one: Table, other: Table, left_out: Kept, units: Units, per_tag: bool, per_clip: bool) -> None:
    for name, table in (("truth", one), ("scores", other)):
        say(f"{name:6} {table.path}: {'; '.join(table.notes)}")
    judged = len(other.columns) - len(found.undefined)
    width = "" if other.words else f", {judged} of {len(other.columns)} columns"
    say(f"judged {len(one.ids)} rows{width}, as {found.kind}")
    for where, names in left_out.items():
        say(f"left out: {len(names)} {where}: {listed(names)}")
    if found.undefined:
        say(f"undefined, all known rows being of one class, and left out: {', '.join(found.undefined)}")
    for note in found.notes:
        say(note)
    say("")
    for name, figure in found.metrics.items():
        say(_line(spelt(name), figure))
    if per_tag:
        _tell_tags(found)
    if per_clip:
        say("")
        for row, figures in found.rows.items():
            say(f"{row}  ROC-AUC {figures['roc_auc']:.6f}  average precision {figures['average_precision']:.6f}")
    if units.draws:
        say("")
        say(_intervals(found, units))


def _intervals(found: Scored, units: Units) -> str:
    groups, called = len(set(units.groups)), "row" if units.groups is units.ids else "group"
    if groups == 1:
        return f"no intervals: one {called} says nothing of others"
    without = ", but for figures that some samples lack" if _lacking(found) else ""
    samples = f"{units.draws} bootstrap samples of {groups} {called}s, seed {units.seed}"
    return f"intervals: {_level():.0%}, {samples}{without}"


def _lacking(found: Scored) -> bool:
    return any(figure.low is None for figure in found.metrics.values())


def _tell_tags(found: Scored) -> None:
    for tag, figures in found.tags.items():
        say("")
        say(f"{tag}: {figures['positives']} of {figures['roc_auc'].queries} rows have it")
        say(_line("  ROC-AUC", figures["roc_auc"]))
        say(_line("  average precision", figures["average_precision"]))
    if found.confusion is not None:
        say("")
        say(f"confusion, true in rows, predicted in columns: {', '.join(found.classes)}")
        for name, counts in zip(found.classes, found.confusion.tolist(), strict=True):
            say(f"{name:24}  {' '.join(f'{count:6}' for count in counts)}")


def _tell_tests(tests: dict[str, dict[str, float]], few: dict[str, int], against: Path | None) -> None:
    if against is None:
        return
    say("")
    say(f"more than {against}, by paired bootstrap; p of all by Holm's correction:")
    for name, test in tests.items():
        interval = f"{_level():.0%} {test['low']:+.6f} to {test['high']:+.6f}"
        say(f"{spelt(name):24}  {test['value']:+.12f}  {interval}  p {test['p']:.4f}, {test['p_holm']:.4f} of all")
    for name, groups in few.items():
        say(f"{spelt(name):24}  too few groups to test: {groups}")
    if not tests and not few:
        say("no figure has samples to be tested by")


def _line(name: str, figure: Measured) -> str:
    interval = "" if figure.low is None else f"  {_level():.0%} {figure.low:.6f} to {figure.high:.6f}"
    chance = "" if figure.chance is None else f"  chance {figure.chance:.6f}"
    return f"{name:24}  {figure.value:.12f}{interval}{chance}  ({figure.queries} rows)"


def _level() -> float:
    from crossmodal.metrics.bootstrap import LEVEL

    return LEVEL


def spelt(name: str) -> str:
    """A metric's name in words: ``macro_roc_auc`` is macro ROC-AUC."""
    for short, long in SPELT.items():
        name = name.replace(short, long)
    return name.replace("_", " ")

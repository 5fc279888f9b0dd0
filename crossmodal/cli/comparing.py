"""``crossmodal compare``: the figures of several runs in one table, with intervals and what they tell apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crossmodal.cli.shared import say

RUNS = (
    "Runs' folders, or name=RUN; an experiment's folder stands for its finished runs. Runs of the same settings and"
    " other seeds are one system."
)


def compare(
    runs: Annotated[list[str], typer.Argument(help=RUNS)],
    protocol: Annotated[
        str | None, typer.Option(help="Compare what a protocol found, instead of the runs' own tasks.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task. May be given again.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A measure, such as map, or a pattern, such as 'text_to_audio/*'; the tasks' primary ones."),
    ] = None,
    against: Annotated[str | None, typer.Option(help="The system that is tested against; the first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    to_csv: Annotated[Path | None, typer.Option("--csv", help="Write a line a figure to this file.")] = None,
    to_latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all forms into this folder.")] = None,
) -> None:
    """Compare runs in one table: intervals, chance, the best, and which differences are more than chance."""
    from crossmodal import comparison_tables as tables
    from crossmodal.comparison import compare as compared
    from crossmodal.files import write_text
    from crossmodal.systems import systems

    found, left = systems(runs, protocol)
    made = compared(found, against, task or (), metric or ())
    if to_csv:
        write_text(to_csv, tables.as_csv(made))
    if to_latex:
        write_text(to_latex, tables.as_latex(made))
    if out:
        tables.write(made, out)
    if as_json:
        say(json.dumps({**tables.as_dict(made), "left_out": left}, indent=1, ensure_ascii=False))
        return
    for line in [*tables.as_text(made).splitlines(), *left]:
        say(line)

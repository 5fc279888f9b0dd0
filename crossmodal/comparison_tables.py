"""A comparison as people read and print it: text, Markdown, LaTeX, CSV, JSON. A row a system, a column a metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from crossmodal.comparison import Comparison
from crossmodal.files import printable, write_json, write_text
from crossmodal.metrics.paired import enough
from crossmodal.systems import LEVEL, Key

BETTER, WORSE, ELSEWHERE = "+", "-", "≠"
COLUMNS = ("system", "seeds", "task", "metric", "value", "low", "high", "sd", "chance", "reference")
TESTED = ("comparable", "difference", "difference_low", "difference_high", "p", "p_holm")
BOLD = r"\textbf{{{}}}"
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def rows(found: Comparison) -> list[dict[str, Any]]:
    """A row for each figure, all there is to know of it in plain values: `COLUMNS` and `TESTED`."""
    return [_plain(found, name, key) for key in found.keys for name in found.systems if (name, key) in found.cells]


def _plain(found: Comparison, name: str, key: Key) -> dict[str, Any]:
    figure, test = found.cells[name, key], found.cells[name, key].difference
    facts = (name, figure.seeds, *key, figure.value, figure.low, figure.high, figure.sd, figure.chance, found.reference)
    tested = (test.value, test.low, test.high, test.p, figure.p) if test else (None,) * 5
    return dict(zip((*COLUMNS, *TESTED), (*facts, found.comparable(name, key), *tested), strict=True))


def as_dict(found: Comparison) -> dict[str, Any]:
    """As ``--json`` prints it."""
    runs = {name: [str(run.folder) for run in system.runs] for name, system in found.systems.items()}
    return {"reference": found.reference, "level": LEVEL, "runs": runs, "notes": notes(found), "figures": rows(found)}


def as_csv(found: Comparison) -> str:
    """A line a figure, as `rows` has them; what is not known is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *TESTED], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found))
    return out.getvalue()


def as_text(found: Comparison) -> str:
    """For a screen: the tables of `blocks`, and one of the differences from the reference."""
    lines = []
    for title, columns in blocks(found).items():
        lines += [title, *_aligned(_table(found, columns, _cell)), ""]
    if tested := _differences(found):
        lines += [f"difference from {found.reference}", *_aligned(tested), ""]
    return "\n".join([*lines, *notes(found)])


def as_markdown(found: Comparison) -> str:
    """For a page: the same tables, the best figures bold."""
    lines = []
    for title, columns in blocks(found).items():
        head, *body = _table(found, columns, partial(_cell, bold="**{}**"))
        ruled = [head, ["---"] * len(head), *body]
        lines += [
            f"**{title}**",
            "",
            *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in ruled),
            "",
        ]
    return "\n".join([*lines, *(f"- {note}" for note in notes(found))]) + "\n"


def as_latex(found: Comparison) -> str:
    r"""For a paper, with ``\usepackage{booktabs}``: a tabular each, the best figures bold; the notes as comments."""
    lines = ["% \\usepackage{booktabs}", *(f"% {note}" for note in notes(found))]
    for title, columns in blocks(found).items():
        head, *body = _table(found, columns, _latex_cell, escaped)
        lines += [
            f"% {title}",
            f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
            "\\toprule",
            _latex_row(head),
            "\\midrule",
        ]
        lines += [*map(_latex_row, body), "\\bottomrule", "\\end{tabular}"]
    return "\n".join(lines) + "\n"


def blocks(found: Comparison) -> dict[str, dict[str, Key]]:
    """The columns of each table, by its title: a task's measures of one direction or tagset, kind and language.

    Where there is but one measure of each, a table has those of all.
    """
    made: dict[str, dict[str, Key]] = {}
    for task, metric in found.keys:
        path, _, measure = metric.rpartition("/")
        made.setdefault(f"{task} {path}".strip(), {})[measure] = (task, metric)
    joined: dict[str, dict[str, Key]] = {}
    for title, columns in made.items():
        (task, metric), *more = columns.values()
        joined.setdefault(title if more else task, {}).update(columns if more else {metric: (task, metric)})
    return joined


def write(found: Comparison, folder: Path) -> list[Path]:
    """All of them into a folder: comparison.csv, .tex, .md and .json."""
    made = {"csv": as_csv(found), "tex": as_latex(found), "md": as_markdown(found)}
    for suffix, text in made.items():
        write_text(folder / f"comparison.{suffix}", text)
    write_json(folder / "comparison.json", as_dict(found))
    return [folder / f"comparison.{suffix}" for suffix in (*made, "json")]


def notes(found: Comparison) -> list[str]:
    """What a reader must know: the data, the test, and what is not comparable."""
    lines = _data(found)
    several = [f"{name} {len(one.runs)}" for name, one in found.systems.items() if len(one.runs) > 1]
    if several:
        lines.append(f"means over seeds ({', '.join(several)}); the intervals are over tracks or queries, and seeds")
    lines += [*_tested(found), *_few(found)]
    return lines + [line for name in found.systems for line in _apart(found, name)]


def _tested(found: Comparison) -> list[str]:
    """What a sign says, and of which systems it speaks as of single checkpoints."""
    tests = {place: figure.difference for place, figure in found.cells.items() if figure.difference}
    if not tests:
        return []
    number = f"all {len(tests)} tests" if len(tests) > 1 else "the only test"
    lines = [
        f"{BETTER} better, {WORSE} worse than {found.reference}: paired bootstrap, p below {LEVEL} after Holm's"
        f" correction over {number} of this comparison; no sign: not told apart, or no interval and so no test"
    ]
    involved = {found.reference, *(name for name, _ in tests)}
    if single := [name for name, one in found.systems.items() if name in involved and len(one.runs) == 1]:
        lines.append(
            f"one seed: {', '.join(single)}; {BETTER} and {WORSE} speak of these checkpoints, not of other trainings of"
            " the same recipe"
        )
    return lines


def _few(found: Comparison) -> list[str]:
    """What is not tested since its units form too few groups."""
    few: dict[int, list[str]] = {}
    for key in found.keys:
        figures = {name: found.cells[name, key] for name in found.systems if found.comparable(name, key)}
        groups = min((one.groups for one in figures.values() if one.groups is not None), default=None)
        if len(figures) > 1 and groups is not None and not enough(groups):
            few.setdefault(groups, []).append(" ".join(key))
    return [f"too few groups to test: {number} ({', '.join(names)})" for number, names in few.items()]


def _apart(found: Comparison, name: str) -> list[str]:
    """What of a system cannot be compared with the reference, or not as it is."""
    lines = []
    if any(_elsewhere(found, name, key) for key in found.keys):
        lines.append(f"{ELSEWHERE} {name} was judged on other tracks or texts than {found.reference}: no test")
    tasks = dict.fromkeys(task for task, _ in found.keys)
    if other := [task for task in tasks if _other_settings(found, name, task)]:
        lines.append(f"{name} was judged with other settings than {found.reference}: {', '.join(other)}")
    own = [found.cells[name, key] for key in found.keys if (name, key) in found.cells]
    if not all(figure.judged_on for figure in own):
        lines.append(f"the seeds of {name} were judged on tracks or texts that differ: no interval, no test")
    return lines


def _elsewhere(found: Comparison, name: str, key: Key) -> bool:
    """Whether both have a metric, but of other units."""
    both = (name, key) in found.cells and (found.reference, key) in found.cells
    return both and name != found.reference and not found.comparable(name, key)


def _data(found: Comparison) -> list[str]:
    """What each system was judged on; one line where it is the same."""
    told: dict[str, list[str]] = {}
    for name, system in found.systems.items():
        for run in system.runs:
            result = run.evaluation.found
            split = result["split"]
            kind = "synthetic data, " if result.get("synthetic") else ""
            named = f"protocol {result['protocol']['name']}, " if result.get("protocol") else ""
            where = (
                f"{named}{kind}split {split['name']} ({split['hash']}), part {split['part']}, {split['tracks']} tracks"
            )
            told.setdefault(where, []).append(name)
    alone = len(told) == 1
    return [where if alone else f"{', '.join(dict.fromkeys(names))}: {where}" for where, names in told.items()]


def _other_settings(found: Comparison, name: str, task: str) -> bool:
    """Whether a task had other settings than with the reference."""
    both = [found.systems[one].runs[0].evaluation.found["tasks"].get(task) for one in (name, found.reference)]
    return None not in both and both[0]["settings"] != both[1]["settings"]


# --- cells


def _table(
    found: Comparison,
    columns: Mapping[str, Key],
    cell: Callable[[Comparison, str, Key], str],
    name: Callable[[str], str] = printable,
) -> list[list[str]]:
    """Head and rows: the systems, and chance where it is known."""
    body = [
        [name(system), *(cell(found, system, key) if (system, key) in found.cells else "" for key in columns.values())]
        for system in found.systems
        if any((system, key) in found.cells for key in columns.values())
    ]
    chances = [_number(_chance(found, key)) for key in columns.values()]
    return [["", *map(name, columns)], *body, *([["chance", *chances]] if any(chances) else [])]


def _chance(found: Comparison, key: Key) -> float | None:
    """The reference's, or the first that is known."""
    order = [found.reference, *found.systems]
    figures = [found.cells[name, key] for name in order if (name, key) in found.cells]
    return next((figure.chance for figure in figures if figure.chance is not None), None)


def _cell(found: Comparison, name: str, key: Key, bold: str = "{}") -> str:
    """Value, interval, and a sign: better, worse, or judged on something else; the best value in the form ``bold``."""
    figure = found.cells[name, key]
    bounds = f" [{_number(figure.low)}, {_number(figure.high)}]" if figure.low is not None else ""
    return f"{_value(found, name, key, bold)}{bounds}{_sign(found, name, key)}"


def _latex_cell(found: Comparison, name: str, key: Key) -> str:
    figure = found.cells[name, key]
    bounds = f" {{\\scriptsize [{_number(figure.low)}, {_number(figure.high)}]}}" if figure.low is not None else ""
    sign = _sign(found, name, key).replace(ELSEWHERE, "\\neq")
    return f"{_value(found, name, key, BOLD)}{bounds}{f'$^{{{sign}}}$' if sign else ''}"


def _value(found: Comparison, name: str, key: Key, bold: str) -> str:
    value = _number(found.cells[name, key].value)
    return bold.format(value) if name in found.best(key) else value


def _sign(found: Comparison, name: str, key: Key) -> str:
    if _elsewhere(found, name, key):
        return ELSEWHERE
    better = found.better(name, key)
    return "" if better is None else BETTER if better else WORSE


def _differences(found: Comparison) -> list[list[str]]:
    """A row for each test: the difference with its interval, and p, as it is and corrected."""
    body = []
    for (name, (_, metric)), figure in found.cells.items():
        if test := figure.difference:
            bounds = f"{test.value:+.3f} [{test.low:+.3f}, {test.high:+.3f}]"
            body.append([printable(name), metric, bounds, f"{test.p:.3f}", f"{figure.p:.3f}"])
    return [["", "metric", "difference", "p", "p (Holm)"], *body] if body else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _latex_row(row: Sequence[str]) -> str:
    return f"{' & '.join(row)} \\\\"


def escaped(text: str) -> str:
    """A text with the signs that LaTeX takes for commands escaped."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)

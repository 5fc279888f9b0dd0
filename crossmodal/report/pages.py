"""Pages of the templates beside this file, whose texts are escaped wherever they come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crossmodal.report import figures, tables

if TYPE_CHECKING:
    from crossmodal.report.space import Map


def rendered(template: str, **content: Any) -> str:
    """A template with its content; a name that it uses and that is not given is an error."""
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    """Templates are compiled once a process."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"number": figures.number, "words": tables.words, "clock": clock, "map_data": map_data}
    environment.filters |= filters
    return environment


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def map_data(found: Map) -> dict[str, Any]:
    """What the page's script needs of a map."""
    columns = [column._asdict() for column in found.columns]
    layouts = list(found.layouts.items())  # pairs, since an object's keys would be sorted
    return {"labels": found.labels, "columns": columns, "layouts": layouts}

"""Pages of the templates beside this file, whose texts are escaped wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crossmodal.report import figures, tables


def rendered(template: str, **content: Any) -> str:
    """A template with its content; a name that it uses and that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": figures.number, "words": tables.words, "clock": clock}
    return environment.get_template(template).render(**content)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

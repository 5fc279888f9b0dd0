"""What the commands share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from crossmodal.files import printable

ManifestFolder = Annotated[Path, typer.Argument(help="A manifest's folder, as `crossmodal data` writes it.")]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder, or its experiment's (the newest run then).")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
EngineName = Annotated[
    Literal["processes", "ray"], typer.Option(help="Processes of this machine, or actors of a Ray cluster.")
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option("--log-level", help="What is told, at least.")
]


def otherwise(command: str) -> type[TyperGroup]:
    """Commands of which one may be left out: ``data fma ...`` is ``data source fma ...``, with ``source`` for it."""

    class Commands(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            return super().resolve_command(ctx, args if args[0] in self.commands else [command, *args])

    return Commands


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(printable(text), flush=True)


def start_log(log: logging.Logger, level: str) -> None:
    """Write a log to stderr, from ``level`` on; what libraries say, from WARNING on."""
    logging.basicConfig(format="%(asctime)s %(levelname)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    log.setLevel(level)

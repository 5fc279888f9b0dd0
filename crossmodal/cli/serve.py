"""`crossmodal serve`: the page and the API of a run's index."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from crossmodal.cli.shared import say, start_log
from crossmodal.errors import InputError


def serve(
    home: Annotated[
        Path, typer.Argument(metavar="RUN_OR_INDEX", help="A run's folder, its experiment's, or an index's.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="The run or model that made the index; the run that it lies in unless given.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; other machines reach only another address.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CROSSMODAL_TOKEN",
            show_default=False,
            help="What clients must have; others here see it in a list of processes.",
        ),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds the token.")] = None,
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Let other machines ask without a token.")] = False,
    max_upload: Annotated[int, typer.Option(min=1, max=4096, help="Megabytes of an upload.")] = 64,
    max_duration: Annotated[float, typer.Option(min=1, max=7200, help="Seconds of music in an upload.")] = 600,
) -> None:
    """Serve a page and an API: search by words, tracks and uploads, listen, and wander in a map."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f'serving needs {error.name}: pip install "crossmodal[serve]"') from error
    from crossmodal.serve import server
    from crossmodal.serve.app import create
    from crossmodal.serve.guard import Token
    from crossmodal.serve.limits import Limits

    start_log(logging.getLogger("crossmodal.serve"), "WARNING")
    secret = _secret(token, token_file)
    key = Token(secret) if secret is not None else None
    if key is None and not open_to_all and not server.is_loopback(host):
        raise InputError(f"--host {host} lets other machines ask: give a token, or --open-to-all to do without one")
    samples = round(max_duration * 192_000 * 2)
    limits = Limits(upload_bytes=max_upload * 2**20, upload_s=max_duration, upload_samples=samples)
    socket = server.listening(host, port)
    with socket:
        served = server.open_served(home, model, limits)
        app = create(served, server.names_of(host), key)
        server.run(app, socket, limits, say, f"{len(served.catalogue.index):,} tracks of {served.name}")


def _secret(token: str | None, path: Path | None) -> str | None:
    """The token, from where it is."""
    if token is not None and path is not None:
        raise InputError("the token is given twice: by --token or CROSSMODAL_TOKEN, and by --token-file")
    if path is None:
        return token
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--token-file {path} cannot be read: {getattr(error, 'strerror', 'it is no text')}"
        ) from error

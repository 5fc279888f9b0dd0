"""The server: what it is given to serve, where it listens, and how it ends."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from crossmodal.asking import Asker
from crossmodal.errors import InputError
from crossmodal.evaluation import best_model
from crossmodal.model import DualEncoder
from crossmodal.runs import Run, find_run
from crossmodal.search import SearchIndex
from crossmodal.serve.guard import LOOPBACK
from crossmodal.serve.limits import Limits
from crossmodal.serve.protocol import bounded
from crossmodal.serve.served import Served

Say = Callable[[str], None]


def open_served(home: Path, model: Path | None = None, limits: Limits | None = None) -> Served:
    """What a folder holds: a run's index and its best model, or an index and the model of the run that it lies in.

    Args:
        home: a run's folder, its experiment's, or an index's.
        model: of a run or a saved model, where the index lies in no run.
        limits: what may be asked.

    Raises:
        InputError: there is none, or they do not belong together.
    """
    home = home.absolute()
    if not (home / "CURRENT").is_file():
        run = find_run(home)
        encoder = best_model(run) if model is None else _model(model)
        return Served(
            Asker(SearchIndex.open(run.folder.absolute() / "index"), encoder),
            run.config.name,
            run.config.queries,
            limits,
        )
    within, why = _run_of(home)
    if model is None and within is None:
        raise InputError(f"{home} is an index that lies in no run; name the run of its model with --model ({why})")
    encoder = best_model(within) if model is None and within is not None else _model(model or home)
    examples = within.config.queries if within else []
    return Served(Asker(SearchIndex.open(home), encoder), within.config.name if within else "index", examples, limits)


def _run_of(index: Path) -> tuple[Run | None, str]:
    """The run that an index lies in, or None and why there is none."""
    try:
        return find_run(index.parent), ""
    except InputError as error:
        return None, str(error)


def _model(folder: Path) -> DualEncoder:
    return DualEncoder.load(folder) if (folder / "config.json").is_file() else best_model(find_run(folder))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> frozenset[str] | None:
    """The names by which a server that listens at ``host`` may be called: None for any, unless it is a loopback."""
    return LOOPBACK | {host} if is_loopback(host) else None


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: there is no such address, or its port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"--host {host} is no address of this machine: {error.strerror}") from error
    found = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as error:
        found.close()
        raise InputError(f"{host}, port {port}: {error.strerror}; give another with --port or --host") from error
    return found


class Server(uvicorn.Server):
    """One that tells when it is ready, and ends well when it is told to.

    Args:
        say: what its first line is said with.
        line: the line.
    """

    def __init__(self, config: uvicorn.Config, say: Say, line: str) -> None:
        super().__init__(config)
        self._say, self._line = say, line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._say(self._line)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End: a first Ctrl-C or SIGTERM lets what is in work be finished, a second does not; both are no failure."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run(app: FastAPI, found: socket.socket, limits: Limits, say: Say, about: str) -> None:
    """Answer at a socket until Ctrl-C or SIGTERM."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what clients do wrong, and what is logged here already
    config = uvicorn.Config(
        app,
        http=bounded(limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(limits.linger_s),
    )
    host, port = found.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    Server(config, say, f"{address}  {about}; Ctrl-C ends").run([found])

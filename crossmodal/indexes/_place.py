"""Where an index in Milvus lies, and the connection to it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crossmodal.errors import InputError
from crossmodal.files import make_folder
from crossmodal.types import PathLike

FILE = re.compile(r"(.+\.db)(?:#([^/\\]*))?", re.DOTALL)
SERVER = re.compile(r"(https?://[^#]+)(?:#(.*))?", re.DOTALL)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
COLLECTION = "crossmodal"  # unless a location names another
TOKEN = "MILVUS_TOKEN"  # the environment variable: a token stands in no command, file or log
TIMEOUT_S = 10.0  # to connect
TALKS = ("pymilvus", "pymilvus.milvus_client", "milvus_lite", "grpc._server")  # they log what is raised as well
_OPEN: dict[str, Any] = {}  # the client of each file that this process has open: one, as its server is one


@dataclass(frozen=True)
class Place:
    """A collection in a file of this machine, or on a server.

    Attributes:
        uri: as pymilvus takes it.
        name: of the collection.
        file: of embedded Milvus; None for a server.
    """

    uri: str
    name: str
    file: Path | None

    def __str__(self) -> str:
        """As `place` takes it."""
        return self.uri if self.name == COLLECTION else f"{self.uri}#{self.name}"


def place(location: PathLike) -> Place | None:
    """What a location says: ``catalogue.db``, ``https://host:19530`` or either with ``#collection``; None for a folder.

    Raises:
        InputError: a name that Milvus does not take, or a user or token in the address.
    """
    found = SERVER.fullmatch(str(location)) or FILE.fullmatch(str(location))
    if found is None:
        return None
    address, name = found[1], COLLECTION if found[2] is None else found[2]
    if "@" in address and found.re is SERVER:
        host = urlsplit(address).hostname
        raise InputError(f"the address of {host} holds a user or a token; set the environment variable {TOKEN} instead")
    if not NAME.fullmatch(name):
        raise InputError(
            f"{address}: {name!r} is no name of a collection; valid is a letter, then letters, digits or _"
        )
    return Place(address, name, Path(address) if found.re is FILE else None)


def connected(at: Place, new: bool = False) -> Any:
    """A client of the Milvus that holds, or with ``new`` will hold, a collection.

    Raises:
        InputError: the extra is missing, there is no such file, it is another process's, or no server answers.
    """
    try:
        from pymilvus import MilvusClient
    except ModuleNotFoundError as error:
        raise InputError(f"{at} needs the extra milvus: pip install 'crossmodal[milvus]'") from error
    for name in TALKS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if at.file is None:
        with told(at):
            return MilvusClient(at.uri, token=os.environ.get(TOKEN, ""), timeout=TIMEOUT_S)
    if not new and not at.file.exists():
        raise missing(at)
    path = str(at.file.absolute())
    if path not in _OPEN:
        make_folder(at.file.absolute().parent)
        with told(at, " (another process may have it open: a file is one process's at a time)"):
            _OPEN[path] = MilvusClient(path, timeout=TIMEOUT_S)
    return _OPEN[path]


def released(at: Place, client: Any) -> None:
    """Let go of a connection, and of a file, which another process can open then; all that is open of it is closed."""
    client.close()
    if at.file is not None:
        from milvus_lite.server_manager import server_manager_instance

        _OPEN.pop(str(at.file.absolute()), None)
        server_manager_instance.release_server(str(at.file.absolute()))


def missing(at: Place) -> InputError:
    """That a place holds no index."""
    return InputError(f"{at} holds no index (no collection {at.name}); build one first")


@contextmanager
def told(at: Place, hint: str = "") -> Iterator[None]:
    """What Milvus refuses is told in a line."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        said = str(getattr(error, "message", "") or error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{at}: Milvus says: {said[0]}{hint}") from error

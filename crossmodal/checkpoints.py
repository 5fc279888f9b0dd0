"""Files of weights, read as data and never executed.

They are safetensors, arrays (.npz), or what torch saved, of which nothing but tensors and plain values is built.
Checkpoints of Lightning, which hold hyper-parameters and the names of classes too, are read with empty stand-ins in
place of those. A zip archive may hold one such file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from io import BytesIO
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from zipfile import ZipFile

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from crossmodal import __version__
from crossmodal.errors import InputError, listed
from crossmodal.files import atomic

HOLDERS = ("state_dict", "model_state_dict", "model")
"""Keys under which a file may hold its weights."""

_SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".ckpt", ".tar", ".bin")
_INERT = ("argparse", "lightning", "lightning_fabric", "numpy", "omegaconf", "pathlib", "pytorch_lightning", "typing")
_SECONDS = 30.0  # that a server may be silent


class Checkpoint(NamedTuple):
    """A file's weights by name, its path or address, and the SHA-256 of its content."""

    weights: dict[str, Tensor]
    source: str
    sha256: str


def read(source: str) -> Checkpoint:
    """The weights of a file, or of an http(s) address, which is downloaded once.

    Raises:
        InputError: the file cannot be read or downloaded, holds code, or holds no tensors by name.
    """
    path = _downloaded(source) if source.startswith(("http://", "https://")) else Path(source).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"weights.path: {path} cannot be read: {error.strerror}") from error
    return Checkpoint(_state_dict(path.name, content, source), source, hashlib.sha256(content).hexdigest())


def _state_dict(name: str, content: bytes, source: str) -> dict[str, Tensor]:
    """The named tensors of a file, wherever in it they lie."""
    try:
        held = _held(name, content)
    except InputError as error:
        raise InputError(f"{source} {error}") from error
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise InputError(f"{source} is no file of weights, or a broken one: {reason}") from error
    for key in HOLDERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
            break
    values = held.items() if isinstance(held, Mapping) else ()
    found = {name: value for name, value in values if isinstance(name, str) and isinstance(value, Tensor)}
    if not found:
        raise InputError(f"{source} holds no weights by name, neither at its top nor under {listed(HOLDERS)}")
    return found


def _held(name: str, content: bytes) -> Any:
    """Whatever a file holds; InputError says what is wrong, as the end of a sentence."""
    suffix = PurePosixPath(name).suffix
    if suffix == ".zip":
        with ZipFile(BytesIO(content)) as archive:
            inside = [each for each in archive.namelist() if each.endswith(_SUFFIXES) and "__MACOSX" not in each]
            if len(inside) != 1:
                raise InputError(f"holds {len(inside)} files of weights, not one: unpack it and give the file")
            return _held(inside[0], archive.read(inside[0]))
    if suffix == ".safetensors":
        return safetensors.torch.load(content)
    if suffix == ".npz":
        return {key: torch.from_numpy(array) for key, array in np.load(BytesIO(content), allow_pickle=False).items()}
    return _unpickled(content)


class _Inert:
    """In place of a class that a checkpoint names: takes anything, and does nothing."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __new__(cls, *_arguments: Any) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, _state: Any) -> None:
        pass


def _unpickled(content: bytes) -> Any:
    """What torch saved, read by its unpickler of weights alone, which calls nothing but what is stood in for here."""
    named = _globals(content)
    refused = [name for name in named if name.partition(".")[0] not in _INERT]
    if refused:
        raise _refusal(refused)
    # an AttributeDict is filled item by item, which torch allows for a dict
    stand_ins = {name: dict if name.endswith(".AttributeDict") else _Inert for name in named}
    with torch.serialization.safe_globals([(cls, name) for name, cls in stand_ins.items()]):
        try:
            return torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        except UnpicklingError as error:  # torch's message begins with the advice to run what the file holds
            if others := re.findall(r"GLOBAL (\S+)", str(error)):
                raise _refusal(others) from error
            raise


def _refusal(names: Sequence[str]) -> InputError:
    return InputError(
        f"holds more than weights, {listed(names, 5)}, and reading that could run anything. Where it was made, save its"
        " state_dict() alone"
    )


def _globals(content: bytes) -> list[str]:
    """Classes and functions that a file names beyond those of tensors."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(BytesIO(content)))
    except ValueError:  # of a torch before 1.6, which cannot be asked: torch itself refuses what is not stood in for
        return ["argparse.Namespace"]


def _downloaded(url: str) -> Path:
    """The file of an address in torch's cache, downloaded if it is not there."""
    name = PurePosixPath(urlsplit(url).path).name or "weights"
    path = Path(torch.hub.get_dir()) / "crossmodal" / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if not path.is_file():
        with atomic(path) as temporary:
            try:
                _download(url, temporary)
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise InputError(
                    f"{url} cannot be downloaded: {reason}; without a network, give weights.path a file"
                ) from error
    return path


def _download(url: str, path: Path) -> None:
    request = Request(url, headers={"User-Agent": f"crossmodal/{__version__}"})
    with urlopen(request, timeout=_SECONDS) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length", 0))
        with tqdm(total=total or None, desc="weights", unit="B", unit_scale=True) as bar:
            while block := answer.read(1 << 20):
                file.write(block)
                bar.update(len(block))
            if total and file.tell() < total:
                raise HTTPException(f"it ended after {file.tell():,} of {total:,} bytes")


def read_state(path: Path) -> dict[str, Any]:
    """A saved state: tensors and plain values; a file that holds anything else is refused, never executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no saved state: {reason}") from error
    if not isinstance(state, dict) or "progress" not in state:
        raise InputError(f"{path} is no saved state of crossmodal")
    return state

"""Plug-ins are files: a family is a folder of the package, a plug-in's name its file's.

A family's protocol stands in `crossmodal.types`, or where `HOMES` says; the file's one public class that inherits from
it is the plug-in. Its *settings* are the parameters of its constructor with plain types (see
`crossmodal.settings`); parameters of any other type, such as ``texts: Sequence[str]``, are given by the code. A plug-in
is imported when it is named, not before.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from crossmodal import settings as plain
from crossmodal.errors import InputError, listed, nearest

FAMILIES = {
    "datasets": "Source",
    "encoders.audio": "AudioEncoder",
    "encoders.text": "TextEncoder",
    "objectives": "Objective",
    "indexes": "Index",
    "tasks": "Task",
    "heads": "Head",
}
HOMES = {"datasets": "crossmodal.data.source", "heads": "crossmodal.heads"}


APART = {"crossmodal.indexes.milvus"}  # a place for an index, which its location names, and no kind of FAISS index


def names(family: str) -> list[str]:
    """The built-in plug-ins of a family, found without importing them."""
    if family not in FAMILIES:
        raise InputError(f"no family of plug-ins is called {family!r}; there are {listed(FAMILIES)}")
    package = import_module(f"crossmodal.{family}")
    found = (m.name for m in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if not name.startswith("_") and f"{package.__name__}.{name}" not in APART)


def find(family: str, name: str, trust: Collection[str] | None = None) -> type[Any]:
    """The class of a plug-in.

    Args:
        family: one of `FAMILIES`.
        name: a built-in plug-in, or ``"my.module:Class"`` for outside code.
        trust: outside code that may be imported; None, for a user's own experiment, allows all, and a model that is
            loaded from disk passes the caller's list, which is empty by default.

    Raises:
        InputError: no such plug-in, not trusted, not importable, or not of the family.
    """
    if ":" in name:
        return _outside(family, name, trust)
    if name not in names(family):
        known = names(family)
        raise InputError(f"{family} has no {name!r}; it has {listed(known, limit=50)}{nearest(name, known)}")
    module = _imported(f"crossmodal.{family}.{name}", family)
    classes: list[type[Any]] = [c for c in vars(module).values() if _is_of(c, family) and _defined_in(c, module)]
    if len(classes) != 1:
        raise TypeError(f"{module.__name__} must define one public {FAMILIES[family]}, not {len(classes)}")
    return classes[0]


def build(family: str, name: str, /, *, trust: Collection[str] | None = None, **arguments: Any) -> Any:
    """Build a plug-in from its settings and whatever else its constructor is given by the code.

    Raises:
        InputError: as `find`, or a setting that is unknown, missing or of the wrong type.
    """
    cls = find(family, name, trust)
    wanted = settings(cls)
    by_code = inspect.signature(cls).parameters.keys() - wanted.keys()
    given = {key: value for key, value in arguments.items() if key not in by_code}
    plain.check(f"{family} {name}", given, wanted)
    return cls(**arguments | {key: plain.converted(value, wanted[key].annotation) for key, value in given.items()})


def check(family: str, block: Mapping[str, Any], where: str | None = None) -> None:
    """Check a config's block ``{name: ..., setting: value, ...}`` against the plug-in's constructor, building nothing.

    Args:
        family: one of `FAMILIES`.
        block: the plug-in's name and its settings.
        where: what messages call the block; its family if not given.

    Raises:
        InputError: as `build`.
    """
    where = where or family
    if not isinstance(block.get("name"), str):
        raise InputError(f"{where} lacks the name of a plug-in; there are {listed(names(family), limit=50)}")
    name, known = block["name"], listed(names(family), limit=50)
    given = {key: value for key, value in block.items() if key != "name"}
    wanted = settings(find(family, name))
    plain.check(f"{where} ({name})", given, wanted, f"; {where}.name, here {name}, is one of {known}")


def check_settings(cls: type[Any], given: Mapping[str, Any], where: str) -> None:
    """Check settings against the constructor of a class, a plug-in or not; an `InputError` names ``where``."""
    plain.check(where, given, settings(cls))


def settings(cls: type[Any]) -> dict[str, plain.Setting]:
    """The settings of a class: the parameters of its constructor that have plain types."""
    scope = getattr(cls.__init__, "__globals__", {})
    found = {p.name: (p, _resolved(p.annotation, scope)) for p in inspect.signature(cls).parameters.values()}
    return {
        name: plain.Setting(annotation, parameter.default is inspect.Parameter.empty)
        for name, (parameter, annotation) in found.items()
        if plain.is_plain(annotation)
    }


def _resolved(annotation: Any, scope: dict[str, Any]) -> Any:
    """An annotation as a type; one that names what only type checkers import is not plain, and stays a string."""
    try:
        return eval(annotation, scope) if isinstance(annotation, str) else annotation
    except NameError:
        return annotation


def _outside(family: str, name: str, trust: Collection[str] | None) -> type[Any]:
    if trust is not None and name not in trust:
        wanted = f"trust=[{json.dumps(name)}]"
        raise InputError(f"{name} is code from outside the package; pass {wanted} if you trust it to run")
    path, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*path.split("."), attribute]):
        raise InputError(f"{family}: {name!r} is no name of outside code; write my.module:Class")
    cls: Any = getattr(_imported(path, family), attribute, None)
    if not _is_of(cls, family):
        protocol = _protocol(family)
        raise InputError(f"{name} is not a class that inherits from {protocol.__module__}.{protocol.__name__}")
    return cls  # type: ignore[no-any-return]


def _imported(path: str, family: str) -> ModuleType:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        raise InputError(f"{family}: {path} cannot be imported, there is no module {error.name!r}") from error


def _defined_in(cls: type[Any], module: ModuleType) -> bool:
    return cls.__module__ == module.__name__ and not cls.__name__.startswith("_")


def _is_of(value: Any, family: str) -> bool:
    """By the list of base classes: protocols that hold data cannot be asked with issubclass."""
    protocol = _protocol(family)
    return isinstance(value, type) and value is not protocol and protocol in value.__mro__


def _protocol(family: str) -> type[Any]:
    return getattr(import_module(HOMES.get(family, "crossmodal.types")), FAMILIES[family])  # type: ignore[no-any-return]


def build_block(family: str, block: Mapping[str, Any], trust: Collection[str] | None = None) -> Any:
    """Build the plug-in that a config's block ``{name: ..., setting: value, ...}`` describes; errors as `build`."""
    arguments = {key: value for key, value in block.items() if key != "name"}
    return build(family, block["name"], trust=trust, **arguments)

"""The plain types that a setting may have, checked and described in one place for configs and for plug-ins.

Plain are int, float, str, bool, None, `Path`, `Literal`, ``list[T]``, ``tuple[T, ...]``, ``dict[str, T]``, unions of
these, and any of them bounded by `Annotated` with a `Range`. An int is accepted for a float, and a bool never for an
int; a list is accepted for a tuple and a str for a path, since YAML has neither.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from crossmodal.errors import InputError, listed, nearest

T = TypeVar("T")
_NAMES = {None: "null", NoneType: "null", Any: "anything", Path: "path", dict: "mapping"}
_SCALARS = (bool, int, float, str, Path, list, tuple, dict)
_UNIONS = (Union, UnionType)
_ACCEPTED: dict[Any, Any] = {float: (int, float), tuple: (list, tuple), Path: (str, Path)}


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included; NaN and infinity are never within."""

    low: float
    high: float = math.inf

    def holds(self, value: float) -> bool:
        """Whether ``value`` is within."""
        return self.low <= value <= self.high and value != math.inf

    def __str__(self) -> str:
        return f"at least {self.low:g}" if self.high == math.inf else f"between {self.low:g} and {self.high:g}"


Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range(0)]
Share = Annotated[float, Range(0, 1)]
Amount = Annotated[float, Range(0)]
Positive = Annotated[float, Range(1e-6)]


class Setting(NamedTuple):
    """What a key of a block holds, and whether it must be given."""

    annotation: Any
    required: bool


def is_plain(annotation: Any) -> bool:
    """Whether a setting may have this type; what is not plain is given by the code, never by a config."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin is Annotated:
        return is_plain(args[0])
    if origin in _UNIONS:
        return all(is_plain(arg) for arg in args)
    if origin in (list, tuple, dict):
        return all(arg in (Any, ...) or is_plain(arg) for arg in args)
    return annotation in (*_SCALARS, None, NoneType)


def fits(value: Any, annotation: Any) -> bool:
    """Whether ``value`` is of the plain type ``annotation``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return fits(value, args[0]) and all(bound.holds(value) for bound in args[1:])
    if origin in _UNIONS:
        return any(fits(value, arg) for arg in args)
    if origin is Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if origin in (list, tuple, dict):
        return _fits_container(value, origin, args)
    return _fits_scalar(value, annotation)


def _fits_container(value: Any, origin: type, args: tuple[Any, ...]) -> bool:
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())
    if not isinstance(value, list | tuple):
        return False
    if origin is tuple and args[-1] is not ...:
        return len(value) == len(args) and all(map(fits, value, args))
    return all(fits(item, args[0]) for item in value)


def _fits_scalar(value: Any, annotation: Any) -> bool:
    if annotation in (None, NoneType):
        return value is None
    if annotation is Any or isinstance(value, bool):
        return annotation in (Any, bool)
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, _ACCEPTED.get(annotation, annotation))


def converted(value: Any, annotation: Any) -> Any:
    """A value that fits, as the type itself: an int given for a float, a list for a tuple, a str for a path."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return converted(value, args[0])
    if origin in _UNIONS:
        exact = any(type(value) in (arg, get_origin(arg)) for arg in args)
        return value if exact else converted(value, next(arg for arg in args if fits(value, arg)))
    wanted = origin or annotation
    return wanted(value) if wanted in (float, tuple, Path) else value


def describe(annotation: Any) -> str:
    """A plain type in words, as messages say it."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([describe(args[0]), *map(str, args[1:])])
    if origin in _UNIONS:
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin is dict:
        return "mapping" if args[1] is Any else f"mapping of {describe(args[1])}"
    if origin in (list, tuple):
        return f"list of {describe(args[0])}"
    return _NAMES.get(annotation) or str(annotation.__name__)


def check(where: str, values: Mapping[str, Any], settings: Mapping[str, Setting], more: str = "") -> None:
    """Raise `InputError` for the first unknown key, wrong value, or missing key of a block.

    Args:
        where: what the block is called in the message.
        values: the block.
        settings: what it may hold.
        more: what is said beside the valid keys where one is unknown.
    """
    valid = listed((f"{key} ({describe(s.annotation)})" for key, s in settings.items()), limit=50) or "none"
    for key, value in values.items():
        if key not in settings:
            raise InputError(f"{where} has no setting {key!r}; valid: {valid}{more}{nearest(key, settings)}")
        if not fits(value, settings[key].annotation):
            raise InputError(f"{where}: {_misfit(key, value, settings[key].annotation)}")
    for key, setting in settings.items():
        if setting.required and key not in values:
            raise InputError(f"{where} lacks {key} ({describe(setting.annotation)}); valid: {valid}")


def _misfit(name: str, value: Any, annotation: Any) -> str:
    """What is wrong with a value that does not fit; of a list or mapping, with the first item that does not."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is dict and isinstance(value, dict):
        for key, item in value.items():
            if not fits(key, args[0]):
                return _misfit(f"a key of {name}", key, args[0])
            if not fits(item, args[1]):
                return _misfit(f"{name}.{key}", item, args[1])
    if origin is list and isinstance(value, list | tuple):
        number, item = next((number, item) for number, item in enumerate(value) if not fits(item, args[0]))
        return _misfit(f"{name}[{number}]", item, args[0])
    finite = not isinstance(value, float) or math.isfinite(value)
    kind = _NAMES.get(type(value), type(value).__name__) if finite else "no finite number"
    return f"{name} is {reprlib.repr(value)} ({kind}), but must be {describe(annotation)}"


def built(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a dataclass, and the dataclasses within it, from a block; an `InputError` names ``where``."""
    wanted = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    hints = get_type_hints(cls, include_extras=True)
    required = {key for key, f in wanted.items() if f.default is MISSING and f.default_factory is MISSING}
    types = {key: dict if is_dataclass(hint) else hint for key, hint in hints.items()}
    check(where, values, {key: Setting(types[key], key in required) for key in wanted})
    return cls(**{key: _part(hints[key], key, value) for key, value in values.items()})


def _part(hint: Any, key: str, value: Any) -> Any:
    is_section = isinstance(hint, type) and is_dataclass(hint)
    return built(hint, value, key) if is_section else converted(value, hint)

"""Front ends: samples to features. The only code that imports torchaudio; torch itself only when one is built.

Each kind is a file, and each preset, in `crossmodal.audio.frontends.presets`, a kind with the settings of one of the
papers that experiments name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossmodal import registry
from crossmodal.audio.frontends.presets import PRESETS
from crossmodal.errors import InputError, listed

if TYPE_CHECKING:
    from crossmodal.audio.frontends.cqt import CQT as CQT
    from crossmodal.audio.frontends.log_mel import LogMel as LogMel
    from crossmodal.audio.frontends.raw import Raw as Raw
    from crossmodal.types import FrontEnd

KINDS = {"log_mel": "LogMel", "cqt": "CQT", "raw": "Raw"}
"""The class of each kind of front end, in the file of the kind's name."""


def build(frontend: str | dict[str, Any] | None, where: str = "frontend") -> FrontEnd:
    """Build a front end from what a config says of it.

    Args:
        frontend: the name of a preset or of a kind; or settings, with such a ``"name"`` unless they are of
            ``log_mel``, and which go before those of a preset; or None, for ``log_mel`` as it is by default.
        where: what messages call it.

    Raises:
        InputError: no such name or setting, a value of the wrong type, or one that the front end refuses.
    """
    given = {"name": frontend} if isinstance(frontend, str) else dict(frontend or {})
    name = given.pop("name", "log_mel")
    if not isinstance(name, str) or name not in [*KINDS, *PRESETS]:
        raise InputError(f"{where} is {name!r}; there are {listed(KINDS)}, and the presets {listed(PRESETS)}")
    settings = {"name": name, **PRESETS.get(name, {}), **given}
    cls = _class(settings.pop("name"))
    registry.check_settings(cls, settings, where)
    built: FrontEnd = cls(**settings)
    return built


def described(frontend: FrontEnd) -> dict[str, Any]:
    """Name and settings of a front end, from which `build` makes its equal.

    Raises:
        InputError: it is none of `KINDS`.
    """
    for kind, cls in KINDS.items():
        if type(frontend).__name__ == cls:
            return {"name": kind, **frontend.settings}
    raise InputError(f"{type(frontend).__name__} is no front end of the package; there are {listed(KINDS)}")


def _class(kind: str) -> type[Any]:
    found: type[Any] = getattr(import_module(f"{__name__}.{kind}"), KINDS[kind])
    return found


def __getattr__(name: str) -> Any:
    """The classes, imported when they are asked for: a config is read without torch."""
    for kind, cls in KINDS.items():
        if name == cls:
            return _class(kind)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")

"""The exception that means "the person who called can mend this", and the one that means "they wanted to stop"."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A user's mistake: bad config, bad file, bad query.

    The message is one line that says what was wrong, where (file, line, id or key), and what is valid. Commands print
    it without a traceback and exit with code 2.
    """


class SharedError(InputError):
    """A mistake that all processes of a training raise alike, so that one of them can tell it."""


class Interrupted(Exception):
    """The user (Ctrl-C) or the system (SIGTERM) stopped the work, and it is saved; the message says how to go on."""


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Join names for a message: ``a, b, c`` and, past ``limit`` of them, how many more there are."""
    items = [str(name) for name in names]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def nearest(name: object, names: Iterable[str]) -> str:
    """The end of a message on an unknown name: which of ``names`` may be meant; nothing if none is near."""
    found = get_close_matches(str(name), list(names), 1)
    return f"; did you mean {found[0]}?" if found else ""

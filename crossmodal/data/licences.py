"""What the licences of audio permit: whether a model trained on it may be put to commercial use.

Licences come as names, SPDX identifiers and addresses. Only what is known by name is judged; anything else is unknown
and counted as that. This is a help for reading tables, no legal advice: what a model owes to the works it learnt from
is a question of law that differs between countries.
"""

from __future__ import annotations

import re

import pandas as pd

from crossmodal.errors import listed

NON_COMMERCIAL = (
    r"\bnc\b|\bnon ?commercial\b",  # Creative Commons by name or address, and rightsstatements.org's NoC-NC
    r"\ball rights reserved\b",
    r"(?<!not )\bin copyright\b|\brightsstatements org\b.*\binc\b",  # use needs the owner's leave
    r"\b(research|educational|personal|evaluation|private) (use|purposes?) only\b",
    r"\bonly for (research|educational|personal|private)\b",
)
COMMERCIAL = (
    r"\bcc ?(0|zero)\b|\bpublic ?domain\b|\bpdm\b|\bpddl\b",
    r"\b(cc|creativecommons|creative commons)\b.*\b(by|attribution|sa|sharealike)\b|^(attribution|by)\b",
    r"\b(mit|isc|zlib|unlicense|0bsd|bsd|apache|artistic|wtfpl|ofl)\b",
    r"\b[al]?gpl(v?\d)?\b|\bgnu (general|lesser|affero)\b|\beupl\b|\bmpl\b",
    r"\bgfdl\b|\bodbl\b|\bodc by\b|\bfree art\b|\bartlibre\b",
)
SHARE_ALIKE = (
    r"\bsa\b|\bshare ?alike\b",
    r"\b[al]?gpl(v?\d)?\b|\bgnu (general|lesser|affero)\b|\beupl\b|\bmpl\b",
    r"\bgfdl\b|\bodbl\b|\bfree art\b|\bartlibre\b",
)
NO_DERIVATIVES = (r"\bnd\b|\bno ?deriv(ative)?s?( works)?\b",)
EMPTY = frozenset({"", "unknown", "none", "n/a", "nan", "?"})


def commercial(licence: str) -> bool | None:
    """Whether a licence permits commercial use; None if it is not known.

    A string that names several is as strict as the strictest of them.
    """
    words = _words(licence)
    if _any(NON_COMMERCIAL, words):
        return False
    return True if _any(COMMERCIAL, words) else None


def share_alike(licence: str) -> bool:
    """Whether a licence asks that what is made from the work is passed on under the same one."""
    return _any(SHARE_ALIKE, _words(licence))


def no_derivatives(licence: str) -> bool:
    """Whether a licence forbids to pass on adaptations; nobody can say yet whether a model is one."""
    return _any(NO_DERIVATIVES, _words(licence))


def summary(licences: pd.Series[str]) -> list[str]:
    """Lines that say how many tracks forbid commercial use of a model trained on them, how many are unknown, and more.

    Args:
        licences: one for each track; ``""`` where there is none.
    """
    counts = licences.str.strip().value_counts()
    names = [str(name) for name in counts.index]
    permits = {name: commercial(name) for name in names}
    return [
        *_line(counts, [name for name in names if permits[name] is False], "forbid commercial use of a model"),
        *_line(counts, [name for name in names if permits[name] is None], "do not say in known words if they allow it"),
        *_line(counts, [name for name in names if share_alike(name)], "ask to share alike"),
        *_line(counts, [name for name in names if no_derivatives(name)], "forbid to pass on adaptations"),
    ]


def _line(counts: pd.Series[int], names: list[str], does: str) -> list[str]:
    shown = listed((f"{name or 'no licence'} {counts[name]:,}" for name in names), 5)
    return [f"{int(counts[names].sum()):,} of {int(counts.sum()):,} tracks {does}: {shown}"] if names else []


def _words(licence: str) -> str:
    """Lower case, with spaces for all that is neither letter nor digit: "CC BY-NC-SA 4.0" is "cc by nc sa 4 0"."""
    lower = licence.strip().lower()
    return "" if lower in EMPTY else re.sub(r"[\W_]+", " ", lower).strip()


def _any(patterns: tuple[str, ...], words: str) -> bool:
    return any(re.search(pattern, words) for pattern in patterns)

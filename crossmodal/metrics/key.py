"""Key of a track: the weighted score of MIREX, and how many estimates stand in which relation to the truth.

Conventions: a key is written ``C# minor`` or ``Db minor``, a tonic and a mode (major, minor, other), or ``X`` for none.
The scores are those of `mir_eval.key` (Raffel et al., "mir_eval: a transparent implementation of common MIR metrics",
ISMIR 2014): 1 if the estimate is right, .5 a perfect fifth above the truth (not below), .3 the relative key, .2 the
parallel one, 0 any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

RELATIONS = {1.0: "correct", 0.5: "fifth", 0.3: "relative", 0.2: "parallel", 0.0: "other"}
TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for tonic, mode in product(TONICS, ("major", "minor")))


def scores(true: Sequence[str], estimated: Sequence[str]) -> NDArray[np.float64]:
    """The weighted score of each estimate, ``(tracks,)``.

    Raises:
        InputError: other lengths, no tracks, a word that is no key; it names the row.
    """
    if not len(true) or len(true) != len(estimated):
        raise InputError(f"there are {len(true)} true keys and {len(estimated)} estimated; valid is 1 or more, alike")
    found = []
    for row, pair in enumerate(zip(true, estimated, strict=True)):
        try:
            found.append(_score(*map(str, pair)))
        except ValueError as error:
            raise InputError(f"key, row {row}: {error}") from error
    return np.array(found)


def relations(scores: NDArray[np.float64], drawn: NDArray[np.integer] | None = None) -> dict[str, int]:
    """How many estimates are correct, a fifth off, ...; ``drawn (tracks,)`` is how often each counts."""
    each = np.ones(len(scores), dtype=np.int64) if drawn is None else drawn
    return {name: int(each[scores == score].sum()) for score, name in RELATIONS.items()}


def evaluate(true: Sequence[str], estimated: Sequence[str]) -> dict[str, float]:
    """``weighted_score``, and the share of each relation by its name."""
    found = scores(true, estimated)
    shares = {name: count / len(found) for name, count in relations(found).items()}
    return {"weighted_score": float(found.mean()), **shares}


def chance(true: Sequence[str]) -> float:
    """The weighted score that one of the 24 major and minor keys, drawn at random, is expected to have; exact."""
    return float(np.mean([_score(str(key), guess) for key in true for guess in KEYS]))


@cache
def _score(true: str, estimated: str) -> float:
    from mir_eval.key import weighted_score  # it takes seconds to load

    return float(weighted_score(true, estimated))

"""Tempo of a track, in beats per minute.

Conventions: accuracy 1 and 2 are those of Gouyon et al., "An experimental comparison of audio tempo induction
algorithms", IEEE TASLP 14(5), 2006: the share of estimates within 4 % of the tempo, and within 4 % of it or of its
half, double, third or threefold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.errors import InputError, listed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TOLERANCE = 0.04
FACTORS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)


def accuracy_1(true: ArrayLike, estimated: ArrayLike, tolerance: float = TOLERANCE) -> Bools:
    """Whether each estimate ``(tracks,)`` is within the tolerance of its tempo, the bounds included.

    Raises:
        InputError: shapes that differ, no tracks, a tempo that is not positive and finite; it names the rows.
    """
    reference, estimate = _tempi(true, "true"), _tempi(estimated, "estimated")
    return _near(reference, estimate, (1.0,), tolerance)


def accuracy_2(true: ArrayLike, estimated: ArrayLike, tolerance: float = TOLERANCE) -> Bools:
    """Likewise, of the tempo times any of `FACTORS`: errors of the metrical level are forgiven."""
    reference, estimate = _tempi(true, "true"), _tempi(estimated, "estimated")
    return _near(reference, estimate, FACTORS, tolerance)


def evaluate(true: ArrayLike, estimated: ArrayLike, tolerance: float = TOLERANCE) -> dict[str, float]:
    """``accuracy_1`` and ``accuracy_2`` of all tracks."""
    return {f.__name__: float(f(true, estimated, tolerance).mean()) for f in (accuracy_1, accuracy_2)}


def _near(true: Floats, estimated: Floats, factors: tuple[float, ...], tolerance: float) -> Bools:
    if true.shape != estimated.shape:
        raise InputError(f"there are {len(true)} true tempi and {len(estimated)} estimated; valid is as many")
    targets = true[:, None] * np.array(factors)
    # a hair beyond the bound, since 0.04 * 100 has no exact binary value
    return np.asarray((np.abs(estimated[:, None] - targets) <= (tolerance + 1e-12) * targets).any(axis=1))


def _tempi(values: ArrayLike, name: str) -> Floats:
    tempi = np.asarray(values, dtype=np.float64)
    if tempi.ndim != 1 or not tempi.size:
        raise InputError(f"{name} tempi are {tempi.shape}; valid is (tracks,)")
    if len(wrong := np.flatnonzero(~(np.isfinite(tempi) & (tempi > 0)))):
        raise InputError(f"{name} tempi must be positive and finite, but are not in the rows {listed(wrong)}")
    return tempi

"""Windows of fixed length that tile a track, so that every second of it counts once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError


class Segment(NamedTuple):
    """One window: where its sound starts and stops, and the share of the window that holds it, in ]0, 1]."""

    start: int
    stop: int
    weight: float


def segments(samples: int, window: int) -> list[Segment]:
    """Windows of ``window`` samples, or frames, one after the other; the last may be partial, and none is empty.

    Pooled by their weights they give each sample the same say: the weights times ``window`` sum to ``samples``.
    """
    if window < 1:
        raise InputError(f"window is {window}; it is at least 1")
    stops = ((start, min(start + window, samples)) for start in range(0, samples, window))
    return [Segment(start, stop, (stop - start) / window) for start, stop in stops]


def cut(audio: NDArray[np.float32], parts: Sequence[Segment], window: int) -> NDArray[np.float32]:
    """The windows ``(segments, window)`` of ``audio (samples,)``, the partial ones padded with zeros."""
    out = np.zeros((len(parts), window), np.float32)
    for row, part in zip(out, parts, strict=True):
        row[: part.stop - part.start] = audio[part.start : part.stop]
    return out

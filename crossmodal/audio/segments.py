"""Windows of fixed length that tile a track, so that every second of it counts once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Floats = NDArray[np.float32]


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


def cut(frames: Floats, hops: int, window: int) -> tuple[list[Segment], list[Floats]]:
    """The segments of a track's ``frames (frames, *shape)``, which stand for so many hops, and the frames of each.

    n hops of sound may give n + 1 frames: the last one is centred on the end, and is no segment by itself.
    """
    parts = segments(max(1, hops), window)
    return parts, [frames[part.start : part.stop + 1][:window] for part in parts]


def padded(sounds: Sequence[Floats], window: int, silence: float) -> tuple[Floats, NDArray[np.int64]]:
    """The frames of segments as a batch ``(segments, window, *shape)``, padded with silence, and how many each has."""
    batch = np.full((len(sounds), window, *sounds[0].shape[1:]), silence, np.float32)
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound
    return batch, np.array([len(sound) for sound in sounds], np.int64)

"""Sounds that tests of fingerprints and duplicates share: made of notes, no two seeds alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def music(seconds: float, seed: int = 0, rate: int = 8_000) -> NDArray[np.float32]:
    """Notes of random pitch, one every 0.2 s, over a little noise; ``(samples,)``."""
    rng = np.random.default_rng(seed)
    out = 1e-3 * rng.standard_normal(round(seconds * rate))
    for start in np.arange(0, seconds - 0.2, 0.2):
        sound = note(110 * 2 ** (rng.integers(0, 36) / 12), min(0.8, seconds - start), int(rng.integers(1 << 30)), rate)
        first = round(start * rate)
        sound = sound[: len(out) - first]
        out[first : first + len(sound)] += rng.uniform(0.3, 1) * sound
    return out.astype(np.float32)


def note(pitch: float, seconds: float, seed: int, rate: int = 8_000) -> NDArray[np.float32]:
    """A take of a note: with the pitch, its partials' levels and phases and the breath of no other take."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch *= 1 + 2e-3 * rng.standard_normal()
    partials = np.arange(1, min(12, int(0.45 * rate / pitch)) + 1)
    levels = rng.uniform(0.3, 1, len(partials)) / partials
    phases = rng.uniform(0, 6, len(partials))
    sound = np.sin(2 * np.pi * pitch * partials[:, None] * time + phases[:, None]).T @ levels
    sound += 0.02 * rng.standard_normal(len(time))
    return np.asarray(0.2 * sound * np.exp(-4 * time) * np.minimum(1, time / 0.005), np.float32)

"""Train, valid and test parts of made-up tracks, for the tests of heads."""

from __future__ import annotations

import numpy as np

from crossmodal.heads import Examples

SIZES = (90, 45, 40)


def parts(exclusive: bool, seed: int = 0, unknown: float = 0.0, distance: float = 1.5, dim: int = 6) -> list[Examples]:
    """Three parts of three tags; of independent ones a share is ``unknown``."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(3, dim)) * distance
    return [_part(rng, axes, size, exclusive, unknown) for size in SIZES]


def _part(rng: np.random.Generator, axes: np.ndarray, size: int, exclusive: bool, unknown: float) -> Examples:
    truth = (
        np.eye(3, dtype=np.int8)[np.arange(size) % 3] if exclusive else (rng.random((size, 3)) < 0.4).astype(np.int8)
    )
    features = (truth @ axes + rng.normal(size=(size, axes.shape[1])) + 5).astype(np.float32)
    truth[rng.random(truth.shape) < (0 if exclusive else unknown)] = -1
    return Examples.of_tracks(features, truth, exclusive)


def segmented(part: Examples, seed: int = 0, aggregate: str = "probabilities") -> Examples:
    """The same tracks as one to four noisy segments each, of uneven weights."""
    rng = np.random.default_rng(seed)
    track = np.repeat(np.arange(len(part.truth)), rng.integers(1, 5, len(part.truth)))
    weights = rng.random(len(track)) + 0.1
    weights /= np.bincount(track, weights)[track]
    features = part.features[track] + rng.normal(size=(len(track), part.features.shape[1])).astype(np.float32)
    return Examples(features, track, weights, part.truth, part.exclusive, aggregate)

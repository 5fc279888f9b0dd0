"""Features on one scale: mean 0 and variance 1 over what a head is fitted on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crossmodal.heads import Floats


class Standard(NamedTuple):
    """Mean and standard deviation of each dimension, ``(dim,)``; a constant one keeps its deviation of 0 as 1."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, features: Floats) -> Standard:
        """Of rows, ``(rows, dim)``."""
        mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        constant = deviation <= 1e-6 * np.abs(mean)  # what is left of a constant in float32
        return cls(mean.astype(np.float32), np.where(constant, 1, deviation).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """Features on that scale, float32."""
        return np.asarray((features - self.mean) / self.deviation, dtype=np.float32)

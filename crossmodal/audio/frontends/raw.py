"""The waveform itself, for encoders that learn their own filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.audio.frontends._framing import Base


class Raw(Base):
    """No front end: a frame is a sample of each channel, and silence is 0.

    Args:
        sample_rate: Hz.
        channels: 1 for the mean of a file's channels, 2 for left and right.
    """

    silence = 0.0
    centres = ()

    def __init__(self, sample_rate: int = 22_050, channels: Literal[1, 2] = 1) -> None:
        super().__init__(sample_rate, channels, {"sample_rate": sample_rate, "channels": channels})

    @property
    def frame_rate(self) -> float:
        """Samples per second."""
        return float(self.sample_rate)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one frame: ``(channels,)``."""
        return (self.channels,)

    def frames(self, samples: int) -> int:
        """The number of frames that so many samples give: as many."""
        return samples

    def hops(self, frames: int) -> int:
        """The steps that so many frames stand for: as many, since a sample lasts until the next."""
        return frames

    def power(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The square of samples ``(samples, channels)``, the mean of the channels: ``(samples,)``."""
        return np.asarray(np.square(features, dtype=np.float64).mean(axis=1))

    def forward(self, samples: Tensor) -> Tensor:
        """Samples ``(..., channels, samples)`` in [-1, 1] to ``(..., samples, channels)``, float32."""
        self.check(samples.shape)
        return samples.float().transpose(-2, -1)

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Blocks ``(channels, samples)`` to blocks ``(samples, channels)``."""
        for block in blocks:
            self.check(block.shape)
            yield block.T

"""Samples in memory, treated as those of a file: checked, mixed and resampled by the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.audio.decode import LONGEST_S, Floats, OpenAudio
from crossmodal.audio.soundness import MOST_CHANNELS, AudioError, check_header
from crossmodal.types import FrontEnd


class Waveform:
    """An array as a `crossmodal.audio.codec.AudioFile`.

    Args:
        samples: in [-1, 1], ``(samples,)`` or ``(channels, samples)``; any real floats.
        sample_rate: of the samples, in Hz.
        name: what messages call it.

    Raises:
        AudioError: the array is of another shape or type.
    """

    format, extra_info = "", ""

    def __init__(self, samples: ArrayLike, sample_rate: int, name: str = "waveform") -> None:
        array = np.asarray(samples)
        if not np.issubdtype(array.dtype, np.floating):
            raise AudioError(name, f"is of {array.dtype}; samples are floats in [-1, 1]")
        if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= len(array) <= MOST_CHANNELS):
            raise AudioError(name, f"is (samples,) or (channels, samples), not {array.shape}")
        self._frames: NDArray[np.float32] = np.atleast_2d(array).T.astype(np.float32)
        self.samplerate, self.channels, self.frames = int(sample_rate), self._frames.shape[1], len(self._frames)
        self._position = 0

    def seek(self, frame: int, /) -> int:
        """See `AudioFile`."""
        self._position = frame
        return frame

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> NDArray[np.float32]:
        """See `AudioFile`."""
        start, self._position = self._position, min(self._position + frames, self.frames)
        return self._frames[start : self._position]

    def close(self) -> None:
        """There is nothing to let go of."""


def waveform_features(samples: ArrayLike, sample_rate: int, frontend: FrontEnd, name: str = "waveform") -> Floats:
    """The front end's features of samples in memory, as `crossmodal.audio.decode.features_of` gives those of a file.

    Raises:
        AudioError: what no file may be either: silence, NaN, less than 0.1 s, an impossible rate; or see `Waveform`.
    """
    wave = Waveform(samples, sample_rate, name)
    check_header(Path(name), wave)
    blocks = OpenAudio(Path(name), wave).blocks(frontend.sample_rate, frontend.channels, longest_s=LONGEST_S)
    return np.concatenate(list(frontend.stream(blocks)))

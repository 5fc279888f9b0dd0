"""What soundfile does not read (m4a, aac, wma, webm ...), by way of torchcodec, which is optional."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class AudioFile(Protocol):
    """The part of `soundfile.SoundFile` that decoding uses."""

    samplerate: int
    channels: int
    frames: int
    format: str
    extra_info: str

    def seek(self, frame: int, /) -> int:
        """Read from ``frame`` on."""
        ...

    def read(self, frames: int, dtype: str, always_2d: bool) -> NDArray[np.float32]:
        """The next ``frames`` of them, ``(frames, channels)``; fewer, or none, at the end."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class CodecFile:
    """An `AudioFile` open in torchcodec.

    Raises:
        ImportError: torchcodec is not installed.
        RuntimeError, ValueError: torchcodec cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        from torchcodec.decoders import AudioDecoder

        self.format, self.extra_info = "", ""
        self._decoder = AudioDecoder(str(path))
        about = self._decoder.metadata
        self.samplerate = int(about.sample_rate)
        self.channels = int(about.num_channels)
        self.frames = round((about.duration_seconds or 0.0) * self.samplerate)
        self._position = 0

    def seek(self, frame: int) -> int:
        """See `AudioFile`."""
        self._position = frame
        return frame

    def read(self, frames: int, dtype: str, always_2d: bool) -> NDArray[np.float32]:
        """See `AudioFile`."""
        stop = min(self._position + frames, self.frames)
        if stop <= self._position:
            return np.zeros((0, self.channels), np.float32)
        found = self._decoder.get_samples_played_in_range(self._position / self.samplerate, stop / self.samplerate)
        self._position = stop
        return np.ascontiguousarray(found.data.numpy().T, np.float32)

    def close(self) -> None:
        """See `AudioFile`."""
        del self._decoder

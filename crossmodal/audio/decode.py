"""Audio files to samples: decoded block by block, downmixed, resampled; bad audio is an `AudioError` that says why.

Blocks bound the memory: a file of two hours takes no more than one of ten seconds, unless its samples are asked for
as a whole, which a limit bounds. Headers lie: nothing is read beyond what one declares, and what it declares is judged
before anything is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from crossmodal.audio.codec import AudioFile, CodecFile
from crossmodal.audio.soundness import LOUDEST, check_file, check_header, check_whole
from crossmodal.audio.soundness import QUIETEST as QUIETEST
from crossmodal.audio.soundness import RATES as RATES
from crossmodal.audio.soundness import SHORTEST_S as SHORTEST_S
from crossmodal.audio.soundness import AudioError as AudioError
from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.types import FrontEnd

Floats = NDArray[np.float32]
Channels = Literal[1, 2]

BLOCK = 1 << 19  # native frames decoded at a time, 12 s at 44.1 kHz: few calls, and little memory
WIDE = 8  # channels of such a block; with more of them it has fewer frames
LONGEST_S = 6 * 3600.0  # of what is held in memory at once: the samples at 22,050 Hz are 2 GB
CODECS = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".ac3", ".amr", ".wv", ".ape"})
MP3_BEFORE_S = 1.5  # 511 bytes, the most that a frame borrows, at the lowest bit rate


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says: seconds, Hz, channels, frames."""

    duration: float
    sample_rate: int
    channels: int
    frames: int


def probe(path: str | Path, longest_s: float = math.inf) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: it cannot be read, is empty, not audio, shorter than 0.1 s or longer than ``longest_s``, does not
            say how long it is, or has an impossible sample rate or number of channels.
    """
    with opened(path) as audio:
        audio.check_length(audio.info.duration, longest_s)
        return audio.info


def decode(
    path: str | Path,
    sample_rate: int,
    channels: Channels = 1,
    start_s: float = 0.0,
    stop_s: float | None = None,
    longest_s: float = LONGEST_S,
) -> Floats:
    """The samples ``(channels, samples)`` of a file, or of the stretch between two times in seconds.

    See `blocks`, which it joins.
    """
    found = [np.zeros((channels, 0), np.float32), *blocks(path, sample_rate, channels, start_s, stop_s, longest_s)]
    return np.concatenate(found, axis=1)


def features_of(
    path: str | Path, frontend: FrontEnd, stop_s: float | None = None, longest_s: float = LONGEST_S
) -> Floats:
    """The front end's features of a file up to ``stop_s``, ``(frames, *shape)``.

    Raises:
        AudioError: see `blocks`.
    """
    samples = blocks(path, frontend.sample_rate, frontend.channels, stop_s=stop_s, longest_s=longest_s)
    return np.concatenate(list(frontend.stream(samples)))


def blocks(
    path: str | Path,
    sample_rate: int,
    channels: Channels = 1,
    start_s: float = 0.0,
    stop_s: float | None = None,
    longest_s: float = math.inf,
) -> Iterator[Floats]:
    """The samples of a file in blocks ``(channels, samples)`` at ``sample_rate``, which join without a seam.

    One channel is the mean of all. Two are left and right, or twice the mean where the file has not two.

    Args:
        path: of the file.
        sample_rate: of the samples, in Hz.
        channels: of the samples.
        start_s: where the stretch begins; past the end it is empty.
        stop_s: where it ends; at the file's end if None.
        longest_s: seconds that it may have; more are refused before anything is read.

    Raises:
        AudioError: as `probe`, or the file is truncated, holds values that are no sound, or, read as a whole, is
            silent, or the stretch is longer than ``longest_s``.
        InputError: times that are negative or no numbers.
    """
    with opened(path) as audio:
        yield from audio.blocks(sample_rate, channels, start_s, stop_s, longest_s)


@dataclass(frozen=True)
class OpenAudio:
    """An audio file that `opened` has open."""

    path: Path
    file: AudioFile

    @property
    def info(self) -> AudioInfo:
        """What its header says."""
        file = self.file
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, file.frames)

    def blocks(
        self,
        sample_rate: int,
        channels: Channels = 1,
        start_s: float = 0.0,
        stop_s: float | None = None,
        longest_s: float = math.inf,
    ) -> Iterator[Floats]:
        """As the function `blocks`, once."""
        file = self.file
        start = self._frame(start_s)
        stop = file.frames if stop_s is None else self._frame(stop_s)
        self.check_length((stop - start) / file.samplerate, longest_s)
        native = _checked(self.path, file, start, stop, channels)
        return _resampled(native, file.samplerate, sample_rate, channels)

    def check_length(self, seconds: float, longest_s: float) -> None:
        """Raise `AudioError` if that is too much to be read."""
        if seconds > longest_s:
            raise AudioError(self.path, f"has {seconds:.0f} s to be read; at most {longest_s:g} s are read at once")

    def _frame(self, seconds: float) -> int:
        if not seconds >= 0:
            raise InputError(f"{self.path}: a stretch begins and ends at 0 s or later, not at {seconds} s")
        return round(min(seconds, self.info.duration) * self.file.samplerate)


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """One whose ``read`` does not seek to where it is already, which makes an mp3 decode the same frames again."""

    def seekable(self) -> bool:
        """No; `seek` works all the same."""
        return False


@contextmanager
def opened(path: str | Path) -> Iterator[OpenAudio]:
    """An audio file, open until the block ends, for those who want its header and its samples.

    Raises:
        AudioError: as `probe`.
    """
    path = Path(path)
    check_file(path)
    try:
        file: AudioFile = _SoundFile(os.fsencode(path.absolute()))  # names need not be UTF-8, and "-" would be stdin
    except soundfile.LibsndfileError as error:
        file = _open_codec(path, error)
    except TypeError as error:  # by its suffix, whatever it holds
        raise AudioError(path, "is raw, without a header that says its rate; write it as wav") from error
    try:
        check_header(path, file)
        yield OpenAudio(path, file)
    finally:
        file.close()


def _open_codec(path: Path, problem: Exception) -> CodecFile:
    if path.suffix.lower() not in CODECS:
        raise AudioError(path, "is not audio, or its header is broken; wav, flac, ogg, opus and mp3 are") from problem
    try:
        return CodecFile(path)
    except ImportError as error:
        raise AudioError(path, f'{path.suffix} needs torchcodec: pip install "crossmodal[decode]"') from error
    except (RuntimeError, ValueError, OSError) as error:
        raise AudioError(path, f"torchcodec cannot read it: {str(error).strip().splitlines()[0]}") from error


def _checked(path: Path, file: AudioFile, start: int, stop: int, channels: Channels) -> Iterator[Floats]:
    """The mixed blocks ``(frames, channels)`` from ``start`` to ``stop``, with what only reading can tell checked."""
    with _telling(path, file, start):
        _seek(file, start)
    peak, position = 0.0, start
    most = BLOCK * WIDE // max(WIDE, file.channels)
    while position < stop:
        with _telling(path, file, position):
            block = file.read(min(most, stop - position), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        mixed = _mixed(block, channels)
        high, low = float(mixed.max()), float(mixed.min())  # both are NaN if there is one
        if not (np.isfinite(high) and np.isfinite(low)):
            raise AudioError(path, f"holds NaN or infinite values after {position / file.samplerate:.1f} s")
        if (peak := max(peak, high, -low)) > LOUDEST:
            raise AudioError(path, f"holds values of {peak:.1g} times full scale, which are no sound")
        position += len(block)
        yield mixed
    if stop == file.frames:
        check_whole(path, file, position)
    if (start, stop) == (0, file.frames) and peak < QUIETEST:
        raise AudioError(path, f"is silent (its peak is {peak:.1g} of full scale)")


def _seek(file: AudioFile, start: int) -> None:
    """Go to a frame; in an mp3, whose frames borrow bits from those before, by way of decoding those."""
    before = min(start, round(MP3_BEFORE_S * file.samplerate)) if file.format == "MP3" else 0
    if start > before:
        file.seek(start - before)
    if before:
        file.read(before, dtype="float32", always_2d=True)


@contextmanager
def _telling(path: Path, file: AudioFile, position: int) -> Iterator[None]:
    """What a decoder says of damage, as an `AudioError` with its place."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        seconds = f"{position / file.samplerate:.2f} of {file.frames / file.samplerate:.2f} s"
        raise AudioError(path, f"is truncated or damaged after {seconds}") from error


def _mixed(block: Floats, channels: Channels) -> Floats:
    """``(frames, native channels)`` to ``(frames, channels)``."""
    if block.shape[1] == channels:
        return block
    # no matrix product: BLAS would wake a thread for every core, in every worker process
    with np.errstate(over="ignore", invalid="ignore"):  # they are told afterwards
        mean = (reduce(np.add, block.T) * np.float32(1 / block.shape[1]))[:, None]
    return mean if channels == 1 else np.repeat(mean, 2, axis=1)


def _resampled(native: Iterator[Floats], rate: int, sample_rate: int, channels: int) -> Iterator[Floats]:
    if rate == sample_rate:
        yield from (block.T for block in native)
        return
    stream = soxr.ResampleStream(rate, sample_rate, channels, dtype="float32", quality="HQ")
    for block in native:
        yield stream.resample_chunk(block).T
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T

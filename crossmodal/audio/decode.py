"""Audio files to samples: decoded block by block, downmixed, resampled; bad audio is an `AudioError` that says why.

Blocks bound the memory: a file of two hours takes no more than one of ten seconds, unless its samples are asked for
as a whole.
"""

from __future__ import annotations

import re
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
from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.types import FrontEnd

Floats = NDArray[np.float32]
Channels = Literal[1, 2]

BLOCK = 1 << 19  # native frames decoded at a time, 12 s at 44.1 kHz: few calls, and little memory
SHORTEST_S = 0.1
QUIETEST = 1e-4  # a peak below it, -80 dBFS, is silence: dither, not music
RATES = (4_000, 384_000)  # Hz; a header that says otherwise is broken
CODECS = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".ac3", ".amr", ".wv", ".ape"})
SIZES = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")  # libsndfile tells of a short wav only in its log
STREAMED = 2**31 * 0.99  # bytes; a wav written to a pipe declares this much or more, since it could not know better
MP3_BEFORE_S = 1.5  # 511 bytes, the most that a frame borrows, at the lowest bit rate
OGG_PAGE = 65_536  # bytes that surely hold the head of the last page of an Ogg stream


class AudioError(InputError):
    """Audio that cannot be used; the message names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        """Pickle by path and reason, so that a worker process can hand it over."""
        return AudioError, (str(self).removesuffix(f": {self.reason}"), self.reason)


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says: seconds, Hz, channels, frames."""

    duration: float
    sample_rate: int
    channels: int
    frames: int


def probe(path: str | Path) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: it is missing, empty, not audio, shorter than 0.1 s, or has an impossible sample rate.
    """
    with opened(path) as audio:
        return audio.info


def decode(
    path: str | Path, sample_rate: int, channels: Channels = 1, start_s: float = 0.0, stop_s: float | None = None
) -> Floats:
    """The samples ``(channels, samples)`` of a file, or of the stretch between two times in seconds.

    See `blocks`, which it joins.
    """
    found = [np.zeros((channels, 0), np.float32), *blocks(path, sample_rate, channels, start_s, stop_s)]
    return np.concatenate(found, axis=1)


def features_of(path: str | Path, frontend: FrontEnd, stop_s: float | None = None) -> Floats:
    """The front end's features of a file up to ``stop_s``, ``(frames, *shape)``.

    Raises:
        AudioError: see `blocks`.
    """
    return np.concatenate(list(frontend.stream(blocks(path, frontend.sample_rate, frontend.channels, stop_s=stop_s))))


def blocks(
    path: str | Path, sample_rate: int, channels: Channels = 1, start_s: float = 0.0, stop_s: float | None = None
) -> Iterator[Floats]:
    """The samples of a file in blocks ``(channels, samples)`` at ``sample_rate``, which join without a seam.

    One channel is the mean of all. Two are left and right, or twice the mean where the file has not two.

    Raises:
        AudioError: as `probe`, or the file is truncated, holds NaN or infinite values, or, read as a whole, is silent.
    """
    with opened(path) as audio:
        yield from audio.blocks(sample_rate, channels, start_s, stop_s)


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
        self, sample_rate: int, channels: Channels = 1, start_s: float = 0.0, stop_s: float | None = None
    ) -> Iterator[Floats]:
        """As the function `blocks`, once."""
        file = self.file
        start = min(round(start_s * file.samplerate), file.frames)
        stop = file.frames if stop_s is None else min(round(stop_s * file.samplerate), file.frames)
        native = _checked(self.path, file, start, stop, channels)
        return _resampled(native, file.samplerate, sample_rate, channels)


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
    if not path.is_file():
        raise AudioError(path, "there is no such file" if not path.exists() else "is not a file")
    if path.stat().st_size == 0:
        raise AudioError(path, "is empty (0 bytes)")
    try:
        file: AudioFile = _SoundFile(path)
    except soundfile.LibsndfileError as error:
        file = _open_codec(path, error)
    try:
        _check_header(path, file)
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


def _check_header(path: Path, file: AudioFile) -> None:
    low, high = RATES
    if not low <= file.samplerate <= high:
        raise AudioError(path, f"its header says {file.samplerate} Hz; valid is {low} to {high} Hz")
    if file.frames == 0:
        raise AudioError(path, "holds no samples")
    if (duration := file.frames / file.samplerate) < SHORTEST_S:
        raise AudioError(path, f"lasts {duration:.3f} s; at least {SHORTEST_S} s are needed")


def _checked(path: Path, file: AudioFile, start: int, stop: int, channels: Channels) -> Iterator[Floats]:
    """The mixed blocks ``(frames, channels)`` from ``start`` to ``stop``, with what only reading can tell checked."""
    _seek(file, start)
    peak, position = 0.0, start
    while position < stop:
        block = _read(path, file, position, stop)
        if len(block) == 0:
            break
        mixed = _mixed(block, channels)
        high, low = float(mixed.max()), float(mixed.min())  # both are NaN if there is one
        if not (np.isfinite(high) and np.isfinite(low)):
            raise AudioError(path, f"holds NaN or infinite values after {position / file.samplerate:.1f} s")
        peak = max(peak, high, -low)
        position += len(block)
        yield mixed
    if stop == file.frames:
        _check_whole(path, file, position)
    if (start, stop) == (0, file.frames) and peak < QUIETEST:
        raise AudioError(path, f"is silent (its peak is {peak:.1g} of full scale)")


def _seek(file: AudioFile, start: int) -> None:
    """Go to a frame; in an mp3, whose frames borrow bits from those before, by way of decoding those."""
    before = min(start, round(MP3_BEFORE_S * file.samplerate)) if file.format == "MP3" else 0
    if start > before:
        file.seek(start - before)
    if before:
        file.read(before, dtype="float32", always_2d=True)


def _read(path: Path, file: AudioFile, position: int, stop: int) -> Floats:
    try:
        return file.read(min(BLOCK, stop - position), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        seconds = f"{position / file.samplerate:.2f} of {file.frames / file.samplerate:.2f} s"
        raise AudioError(path, f"is truncated or damaged after {seconds}") from error


def _check_whole(path: Path, file: AudioFile, read: int) -> None:
    """Compare what the file declares with what was read; an mp3 without a header only guesses, to about 1 %."""
    if read < file.frames * 0.99 - 0.1 * file.samplerate:
        raise AudioError(path, f"is truncated: it declares {file.frames} frames and holds {read}")
    if (sizes := SIZES.search(file.extra_info)) and int(sizes[2]) < int(sizes[1]) * 0.99 < STREAMED:
        raise AudioError(path, f"is truncated: it declares {sizes[1]} bytes of samples and holds {sizes[2]}")
    if file.format == "OGG" and not _ogg_ends(path):
        raise AudioError(path, f"is truncated: its last page, after {read} frames, is not marked as the last")


def _ogg_ends(path: Path) -> bool:
    """Whether the last page of an Ogg file has the end-of-stream flag (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & 4)


def _mixed(block: Floats, channels: Channels) -> Floats:
    """``(frames, native channels)`` to ``(frames, channels)``."""
    if block.shape[1] == channels:
        return block
    # no matrix product: BLAS would wake a thread for every core, in every worker process
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

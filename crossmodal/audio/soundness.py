"""Why an audio file cannot be used: what is no file, a header that cannot be true, less sound than declared."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from crossmodal.audio.codec import AudioFile
from crossmodal.errors import InputError

MOST_CHANNELS = 64  # ambisonics of the seventh order; libsndfile reads 1,024, each of which takes memory and time
SHORTEST_S = 0.1
QUIETEST = 1e-4  # a peak below it, -80 dBFS, is silence: dither, not music
LOUDEST = 1e6  # a peak above it, 120 dBFS, is no sound; its power would not fit into float32
RATES = (4_000, 384_000)  # Hz; a header that says otherwise is broken
SIZES = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")  # libsndfile tells of a short wav only in its log
STREAMED = 2**31 * 0.99  # bytes; a wav written to a pipe declares this much or more, since it could not know better
UNKNOWN = 2**63 - 1  # frames, as libsndfile tells
OGG_PAGE = 65_536  # bytes that surely hold the head of the last page of an Ogg stream


class AudioError(InputError):
    """Audio that cannot be used; the message names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        """Pickle by path and reason, so that a worker process can hand it over."""
        return AudioError, (str(self).removesuffix(f": {self.reason}"), self.reason)


def check_file(path: Path) -> None:
    """Refuse what is no file, before it is opened: a pipe would not let go."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            path.open("rb").close()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise AudioError(path, "there is no such file" if missing else f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in its name
        raise AudioError(path, "there is no such file") from error
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(path, "is not a file")
    if found.st_size == 0:
        raise AudioError(path, "is empty (0 bytes)")


def check_header(path: Path, file: AudioFile) -> None:
    """Refuse what a header says that no music has, before anything is read."""
    low, high = RATES
    if not low <= file.samplerate <= high:
        raise AudioError(path, f"its header says {file.samplerate} Hz; valid is {low} to {high} Hz")
    if file.channels > MOST_CHANNELS:
        raise AudioError(path, f"its header says {file.channels} channels; valid is 1 to {MOST_CHANNELS}")
    if file.frames == UNKNOWN:
        raise AudioError(path, "does not say how long it is, as it was written to a pipe; encode it again, to a file")
    if file.frames == 0:
        raise AudioError(path, "holds no samples")
    if (duration := file.frames / file.samplerate) < SHORTEST_S:
        raise AudioError(path, f"lasts {duration:.3f} s; at least {SHORTEST_S} s are needed")


def check_whole(path: Path, file: AudioFile, read: int) -> None:
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

"""The seconds of a track that the page plays, inside the page itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import soundfile

from crossmodal.audio.decode import AudioError, decode

SAMPLE_RATE = 24_000
SECONDS = 8.0
LIMIT = 6_000_000  # characters of audio in the report


@dataclass
class Excerpts:
    """What of a page's room for sound is left, in characters; the same excerpt is read once, and paid for each time."""

    left: int

    def __post_init__(self) -> None:
        self._read: dict[tuple[Path, float, float], str] = {}

    def of(self, path: Path, start: float, end: float) -> tuple[str | None, str]:
        """The address of an excerpt; or None, and why there is none."""
        if self.left <= 0:
            return None, "left out to keep this page small"
        key = path, start, end
        try:
            if key not in self._read:
                self._read[key] = data_uri(path, start, end)
        except AudioError as error:
            return None, error.reason
        self.left -= len(self._read[key])
        return self._read[key], ""


def data_uri(path: Path, start: float, end: float, compression: float | None = None) -> str:
    """A stretch of audio as a ``data:`` address: mono MP3, which every browser plays; at most `SECONDS` of it.

    ``compression`` is from 0, large and good, to below 1; the encoder's own choice, 5.3 kB a second, unless given.

    Raises:
        AudioError: the file cannot be decoded, or ends before the stretch begins.
    """
    audio = decode(path, SAMPLE_RATE, start_s=start, stop_s=min(end, start + SECONDS))
    if audio.size == 0:
        raise AudioError(path, f"ends before {start:g} s")
    how = {} if compression is None else {"compression_level": compression}
    file = BytesIO()
    soundfile.write(file, audio[0].clip(-1, 1), SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", **how)
    return "data:audio/mpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")

"""The seconds of a track that the page plays, inside the page itself."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import soundfile

from crossmodal.audio.decode import AudioError, decode

SAMPLE_RATE = 24_000
SECONDS = 8.0


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

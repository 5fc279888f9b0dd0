"""The work of listening to a track once: how it decodes, how long and how loud it is, and its fingerprint."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr

from crossmodal.audio import fingerprint
from crossmodal.audio.decode import AudioError, Channels, Floats, OpenAudio, opened
from crossmodal.audio.loudness import Meter
from crossmodal.data.work import Job, Work, Worker, Write

Kind = Literal["ok", "missing", "silent", "too short", "corrupt"]
KINDS: dict[str, Kind] = {"there is no such file": "missing", "is not a file": "missing", "is empty": "missing"}
KINDS |= {"is silent": "silent", "lasts": "too short", "holds no samples": "too short"}  # by how a reason begins


@dataclass
class Note:
    """What was found about a file; what is not known is NaN, 0 or "".

    Attributes:
        status: "ok", or the reason why it cannot be used.
        kind: of the reason, in a word or two.
        duration_s: what was decoded, up to where it broke.
        header_duration_s: what the header says.
        sample_rate: Hz.
        declared_sample_rate: what the manifest says, Hz.
        channels: of the file.
        format: of the file, by libsndfile's names.
        subtype: the same.
        loudness_lufs: integrated; NaN if shorter than 0.4 s.
        peak_dbfs: of the samples.
        sha256: of the file's bytes; "" if there are none.
    """

    status: str = "ok"
    kind: Kind = "ok"
    duration_s: float = math.nan
    header_duration_s: float = math.nan
    sample_rate: int = 0
    declared_sample_rate: int = 0
    channels: int = 0
    format: str = ""
    subtype: str = ""
    loudness_lufs: float = math.nan
    peak_dbfs: float = math.nan
    sha256: str = ""


@dataclass(frozen=True)
class Listening(Work):
    """Decode each track once, as it is; its note is a `Note`, its rows are its landmarks, hash and frame.

    A track that cannot be used is not skipped: its note says why.
    """

    name = "ledger"

    @property
    def identity(self) -> dict[str, Any]:
        """The versions of the note and of the fingerprint."""
        return {"note": 1, "fingerprint": fingerprint.VERSION}

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of hashes and frames."""
        return np.dtype("<u4")

    @property
    def shape(self) -> tuple[int, ...]:
        """Hash and frame."""
        return (2,)

    def start(self) -> Worker:
        """The function that listens to one track."""
        return listen


def listen(job: Job, write: Write) -> dict[str, Any]:
    """Write a track's landmarks, and return its note as JSON."""
    note = Note(declared_sample_rate=job.sample_rate)
    try:
        note.sha256 = _sha256(Path(job.path))
        with opened(job.path) as audio:
            samples = _heard(audio, note)
        write(np.stack(fingerprint.fingerprint(samples), axis=1))
    except AudioError as error:
        note.status = error.reason
        note.kind = next((kind for begins, kind in KINDS.items() if error.reason.startswith(begins)), "corrupt")
    return asdict(note)


def _sha256(path: Path) -> str:
    """The hash of a file; an empty or missing one has none: it is no duplicate of others like it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if path.stat().st_size else ""
    except (FileNotFoundError, IsADirectoryError):
        return ""  # decoding it says why
    except OSError as error:
        raise AudioError(path, f"cannot be read: {error.strerror}") from error


def _heard(audio: OpenAudio, note: Note) -> Floats:
    """Decode all of a file, fill in the note, and return the samples that fingerprints are made of."""
    info, channels = audio.info, _channels(audio.info.channels)
    note.header_duration_s, note.sample_rate, note.channels = info.duration, info.sample_rate, info.channels
    note.format, note.subtype = audio.file.format, getattr(audio.file, "subtype", "")
    meter = Meter(info.sample_rate, channels)
    stream = soxr.ResampleStream(info.sample_rate, fingerprint.RATE, 1, dtype="float32", quality="HQ")
    heard, frames = [], 0
    try:
        for block in audio.blocks(info.sample_rate, channels):
            meter.add(block)
            heard.append(stream.resample_chunk(block.mean(axis=0)))
            frames += block.shape[1]
    finally:  # also of a file that breaks off
        note.duration_s = frames / info.sample_rate
        note.loudness_lufs, note.peak_dbfs = meter.loudness_lufs, meter.peak_dbfs
    return np.concatenate([*heard, stream.resample_chunk(np.zeros(0, np.float32), last=True)])


def _channels(channels: int) -> Channels:
    return 1 if channels == 1 else 2

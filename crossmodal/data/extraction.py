"""The features of a manifest's tracks: extracted by any number of processes, then merged into one store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from crossmodal.audio import frontends
from crossmodal.audio.decode import QUIETEST, AudioError, AudioInfo, Floats, OpenAudio, opened
from crossmodal.data.engine import ALONE, Engine, run
from crossmodal.data.manifest import Manifest
from crossmodal.data.merging import Lengths, merge
from crossmodal.data.store import FeatureStore
from crossmodal.data.work import Job, Work, Worker, Write
from crossmodal.errors import InputError
from crossmodal.files import remove, write_skipped
from crossmodal.types import FrontEnd

TOLERANCE_S = 1.0  # a table's duration may be rounded to seconds
TOLERANCE = 0.05  # and yet shows a file of 48 kHz whose header says 44.1


@dataclass(frozen=True)
class Features(Work):
    """The work of extracting features, frame by frame.

    Attributes:
        frontend: name and settings of the front end, as `crossmodal.audio.frontends.described` gives them.
        precision: bits of a stored value.
        offset_s: where reading begins, in seconds; a track that then has no ``max_duration_s`` left is read from its
            beginning.
        max_duration_s: what follows after so many seconds is not read.
        lengths: whether tracks are cropped and padded to one number of frames.
    """

    frontend: dict[str, Any]
    precision: Literal[16, 32] = 16
    offset_s: float = 0.0
    max_duration_s: float | None = None
    lengths: Lengths = field(default_factory=Lengths)

    name = "features"

    @classmethod
    def restored(cls, identity: dict[str, Any]) -> Features:
        """The work of an `identity` that was read from a file."""
        try:
            return cls(**identity | {"lengths": Lengths(**identity["lengths"])})
        except (KeyError, TypeError) as error:
            raise InputError("the shards were not extracted as features, or by another version") from error

    @property
    def identity(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a stored value."""
        return np.dtype(f"<f{self.precision // 8}")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of a frame."""
        return frontends.build(self.frontend).shape

    def start(self) -> Worker:
        """The function that writes the frames of one track."""
        frontend = frontends.build(self.frontend)
        kind = torch.float16 if self.precision == 16 else torch.float32

        def extract(job: Job, write: Write) -> None:
            with opened(job.path) as audio:
                agrees(job, audio.info)
                for frames in self._lengthened(self._frames(audio, frontend), frontend):
                    write(torch.from_numpy(frames).to(kind).numpy())  # numpy's own rounding takes ten times as long

        return extract

    def _offset_s(self, duration: float) -> float:
        return self.offset_s if self.offset_s + (self.max_duration_s or 0.0) <= duration else 0.0

    def _frames(self, audio: OpenAudio, frontend: FrontEnd) -> Iterator[Floats]:
        start = self._offset_s(audio.info.duration)
        stop = None if self.max_duration_s is None else start + self.max_duration_s
        samples = audio.blocks(frontend.sample_rate, frontend.channels, start, stop)
        silent, left = True, self.lengths.most
        for frames in frontend.stream(samples):
            silent = silent and float(np.abs(frames - frontend.silence).max()) < QUIETEST
            yield frames[:left]
            left = None if left is None else left - len(frames)
            if left is not None and left <= 0:
                break
        if silent:
            raise AudioError(audio.path, f"is silent where it was read, from {start:g} s on")

    def _lengthened(self, blocks: Iterable[Floats], frontend: FrontEnd) -> Iterator[Floats]:
        found = 0
        for frames in blocks:
            found += len(frames)
            yield frames
        if (lacking := self.lengths.least - found) > 0:
            yield np.full((lacking, *frontend.shape), frontend.silence, np.float32)


def agrees(job: Job, info: AudioInfo) -> None:
    """Raise `AudioError` if a file's header is not what the table says: a wrong header, or the wrong file."""
    if job.duration == job.duration:
        if abs(info.duration - job.duration) > max(TOLERANCE_S, TOLERANCE * job.duration):
            raise AudioError(job.path, f"lasts {info.duration:.2f} s, not {job.duration:.2f} s as its table says")
    elif job.sample_rate and job.sample_rate != info.sample_rate:
        raise AudioError(job.path, f"has {info.sample_rate} Hz, not {job.sample_rate} Hz as its table says")


def extract(
    manifest: Manifest,
    frontend: FrontEnd,
    out: str | Path,
    engine: Engine = ALONE,
    precision: Literal[16, 32] = 16,
    max_duration_s: float | None = None,
) -> FeatureStore:
    """Extract the features of a manifest's tracks into the store ``out``, and open it.

    What is done is kept in ``<out>.partial`` until the store is whole, so an extraction that was killed goes on where
    it stopped, also while it is merged. The store's bytes do not depend on the engine. Tracks that cannot be used are
    in the store's ``skipped`` and in ``<out>.skipped.csv``. While it is merged, the disk holds the frames twice.

    Args:
        manifest: whose tracks.
        frontend: what turns samples into frames, of one channel or of two; it may be on any device, but extraction
            runs on the CPU.
        out: the file to write.
        engine: what does the work: this process, unless it is given.
        precision: bits of a stored value.
        max_duration_s: what follows in a longer file is not read.

    Raises:
        InputError: no track can be used, the disk is full, a worker died, or ``<out>.partial`` has other settings.
    """
    out = Path(out)
    work = Features(frontends.described(frontend), precision, max_duration_s=max_duration_s)
    folder = out.with_name(out.name + ".partial")
    with run(manifest, work, folder, engine) as results:
        skipped = results.skipped
        write_skipped(out.with_suffix(".skipped.csv"), skipped)
        if not results.tracks:
            first = f"; the first: {skipped[0].path}: {skipped[0].reason}" if skipped else ""
            raise InputError(f"none of {len(manifest)} tracks can be used{first}")
        merge(results, out)
    remove(folder)
    return FeatureStore(out)

"""Embedding audio files as work for an engine: by many processes or a cluster, resumable, the same bits whichever."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.audio.decode import features_of
from crossmodal.data.engine import Engine, run
from crossmodal.data.manifest import Manifest
from crossmodal.data.work import Job, Results, Work, Worker, Write
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError, listed
from crossmodal.files import remove
from crossmodal.model import DualEncoder, Floats, TrackVectors
from crossmodal.types import PathLike

BATCH = 32  # segments at a time; always of one track, so that its bits do not depend on which tracks came before


@dataclass(frozen=True)
class Embedding(Work):
    """The work of embedding: a row a segment, of its start, end and weight, its vector, and its feature.

    Attributes:
        model: the folder of a saved `DualEncoder`; every process loads it.
        fingerprint: that model's.
        dim: of the vectors.
        width: of a row.
        trust: the outside classes that the model may name.
        frontend: the fingerprint of the model's front end.
    """

    model: Path
    fingerprint: str
    dim: int
    width: int
    trust: tuple[str, ...] = ()
    frontend: str = ""

    name = "embed"

    @classmethod
    def of(cls, folder: PathLike, trust: Collection[str] = ()) -> Embedding:
        """The work of a saved model."""
        model = DualEncoder.load(folder, trust)
        width = 3 + model.dim + model.audio_encoder.dim
        frontend = model.audio_encoder.frontend.fingerprint
        return cls(Path(folder).resolve(), model.fingerprint, model.dim, width, tuple(trust), frontend)

    @property
    def identity(self) -> dict[str, Any]:
        """The model, of which the window is a part."""
        return {"model": self.fingerprint, "batch": BATCH}

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of all numbers of a row."""
        return np.dtype("<f4")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.width,)

    def start(self) -> Worker:
        """The function that writes the segments of one track."""
        model = DualEncoder.load(self.model, self.trust)
        if model.fingerprint != self.fingerprint:
            raise InputError(f"{self.model} was written anew while its tracks were embedded; run it again")

        def embed(job: Job, write: Write) -> None:
            frames = features_of(job.path, model.audio_encoder.frontend)
            (track,) = model.embed_features([frames], BATCH)
            write(np.column_stack([track.bounds, track.weights, track.vectors, track.features]))

        return embed

    def track(self, rows: Floats) -> TrackVectors:
        """What `start` wrote of a track, as views of its rows."""
        return TrackVectors(rows[:, :2], rows[:, 2], rows[:, 3 : 3 + self.dim], rows[:, 3 + self.dim :])


@contextmanager
def embed_files(
    model: PathLike, manifest: Manifest, folder: Path, engine: Engine, trust: Collection[str] = ()
) -> Iterator[Vectors]:
    """Embed the audio files of every track of a manifest; have the vectors while the block lasts.

    What is done is kept in ``folder`` until the block, which saves the vectors, has ended well, so that a run which
    was killed goes on where it stopped. The vectors are views of the files there, of which only those in use take
    memory. Every process computes with one thread, so the bits do not depend on the engine; those of `embed`, where
    tracks share batches and a process has many threads, differ by rounding.

    Args:
        model: the folder of a saved model, or of a run.
        manifest: the tracks.
        folder: for what is done; it is removed after the block.
        engine: what does the work, such as ``Processes(8)``.
        trust: the outside classes that the model may name.

    Raises:
        InputError: not one track could be embedded, or the folder holds vectors of another model.
    """
    work = Embedding.of(model, trust)
    with run(manifest, work, folder, engine) as results:
        if not results.tracks:
            raise InputError(f"none of {len(manifest)} tracks could be embedded; {listed(results.skipped, 1)}")
        yield _vectors(results, work)
    remove(folder)


def _vectors(results: Results, work: Embedding) -> Vectors:
    tracks = (work.track(np.asarray(results.rows(track))) for track in results.tracks)
    return Vectors(tuple(results.tracks), tuple(tracks), work.fingerprint, tuple(results.skipped), work.frontend)

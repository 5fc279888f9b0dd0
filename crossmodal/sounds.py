"""Sound that is asked for: the segments of a file, of a stretch of it, or of a track of an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.audio.decode import LONGEST_S, QUIETEST, SHORTEST_S, AudioError, Channels, blocks

if TYPE_CHECKING:
    from crossmodal.model import DualEncoder

Floats = NDArray[np.float32]


class Sound(NamedTuple):
    """A file, a stretch or a track: the unit vectors of its segments ``(segments, dim)``, and the seconds of each."""

    vectors: Floats
    seconds: Floats

    @property
    def vector(self) -> Floats:
        """The mean of the segments' by their seconds, at length one."""
        return unit(self.seconds @ self.vectors)


def likeness(sound: Sound, track: Sound) -> float:
    """The mean, over a sound by its seconds, of the cosine of each segment and the track's nearest one."""
    return float(sound.seconds @ (sound.vectors @ track.vectors.T).max(axis=1) / sound.seconds.sum())


def of_file(
    path: str,
    model: DualEncoder,
    start_s: float = 0.0,
    stop_s: float | None = None,
    longest_s: float = LONGEST_S,
) -> Sound:
    """The segments of a file, or of a stretch of it, cut from its beginning on; it has ``longest_s`` seconds at most.

    Raises:
        AudioError: see `crossmodal.audio.decode.blocks`; or the stretch holds less than 0.1 s, or silence.
    """
    frontend = model.audio_encoder.frontend
    samples = _stretch(path, frontend.sample_rate, frontend.channels, start_s, stop_s, longest_s)
    track = next(model.embed_features([np.concatenate(list(frontend.stream(samples)))]))
    return Sound(track.vectors, track.weights)


def _stretch(
    path: str, rate: int, channels: Channels, start_s: float, stop_s: float | None, longest_s: float
) -> Iterator[Floats]:
    """The samples of a file's stretch, in blocks; an `AudioError` at the end if they are too few or silent."""
    count, peak = 0, 0.0
    for block in blocks(path, rate, channels, start_s, stop_s, longest_s):
        count, peak = count + block.shape[1], max(peak, float(np.abs(block).max(initial=0.0)))
        yield block
    between = f"between {start_s:g} s and {'its end' if stop_s is None else f'{stop_s:g} s'}"
    if count < SHORTEST_S * rate:
        raise AudioError(path, f"has {count / rate:.2f} s {between}; at least {SHORTEST_S} s are needed")
    if peak < QUIETEST:
        raise AudioError(path, f"is silent {between}")


def unit(vectors: Floats) -> Floats:
    """Rows, or one vector, at length one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

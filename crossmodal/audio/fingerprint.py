"""Acoustic fingerprints: landmarks that survive another codec, another gain and any shift.

A landmark is a pair of peaks of the spectrogram that stand near each other (Wang, "An industrial-strength audio
search algorithm", ISMIR 2003): its hash is of both frequencies and the time between them. Of those that prominent
peaks make, a few a second are kept by their hashes, not by their places (winnowing: Schleimer, Wilkerson and Aiken,
SIGMOD 2003), so that two recordings keep the same ones wherever they are cut. The first second also keeps those of
lesser peaks, since a single note has few; their hashes are odd, the others even.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # of the hashes: change it with any number below
RATE = 8_000  # Hz, of the samples
WINDOW, HOP = 512, 128  # samples, 64 and 16 ms
LOWEST = 2  # the first bin that may be a peak: those below hold the offset and rumble
REACH = 63  # frames within which two peaks make a pair
KEPT = 3  # frames; of the landmarks in any so many before and after it one is kept, about 9 in a second
OPENING_FRAMES, OPENING = 64, 512  # the first second with sound keeps up to so many more
CHUNK = 4096  # frames in memory at a time
SILENT = 1e-9  # a peak of the samples below it is none


class Peaks(NamedTuple):
    """What a peak is: the highest of so many frames and bins on either side, not too far below a full sine.

    Attributes:
        kind: the last bit of the hashes.
        frames: on either side.
        bins: on either side.
        floor: nepers (8.7 dB) below a sine with the peak of the samples.
        fan: the next peaks that each is paired with.
    """

    kind: int
    frames: int
    bins: int
    floor: float
    fan: int


PROMINENT = Peaks(kind=0, frames=2, bins=8, floor=5.0, fan=6)  # half of the kept landmarks survive mp3 and ogg
LESSER = Peaks(kind=1, frames=1, bins=4, floor=8.5, fan=8)  # fewer survive, but there are hundreds in a note

Hashes = NDArray[np.uint32]


class Fingerprint(NamedTuple):
    """Landmarks in the order of time: their hashes, and the frames (16 ms) where they begin, both ``(n,)`` uint32."""

    hashes: Hashes
    frames: NDArray[np.uint32]


def fingerprint(samples: NDArray[np.float32]) -> Fingerprint:
    """The landmarks of ``samples (n,)``, mono at 8 kHz: 9 a second, and up to 512 more in the first with sound.

    Silence has none. A landmark is 8 bytes: 30 seconds of music take 6 kB, four minutes 20.
    """
    stream, opening = [np.zeros((2, 0), np.uint32)], np.zeros((2, 0), np.uint32)
    for kept, lesser in _chunks(samples):
        stream.append(kept)
        opening = np.concatenate([opening, lesser], axis=1)
        opening = opening[:, opening[1] < opening[1].min(initial=2**31) + OPENING_FRAMES]
    hashes, frames = np.concatenate([*stream, _lowest(opening)], axis=1)
    order = np.lexsort((hashes, frames))
    return Fingerprint(hashes[order], frames[order])


def _lowest(landmarks: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Those of the lowest hashes, which are the same ones in another recording of the same sound."""
    return landmarks[:, np.argsort(landmarks[0], kind="stable")[:OPENING]]


def _chunks(samples: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
    """The kept landmarks, and those of lesser peaks, both ``(2, n)``, hash and frame, a chunk at a time.

    A chunk sees enough of its neighbours that the landmarks do not depend on where it ends.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < SILENT:
        return
    full = np.log(peak * WINDOW / 4)  # the level of a sine in a Hann window
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, WINDOW), WINDOW)[::HOP]
    halo = REACH + KEPT + PROMINENT.frames
    for start in range(0, len(frames), CHUNK):
        before = max(0, start - halo)
        levels = _levels(frames[before : start + CHUNK + halo]) - full
        stream, lesser = _pairs(levels, PROMINENT), _pairs(levels, LESSER)
        pair = stream[:, _winnowed(*stream)], lesser
        inside = [(found[1] >= start - before) & (found[1] < start - before + CHUNK) for found in pair]
        moved = np.array([[0], [before]], np.uint32)
        yield pair[0][:, inside[0]] + moved, pair[1][:, inside[1]] + moved


def _levels(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The spectrogram ``(frames, bins)`` in nepers."""
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1))
    return np.log(spectrum + np.float32(1e-9))


def _pairs(levels: NDArray[np.float32], kind: Peaks) -> NDArray[np.uint32]:
    """The landmarks that a kind of peaks makes, ``(2, n)``: the hash of each pair, and the frame where it begins."""
    highest = _highest(_highest(levels, kind.bins, axis=1), kind.frames, axis=0)
    peaks = (levels == highest) & (levels > -kind.floor)
    peaks[:, :LOWEST] = False
    time, bins = np.nonzero(peaks)  # in the order of time and then frequency
    found = [np.zeros((2, 0), np.uint32)]
    for step in range(1, min(kind.fan, len(time) - 1) + 1):
        apart = time[step:] - time[:-step]
        code = (
            (bins[:-step] << 18) | (bins[step:] << 8) | ((apart + 2) // 4)
        )  # to 64 ms: peaks are a frame off at times
        near = apart <= REACH
        found.append(np.stack([_mixed(code[near].astype(np.uint32), kind.kind), time[:-step][near].astype(np.uint32)]))
    return np.concatenate(found, axis=1)


def _mixed(code: Hashes, kind: int) -> Hashes:
    """Codes of 27 bits spread over 31 ("lowbias32", C. Wellons), so that their order says nothing; and the kind."""
    code = (code ^ (code >> np.uint32(16))) * np.uint32(0x7FEB352D)
    code = (code ^ (code >> np.uint32(15))) * np.uint32(0x846CA68B)
    return ((code ^ (code >> np.uint32(16))) & ~np.uint32(1)) | np.uint32(kind)


def _winnowed(hashes: Hashes, begin: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which landmarks have the lowest hash of all that begin within ``KEPT`` frames of them."""
    inverse = np.zeros(int(begin.max(initial=0)) + 1, np.uint32)  # the highest hash where there is none, inverted
    np.maximum.at(inverse, begin, ~hashes)
    return np.asarray(~hashes == _highest(inverse, KEPT, axis=0)[begin])


def _highest(x: NDArray[Any], radius: int, axis: int) -> NDArray[Any]:
    """The highest value within ``radius`` of each, along an axis; windows are doubled until they are wide enough."""
    x = np.moveaxis(x, axis, 0)
    ends = [(radius, radius), *[(0, 0)] * (x.ndim - 1)]
    high, width = np.pad(x, ends, mode="edge"), 1
    while 2 * width <= 2 * radius + 1:
        high = np.maximum(high[:-width], high[width:])
        width *= 2
    rest = 2 * radius + 1 - width
    return np.moveaxis(np.maximum(high[: len(x)], high[rest : rest + len(x)]), 0, axis)

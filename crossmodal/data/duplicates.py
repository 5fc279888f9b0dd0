"""Duplicates among tracks: exact by the hash of the file, near by fingerprint and then by the samples themselves.

Two tracks are near-duplicates if their waveforms, aligned and whitened, correlate over at least half of the shorter
one's sound. Fingerprints only propose: other takes of a note share landmarks, and even correlate above .95 as they
are, since a few partials hold all the energy. Whitened, so that every band has the same say, they stay below .83,
while the same recording by way of another codec, shift or gain stays above it: noise and weak partials tell.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from crossmodal.audio.decode import decode
from crossmodal.audio.fingerprint import HOP, RATE, Fingerprint

COLUMNS = {"track_a": "str", "track_b": "str", "kind": "str", "offset_s": "float64", "similarity": "float64"}
NEIGHBOURS = 16  # of a landmark with the same hash that it is compared with: the pairs grow as the tracks, not squared
VOTES = 5  # landmarks that must agree on an offset
SHARES = (0.01, 0.03)  # and such a share of the shorter list: of the whole track, of the opening
JITTER = 2  # frames that agreeing offsets may differ by
BLOCK = 1 << 14  # tracks that are matched with all others at a time, to bound the memory
FEW = 64  # candidates that are not worth starting processes for

SIMILAR = 0.84  # whitened correlation: other takes of a note reach .83, ordinary mp3 and ogg stay above .87
OVERLAP = 0.5  # of the shorter one's sound
SHORTEST = RATE // 20  # samples: less sound in common proves nothing
STRETCH, STRETCHES = 4 * RATE, 12  # samples that are compared at once, and how often, spread over the overlap
SEARCH, DRIFT = 1024, 16  # samples by which the offset of the landmarks, and then that of a stretch, may be off
BAND_HZ = 150  # over which a spectrum is smoothed to whiten it
WHITE_FLOOR = 1e-4  # of the strongest band's power; what lies below is not amplified further
QUIETEST = 1e-3  # of the peak: where a track falls below it for good, its sound has ended
UPSAMPLED = 8  # steps of a sample in which two tracks are aligned

Floats = NDArray[np.float32]
Pairs = pd.DataFrame
"""track_a, track_b, kind ("exact" or "near"), offset_s (b begins so many seconds after a) and similarity, up to 1."""


class Candidate(NamedTuple):
    """Two tracks, and after how many samples of the first the second begins."""

    track_a: str
    track_b: str
    path_a: str
    path_b: str
    shift: int


def exact_duplicates(sha256: pd.Series[str]) -> Pairs:
    """Tracks whose files are the same, by track id; each with the first that has its hash; an empty one is unknown."""
    known = sha256[sha256 != ""]
    first = known.groupby(known).transform(lambda same: same.index[0])
    again = known.index.to_series() != first
    rows = {"track_a": first[again].to_numpy(), "track_b": known.index[again], "kind": "exact"}
    return _typed(pd.DataFrame(rows).assign(offset_s=0.0, similarity=1.0))


def near_duplicates(fingerprints: Mapping[str, Fingerprint], paths: Mapping[str, str], workers: int = 1) -> Pairs:
    """Pairs of tracks with the same sound over half of the shorter one or more, in the order of the tracks.

    A landmark is compared with the next 16 tracks that have it, so of very many copies of one track not all pairs are
    found, but enough to make them one of `clusters`.

    Args:
        fingerprints: by track id.
        paths: of the audio, by track id; both files of every candidate are decoded.
        workers: processes that do.

    Raises:
        AudioError: a file cannot be decoded.
    """
    found = candidates(fingerprints, paths)
    rows = [
        (one.track_a, one.track_b, "near", offset, similarity)
        for one, (offset, similarity, share) in zip(found, _verified(found, workers), strict=True)
        if share >= OVERLAP
    ]
    best = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("similarity", ascending=False, kind="stable")
    return _typed(best.drop_duplicates(["track_a", "track_b"]).sort_index())


def clusters(pairs: Pairs, track_ids: pd.Index[str]) -> pd.Series[int]:
    """The number of each track's cluster, by track id: tracks have the same one if pairs connect them."""
    ends = [track_ids.get_indexer(pd.Index(pairs[column])) for column in ("track_a", "track_b")]
    known = (ends[0] >= 0) & (ends[1] >= 0)
    graph = coo_array((np.ones(known.sum()), (ends[0][known], ends[1][known])), shape=(len(track_ids),) * 2)
    return pd.Series(connected_components(graph, directed=False)[1], index=track_ids, name="cluster")


def across(pairs: Pairs, splits: pd.DataFrame) -> pd.DataFrame:
    """The pairs that lie in different parts of a split: their columns, and split, part_a and part_b."""
    sides = [
        splits.rename(columns={"track_id": f"track_{side}", "name": "split", "part": f"part_{side}"}) for side in "ab"
    ]
    both = pairs.merge(sides[0], on="track_a").merge(sides[1], on=["track_b", "split"])
    return both[both["part_a"] != both["part_b"]].reset_index(drop=True)


def _typed(rows: pd.DataFrame) -> Pairs:
    return rows.astype(COLUMNS).reset_index(drop=True)


# --- candidates: landmarks in common


def candidates(fingerprints: Mapping[str, Fingerprint], paths: Mapping[str, str]) -> list[Candidate]:
    """The pairs of tracks that share enough landmarks at one offset; they are still to be verified.

    Landmarks of the whole track vote, and those of its opening: each may propose an offset of its own.
    """
    ids = list(fingerprints)
    columns = _columns(list(fingerprints.values()))
    found: set[tuple[int, int, int]] = set()
    for kind, share in enumerate(SHARES):
        hashes, frames, tracks = (column[columns[0] % 2 == kind] for column in columns)
        counts = np.bincount(tracks, minlength=len(ids))
        for start in range(0, len(ids), BLOCK):
            rows = np.flatnonzero((tracks >= start) & (tracks < start + BLOCK))
            a, b, delta, votes = _voted(*_matches(hashes, frames, tracks - start, rows))
            a, b = a + start, b + start
            enough = votes >= np.maximum(VOTES, share * np.minimum(counts[a], counts[b]))
            found |= set(zip(a[enough].tolist(), b[enough].tolist(), delta[enough].tolist(), strict=True))
    return [Candidate(ids[a], ids[b], paths[ids[a]], paths[ids[b]], delta * HOP) for a, b, delta in sorted(found)]


def _columns(fingerprints: list[Fingerprint]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All landmarks as hash, frame and number of the track, sorted by hash and track; repeats in a track left out."""
    tracks = np.repeat(np.arange(len(fingerprints), dtype=np.int32), [len(one.hashes) for one in fingerprints])
    hashes = np.concatenate([np.zeros(0, np.uint32), *(one.hashes for one in fingerprints)])
    frames = np.concatenate([np.zeros(0, np.uint32), *(one.frames for one in fingerprints)])
    order = np.argsort(hashes, kind="stable")  # stable, hence by track and frame within a hash
    hashes, frames, tracks = hashes[order], frames[order], tracks[order]
    first = np.ones(len(hashes), bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (tracks[1:] != tracks[:-1])
    return hashes[first], frames[first].astype(np.int64), tracks[first]


def _matches(
    hashes: NDArray[Any], frames: NDArray[Any], tracks: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Tracks a and b of every two landmarks of one hash, and the difference of their frames; a's are from ``rows``."""
    here, there = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, NEIGHBOURS + 1):
        rows = rows[rows + step < len(hashes)]
        rows = rows[hashes[rows] == hashes[rows + step]]
        here.append(rows)
        there.append(rows + step)
    one, other = np.concatenate(here), np.concatenate(there)
    return tracks[one], tracks[other], frames[one] - frames[other]


def _voted(
    a: NDArray[Any], b: NDArray[Any], delta: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Every pair of tracks once, with the offset most landmarks agree on, to within the jitter, and how many do."""
    if len(a) == 0:
        return a, b, delta, delta
    # one number of 63 bits sorts fastest: track a of the block, track b, and the frames, up to 9 hours either way
    keys = np.sort((a.astype(np.int64) << 48) | (b.astype(np.int64) << 22) | (delta + (1 << 21)))
    votes = np.searchsorted(keys, keys + JITTER, "right") - np.arange(len(keys))
    pairs = keys >> 22
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    most = np.repeat(np.maximum.reduceat(votes, starts), np.diff(starts, append=len(keys)))
    tops = np.flatnonzero(votes == most)
    best = tops[np.unique(pairs[tops], return_index=True)[1]]
    middle = keys[best + votes[best] // 2]
    return pairs[best] >> 26, pairs[best] & (1 << 26) - 1, (middle & (1 << 22) - 1) - (1 << 21), votes[best]


# --- verification: the samples


def _verified(found: list[Candidate], workers: int) -> Iterator[tuple[float, float, float]]:
    """Offset in seconds, similarity and share of every candidate, in order."""
    with tqdm(total=len(found), desc="duplicates", unit="pair", disable=None) as progress:
        if workers == 1 or len(found) < FEW:
            for one in found:
                yield verify(one)
                progress.update()
            return
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            for result in pool.map(verify, found, chunksize=16):
                yield result
                progress.update()


@lru_cache(maxsize=8)  # candidates come in the order of their first track
def _samples(path: str) -> Floats:
    samples: Floats = decode(path, RATE)[0]
    return samples


def verify(one: Candidate) -> tuple[float, float, float]:
    """Where b begins in a (s), their similarity there, and the share of the shorter one's sound that is the same."""
    return compare(_samples(one.path_a), _samples(one.path_b), one.shift)


def compare(a: Floats, b: Floats, shift: int) -> tuple[float, float, float]:
    """As `verify`, of samples at 8 kHz whose offset is known to within 128 ms.

    Similarity is the median, over stretches of 4 s, of the whitened correlation at the best alignment.
    """
    (start_a, stop_a), (start_b, stop_b) = _sound(a), _sound(b)
    shorter = min(stop_a - start_a, stop_b - start_b)
    for margin in (SEARCH, 0):  # first the offset, then the comparison
        start, stop = max(start_a, start_b + shift), min(stop_a, stop_b + shift)
        if stop - start < max(SHORTEST, OVERLAP * shorter - margin):
            return shift / RATE, 0.0, 0.0
        x, y = a[start:stop], b[start - shift : stop - shift]
        if margin:
            loudest = max(_stretches(stop - start), key=lambda part: float(np.square(x[part]).sum()))
            shift += round(whitened_correlation(x[loudest], y[loudest], margin)[1])
    parts = [part for part in _stretches(stop - start) if _loud(x[part], a) or _loud(y[part], b)]
    values = np.array([whitened_correlation(x[part], y[part], DRIFT)[0] for part in parts] or [0.0])
    share = float(np.mean(values >= SIMILAR)) * (stop - start) / shorter
    return shift / RATE, float(np.median(values)), share


def _sound(x: Floats) -> tuple[int, int]:
    """Where the sound of samples starts and stops."""
    loud = np.flatnonzero(np.abs(x) > QUIETEST * np.abs(x).max())
    return int(loud[0]), int(loud[-1]) + 1


def _loud(part: Floats, whole: Floats) -> bool:
    return bool(np.abs(part).max() > QUIETEST * np.abs(whole).max())


def _stretches(samples: int) -> list[slice]:
    """Up to 12 stretches of up to 4 s, spread evenly."""
    count = min(STRETCHES, max(1, samples // STRETCH))
    length = samples if count == 1 and samples < 2 * STRETCH else STRETCH
    return [slice(start, start + length) for start in np.linspace(0, samples - length, count).astype(int)]


def whitened_correlation(x: Floats, y: Floats, search: int) -> tuple[float, float]:
    """The highest normalised correlation of ``x`` and ``y (n,)``, each whitened, and the lag (samples) where it is.

    The lag is found to an eighth of a sample, up to ``search`` samples either way; y(t - lag) is like x(t).
    """
    length = next_fast_len(len(x) + 2 * search, real=True)
    white = [_white(np.fft.rfft(samples, length), length) for samples in (x, y)]
    cross = white[0] * white[1].conj()
    correlation = np.fft.irfft(cross, length * UPSAMPLED) * UPSAMPLED
    near = np.arange(-search * UPSAMPLED, search * UPSAMPLED + 1)
    best = int(near[np.argmax(correlation[near])])
    powers = [np.square(np.fft.irfft(spectrum, length)).sum() for spectrum in white]
    return float(correlation[best] / np.sqrt(powers[0] * powers[1] + 1e-30)), best / UPSAMPLED


def _white(spectrum: NDArray[np.complexfloating], length: int) -> NDArray[np.complexfloating]:
    power = np.square(np.abs(spectrum))
    smooth = uniform_filter1d(power, max(3, int(BAND_HZ * length / RATE)), mode="nearest")
    white: NDArray[np.complexfloating] = spectrum / np.sqrt(smooth + WHITE_FLOOR * smooth.max() + 1e-30)
    return white

"""Duplicates among tracks: exact by the hash of the file, near by fingerprint and then by the samples themselves.

Two tracks are near-duplicates if their waveforms, aligned and whitened, correlate over at least half of the shorter
one's sound (`crossmodal.audio.alignment`). Fingerprints only propose: other takes of a note share landmarks, too.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from crossmodal.audio.alignment import OVERLAP, compare
from crossmodal.audio.decode import Floats, decode
from crossmodal.audio.fingerprint import HOP, RATE, Fingerprint
from crossmodal.errors import InputError

COLUMNS = {"track_a": "str", "track_b": "str", "kind": "str", "offset_s": "float64", "similarity": "float64"}
NEIGHBOURS = 4  # of a landmark, on either side, that it is compared with: pairs grow as the tracks, not squared
VOTES = 5  # landmarks that must agree on an offset
SHARES = (0.01, 0.03)  # and such a share of the shorter list: of the whole track, of the opening
JITTER = 2  # frames that agreeing offsets may differ by
BLOCK = 1 << 11  # tracks that are matched with all others at a time, to bound the memory
FEW = 64  # candidates that are not worth starting processes for

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

    A landmark is compared with the 8 most like it in its surroundings, so of very many copies of one track not all
    pairs are found, but enough to make them one of `clusters`.

    Args:
        fingerprints: by track id.
        paths: of the audio, by track id; both files of every candidate are decoded.
        workers: processes that do.

    Raises:
        AudioError: a file cannot be decoded.
        InputError: a worker process died.
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


def candidates(
    fingerprints: Mapping[str, Fingerprint], paths: Mapping[str, str], first: int | None = None
) -> list[Candidate]:
    """The pairs of tracks that share enough landmarks at one offset; they are still to be verified.

    Landmarks of the whole track vote, and those of its opening: each may propose an offset of its own.

    Args:
        fingerprints: by track id.
        paths: of the audio, by track id.
        first: only pairs with one of the first so many tracks; the time it takes falls with them.
    """
    ids = list(fingerprints)
    found: set[tuple[int, int, int]] = set()
    for kind, share in enumerate(SHARES):
        landmarks = _landmarks(list(fingerprints.values()), kind)
        counts = np.bincount(landmarks.tracks, minlength=len(ids))
        orders = [_Order(landmarks.hashes, shift) for shift in (-1, 1)]
        last = len(ids) if first is None else first
        for start in range(0, last, BLOCK):
            low, high = np.searchsorted(landmarks.tracks, (start, min(start + BLOCK, last)))
            a, b, delta, votes = _voted(*_matches(landmarks, orders, np.arange(low, high)), start)
            enough = votes >= np.maximum(VOTES, share * np.minimum(counts[a], counts[b]))
            found |= set(zip(a[enough].tolist(), b[enough].tolist(), delta[enough].tolist(), strict=True))
    return [Candidate(ids[a], ids[b], paths[ids[a]], paths[ids[b]], delta * HOP) for a, b, delta in sorted(found)]


class _Landmarks(NamedTuple):
    """Landmarks of all tracks, by track and then frame; of a hash that a track repeats only the first."""

    hashes: NDArray[np.uint32]
    frames: NDArray[np.uint32]
    tracks: NDArray[np.int32]


def _landmarks(fingerprints: list[Fingerprint], kind: int) -> _Landmarks:
    tracks = np.repeat(np.arange(len(fingerprints), dtype=np.int32), [len(one.hashes) for one in fingerprints])
    hashes = np.concatenate([np.zeros(0, np.uint32), *(one.hashes for one in fingerprints)])
    frames = np.concatenate([np.zeros(0, np.uint32), *(one.frames for one in fingerprints)])
    here = np.flatnonzero(hashes % 2 == kind)
    keys = (tracks[here].astype(np.uint64) << np.uint64(32)) | hashes[here]
    first = here[np.sort(np.unique(keys, return_index=True)[1])]
    return _Landmarks(hashes[first], frames[first], tracks[first])


class _Order:
    """Landmarks in the order of their hash, and for the same hash in that of the landmark after it, or before it.

    Common hashes are in very many tracks. Those of the same sound lie beside each other all the same, since the next
    landmark is most often the same as well.
    """

    def __init__(self, hashes: NDArray[np.uint32], shift: int) -> None:
        self.order = np.lexsort((np.roll(hashes, shift), hashes))
        self.rank = np.empty_like(self.order)
        self.rank[self.order] = np.arange(len(hashes))

    def beside(self, rows: NDArray[np.int64], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of ``rows`` that have a landmark so many steps on, or back, and that landmark's row."""
        place = self.rank[rows] + step
        inside = (place >= 0) & (place < len(self.order))
        return rows[inside], self.order[place[inside]]


def _matches(
    landmarks: _Landmarks, orders: list[_Order], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Tracks a and b, b after a, of every two near landmarks of one hash, and how far apart their frames are."""
    found = [np.zeros(0, np.int64)]
    count = len(landmarks.hashes)
    for order in orders:
        for step in (*range(-NEIGHBOURS, 0), *range(1, NEIGHBOURS + 1)):
            here, there = order.beside(rows, step)
            same = landmarks.hashes[here] == landmarks.hashes[there]
            same &= landmarks.tracks[here] < landmarks.tracks[there]
            found.append(here[same] * count + there[same])
    here, there = np.divmod(np.unique(np.concatenate(found)), max(count, 1))  # what both orders find votes once
    delta = landmarks.frames[here].astype(np.int64) - landmarks.frames[there]
    return landmarks.tracks[here], landmarks.tracks[there], delta


def _voted(
    a: NDArray[Any], b: NDArray[Any], delta: NDArray[Any], start: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Every pair of tracks once, with the offset most landmarks agree on, to within the jitter, and how many do."""
    if len(a) == 0:
        return a, b, delta, delta
    # one number of 63 bits sorts fastest: track a of the block, track b, and the frames, up to 9 hours either way
    keys = np.sort(((a - start).astype(np.int64) << 48) | (b.astype(np.int64) << 22) | (delta + (1 << 21)))
    votes = np.searchsorted(keys, keys + JITTER, "right") - np.arange(len(keys))
    pairs = keys >> 22
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    most = np.repeat(np.maximum.reduceat(votes, starts), np.diff(starts, append=len(keys)))
    tops = np.flatnonzero(votes == most)
    best = tops[np.unique(pairs[tops], return_index=True)[1]]
    middle = keys[best + votes[best] // 2]
    first, second = (pairs[best] >> 26) + start, pairs[best] & (1 << 26) - 1
    return first, second, (middle & (1 << 22) - 1) - (1 << 21), votes[best]


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
            try:
                for result in pool.map(verify, found, chunksize=16):
                    yield result
                    progress.update()
            except BrokenProcessPool as error:
                raise InputError(
                    "a worker process died while duplicates were verified, most often for want of memory; run it again,"
                    f" with fewer workers than {workers}"
                ) from error


@lru_cache(maxsize=8)  # candidates come in the order of their first track
def _samples(path: str) -> Floats:
    samples: Floats = decode(path, RATE)[0]
    return samples


def verify(one: Candidate) -> tuple[float, float, float]:
    """Where b begins in a (s), their similarity there, and the share of the shorter one's sound that is the same."""
    return compare(_samples(one.path_a), _samples(one.path_b), one.shift)

"""How alike tracks are in words, as a distribution from which the thresholds of triplets are read."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal import files
from crossmodal.errors import InputError

PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
BLOCK = 65_536  # pairs at a time

Floats = NDArray[np.float32]


def similarities(vectors: Floats, pairs: int, seed: int = 0) -> Floats:
    """Cosines of pairs of different rows of ``vectors (n, dim)``, which have length one: ``(pairs,)``.

    All pairs, each once, where there are no more than ``pairs``; else as many, drawn with replacement, so that a
    million tracks take no longer than a thousand. A share that is read from them is off by at most ``1 / sqrt(pairs)``
    (two standard errors).
    """
    count = len(vectors)
    if count < 2 or pairs < 1:
        raise InputError(f"similarities need at least 2 vectors and 1 pair, not {count} and {pairs}")
    if count * (count - 1) // 2 <= pairs:
        left, right = np.triu_indices(count, 1)
    else:
        rng = np.random.default_rng(seed)
        left = rng.integers(count, size=pairs)
        right = (left + rng.integers(1, count, size=pairs)) % count
    starts = range(0, len(left), BLOCK)
    blocks = [(left[start : start + BLOCK], right[start : start + BLOCK]) for start in starts]
    return np.concatenate([np.einsum("nd,nd->n", vectors[one], vectors[other]) for one, other in blocks])


def percentiles(similarities: Floats, at: Sequence[float] = PERCENTILES) -> pd.DataFrame:
    """The similarity below which so many per cent of the pairs lie, a row each."""
    index = pd.Index(list(at), name="percentile")
    return pd.DataFrame({"similarity": np.percentile(similarities, list(at))}, index=index)


def share_above(similarities: Floats, thresholds: Sequence[float]) -> pd.Series[float]:
    """The share of pairs that are more alike than each threshold."""
    index = pd.Index(list(thresholds), name="threshold")
    return pd.Series([float((similarities > t).mean()) for t in thresholds], index=index, name="share above")


def save_vectors(path: str | Path, track_ids: Sequence[str], vectors: Floats) -> None:
    """Write vectors ``(tracks, dim)`` with their ids to ``.npz``, whole or not at all."""
    ids = np.array(list(track_ids), dtype=np.str_)
    if len(ids) != len(vectors) or len(set(ids.tolist())) != len(ids):
        raise InputError(f"{len(vectors)} vectors need as many different ids, not {len(set(ids.tolist()))}")
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, track_ids=ids, vectors=np.asarray(vectors, dtype=np.float32))


def load_vectors(path: str | Path) -> tuple[list[str], Floats]:
    """Read what `save_vectors` wrote; a file that is missing or broken is an `InputError` that names it."""
    try:
        with np.load(path, allow_pickle=False) as content:
            ids, vectors = content["track_ids"], content["vectors"]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not whole, or holds no vectors: {error}") from error
    return ids.tolist(), vectors

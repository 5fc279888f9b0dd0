"""SearchIndex: the segments of tracks, found by vectors, in one folder that is always whole.

The folder holds generations that are written once and never changed, and ``CURRENT``, a text file that names the one
in use. A generation is complete before ``CURRENT`` is replaced, so a build that fails leaves the one before in use::

    CURRENT
    gen-000001/index.faiss        a row a segment
               segments.parquet   in the order of the rows: track_id, start, end (seconds)
               tracks.parquet     a row a track: track_id, title, artist, path, licence, ...
               info.json          version, kind, dim, counts, the model's fingerprint, sha256 of the other files
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import pandas as pd
import pyarrow.parquet
from filelock import FileLock
from numpy.typing import NDArray

from crossmodal import registry
from crossmodal.errors import InputError, listed
from crossmodal.files import atomic, read_json, write_json, write_text
from crossmodal.metrics.retrieval import id_order
from crossmodal.types import PathLike

VERSION = 1
FILES = ("index.faiss", "segments.parquet", "tracks.parquet")
DECIMALS = 6  # of a cosine: what lies below is float32 noise, which differs between batch sizes


class Hit(NamedTuple):
    """One track of an answer: its best segment answers for it.

    Attributes:
        track_id: of the track.
        score: cosine of the query and the segment, to six decimals.
        start: where the segment starts, in seconds.
        end: where it ends, in seconds.
        rank: from 1.
        metadata: the track's other columns, as plain values; None where there is none.
    """

    track_id: str
    score: float
    start: float
    end: float
    rank: int
    metadata: dict[str, Any]


class SearchIndex:
    """An opened generation; make one with `build` or `open`.

    Args:
        index: the FAISS index; row i is segment i.
        segments: track_id, start, end (seconds).
        tracks: metadata, a dict a track with its track_id.
        info: what ``info.json`` holds.
    """

    def __init__(
        self, index: faiss.Index, segments: pd.DataFrame, tracks: list[dict[str, Any]], info: dict[str, Any]
    ) -> None:
        self.index, self.segments, self.tracks, self.info = index, segments, tracks, info
        self._ids = pd.Index([track["track_id"] for track in tracks], dtype=object)
        self._track = self._ids.get_indexer(pd.Index(segments["track_id"], dtype=object))  # (segments,)
        self._bounds = segments[["start", "end"]].to_numpy(dtype=np.float64)  # (segments, 2), seconds
        self._place = np.argsort(id_order(list(self._ids)))  # (tracks,): which comes first among equals

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self.tracks)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.info["dim"])

    @property
    def fingerprint(self) -> str:
        """Of the model whose vectors these are."""
        return str(self.info["fingerprint"])

    @classmethod
    def build(
        cls,
        folder: PathLike,
        vectors: NDArray[np.float32],
        segments: pd.DataFrame,
        tracks: pd.DataFrame,
        fingerprint: str,
        kind: str = "flat",
    ) -> SearchIndex:
        """Write a new generation into ``folder``, make it the current one, and open it.

        Args:
            folder: made if it is not there; its older generations stay.
            vectors: ``(segments, dim)``, a row a segment; they are brought to length one.
            segments: track_id, start, end (seconds), as many rows.
            tracks: one row a track, with ``track_id`` and any metadata; those without a segment are left out.
            fingerprint: the model's.
            kind: a plug-in of ``indexes/``.

        Raises:
            InputError: no vectors, or zero or not finite ones; tables that do not fit; a full disk.
        """
        segments = segments[["track_id", "start", "end"]].reset_index(drop=True)
        tracks = tracks[tracks["track_id"].isin(segments["track_id"])]
        _check_tables(vectors, segments, tracks)
        index = registry.build("indexes", kind).build(_unit(vectors, list(segments["track_id"])))
        folder = _made(Path(folder))
        with FileLock(folder / ".lock"):
            name = _next(folder)
            with atomic(folder / name) as generation:
                generation.mkdir()
                faiss.serialize_index(index).tofile(generation / "index.faiss")
                segments.to_parquet(generation / "segments.parquet", index=False)
                tracks.to_parquet(generation / "tracks.parquet", index=False)
                counts = {"dim": vectors.shape[1], "segments": len(segments), "tracks": len(tracks)}
                sums = {file: _sha256(generation / file) for file in FILES}
                head = {"version": VERSION, "kind": kind, "fingerprint": fingerprint}
                write_json(generation / "info.json", head | counts | {"sha256": sums})
            write_text(folder / "CURRENT", name + "\n")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: PathLike) -> SearchIndex:
        """Read the current generation of ``folder``.

        Raises:
            InputError: there is none, or it is not as it was written (checksums, counts, version).
        """
        generation = _current(Path(folder))
        info = read_json(generation / "info.json")
        if not isinstance(info, dict) or info.get("version") != VERSION:
            raise InputError(f"{generation / 'info.json'} is not of version {VERSION}; build the index again")
        for file in FILES:
            if _sha256(generation / file) != info.get("sha256", {}).get(file):
                raise InputError(f"{generation / file} is not what was written (its checksum differs); build it again")
        index = faiss.deserialize_index(np.fromfile(generation / "index.faiss", dtype=np.uint8))
        segments = pd.read_parquet(generation / "segments.parquet")
        tracks = pyarrow.parquet.read_table(generation / "tracks.parquet").to_pylist()
        found = {"dim": index.d, "segments": index.ntotal, "tracks": len(tracks)}
        if len(segments) != index.ntotal or any(info.get(key) != value for key, value in found.items()):
            raise InputError(f"{generation} holds {found} and {len(segments)} rows, but info.json says otherwise")
        return cls(index, segments, tracks, info)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int = 10,
        fingerprint: str | None = None,
        exclude: Collection[str] = (),
        allowed: NDArray[np.bool_] | None = None,
    ) -> list[list[Hit]]:
        """The k best tracks of each query, the best first; all tracks if there are fewer than k.

        A track is as good as its best segment, the earlier of equals; equal tracks stand in the order of their ids'
        hashes. Segments are asked for until k tracks are certain.

        Args:
            queries: ``(queries, dim)``; they are brought to length one.
            k: tracks a query.
            fingerprint: of the model that made the queries; None if it is known to be the index's.
            exclude: tracks that are no candidates, such as the query itself; ids that are not there do no harm.
            allowed: which of ``tracks`` are candidates, ``(tracks,)``; all if None.

        Raises:
            InputError: vectors of another model or dimension, zero or not finite ones, or k below 1.
        """
        queries = self._checked(queries, k, fingerprint)
        barred = self._ids.isin(list(exclude))
        if allowed is not None:
            barred |= ~allowed
        answers: list[list[Hit]] = [[] for _ in queries]
        pending, count = np.arange(len(queries)), min(4 * k, len(self.segments))
        while len(pending):
            scores, rows = self.index.search(queries[pending], count)
            open_ends = []
            for query, score, row in zip(pending, scores, rows, strict=True):
                answers[query], certain = self._hits(score, row, k, barred)
                if not certain and count < len(self.segments):
                    open_ends.append(query)
            pending, count = np.array(open_ends, dtype=np.int64), min(2 * count, len(self.segments))
        return answers

    def _checked(self, queries: NDArray[np.float32], k: int, fingerprint: str | None) -> NDArray[np.float32]:
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise InputError(
                f"the index was built with model {self.fingerprint}, the query is of model {fingerprint}; "
                "search with that model, or build the index again"
            )
        if k < 1:
            raise InputError(f"k is {k}; valid is 1 or more")
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InputError(f"queries are {queries.shape}; valid is (queries, {self.dim})")
        return _unit(queries, [f"query {row}" for row in range(len(queries))])

    def _hits(
        self, scores: NDArray[np.float32], rows: NDArray[np.int64], k: int, barred: NDArray[np.bool_]
    ) -> tuple[list[Hit], bool]:
        """The answer by the segments found, and whether no other segment could change it."""
        rounded, rows = scores[rows >= 0].astype(np.float64).round(DECIMALS), rows[rows >= 0]  # -1: there were no more
        lowest = rounded.min(initial=np.inf)
        allowed = ~barred[self._track[rows]]
        rounded, rows = rounded[allowed], rows[allowed]
        order = np.lexsort((rows, -rounded))
        tracks, first = np.unique(self._track[rows[order]], return_index=True)
        best = order[first]  # each track's best segment
        chosen = np.lexsort((self._place[tracks], -rounded[best]))[:k]
        picked = [(int(tracks[i]), int(rows[best[i]]), float(rounded[best[i]])) for i in chosen]
        hits = [self._hit(rank, *found) for rank, found in enumerate(picked, start=1)]
        return hits, len(hits) == k and hits[-1].score > lowest

    def _hit(self, rank: int, track: int, row: int, score: float) -> Hit:
        metadata = dict(self.tracks[track])
        start, end = self._bounds[row].tolist()
        return Hit(metadata.pop("track_id"), score, start, end, rank, metadata)


def _check_tables(vectors: NDArray[np.float32], segments: pd.DataFrame, tracks: pd.DataFrame) -> None:
    if vectors.ndim != 2 or not vectors.size or len(vectors) != len(segments):
        raise InputError(
            f"vectors are {vectors.shape}; valid is (segments, dim) for {len(segments)} segments, 1 or more"
        )
    twice = tracks["track_id"][tracks["track_id"].duplicated()]
    if len(twice):
        raise InputError(f"track ids stand more than once: {listed(twice)}")
    unknown = segments["track_id"][~segments["track_id"].isin(tracks["track_id"])].unique()
    if len(unknown):
        raise InputError(f"segments are of tracks that the tracks' table lacks: {listed(unknown)}")
    wrong = segments["track_id"][~((segments["start"] >= 0) & (segments["end"] > segments["start"]))].unique()
    if len(wrong):
        raise InputError(f"segments must end after they start, at 0 s or later, but do not in: {listed(wrong)}")


def _unit(vectors: NDArray[np.float32], names: list[str]) -> NDArray[np.float32]:
    """Rows at length one, float32; rows that have no direction are refused by name."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    broken = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(broken):
        raise InputError(f"vectors must be finite and not zero, but are not for {listed(names[i] for i in broken)}")
    return np.asarray(vectors / lengths)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; build the index again") from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"could not make the folder {folder}: {error.strerror}") from error
    return folder


def _next(folder: Path) -> str:
    """The name after the last, also after one that never became current."""
    return f"gen-{max((int(path.name[4:]) for path in folder.glob('gen-*')), default=0) + 1:06d}"


def _current(folder: Path) -> Path:
    try:
        name = (folder / "CURRENT").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} holds no index (no file CURRENT in it); build one first") from error
    if not re.fullmatch(r"gen-\d{6}", name) or not (folder / name).is_dir():
        raise InputError(f"{folder / 'CURRENT'} names {name!r}, which is no generation there; build the index again")
    return folder / name

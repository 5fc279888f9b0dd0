"""Tracks with their segments as rows of a collection, a row a segment, and what a collection says of itself.

::

    id         the key: the hash of the track's id, and the segment's number
    track      the hash alone, by which rows are deleted, left out and chosen
    track_id   as it is
    number     of the segment, from 0; row 0 stands for the track where tracks are counted and listed
    count      segments of the track
    version    a hash of all that was written of the track: rows of one track with several were not replaced as a whole
    start, end seconds
    vector     at length one
    metadata   JSON, without what is not known: dates and decimals as words, their types in the collection's property
    k0 w0 ...  what conditions ask: see `crossmodal.indexes._conditions`
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from crossmodal.errors import InputError
from crossmodal.indexes._conditions import terms
from crossmodal.indexes._place import Place
from crossmodal.material import Floats, Material

VERSION = 1
PROPERTY = "crossmodal"
BATCH = 1000  # rows that are sent at a time, and what more the last track has
Row = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """What a collection says of itself, in its property.

    Attributes:
        fingerprint: of the model.
        frontend: of its front end.
        kind: of index.
        settings: of the kind.
        dim: numbers in a vector.
        columns: the Arrow schema of the tracks, ``track_id`` and metadata, as base64.
        version: of the rows.
    """

    fingerprint: str
    frontend: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    dim: int = 0
    columns: str = ""
    version: int = VERSION

    @property
    def schema(self) -> pa.Schema:
        """Of the tracks."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.columns)))

    def info(self) -> dict[str, Any]:
        """What `SearchIndex.info` says of a folder, but for the counts."""
        flat = self.kind == "flat"
        how = "exact search" if flat else "Milvus' own settings; not measured"
        said = {key: value for key, value in asdict(self).items() if key != "columns"}
        recall = {"asked": None, "measured": 1.0 if flat else None, "how": how}
        return {**said, "built": f"{self.kind} in Milvus", "effort": {}, "recall": recall}

    def written(self) -> dict[str, str]:
        """The property that `read` reads."""
        return {PROPERTY: json.dumps(asdict(self))}

    @classmethod
    def read(cls, properties: Mapping[str, str], at: Place) -> Head:
        """Refuse a collection of other programs or versions."""
        try:
            said = json.loads(properties[PROPERTY])
        except (KeyError, ValueError) as error:
            raise InputError(f"{at} is a collection of another program: it has no property {PROPERTY}") from error
        if said.get("version") != VERSION:
            raise InputError(f"{at} is of version {said.get('version')}, this program reads {VERSION}; build it again")
        return cls(**said)


def coded(schema: pa.Schema) -> str:
    """A schema as `Head` keeps it."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def key(track_id: str) -> str:
    """The hash that stands for a track's id."""
    return hashlib.blake2b(track_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def primary(track: str, number: int) -> str:
    """The key of a row, in whose order are a track's segments."""
    return f"{track}-{number:06d}"


def rows(parts: Iterable[Material], schema: pa.Schema) -> Iterator[list[Row]]:
    """The rows of tracks, about `BATCH` at a time, whole tracks each.

    Args:
        parts: the tracks.
        schema: of the collection's tracks, which holds that of these.

    Raises:
        InputError: metadata that JSON cannot hold; of the first part at once, before there is a row.
    """
    told = ((material, list(_metadata(material.tracks))) for material in parts)
    first = next(told, None)
    return chain.from_iterable(_batches(*one, schema) for one in chain([first] if first else [], told))


def _batches(material: Material, metadata: Sequence[dict[str, Any]], schema: pa.Schema) -> Iterator[list[Row]]:
    batch: list[Row] = []
    ends = np.cumsum(material.counts)
    for at, (told, end) in enumerate(zip(metadata, ends, strict=True)):
        places = np.arange(end - material.counts[at], end)
        vectors, bounds = material.take(material.rows[places]), material.bounds[places]
        track = material.tracks.slice(at, 1).to_pylist()[0]
        content = vectors.tobytes() + bounds.tobytes() + json.dumps(told, sort_keys=True).encode()
        same = {
            "track": key(track["track_id"]),
            "track_id": track["track_id"],
            "count": len(places),
            "version": hashlib.blake2b(content, digest_size=8).hexdigest(),
            "metadata": told,
            **terms(schema, track),
        }
        for number, (vector, (start, stop)) in enumerate(zip(vectors, bounds.tolist(), strict=True)):
            own = {"id": primary(same["track"], number), "number": number, "start": start, "end": stop}
            batch.append({**same, **own, "vector": vector})
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def table(found: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """The tracks of rows, with the types that they had."""
    columns = []
    for one in schema:
        values = [row["track_id"] if one.name == "track_id" else row["metadata"].get(one.name) for row in found]
        columns.append(
            pa.array(values, pa.large_string()).cast(one.type) if _as_words(one.type) else pa.array(values, one.type)
        )
    return pa.table(columns, schema=schema)


def vectors_of(found: Iterable[Row]) -> Floats:
    """The vectors of rows, ``(rows, dim)``."""
    return np.array([row["vector"] for row in found], dtype=np.float32)


def _metadata(tracks: pa.Table) -> Iterator[dict[str, Any]]:
    """Of each track, as JSON holds it, without what is not known."""
    names = [name for name in tracks.column_names if name != "track_id"]
    for one in tracks.schema:
        if not _kept(one.type):
            raise InputError(
                f"the tracks' metadata cannot be stored: {one.name} holds {one.type}, which Milvus cannot keep"
            )
    told = [tracks[name].cast(pa.large_string()) if _as_words(tracks[name].type) else tracks[name] for name in names]
    for values in zip(*(column.to_pylist() for column in told), strict=True) if names else ((),) * len(tracks):
        yield {name: _finite(value, name) for name, value in zip(names, values, strict=True) if not _none(value)}


def _none(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _finite(value: Any, name: str) -> Any:
    """The value as JSON can say it."""
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise InputError(f"the tracks' metadata cannot be stored: {name} holds {value}, which Milvus cannot keep")
    if isinstance(value, Mapping):
        return {inner: _finite(cell, name) for inner, cell in value.items()}
    return [_finite(cell, name) for cell in value] if isinstance(value, list) else value


def _kept(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_plain(kind.field(i).type) for i in range(kind.num_fields))
    return bool(_as_words(kind) or _plain(kind) or (_listed(kind) and _plain(kind.value_type)))


def _listed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _plain(kind: pa.DataType) -> bool:
    tests: Iterable[Any] = (pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    return any(test(kind) for test in (*tests, pa.types.is_string, pa.types.is_large_string))


def _as_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind) or pa.types.is_decimal(kind))

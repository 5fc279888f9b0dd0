"""A collection: made in full under a number, then given its name, an alias, which is what readers open."""

from __future__ import annotations

import re
from collections.abc import Collection as Some
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossmodal.errors import InputError, listed
from crossmodal.indexes._conditions import among, both
from crossmodal.indexes._place import Place, connected, missing, told
from crossmodal.indexes._rows import Head, Row, primary
from crossmodal.material import Floats

KINDS = {"flat": "FLAT", "hnsw": "HNSW", "ivf": "IVF_FLAT", "ivfsq": "IVF_SQ8", "auto": "AUTOINDEX"}
SETTINGS: dict[str, dict[str, int]] = {
    "hnsw": {"M": 32, "efConstruction": 100},
    "ivf": {"nlist": 1024},
    "ivfsq": {"nlist": 1024},
}  # those that a kind has, with what they are unless given
PROBES = 64  # lists that a search of ivf and ivfsq looks at
MOST = 16_384  # rows that a search or a page of a query may return: Milvus' own limit
CHUNK = 1000  # keys that are named in one call


@dataclass(frozen=True)
class Collection:
    """A collection that is open, and what it says of itself.

    Attributes:
        at: the place that names it.
        client: pymilvus' own.
        name: with its number.
        head: its property.
    """

    at: Place
    client: Any
    name: str
    head: Head

    @classmethod
    def opened(cls, at: Place, client: Any) -> Collection:
        """The collection that has the place's name now.

        Raises:
            InputError: there is none, or it is of another program or version.
        """
        with told(at):
            name = _current(client, at)
            if not name:
                raise missing(at)
            head = Head.read(client.describe_collection(name).get("properties", {}), at)
            client.load_collection(name)
        return cls(at, client, name, head)

    @classmethod
    def built(cls, at: Place, head: Head, batches: Iterable[list[Row]]) -> Collection:
        """A new collection of rows, which has the name once they all are there; those before it are dropped."""
        client = connected(at, new=True)
        with told(at):
            others = _numbered(client, at)
            number = max((int(name.rpartition("_")[2]) for name in others), default=0) + 1
            name, before = f"{at.name}_{number:06d}", _current(client, at)
            _create(client, name, head)
            for batch in batches:
                client.insert(name, batch)
            client.flush(name)
            if before:
                client.alter_alias(name, at.name)
            else:
                client.create_alias(name, at.name)
            for other in others:
                client.drop_collection(other)
        return cls.opened(at, client)

    def again(self) -> Collection:
        """What has the name by now."""
        return Collection.opened(self.at, self.client)

    def query(self, asked: str, fields: Sequence[str], **more: Any) -> list[Row]:
        """The rows that meet an expression."""
        with told(self.at):
            return list(self.client.query(self.name, filter=asked, output_fields=list(fields), **more))

    def get(self, ids: Sequence[str], fields: Sequence[str]) -> list[Row]:
        """The rows of keys, in any order; those that are not there are left out."""
        with told(self.at):
            found = (self.client.get(self.name, ids=some, output_fields=list(fields)) for some in chunks(ids))
            return [row for rows in found for row in rows]

    def segments(self, counts: Mapping[str, int], fields: Sequence[str]) -> dict[str, list[Row]]:
        """The rows of tracks, by the tracks' keys, in order; ``counts`` says how many rows each has."""
        wanted = [primary(track, number) for track, count in counts.items() for number in range(count)]
        found: dict[str, list[Row]] = {}
        for row in sorted(self.get(wanted, ["track", "number", *fields]), key=lambda row: row["number"]):
            found.setdefault(row["track"], []).append(row)
        return found

    def pages(self, asked: str, fields: Sequence[str]) -> Iterator[Row]:
        """All rows that meet an expression, in the order of their keys.

        Embedded Milvus holds a row twice if its process was killed while it flushed: it is told once.
        """
        last = ""
        with told(self.at):
            found = self.client.query_iterator(self.name, batch_size=MOST, filter=asked, output_fields=list(fields))
            try:
                while page := found.next():
                    for row in page:
                        if row["id"] != last:
                            last = row["id"]
                            yield row
            finally:
                found.close()

    def present(self, tracks: Sequence[str]) -> dict[str, list[str]]:
        """The keys of the rows that tracks have."""
        found: dict[str, list[str]] = {}
        for some in chunks(tracks):
            for row in self.query(among("track", some), ["id", "track"]):
                found.setdefault(row["track"], []).append(row["id"])
        return found

    def count(self, asked: str) -> int:
        """How many rows meet an expression; all if it is empty."""
        return int(self.query(asked, ["count(*)"])[0]["count(*)"])

    def nearest(self, queries: Floats, count: int, asked: str, left_out: Some[str]) -> list[list[Row]]:
        """Track, count and score of the nearest rows of each query that meet an expression, without some tracks."""
        without = among("track", left_out, negated=True) if left_out else ""
        effort = {"hnsw": {"ef": max(64, 2 * count)}, "ivf": {"nprobe": PROBES}, "ivfsq": {"nprobe": PROBES}}
        with told(self.at):
            found = self.client.search(
                self.name,
                data=list(queries),
                anns_field="vector",
                filter=both(asked, without),
                limit=count,
                output_fields=["track", "count"],
                search_params={"metric_type": "IP", "params": effort.get(self.head.kind, {})},
            )
        return [[{**hit["entity"], "score": hit["distance"]} for hit in hits] for hits in found]

    def put(self, batches: Iterable[list[Row]], before: Some[str]) -> None:
        """Upsert rows, whole tracks, and then delete those of the keys ``before`` that were not written again."""
        written: set[str] = set()
        with told(self.at):
            for batch in batches:
                self.client.upsert(self.name, batch)
                written |= {row["id"] for row in batch}
            for some in chunks(sorted(set(before) - written)):
                self.client.delete(self.name, ids=some)

    def remove(self, tracks: Sequence[str]) -> None:
        """Delete all rows of tracks."""
        with told(self.at):
            for some in chunks(tracks):
                self.client.delete(self.name, filter=among("track", some))

    def say(self, head: Head) -> None:
        """Change the property."""
        with told(self.at):
            self.client.alter_collection_properties(self.name, properties=head.written())

    def compact(self) -> None:
        """Let Milvus fold what was changed."""
        with told(self.at):
            self.client.flush(self.name)
            self.client.compact(self.name)

    def reindex(self, kind: str, settings: Mapping[str, Any]) -> None:
        """Build another index over the vectors."""
        head = replace(self.head, kind=kind, settings=dict(settings))
        with told(self.at):
            self.client.release_collection(self.name)
            self.client.drop_index(self.name, "vector")
            self.client.create_index(self.name, _vectors_index(self.client, head))
        self.say(head)


def settled(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a kind in full.

    Raises:
        InputError: no such kind or setting.
    """
    if kind not in KINDS:
        raise InputError(f"Milvus has no index {kind!r} here; valid is {listed(KINDS)}")
    known = SETTINGS.get(kind, {})
    if unknown := settings.keys() - known.keys():
        raise InputError(f"{kind} in Milvus has no setting {listed(sorted(unknown))}; it has {listed(known) or 'none'}")
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}; valid is a whole number from 1")
    return {**known, **settings}


def chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """Some at a time."""
    for start in range(0, len(keys), CHUNK):
        yield list(keys[start : start + CHUNK])


def _create(client: Any, name: str, head: Head) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    for field, length in (("track", 32), ("track_id", 65_535), ("version", 16)):
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    for field, kind in (("number", "INT64"), ("count", "INT64"), ("start", "DOUBLE"), ("end", "DOUBLE")):
        schema.add_field(field, DataType[kind])
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=head.dim)
    indexes = _vectors_index(client, head)
    for field in ("track", "number"):
        indexes.add_index(field, index_type="INVERTED")
    client.create_collection(
        name,
        schema=schema,
        index_params=indexes,
        properties=head.written(),
        consistency_level="Strong",  # what a call wrote, the next one reads
    )


def _vectors_index(client: Any, head: Head) -> Any:
    found = client.prepare_index_params()
    found.add_index("vector", index_type=KINDS[head.kind], metric_type="IP", params=head.settings)
    return found


def _current(client: Any, at: Place) -> str:
    """The collection that has the name; empty if none has."""
    from pymilvus.exceptions import MilvusException

    try:
        return str(client.describe_alias(at.name)["collection_name"])
    except MilvusException as error:
        if "not exist" in str(error) or "not found" in str(error):
            return ""
        raise


def _numbered(client: Any, at: Place) -> list[str]:
    """The collections that have, had or were to have the name."""
    found = re.compile(rf"{re.escape(at.name)}_\d{{6}}")
    return [name for name in client.list_collections() if found.fullmatch(name)]

"""What a kill, a full disk, another writer or a changed byte makes of an index."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import threading
import zlib
from pathlib import Path

import pytest
import writing

from crossmodal.errors import InputError
from crossmodal.search import SearchIndex, generation, journal, tables
from crossmodal.search.checks import verify

HEAD = len(journal.MAGIC)


@pytest.fixture
def index(tmp_path: Path) -> SearchIndex:
    """Three tracks in the generation; one added, one replaced and one deleted by the journal."""
    queries = writing.tables(["q"], 9)[0]
    made = SearchIndex.build(tmp_path / "index", *writing.tables(["a", "b", "c"], 0), "m", queries=queries)
    made.add(*writing.tables(["d"], 1))
    made.update(*writing.tables(["a"], 2))
    made.delete(["b"])
    return made


def places(after: list[int], size: int) -> list[int]:
    """Every byte of each record's head, the one past it, and some of those between."""
    return sorted({*range(HEAD, size, 53), *(min(size - 1, end + byte) for end in after for byte in range(17))})


def held(index: SearchIndex) -> dict[str, int]:
    return {track["track_id"]: track["year"] for track in index.tracks}


def log(index: SearchIndex) -> Path:
    return index.folder / index.generation / "journal"


def ends(path: Path) -> list[int]:
    return [HEAD, *(end for _, end in journal.replay(path))]


NOW = {"a": 2, "c": 0, "d": 1}
AFTER = [{"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 0, "c": 0, "d": 1}, {"a": 2, "b": 0, "c": 0, "d": 1}, NOW]


def test_a_torn_tail_at_any_byte_is_ignored_and_then_cut(index: SearchIndex) -> None:
    path = log(index)
    whole, after = path.read_bytes(), ends(path)
    for size in places(after, len(whole)):
        path.write_bytes(whole[:size])
        records = sum(end <= size for end in after) - 1
        assert held(SearchIndex.open(index.folder)) == AFTER[records]
        assert verify(index.folder) == []
    path.write_bytes(whole[:-1])
    writer = SearchIndex.open(index.folder)  # the last record, the deletion, has lost its last byte
    writer.add(*writing.tables(["e"], 3))
    assert held(SearchIndex.open(index.folder)) == {**AFTER[2], "e": 3}
    assert verify(index.folder) == []


def test_zeros_at_the_end_are_a_torn_tail(index: SearchIndex) -> None:
    with log(index).open("ab") as file:
        file.write(bytes(5000))
    assert held(SearchIndex.open(index.folder)) == NOW
    assert verify(index.folder) == []


def test_a_changed_byte_anywhere_in_the_journal_is_found(index: SearchIndex) -> None:
    path = log(index)
    whole, after = path.read_bytes(), ends(path)
    for at in [*range(0, HEAD, 5), *places(after, len(whole))]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        (problem,) = verify(index.folder)
        start = max((end for end in after if end <= at), default=0)
        assert ("no journal of version 1" if at < HEAD else f"byte {start} is not what was written") in problem
        with pytest.raises(InputError, match="no journal" if at < HEAD else f"truncate -s {start} "):
            SearchIndex.open(index.folder)
    path.write_bytes(whole)
    assert held(index.refresh()) == NOW


def test_a_record_that_is_whole_but_makes_no_sense_is_told(index: SearchIndex) -> None:
    path = log(index)
    journal.append(path, b'{"put": 4, "tracks": 1}\n1234', path.stat().st_size)
    (problem,) = verify(index.folder)
    assert "cannot be understood" in problem


def test_a_changed_byte_in_any_file_is_found(index: SearchIndex) -> None:
    index.compact()
    folder = index.folder / index.generation
    files = [index.folder / "CURRENT", *(path for path in folder.iterdir())]
    assert len(files) == 8
    for path in files:
        whole = path.read_bytes()
        for at in {0, len(whole) // 2, len(whole) - 2}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert len(verify(index.folder)) == 1, (path, at)
        path.write_bytes(whole[:-1] if path.name != "CURRENT" else whole[:-2])
        assert len(verify(index.folder)) == 1, path
        path.unlink()
        assert len(verify(index.folder)) == 1, path
        path.write_bytes(whole)
    assert verify(index.folder) == []
    assert verify(index.folder / "nowhere")[0].endswith("build one first")


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_other_versions_are_refused(index: SearchIndex, version: object) -> None:
    path = index.folder / index.generation / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": version}))
    with pytest.raises(InputError, match=f"is of version {version}, this program reads 2"):
        SearchIndex.open(index.folder)


def test_a_journal_of_another_version_is_refused(index: SearchIndex) -> None:
    log(index).write_bytes(log(index).read_bytes().replace(b"journal 1", b"journal 2"))
    with pytest.raises(InputError, match="no journal of version 1"):
        SearchIndex.open(index.folder)


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_leaves_the_journal_as_it_was(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before, write = log(index).read_bytes(), os.write

    def full(descriptor: int, *data: bytes) -> int:
        if data and len(data[0]) > 50:
            return write(descriptor, data[0][:50])  # some of it still fits
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(InputError, match=r"journal: No space left on device; nothing was changed"):
            index.add(*writing.tables(["e"], 3))
    assert log(index).read_bytes() == before
    assert held(index) == NOW
    index.add(*writing.tables(["e"], 3))
    assert "e" in index


def test_a_full_disk_in_compaction_leaves_the_generation_in_use(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tables, "write", full)
        with pytest.raises(InputError, match="No space left on device"):
            index.compact()
    assert held(SearchIndex.open(index.folder)) == NOW
    index.compact()
    assert held(index) == NOW
    assert index.generation == "gen-000002"


def test_two_writers_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    SearchIndex.build(folder, *writing.tables(["first"], 0), "m")
    writers = [SearchIndex.open(folder) for _ in range(2)]

    def write(number: int) -> None:
        for turn in range(8):
            writers[number].add(*writing.tables([f"{number} {turn}"], turn))
            if turn == 3:
                writers[number].compact()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = {"first": 0} | {f"{number} {turn}": turn for number in range(2) for turn in range(8)}
    assert held(SearchIndex.open(folder)) == expected
    assert verify(folder) == []
    with pytest.raises(InputError, match="has tracks 0 0 already"):
        writers[1].add(*writing.tables(["0 0"], 9))


def test_readers_go_on_through_compactions(index: SearchIndex) -> None:
    reader = SearchIndex.open(index.folder)
    vectors = writing.tables(["a"], 2)[0]
    before = reader.search(vectors, 3)
    for turn in range(3):
        index.compact()
        index.update(*writing.tables(["a"], 10 + turn))
    assert reader.search(vectors, 3) == before  # its generation is gone from the folder by now
    assert {path.name for path in index.folder.glob("gen-*")} == {"gen-000003", "gen-000004"}
    assert held(reader.refresh()) == NOW | {"a": 12}


def test_a_reader_that_is_overtaken_while_it_opens_opens_the_newest(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, turns = generation.opened, []

    def slow(folder: Path, digest: str) -> generation.Generation:
        if not turns:
            turns.append(folder)
            index.compact()
            index.compact()
            assert not folder.exists()
        return opened(folder, digest)

    monkeypatch.setattr(generation, "opened", slow)
    assert SearchIndex.open(index.folder).generation == "gen-000003"


def test_an_index_that_was_built_anew_in_its_place_is_seen(index: SearchIndex) -> None:
    for names in (["x"], ["y", "z"]):
        shutil.rmtree(index.folder)
        SearchIndex.build(index.folder, *writing.tables(names, 5), "m")
        assert held(index.refresh()) == dict.fromkeys(names, 5)


def test_records_are_as_the_format_says(index: SearchIndex) -> None:
    data = log(index).read_bytes()
    length, checksum, head = struct.unpack_from("<QII", data, ends(log(index))[-2])
    payload = data[-length:]
    assert (zlib.crc32(payload), payload) == (checksum, b'{"delete": ["b"]}\n')
    assert head == zlib.crc32(struct.pack("<QI", length, checksum))

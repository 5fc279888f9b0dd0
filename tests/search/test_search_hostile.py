"""Index folders that someone made to harm: each is refused in one line, runs nothing, and takes no memory for it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pytest
import writing

from crossmodal.cli.index import summary
from crossmodal.errors import InputError
from crossmodal.search import SearchIndex, generation, journal, nearest, tuning
from crossmodal.search.checks import verify

TRACKS = 200
Info = dict[str, Any]
Change = Callable[[Path, Info], Any]


@pytest.fixture(scope="module", autouse=True)
def no_short_cut() -> Iterator[None]:
    """So few vectors would all be compared."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((nearest, "SHARE", 1), (nearest, "FEW", 5), (tuning, "SMALL", 50)):
            patch.setattr(module, name, value)
        patch.setattr(tuning, "HELD_OUT", 20)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("made")
    tables = writing.tables([f"track {number}" for number in range(TRACKS)], 0)
    kinds = "flat", "hnsw", "ivf"
    return {kind: SearchIndex.build(home / kind, *tables, "m", kind, queries=VECTORS[:60]).folder for kind in kinds}


def signed(index: Path, change: Change) -> Path:
    """An index after someone changed its files, and wrote new sizes and checksums beside them."""
    (folder,) = index.glob("gen-*")
    info = json.loads((folder / "info.json").read_text())
    changed = change(folder, info)
    info = changed if isinstance(changed, dict) else info
    for name, said in info.get("files", {}).items() if isinstance(info.get("files"), dict) else ():
        path = folder / name
        if path.is_file() and not path.is_symlink() and isinstance(said, dict):
            said |= {"bytes": path.stat().st_size, "sha256": generation.sha256(path)}
    (folder / "info.json").write_text(json.dumps(changed if isinstance(changed, list) else info))
    digest = hashlib.sha256((folder / "info.json").read_bytes()).hexdigest()
    (index / "CURRENT").write_text(f"{folder.name} {digest}\n")
    return index


def says(**values: object) -> Change:
    return lambda _, info: info | values


def files(**values: object) -> Change:
    return lambda _, info: info | {"files": info["files"] | {name.replace("_", "."): v for name, v in values.items()}}


def column(file: str, name: str, values: Any) -> Change:
    """Another column in the place of one, which may have another name then."""

    def change(folder: Path, _: Info) -> None:
        table = pa.ipc.open_file(folder / file).read_all()
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
        with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    return change


def array(values: Any, name: str = "vectors.npy") -> Change:
    return lambda folder, _: np.save(folder / name, values, allow_pickle=True)


def header(text: bytes) -> Change:
    """An array whose header is the text, which numpy reads as Python's literals."""
    padded = text.ljust(117) + b"\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded
    return lambda folder, _: (folder / "vectors.npy").write_bytes(head + bytes(4 * 16 * TRACKS)) and None


def link(name: str, target: str) -> Change:
    def change(folder: Path, _: Info) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def pipe(name: str) -> Change:
    def change(folder: Path, _: Info) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def record(payload: bytes) -> Change:
    return lambda folder, _: journal.append(folder / "journal", payload, len(journal.MAGIC))


def garbage(name: str, data: bytes) -> Change:
    return lambda folder, _: (folder / name).write_bytes(data) and None


VECTORS = np.random.default_rng(0).normal(size=(TRACKS, writing.DIM)).astype(np.float32)
HEAD = b"{'descr': '<f4', 'fortran_order': False, 'shape': "
CODE = HEAD + b"(__import__('os').mkdir('%s') or 200, 16)}"
OUT = {"bytes": 1, "sha256": ""}

CASES: dict[str, tuple[str, Change, str]] = {
    "counts": ("flat", says(tracks=10**18, segments=10**18, dim=10**12), "info.json says otherwise"),
    "negative": ("flat", says(tracks=-1), "tracks is -1"),
    "words": ("flat", says(dim="x"), "dim is 'x'"),
    "nothing": ("flat", lambda *_: {"version": 2}, "lacks kind"),
    "list": ("flat", lambda *_: ["kind"], "is no JSON object"),
    "files": ("flat", says(files=["a"]), "files is"),
    "no files": ("flat", says(files={}), "names the files"),
    "a file": ("flat", files(tracks_arrow="x"), "must be mapping"),
    "bytes": ("flat", lambda _, info: info | {"files": info["files"] | {"ids.arrow": {"run": "1"}}}, "no setting .run"),
    "path out": ("flat", lambda _, i: i | {"files": i["files"] | {"../../../etc/passwd": OUT}}, "names the files"),
    "path away": ("flat", lambda _, i: i | {"files": i["files"] | {"/etc/hostname": OUT}}, "names the files"),
    "code": ("hnsw", says(built="os:system"), "code from outside"),
    "kind": ("hnsw", says(built="../../x"), "indexes has no"),
    "kind's type": ("hnsw", says(built=7), "built is 7"),
    "settings": ("hnsw", says(built_settings={"links": "x"}), "links is 'x'"),
    "settings' type": ("hnsw", says(built_settings=[1]), "built_settings is"),
    "effort": ("hnsw", says(effort={"depth": 10**12, "ef": 1}), "effort.depth is 1000000000000"),
    "effort below": ("hnsw", says(effort={"depth": -1, "ef": 1}), "effort.depth is -1"),
    "no effort": ("hnsw", says(effort={}), "valid is such as"),
    "recall": ("flat", says(recall=None), "recall is None"),
    "no recall": ("flat", says(recall={}), "lacks asked"),
    "much recall": ("hnsw", says(recall={"asked": 0.9, "measured": 0.9, "of": {"queries": 7}}), "of.queries is 7"),
    "exact": ("hnsw", says(built="flat"), "is exact search"),
    "link": ("flat", link("vectors.npy", "/dev/zero"), "but a link"),
    "link out": ("flat", link("tracks.arrow", "/etc/passwd"), "but a link"),
    "pipe": ("flat", pipe("vectors.npy"), "a pipe"),
    "journal's pipe": ("flat", pipe("journal"), "a pipe"),
    "pickle": ("flat", array(np.array([{"a": 1}] * TRACKS, dtype=object)), "no array of vectors"),
    "doubles": ("flat", array(VECTORS.astype(np.float64)), "valid is .segments, dim. of float32"),
    "columns first": ("flat", array(np.asfortranarray(VECTORS)), "of float32"),
    "a row": ("flat", array(VECTORS[0]), "of float32"),
    "queries": ("flat", array(VECTORS[:60, 1:], "queries.npy"), "info.json says otherwise"),
    "queries' type": ("flat", array(VECTORS[:60].astype(np.float64), "queries.npy"), "of float32"),
    "queries' link": ("flat", link("queries.npy", "/dev/zero"), "but a link"),
    "texts": ("flat", array(np.full((TRACKS, 16), "abc")), "of float32"),
    "more rows": ("flat", header(HEAD + b"(4000000000, 16)}"), "no array of vectors"),
    "no end": ("flat", header(HEAD + b"(200, 16"), "no array of vectors"),
    "fewer rows": ("flat", header(HEAD + b"(-1, 16)}"), "no array of vectors"),
    "noise": ("flat", garbage("vectors.npy", bytes(range(256)) * 20), "no array of vectors"),
    "number ids": ("flat", column("tracks.arrow", "track_id", range(TRACKS)), "its first column is no track_id"),
    "no ids": ("flat", column("tracks.arrow", "track_id", pa.nulls(TRACKS, pa.large_string())), "tracks have no id"),
    "bytes as ids": ("flat", column("tracks.arrow", "track_id", [b"\xff"] * TRACKS), "no track_id"),
    "no hashes": ("flat", column("ids.arrow", "hash", pa.nulls(TRACKS, pa.uint64())), "its columns are"),
    "half rows": ("flat", column("ids.arrow", "first", np.linspace(0, 1, TRACKS)), "its columns are"),
    "worded rows": ("flat", column("segments.arrow", "track", ["x"] * TRACKS), "its columns are"),
    "no arrow": ("flat", garbage("tracks.arrow", b"ARROW1\0\0" + bytes(3000) + b"ARROW1"), "not what was written"),
    "empty arrow": ("flat", garbage("ids.arrow", b""), "not what was written"),
    "binary": (
        "hnsw",
        lambda f, _: faiss.write_index_binary(faiss.IndexBinaryFlat(16), f"{f}/index.faiss"),
        "not what",
    ),
    "flat": ("ivf", lambda f, _: faiss.write_index(faiss.IndexFlatIP(16), f"{f}/index.faiss"), "not what was written"),
    "no record": ("flat", record(b"abc"), "cannot be understood"),
    "deep": ("flat", record(b"[" * 200_000 + b"\n"), "cannot be understood"),
    "number": ("flat", record(b'{"delete": 7}\n'), "cannot be understood"),
    "objects": ("flat", record(b'{"delete": [{}]}\n'), "cannot be understood"),
    "half": ("flat", record(b'{"delete": ["\\udcff"]}\n'), "cannot be understood"),
    "much": (
        "flat",
        record(b'{"put": 0, "tracks": 1000000000000, "segments": 9, "dim": 16}\n'),
        "cannot be understood",
    ),
    "less": ("flat", record(b'{"put": -5, "tracks": -1, "segments": -1, "dim": -1}\n'), "cannot be understood"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_no_index_holds_is_refused_in_a_line(made: dict[str, Path], tmp_path: Path, case: str) -> None:
    kind, change, message = CASES[case]
    index = signed(Path(shutil.copytree(made[kind], tmp_path / "index")), change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=message) as raised:
        SearchIndex.open(index)
    assert "\n" not in str(raised.value)
    assert len(verify(index)) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("flat", column("segments.arrow", "track", np.full(TRACKS, 10**9, np.int32))),
        ("flat", column("segments.arrow", "track", np.full(TRACKS, -(10**9), np.int32))),
        ("flat", column("ids.arrow", "segments", np.full(TRACKS, 10**12))),
        ("flat", column("ids.arrow", "segments", np.full(TRACKS, -3))),
        ("flat", column("ids.arrow", "first", np.full(TRACKS, 10**12))),
        ("flat", array(np.full_like(VECTORS, np.nan))),
        ("hnsw", array(np.full_like(VECTORS, np.nan), "queries.npy")),
    ],
)
def test_what_only_reading_all_of_it_tells_is_told_by_verify(
    made: dict[str, Path], tmp_path: Path, kind: str, change: Change
) -> None:
    index = signed(Path(shutil.copytree(made[kind], tmp_path / "index")), change)
    assert len(verify(index)) == 1
    for call in (lambda: SearchIndex.open(index).search(VECTORS[:2], 3), lambda: SearchIndex.open(index).compact()):
        with suppress(InputError):
            call()


def test_an_index_of_before_there_were_queries_opens(made: dict[str, Path], tmp_path: Path) -> None:
    def older(folder: Path, info: Info) -> Info:
        (folder / "queries.npy").unlink()
        files = {name: said for name, said in info["files"].items() if name != "queries.npy"}
        return info | {"files": files, "recall": {"asked": 0.95, "measured": 0.97, "queries": 500, "how": "so"}}

    index = signed(Path(shutil.copytree(made["hnsw"], tmp_path / "index")), older)
    assert verify(index) == []
    opened = SearchIndex.open(index)
    assert summary(opened).endswith("segments, recall@10 0.970 of segments (0.95 asked)")
    opened.compact()
    assert (opened.info["recall"]["of"].keys(), verify(index)) == ({"segments"}, [])


def test_an_index_of_another_kind_is_refused_by_its_first_search(made: dict[str, Path], tmp_path: Path) -> None:
    (other,) = made["ivf"].glob("gen-*/index.faiss")
    index = Path(shutil.copytree(made["hnsw"], tmp_path / "index"))
    signed(index, lambda folder, _: shutil.copy(other, folder / "index.faiss") and None)
    with pytest.raises(InputError, match=r"do not agree with each other .*verify` says where"):
        SearchIndex.open(index).search(VECTORS[:2], 3)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{", b"\xff", b"null"])
def test_what_is_no_json_is_refused(made: dict[str, Path], tmp_path: Path, text: bytes) -> None:
    index = Path(shutil.copytree(made["flat"], tmp_path / "index"))
    (index / "gen-000001" / "info.json").write_bytes(text)
    (index / "CURRENT").write_text(f"gen-000001 {hashlib.sha256(text).hexdigest()}\n")
    with pytest.raises(InputError, match=r"is no JSON object"):
        SearchIndex.open(index)
    assert len(verify(index)) == 1


def test_headers_are_no_code(made: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    index = signed(Path(shutil.copytree(made["flat"], tmp_path / "index")), header(CODE % bytes(run)))
    with pytest.raises(InputError, match="no array of vectors"):
        SearchIndex.open(index)
    assert not run.exists()


@pytest.mark.parametrize("how", ["pipe", "zeros", "large"])
def test_the_file_that_names_the_generation_is_small(made: dict[str, Path], tmp_path: Path, how: str) -> None:
    index = Path(shutil.copytree(made["flat"], tmp_path / "index"))
    (index / "CURRENT").unlink()
    if how == "pipe":
        os.mkfifo(index / "CURRENT")
    elif how == "zeros":
        (index / "CURRENT").symlink_to("/dev/zero")
    else:
        (index / "CURRENT").touch()
        os.truncate(index / "CURRENT", 2**40)
    with pytest.raises(InputError, match="more than 1048576 bytes" if how == "large" else "but a link, a pipe"):
        SearchIndex.open(index)
    assert len(verify(index)) == 1


def test_a_record_of_exabytes_is_a_torn_one(made: dict[str, Path], tmp_path: Path) -> None:
    index = Path(shutil.copytree(made["flat"], tmp_path / "index"))
    head = struct.pack("<QI", 2**62, 1)
    with next(index.glob("gen-*/journal")).open("ab") as file:
        file.write(head + struct.pack("<I", zlib.crc32(head)) + b"abc")
    assert len(SearchIndex.open(index)) == TRACKS


@pytest.mark.parametrize("kind", ["hnsw", pytest.param("ivf", marks=pytest.mark.slow)])
def test_sizes_in_a_faiss_file_are_not_believed(made: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Each number of its beginning that may be a size, made 5 GB."""
    index = Path(shutil.copytree(made[kind], tmp_path / "index"))
    (path,) = index.glob("gen-*/index.faiss")
    whole, refused = path.read_bytes(), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for at in range(0, 400):
        if not 0 < struct.unpack_from("<Q", whole, at)[0] < 10**5:
            continue
        path.write_bytes(whole[:at] + struct.pack("<Q", 5 * 10**9) + whole[at + 8 :])
        try:
            SearchIndex.open(index)
        except InputError:
            refused += 1
    assert refused > 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB

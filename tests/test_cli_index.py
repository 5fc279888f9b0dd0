"""``crossmodal index`` and its commands, on the tiny run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import Answer, Trained

from crossmodal.data.manifest import Manifest
from crossmodal.search import SearchIndex
from crossmodal.search.pieces import shard


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli_index")


@pytest.fixture
def parts(trained: Trained, home: Path) -> list[Path]:
    """Manifests of six tracks and of two more."""
    valid = Manifest.load(trained.folder / "manifest").part("combination", "valid")
    ids = list(valid.tracks["track_id"])
    for name, chosen in {"six": ids[:6], "two": ids[6:8]}.items():
        valid.select(chosen).save(home / name)
    return [home / "six", home / "two"]


def test_an_index_is_built_changed_and_looked_at(
    ask: Answer, fail: Answer, trained: Trained, parts: list[Path], tmp_path: Path
) -> None:
    six, two = parts
    index, one = tmp_path / "index", ("--workers", 1)
    said = ask("index", trained.folder, six, "--out", index, "--kind", "auto", "--memory", 10**9, *one)
    assert said == f"{index}: flat, 6 tracks in 18 segments; 0 skipped\n"
    assert "tracks came, 0 skipped" in ask("index", "add", index, trained.folder, two, *one)
    assert "already; update replaces them" in fail("index", "add", index, trained.folder, two, *one)
    assert "2 tracks came" in ask("index", "add", index, trained.folder, two, "--update", *one)
    opened = SearchIndex.open(index)
    assert "queries.npy" in opened.info["files"]
    first = opened.tracks[0]["track_id"]
    assert (len(opened), opened.info["frontend"]) == (8, opened.info["frontend"] or None)
    assert all(Path(track["path"]).is_file() for track in opened.tracks)
    assert "7 tracks" in ask("index", "delete", index, first)
    assert f"has no track {first!r}" in fail("index", "delete", index, first)
    told = ask("index", "info", index)
    assert f"model {opened.fingerprint}" in told
    assert "journal: 0 bytes" not in told
    assert ask("index", "compact", index, "--kind", "hnsw") == f"{index}: hnsw, 7 tracks in 21 segments\n"
    assert "gen-000002: " in ask("index", "info", index)
    assert "journal: 0 bytes" in ask("index", "info", index)
    assert ask("index", "verify", index).endswith("all of it is what was written\n")


def test_an_index_is_moved(ask: Answer, fail: Answer, trained: Trained, parts: list[Path], tmp_path: Path) -> None:
    made, build = [tmp_path / "a", tmp_path / "b"], ("index", "build", trained.folder, parts[0], "--workers", 1)
    for number, folder in enumerate(made, start=1):
        ask(*build, "--out", folder, "--shard", f"{number}/2")
    assert 0 < len(SearchIndex.open(made[0])) < 6
    assert ask("index", "merge", tmp_path / "all", *made).endswith("6 tracks in 18 segments\n")
    assert "more than one index" in fail("index", "merge", tmp_path / "twice", *made, made[0])
    for folder in made:
        assert " tracks in " in ask("index", "export", folder, "--out", folder.with_suffix(".parquet"))
    files = [folder.with_suffix(".parquet") for folder in made]
    assert ask("index", "import", *files, "--out", tmp_path / "back").endswith("6 tracks in 18 segments\n")
    found = [ask("search", trained.folder, "organ", "--index", tmp_path / name) for name in ("all", "back")]
    assert found[0] == found[1]
    assert "--memory goes with --kind auto" in fail("index", "compact", tmp_path / "all", "--memory", 5)
    for wrong in ("3/2", "0/2", "2", "1/2/3"):
        assert "valid is such as 3/64" in fail(*build, "--out", tmp_path / "x", "--shard", wrong)
    assert "give its folder by --out" in fail(*build, "--shard", "1/2")
    empty = next(n for n in range(1, 65) if not shard(list(Manifest.load(parts[0]).tracks["track_id"]), n, 64))
    assert f"{empty}/64 holds none of 6 tracks" in fail(*build, "--out", tmp_path / "x", "--shard", f"{empty}/64")
    assert "has no 'hnws'" in fail("index", "compact", tmp_path / "all", "--kind", "hnws")


def test_verify_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], trained: Trained, parts: list[Path], tmp_path: Path, ask: Answer
) -> None:
    from crossmodal.cli import main

    ask("index", trained.folder, parts[1], "--out", tmp_path / "index", "--workers", 1)
    path = tmp_path / "index" / "gen-000001" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert main(["index", "verify", str(tmp_path / "index")]) == 2
    assert capsys.readouterr().out == f"{path} is not what was written: its checksum differs\n"


def test_help_lists_the_commands(ask: Answer) -> None:
    told = ask("index", "--help")
    assert "RUN MANIFEST|COMMAND" in told
    assert all(name in told for name in ("build", "add", "delete", "info", "verify", "compact", "merge", "export"))

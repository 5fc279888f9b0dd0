"""`crossmodal search` with more than words or a song; those are in test_cli.py."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import Answer, Trained

from crossmodal.data.manifest import Manifest


@pytest.fixture(scope="module")
def test_part(trained: Trained) -> Manifest:
    return Manifest.load(trained.folder / "manifest").part("combination", "test")


def found(ask: Answer, trained: Trained, *arguments: object) -> list[str]:
    return [hit["track_id"] for hit in json.loads(ask("search", trained.folder, *arguments, "--json", "-k", 60))]


def test_filters_and_artists(ask: Answer, trained: Trained, test_part: Manifest) -> None:
    tags = test_part.tags
    drums, organ = (set(tags.loc[tags["tag"] == tag, "track_id"]) for tag in ("drums", "organ"))
    everything = set(test_part.tracks["track_id"])
    assert set(found(ask, trained, "piano")) == everything
    assert set(found(ask, trained, "piano", "--where", "tag=drums")) == drums
    assert set(found(ask, trained, "piano", "--where", "tags.rhythm!=drums; duration<=0:03")) == everything - drums
    assert (
        set(found(ask, trained, "piano", "--where", "tag!=drums", "--where", "tag!=organ"))
        == everything - drums - organ
    )
    assert found(ask, trained, "piano", "--where", "language=de|tr")
    assert found(ask, trained, "piano", "--where", "language=ja") == []
    one_each = found(ask, trained, "piano", "--per-artist", 1)
    assert len(one_each) == len({track.rpartition("-")[0] for track in everything})


def test_parts_stretches_and_ids(ask: Answer, trained: Trained, test_part: Manifest, tmp_path: Path) -> None:
    track = test_part.tracks["track_id"][4]
    song = tmp_path / "my @song -1.wav"
    shutil.copy(test_part.path(track), song)
    own = test_part.path(track)
    for query in (f"id:{track}", song, f"{song}@0:00-", f'"{song}" +slower', f"{own}@1-", f"id:{track} -drums^.5"):
        assert track not in found(ask, trained, query), query
        assert track in found(ask, trained, query, "--copies"), query
    assert found(ask, trained, "organ -drums") != found(ask, trained, "organ")
    assert found(ask, trained, "organ -drums", "--text") != found(ask, trained, "organ -drums")
    for match in ("mean", "late"):
        assert len(found(ask, trained, f"id:{track} +slow", "--match", match, "--copies")) == len(test_part)
    assert found(ask, trained, "organ", "--csls") != found(ask, trained, "organ")


def test_what_is_left_out_is_told(trained: Trained, test_part: Manifest, capfd: pytest.CaptureFixture[str]) -> None:
    from crossmodal.cli import main

    track = test_part.tracks["track_id"][4]
    assert main(["search", str(trained.folder), f"id:{track}", "--json"]) == 0
    assert f"left out as the query itself: {track}; --copies keeps them\n" in capfd.readouterr().err


def test_many_queries(ask: Answer, fail: Answer, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("query,id,filters\norgan,a,tag=drums\nid:nothing,b,\nslow guitar,c,\n")
    said = ask("search", trained.folder, "--batch", tmp_path / "q.csv", "--out", tmp_path / "a.jsonl", "-k", 2)
    assert said == f"{tmp_path / 'a.jsonl'}: 3 queries; 1 without an answer, with the error\n"
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [len(row.get("hits", [])) for row in rows] == [2, 0, 2]
    assert rows[0]["hits"] == json.loads(
        ask("search", trained.folder, "organ", "--json", "-k", 2, "--where", "tag=drums")
    )
    assert "no track 'nothing'" in rows[1]["error"]
    ask("search", trained.folder, "--batch", tmp_path / "q.csv", "--out", tmp_path / "a.csv", "-k", 2)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["a", "a", "b", "c", "c"]
    lines = ask("search", trained.folder, "--batch", tmp_path / "q.csv", "--json", "-k", 2).splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert "c: slow guitar\n    1. " in ask("search", trained.folder, "--batch", tmp_path / "q.csv")
    (tmp_path / "q.txt").write_text("organ\norgan -organ\n")
    assert "q.txt, line 2: the query both wants" in fail("search", trained.folder, "--batch", tmp_path / "q.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one query, or a file of queries with --batch"),
        (["organ", "--batch", "q.txt"], "give one query, or a file of queries with --batch"),
        (["organ", "--out", "a.csv"], "give one query, or a file of queries with --batch"),
        (["organ", "--where", "year"], "the filter 'year' is no condition"),
        (["organ", "--where", "yaer>1"], "the index has no column 'yaer'"),
        (["organ", "--per-artist", "0"], "Invalid value for '--per-artist'"),
        (["organ", "--match", "min"], "Invalid value for '--match'"),
        (["organ -drums^x +rain^9e9"], "query, character 17|query, character 16"),
        (["id:nothing"], "the index has no track 'nothing'"),
        (["--batch", "q.xml"], "q.xml is no file of queries"),
    ],
)
def test_mistakes_are_one_line(fail: Answer, trained: Trained, arguments: list[str], message: str) -> None:
    assert re.match(message.replace("(", r"\("), fail("search", trained.folder, *arguments))

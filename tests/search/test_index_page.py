"""What docs/index.md counts is what the code writes, and its commands exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer.main

from crossmodal import cli
from crossmodal.search import SearchIndex

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "index.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def counts() -> Any:
    spec = importlib.util.spec_from_file_location("counts", DOCS / "counts.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_that_the_formulas_give(counts: Any) -> None:
    assert counts.written(PAGE) == PAGE
    assert len(re.findall(r"^<!-- \w+ -->$", PAGE, re.MULTILINE)) == 6
    assert counts.written(PAGE.replace("| flat | 11 GB", "| flat | 12 GB")) == PAGE


def built(folder: Path, tracks: int, dim: int, segments: int) -> dict[str, int]:
    """The bytes of each file of an index."""
    ids = [f"track {i}" for i in range(tracks)]
    rows = pd.DataFrame({"track_id": np.repeat(ids, segments), "start": 0.0, "end": 1.0})
    vectors = np.random.default_rng(0).normal(size=(len(rows), dim)).astype(np.float32)
    made = SearchIndex.build(folder, vectors, rows, pd.DataFrame({"track_id": ids}), "m")
    return {name: file["bytes"] for name, file in made.info["files"].items()}


def test_a_segment_takes_the_bytes_that_are_counted(counts: Any, tmp_path: Path) -> None:
    few, many = (built(tmp_path / str(tracks), tracks, counts.DIM, counts.SEGMENTS) for tracks in (64, 320))
    more = 256 * counts.SEGMENTS
    found = {name: (many[name] - few[name]) / more for name in few if name != "tracks.arrow"}
    assert found == {name: pytest.approx(counts.BESIDE[name]) for name in found}
    assert found.keys() | {"tracks.arrow"} == counts.BESIDE.keys()
    assert counts.beside(1000) == pytest.approx(1000 * (sum(found.values()) + counts.METADATA / counts.SEGMENTS))


def test_the_commands_shown_exist_with_their_options() -> None:
    lines = [
        shlex.split(line, comments=True)
        for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
        for line in block.splitlines()
    ]
    named = [shlex.split(line) for line in re.findall(r"`(crossmodal index [^`]+)`", PAGE)]
    commands = typer.main.get_command(cli.app).commands["index"].commands  # type: ignore[attr-defined]
    assert len(lines) == 3
    for line in lines + named:
        assert line[:2] == ["crossmodal", "index"]
        with commands[line[2]].make_context(line[2], line[3:]):
            pass

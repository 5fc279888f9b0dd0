"""docs/results.md says what an evaluation leaves behind; what a run really leaves is held to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Answer, Trained

from crossmodal import results
from crossmodal.data.manifest import Manifest
from crossmodal.metrics.bootstrap import bias_corrected, percentiles

PAGE = (Path(__file__).parent.parent / "docs/results.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([a-z ]+) \| (.+) \|$", re.M)
TYPES: dict[str, tuple[type, ...]] = {
    **{"int": (int,), "str": (str,), "bool": (bool,), "float": (float, int), "list": (list,), "object": (dict,)},
    **{"float or null": (float, int, type(None)), "int or null": (int, type(None)), "str or null": (str, type(None))},
}
MORE = "tasks.<task>.metrics.<metric>.more"


def documented() -> dict[str, tuple[str, bool]]:
    """The page's keys: type, and whether the key is always there."""
    section = PAGE.split("## results.json")[1].split("\n## ")[0]
    return {key: (kind, "May be absent" not in what) for key, kind, what in ROW.findall(section)}


def walked(value: Any, schema: dict[str, tuple[str, bool]], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that a key of the page stands for, with that key; one that no key stands for, with its own."""
    inner = {key[len(path) :] for key in schema if key.startswith(path) and key != path}
    if path in schema and path != MORE:
        yield path, value
    elif isinstance(value, list) and any(key.startswith("[]") for key in inner):
        for item in value:
            yield from walked(item, schema, f"{path}[]")
    elif isinstance(value, dict) and inner:
        for name, one in value.items():
            yield from walked(one, schema, step(path, name, schema))
    else:
        yield path, value


def step(path: str, name: str, schema: dict[str, tuple[str, bool]]) -> str:
    """The key below ``path`` that is called so, or that stands for any name."""
    before = f"{path}." if path else ""
    own = f"{before}{name}"
    if any(key == own or key.startswith((f"{own}.", f"{own}[]")) for key in schema):
        return own
    open_ = re.search(rf"^{re.escape(before)}(<\w+>)", "\n".join(schema), re.M)
    if open_:
        return f"{before}{open_[1]}"
    return MORE if path == MORE.removesuffix(".more") else own


def check(folder: Path) -> dict[str, Any]:
    """Hold a folder to the page; its results."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads((folder / results.RESULTS).read_text(encoding="utf-8"), parse_constant=refuse)
    schema, seen = documented(), dict[str, int]()
    for key, value in walked(found, schema):
        assert key in schema, f"the page does not tell of {key}"
        kind = schema[key][0]
        if kind != "any":
            assert isinstance(value, TYPES[kind]), f"{key} is {value!r}, not {kind}"
            assert kind in ("bool", "object", "list") or not isinstance(value, bool), key
        seen[key] = seen.get(key, 0) + 1
    metrics = sum(len(task["metrics"]) for task in found["tasks"].values())
    for key, (_, always) in schema.items():
        expected = metrics if "<metric>" in key else len(found["tasks"]) if "<task>" in key else 1
        assert not always or seen.get(key) == expected, f"{key} is there {seen.get(key)} times, not {expected}"
    check_samples(folder, found)
    return found


def check_samples(folder: Path, found: dict[str, Any]) -> None:
    """Samples and their units are there for the figures that have an interval, which is that of the samples."""
    bounded = {
        f"{task}|{name}": figure
        for task, told in found["tasks"].items()
        for name, figure in told["metrics"].items()
        if figure["low"] is not None
    }
    with np.load(folder / results.SAMPLES, allow_pickle=False) as arrays:
        assert {name for name in arrays if name.count("|") == 1} == set(bounded)
        for name, figure in bounded.items():
            bounds = bias_corrected(figure["value"], arrays[name]) if figure["corrected"] else percentiles(arrays[name])
            assert (figure["low"], figure["high"]) == pytest.approx(bounds)
            assert 0 < figure["groups"] <= figure["queries"]
            assert arrays[name].dtype == np.float64
            assert re.fullmatch(r"[0-9a-f]{16}", str(arrays[f"{name}|units"]))


def test_a_run_leaves_what_the_page_says(trained: Trained) -> None:
    found = check(trained.folder)
    assert found["format"] == results.FORMAT
    assert "examples" in found
    artists = Manifest.load(trained.folder / "manifest").part(found["split"]["name"], "test").tracks["artist"]
    assert (found["split"]["mostly_by"] is None) == (artists.value_counts().max() <= len(artists) / 2)
    assert [one["kind"] for one in found["guards"]["leaks"]] == ["track", "file", "artist", "album", "group"]
    tables = results.read(trained.folder).tables
    assert all(list(tables[key].columns[:3]) == ["kind", "language", "group"] for key in tables if "queries" in key[1])
    assert any(name.startswith("queries/") for _, name in tables)


def test_what_the_page_does_not_tell_of_is_found(trained: Trained, tmp_path: Path) -> None:
    folder = shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("model", "state", "index"))
    path = folder / results.RESULTS
    text = path.read_text()
    for changed, message in [
        (text.replace('"seed"', '"seeds"', 1), "the page does not tell of seeds"),
        (text.replace('"part": "test"', '"part": 3', 1), "split.part is 3, not str"),
        (text.replace('"value": 0', '"value": NaN, "x": 0', 1), "NaN is no JSON"),
        (text.replace('"queries": ', '"asked": ', 1), "queries is there"),
    ]:
        assert changed != text
        path.write_text(changed)
        with pytest.raises(AssertionError, match=message):
            check(folder)


@pytest.mark.slow
def test_protocols_leave_what_the_page_says(trained: Trained, tmp_path: Path, ask: Answer) -> None:
    run = shutil.copytree(trained.folder, tmp_path / "run")
    ask("evaluate", run, "--protocol", "retrieval")
    found = check(run / "protocols" / "retrieval")
    assert found["protocol"]["name"] == "retrieval"
    assert [one["kind"] for one in found["guards"]["leaks"]][-1] == "duplicate"
    assert set(found["guards"]["collapse"]) == {"audio", "text"}

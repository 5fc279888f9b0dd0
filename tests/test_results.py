from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crossmodal import results
from crossmodal.errors import InputError
from crossmodal.files import write_json
from crossmodal.judgement import Judgement, Measured, Units


def test_what_is_written_is_read(tmp_path: Path) -> None:
    figure = Units(["a", "b", "c"], ["x", "y", "y"], 20).mean([0.0, 1.0, 2.0])
    table = pd.DataFrame({"cello": [1, 0], "flute": [-1, 1]}, index=pd.Index(["a", "b"], name="track_id"))
    judgement = Judgement({"mood/map": figure, "median_rank": Measured(3.0)}, {"mood/truth": table})
    results.write(tmp_path, {"tasks": {"probe": {"metrics": judgement.as_dict()}}}, {"probe": judgement})
    found = results.read(tmp_path)
    assert found.found["tasks"]["probe"]["metrics"]["mood/map"]["value"] == 1.0
    assert found.samples.keys() == {("probe", "mood/map")}
    sample = found.samples["probe", "mood/map"]
    assert np.array_equal(sample.values, figure.samples)
    assert sample.units == figure.units
    assert list(found.tables) == [("probe", "mood/truth")]
    pd.testing.assert_frame_equal(found.tables["probe", "mood/truth"], table)
    with pytest.raises(KeyError):
        found.tables["probe", "mood/scores"]


def test_results_of_before_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no results"):
        results.read(tmp_path)
    write_json(tmp_path / "results.json", {"tasks": {}})
    with pytest.raises(InputError, match="not of format 2"):
        results.read(tmp_path)


HARM: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "something else": lambda whole: b"neither",
    "damaged": lambda whole: whole[:200] + bytes(64) + whole[264:],
}


@pytest.fixture
def judged(tmp_path: Path) -> results.Results:
    names = [*map(str, range(50))]
    figure = Units(names, names, 100).mean(np.random.default_rng(0).normal(size=50))
    table = pd.DataFrame({"cello": figure.samples})
    results.write(tmp_path, {}, {"probe": Judgement({"mood/map": figure}, {"mood/truth": table})})
    return results.read(tmp_path)


@pytest.mark.parametrize("harm", HARM)
def test_broken_samples_are_told(judged: results.Results, harm: str) -> None:
    path = judged.samples.path
    path.write_bytes(HARM[harm](path.read_bytes()))
    with pytest.raises(InputError, match=r"samples\.npz is missing or broken; judge the run again"):
        judged.samples.get(("probe", "mood/map"))


def test_samples_that_are_gone_are_told(judged: results.Results) -> None:
    judged.samples.path.unlink()
    with pytest.raises(InputError, match=r"samples\.npz is missing or broken; judge the run again"):
        judged.samples.get(("probe", "mood/map"))


@pytest.mark.parametrize("harm", ["empty", "cut", "something else"])  # parquet does not notice other bytes within
def test_broken_tables_are_told(judged: results.Results, harm: str) -> None:
    path = judged.tables.folder / "probe" / "mood__truth.parquet"
    path.write_bytes(HARM[harm](path.read_bytes()))
    with pytest.raises(InputError, match=r"mood__truth\.parquet is missing or broken; judge the run again"):
        judged.tables["probe", "mood/truth"]

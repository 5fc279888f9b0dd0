from __future__ import annotations

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

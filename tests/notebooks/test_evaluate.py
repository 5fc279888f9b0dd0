"""Notebook 7: figures, pictures and exports of a run, and a check that notices figures that changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from executing import ROOT, read, run
from nbclient.exceptions import CellExecutionError

from crossmodal import config, train

NOTEBOOK = ROOT / "notebooks" / "7_Evaluate.ipynb"
TASKS = ["retrieval.draws=20", "retrieval.tags=false", "probe.tagsets=[tempo]", "probe.draws=20"]
pytestmark = pytest.mark.slow


@pytest.fixture
def trained(work) -> Path:
    return train(config.load(work / "experiment.yaml", ["train.epochs=1"]), lambda line: None)


def test_evaluate(work, trained):
    printed = run(read(NOTEBOOK), {"work": str(work), "tasks": TASKS, "tagset": "tempo"})
    results = json.loads((trained / "results.json").read_text())
    same = len(results["tasks"]["retrieval"]["metrics"])
    assert f"sound: 12 vectors, {same + 3} figures, {same} of them equal to those of training" in printed
    figures = pd.read_csv(work / "export" / "figures.csv").set_index(["task", "metric"])
    metric = "text_to_audio/recall@10"
    assert figures.loc[("retrieval", metric), "value"] == results["tasks"]["retrieval"]["metrics"][metric]["value"]
    assert ("probe", "tempo/balanced_accuracy") in figures.index
    answers = pd.read_csv(work / "export" / "answers.csv")
    assert np.mean(answers["rank"] <= 10) >= figures.loc[("retrieval", metric), "value"]  # one of four is a hit there
    assert len(np.load(work / "export" / "vectors.npz")["vectors"]) == 12
    judged = trained / "protocols" / "music_to_music"
    found = json.loads((judged / "results.json").read_text())
    value = found["tasks"]["neighbours"]["metrics"]["map"]["value"]
    assert f"neighbours map: {value:.3f}" in printed
    assert "protocol music_to_music, synthetic data" in printed  # the comparison
    assert all(f"{folder / 'report.html'}\n" in printed for folder in (trained, judged))
    assert (judged / "report.html").is_file()


def test_figures_that_are_not_those_of_training_are_noticed(work, trained):
    results = json.loads((trained / "results.json").read_text())
    results["tasks"]["retrieval"]["metrics"]["text_to_audio/map"]["value"] += 0.1
    (trained / "results.json").write_text(json.dumps(results))
    with pytest.raises(CellExecutionError, match="text_to_audio/map differs"):
        run(read(NOTEBOOK), {"work": str(work), "tasks": TASKS, "tagset": "tempo"})

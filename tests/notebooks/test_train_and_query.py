"""Notebook 6: a run that is whole, and answers that are there to be seen and heard."""

from __future__ import annotations

import pytest
from executing import ROOT, read, run

from crossmodal import DualEncoder, SearchIndex
from crossmodal.runs import find_run

NOTEBOOK = ROOT / "notebooks" / "6_Train_and_Query.ipynb"


@pytest.mark.slow
def test_train_and_query(work):
    notebook = read(NOTEBOOK)
    printed = run(
        notebook, {"work": str(work), "overrides": ["train.epochs=1"], "queries": ["a bright organ", "neşeli"]}
    )
    assert "sound: 12 tracks in the index" in printed
    found = find_run(work / "runs" / "tiny")
    assert found.finished
    assert found.config.train.epochs == 1
    index = SearchIndex.open(found.folder / "index")
    assert DualEncoder.load(found.folder).fingerprint == index.fingerprint
    shown = {cell.id: [name for out in cell.outputs for name in out.get("data", {})] for cell in codes(notebook)}
    assert [shown[name].count("image/png") for name in ("curves", "languages", "spectrograms")] == [1, 1, 1]
    assert shown["ask"].count("text/markdown") == 2  # a table and a player for each of the queries
    assert shown["listen"].count("text/markdown") == 4  # the song and three answers


def codes(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]

"""The notebooks run from a fresh kernel on little data, and are committed without what they printed."""

from __future__ import annotations

import re

import nbformat
import pytest
from executing import NOTEBOOKS, parameters, read, run

from crossmodal import config
from crossmodal.data.manifest import Manifest


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS][:1] == ["1_Prepare_Experiment_Metadata.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs_and_in_one_form(path):
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all(re.fullmatch("[a-z][a-z-]*", cell.id) for cell in notebook.cells)  # named, not random
    assert code[0] is notebook.cells[parameters(notebook)]
    assert not re.search(r"^\s*(def|class) |\blambda\b", "\n".join(c.source for c in code), re.MULTILINE)
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


@pytest.mark.slow
def test_prepare_experiment_metadata(tmp_path):
    small = ["data.tracks=48", "data.duration_s=2.0", "data.workers=1", f"data.root={tmp_path / 'synthetic'}"]
    given = {"overrides": [*small, "seed=7"], "work": str(tmp_path / "work")}
    printed = run(read(NOTEBOOKS[0]), given)
    assert "no problems" in printed
    assert "48 tracks in 12 groups" in printed
    saved = Manifest.load(tmp_path / "work" / "manifest")
    assert len(saved) == 48
    assert saved.validate(read_audio=True) == []
    experiment = config.load(tmp_path / "work" / "experiment.yaml")  # what the other notebooks go on from
    assert experiment.data == {"name": "saved", "root": str(tmp_path / "work" / "manifest")}
    assert (experiment.name, experiment.seed) == ("quickstart", 7)

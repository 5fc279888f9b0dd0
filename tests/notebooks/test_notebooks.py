"""The notebooks run from a fresh kernel on little data, and are committed without what they printed."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from crossmodal.data.manifest import Manifest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def parameters(notebook: nbformat.NotebookNode) -> int:
    """The place of the cell with the parameters."""
    (place,) = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    return place


def run(notebook: nbformat.NotebookNode, given: dict[str, object]) -> str:
    """Execute with other parameters, and return all it printed; a cell that fails raises."""
    place = parameters(notebook) + 1
    lines = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    notebook.cells.insert(place, nbformat.v4.new_code_cell(lines))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    assert not [out for out in outputs if out.get("name") == "stderr" and "Warning" in out.text]
    return "\n".join(out.text for out in outputs if out.get("name") == "stdout")


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
    assert not re.search(r"^\s*(def|class) ", "\n".join(c.source for c in code), re.MULTILINE)
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


def test_prepare_experiment_metadata(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    small = ["data.tracks=48", "data.duration_s=2.0", "data.workers=1", f"data.root={tmp_path / 'synthetic'}"]
    printed = run(read(NOTEBOOKS[0]), {"overrides": small, "out": str(tmp_path / "manifest")})
    assert "no problems" in printed
    assert "48 tracks in 12 groups" in printed
    saved = Manifest.load(tmp_path / "manifest")
    assert len(saved) == 48
    assert saved.validate(read_audio=True) == []

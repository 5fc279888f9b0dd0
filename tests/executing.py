"""Notebooks, executed from a fresh kernel with other parameters."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
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

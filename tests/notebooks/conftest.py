"""What notebooks 2 to 7 begin with: a folder as notebook 1 leaves it, on a tiny scale."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from executing import ROOT
from tiny import TINY

from crossmodal.datasets.synthetic import Synthetic


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels find the package, and write into no home."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with manifest/ and experiment.yaml: 48 synthetic tracks of 2 seconds, and the tiny model."""
    data = {**TINY["data"], "tracks": 48, "duration_s": 2.0, "root": str(tmp_path / "audio")}
    folder = tmp_path / "work"
    Synthetic(**{key: value for key, value in data.items() if key != "name"}).manifest().save(folder / "manifest")
    folders = {"features": {"workers": 1, "folder": str(folder / "features")}, "run": {"folder": str(folder / "runs")}}
    content = {**TINY, "data": {"name": "saved", "root": str(folder / "manifest")}, **folders}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder

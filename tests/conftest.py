"""One tiny run, trained once a session, that tests of everything after training look at and never change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from crossmodal import config as configs
from crossmodal.config import Config

FRONTEND = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 16}  # 62.5 frames a second
TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "synthetic", "tracks": 96, "duration_s": 3.0, "sample_rate": 8000, "workers": 1},
    "split": "combination",
    "dim": 16,
    "window_s": 1.0,
    "audio_encoder": {"name": "mel_cnn", "frontend": FRONTEND, "channels": [4, 8], "dim": 16},
    "text_encoder": {"name": "mini_transformer", "vocabulary": 400, "dim": 16, "layers": 1, "heads": 2},
    "features": {"workers": 1},
    "train": {"epochs": 2, "batch_size": 16, "precision": "fp32", "threads": 1, "save_every": 3},
    "tasks": {"retrieval": {"draws": 20, "tags": False}},
    "queries": ["a bright organ"],
}
Configure = Callable[..., Config]


class Trained(NamedTuple):
    """A finished run, what it said, and its experiment's file."""

    folder: Path
    said: list[str]
    experiment: Path


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's file; audio and features are made once and shared by all who train it."""
    home = tmp_path_factory.mktemp("tiny")
    content = {**TINY, "data": {**TINY["data"], "root": str(home / "audio")}, "run": {"folder": str(home / "runs")}}
    content["features"] = {**TINY["features"], "folder": str(home / "features")}
    path = home / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(experiment: Path) -> Trained:
    """The tiny run, trained; read it only."""
    from crossmodal.training import train

    said: list[str] = []
    return Trained(train(configs.load(experiment), said.append), said, experiment)


@pytest.fixture
def configure(experiment: Path, tmp_path: Path) -> Configure:
    """The tiny experiment with overrides; its runs go to the test's own folder."""
    return lambda *overrides: configs.load(experiment, [f"run.folder={tmp_path}/runs", *overrides])

"""The tiny experiment that tests train; its run is a fixture of conftest.py.

A module of its own, since there is more than one conftest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
Answer = Callable[..., str]


class Trained(NamedTuple):
    """A finished run, what it said, and its experiment's file."""

    folder: Path
    said: list[str]
    experiment: Path

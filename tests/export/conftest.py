"""What tests of exports embed, and with what."""

from __future__ import annotations

from pathlib import Path

import exports
import numpy as np
import pytest
import soundfile

from crossmodal.model import DualEncoder


@pytest.fixture(scope="session")
def made() -> DualEncoder:
    """A small model; look at it only."""
    return exports.model()


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files shorter than a window of 1 s, of several windows, stereo, of other rates, and a whole number of windows."""
    home, generator = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    forms = {"short.wav": (0.3, 8000, 1), "long.flac": (5.37, 8000, 1), "stereo.wav": (2.2, 44_100, 2)}
    forms |= {"low.ogg": (1.5, 22_050, 1), "whole.wav": (3.0, 8000, 1)}
    for name, (seconds, rate, channels) in forms.items():
        time = np.arange(int(seconds * rate)) / rate
        chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in generator.uniform(80, 3000, 4))
        noise = generator.normal(size=(len(time), channels))
        soundfile.write(home / name, 0.1 * (chord * np.exp(-time % 0.7))[:, None] + 0.05 * noise, rate)
    return [home / name for name in forms]

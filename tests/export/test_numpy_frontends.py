"""Front ends in numpy against torch's, over blocks as files come in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from crossmodal.audio import frontends
from crossmodal.export.frontends import NumpyFrontEnd, described

SETTINGS: list[str | dict[str, Any]] = [
    {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 16},
    {"sample_rate": 8000, "n_fft": 512, "hop": 100, "bands": 20, "channels": 2, "window": 400, "norm": "slaney"},
    "deezer",  # bands beyond half the sample rate
    {"name": "cqt", "sample_rate": 8000, "f_min": 200.0, "octaves": 3, "bins_per_octave": 12, "hop": 256},
    {"name": "cqt", "sample_rate": 8000, "f_min": 200.0, "octaves": 2, "bins_per_octave": 12, "channels": 2},
    {"name": "raw", "sample_rate": 8000},
]


def blocks(channels: int, sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A hiss far below a tone at full scale, at whose end the rounding of float32 is loud."""
    generator = np.random.default_rng(0)
    for size in sizes:
        tone = np.sin(0.3 * np.arange(size))
        yield (tone + generator.normal(scale=1e-7, size=(channels, size))).astype(np.float32)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("sizes", [(30,), (5000, 1, 12_345)])
def test_numpy_hears_what_torch_hears(settings: str | dict[str, Any], sizes: tuple[int, ...]) -> None:
    torchs = frontends.build(settings)
    ours = NumpyFrontEnd(*described(torchs))
    expected = np.concatenate(list(torchs.stream(blocks(torchs.channels, sizes))))
    found = np.concatenate(list(ours.stream(blocks(torchs.channels, sizes))))
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert np.abs(found - expected).mean() < 5e-3
    assert (ours.hops(len(found)), ours.sample_rate) == (torchs.hops(len(found)), torchs.sample_rate)
    assert (ours.silence, ours.frame_rate, ours.channels) == (torchs.silence, torchs.frame_rate, torchs.channels)


def test_silence_is_the_floor() -> None:
    torchs = frontends.build(SETTINGS[0])
    ours = NumpyFrontEnd(*described(torchs))
    assert (next(iter(ours.stream([np.zeros((1, 4000), np.float32)]))) == torchs.silence).all()

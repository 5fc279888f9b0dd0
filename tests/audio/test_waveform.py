from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossmodal.audio import frontends
from crossmodal.audio.decode import features_of
from crossmodal.audio.soundness import AudioError
from crossmodal.audio.waveform import waveform_features

MONO = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 16}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8000, 22_050])
@pytest.mark.parametrize("heard", [1, 2])
def test_samples_are_heard_as_their_file_is(tmp_path: Path, channels: int, rate: int, heard: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, rate)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples.T, rate, subtype="FLOAT")
    frontend = frontends.build({**MONO, "channels": heard})
    from_file = features_of(tmp_path / "a.wav", frontend)
    assert np.array_equal(waveform_features(samples, rate, frontend), from_file)
    assert np.array_equal(waveform_features(samples.astype(np.float64), rate, frontend), from_file)
    if channels == 1:
        assert np.array_equal(waveform_features(samples[0], rate, frontend), from_file)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros(8000, np.int16), 8000, "is of int16; samples are floats in [-1, 1]"),
        (np.ones((8000, 2)), 8000, "is (samples,) or (channels, samples), not (8000, 2)"),
        (np.ones((1, 1, 8000)), 8000, "is (samples,) or (channels, samples), not (1, 1, 8000)"),
        (np.zeros(8000), 8000, "is silent"),
        (np.full(8000, np.nan), 8000, "holds NaN"),
        (np.ones(10), 8000, "lasts 0.001 s"),
        (np.ones(0), 8000, "holds no samples"),
        (np.ones(8000), 20, "20 Hz"),
    ],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray, rate: int, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        waveform_features(samples, rate, frontends.build(MONO), "wave 3")
    assert str(caught.value).startswith("wave 3: ")
    assert reason in str(caught.value)

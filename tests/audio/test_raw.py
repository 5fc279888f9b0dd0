"""The front end that leaves the waveform as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from crossmodal.audio.decode import decode, features_of
from crossmodal.audio.frontends import Raw, build, described
from crossmodal.data.extraction import extract
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError

SHAPES = pytest.mark.parametrize("channels", [1, 2])


@SHAPES
def test_a_frame_is_a_sample_of_each_channel(channels):
    frontend = Raw(8000, channels)
    samples = torch.randn(3, 2, channels, 500, generator=torch.Generator().manual_seed(0))
    found = frontend(samples)
    assert found.shape == (3, 2, frontend.frames(500), *frontend.shape) == (3, 2, 500, channels)
    for place in np.ndindex(3, 2, channels, 500):
        assert found[(*place[:2], place[3], place[2])] == samples[place]
    assert (frontend.silence, frontend.frame_rate, frontend.hops(500)) == (0, 8000, 500)


@SHAPES
def test_blocks_join_to_the_whole(channels):
    samples = np.random.default_rng(1).standard_normal((channels, 1000)).astype(np.float32)
    frontend = Raw(8000, channels)
    found = np.concatenate(list(frontend.stream([samples[:, :3], samples[:, 3:700], samples[:, 700:]])))
    np.testing.assert_array_equal(found, frontend(torch.from_numpy(samples)).numpy())


def test_fingerprint_is_of_rate_and_channels():
    settings = [{}, {"sample_rate": 16_000}, {"channels": 2}]
    assert len({Raw(**given).fingerprint for given in settings}) == 3
    assert described(build({"name": "raw", "channels": 2})) == {"name": "raw", "sample_rate": 22_050, "channels": 2}


def test_other_channels_are_refused():
    with pytest.raises(InputError, match="not \\(1, 90\\)"):
        Raw(8000, 2)(torch.zeros(1, 90))


def test_a_store_may_hold_waveforms(tmp_path):
    left = np.random.default_rng(2).uniform(-0.5, 0.5, 4000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), 8000)
    soundfile.write(tmp_path / "late.wav", np.concatenate([np.zeros(4000), left]), 8000)
    tracks = pd.DataFrame({"track_id": ["a", "late"], "path": ["a.wav", "late.wav"]})
    manifest = Manifest.build(tracks, root=tmp_path)
    frontend = Raw(8000, 2)
    store = extract(manifest, frontend, tmp_path / "s.h5", precision=32, max_duration_s=0.4)
    assert store.track_ids == ["a"]
    assert "is silent where it was read" in store.skipped[0].reason
    np.testing.assert_array_equal(store["a"], decode(tmp_path / "a.wav", 8000, 2)[:, :3200].T)
    np.testing.assert_array_equal(store["a"], features_of(tmp_path / "a.wav", frontend, stop_s=0.4))
    store.check(build(store.frontend_settings))
    with pytest.raises(InputError, match="channels 2, not 1"):
        store.check(Raw(8000))

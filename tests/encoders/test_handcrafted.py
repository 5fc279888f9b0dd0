"""The descriptors, against plain loops, scipy and sounds of which they are known."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import torch
from networks import features
from tiny import FRONTEND, Configure

from crossmodal import optimizers
from crossmodal.audio import frontends
from crossmodal.encoders.audio import _descriptors as descriptors
from crossmodal.encoders.audio.handcrafted import FAMILIES, Handcrafted
from crossmodal.errors import InputError
from crossmodal.files import read_json
from crossmodal.model import DualEncoder
from crossmodal.training import freeze, train

LENGTHS = torch.tensor([40, 17, 1, 2])
CQT = {"name": "cqt", "sample_rate": 8000, "hop": 128, "bins_per_octave": 24, "f_min": 110.0, "octaves": 4}


@pytest.fixture
def bands() -> torch.Tensor:
    """Four clips of six bands, and anything behind their ends."""
    return 10 * torch.randn(4, 40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 50


def test_seven_moments_are_those_of_scipy(bands: torch.Tensor) -> None:
    found = descriptors.seven_moments(bands, LENGTHS).view(4, 7, 6).numpy()
    for clip in (0, 1, 3):
        x = bands[clip, : LENGTHS[clip]].numpy()
        asked = [x.mean(0), np.median(x, 0), x.std(0), scipy.stats.skew(x), scipy.stats.kurtosis(x, fisher=False)]
        np.testing.assert_allclose(found[clip], [*asked, x.min(0), x.max(0)], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[2, [0, 1, 5, 6]], np.tile(bands[2, 0], (4, 1)))
    np.testing.assert_allclose(found[2, 2:5], [[1e-3] * 6, [0] * 6, [0] * 6], atol=1e-12)


def test_modulations_are_sums_of_products(bands: torch.Tensor) -> None:
    frequencies, rate = [0.5, 3.0, 10.0], 43.0
    found = descriptors.modulations(bands, LENGTHS, rate, torch.tensor(frequencies)).numpy()
    for clip, length in enumerate(LENGTHS.tolist()):
        for band in range(6):
            x = bands[clip, :length, band].numpy()
            for place, frequency in enumerate(frequencies):
                total = sum((x[t] - x.mean()) * np.exp(2j * np.pi * frequency * t / rate) for t in range(length))
                assert found[clip, place, band] == pytest.approx(2 / length * abs(total), rel=1e-4, abs=3e-3)


def test_a_beat_is_found_at_its_frequency() -> None:
    """Level that goes up and down by 6 dB, four times a second."""
    seconds = torch.arange(200) / 50
    swing = (6 * torch.sin(2 * math.pi * 4 * seconds) - 40).view(1, -1, 1)
    found = descriptors.modulations(swing, torch.tensor([200]), 50.0, torch.arange(1, 21) * 0.5)[0, :, 0]
    assert found.argmax() == 7
    assert found[7] == pytest.approx(6, abs=1e-3)
    assert found[torch.arange(20) != 7].max() < 0.01


def test_the_shape_of_a_spectrum(bands: torch.Tensor) -> None:
    octaves = torch.tensor([6.0, 7.0, 7.5, 8.0, 9.0, 11.0], dtype=torch.float64)
    found = descriptors.spectral_shape(bands, octaves).numpy()
    for clip, frame in ((0, 0), (1, 5), (3, 39)):
        power = [10 ** (float(x) / 10) for x in bands[clip, frame]]
        share = [p / sum(power) for p in power]
        centroid = sum(s * float(o) for s, o in zip(share, octaves, strict=True))
        spread = sum(s * (float(o) - centroid) ** 2 for s, o in zip(share, octaves, strict=True)) ** 0.5
        rolloff = next(count for count in range(6) if sum(share[: count + 1]) >= 0.85)
        flatness = 10 * np.log10(scipy.stats.gmean(power) / np.mean(power))
        level = 10 * np.log10(sum(power))
        np.testing.assert_allclose(found[clip, frame], [centroid, spread, rolloff, flatness, level], rtol=1e-5)


def test_contrast_is_of_peaks_and_valleys() -> None:
    x = torch.rand(2, 3, 22, generator=torch.Generator().manual_seed(1))
    found = descriptors.contrast(x, 2).numpy()
    for clip, frame in np.ndindex(2, 3):
        for group in range(2):
            ordered = sorted(x[clip, frame, 11 * group : 11 * group + 11].tolist())
            valley = (ordered[0] + ordered[1]) / 2  # a fifth of eleven is two
            assert found[clip, frame, 2 + group] == pytest.approx(valley)
            assert found[clip, frame, group] == pytest.approx((ordered[-1] + ordered[-2]) / 2 - valley)


def test_pitches_belong_to_their_classes() -> None:
    """Quarter tones from A up: every third bin of 36 is a semitone."""
    centres = 220 * 2 ** (torch.arange(49) / 24)
    found = descriptors.pitch_classes(centres, 36)
    assert found[0].sum() == 0  # the lowest band has no neighbour below
    torch.testing.assert_close(found[1:].sum(1), torch.ones(48))
    for band, place in ((24, 0), (48, 0), (2, 3), (26, 3), (22, 33)):
        assert found[band].argmax() == place
        assert found[band, place] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(found[1, [1, 2]], [0.5, 0.5], atol=1e-4)  # half of a semitone is between two bins
    assert descriptors.pitch_classes(torch.tensor([220.0, 240.0, 250.0]), 12).sum(1).round().tolist() == [0, 0, 1]


def test_the_cepstrum_is_that_of_scipy(bands: torch.Tensor) -> None:
    expected = scipy.fft.dct(bands.numpy(), norm="ortho")[..., :4]
    np.testing.assert_allclose(bands @ descriptors.cosines(6, 4).double(), expected, atol=1e-4)


def test_groups_are_means_of_neighbours(bands: torch.Tensor) -> None:
    torch.testing.assert_close(descriptors.grouped(bands, 3)[..., 1], (bands[..., 2] + bands[..., 3]) / 2)
    assert descriptors.grouped(bands, 7) is bands


@pytest.mark.parametrize("settings", [FRONTEND | {"n_fft": 1024, "bands": 40}, CQT])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(settings: dict[str, Any]) -> None:
    frontend = frontends.build(settings)
    assert len(frontend.centres) == frontend.shape[-1]
    for band in range(3, len(frontend.centres), 7):
        tone = torch.sin(2 * math.pi * frontend.centres[band] * torch.arange(8000) / 8000)
        assert frontend.forward(tone.view(1, 1, -1))[0, 30].argmax() == band


def test_silent_bands_lie_at_half_the_sample_rate_and_waveforms_have_none() -> None:
    centres = frontends.build("deezer").centres
    assert centres[-11:] == (8000.0,) * 11
    assert list(centres) == sorted(centres)
    assert np.isfinite(Handcrafted("deezer").octaves).all()
    assert frontends.build("raw").centres == ()


def encoder(**settings: Any) -> tuple[Handcrafted, torch.Tensor, torch.Tensor]:
    """One that is fitted to clips, and these."""
    made = Handcrafted(FRONTEND | {"bands": 32}, **settings).double().eval()
    clips, lengths = features(made, 130, batch=100), torch.randint(60, 131, (100,))
    made.fit(clips, lengths)
    return made, clips, lengths


def test_every_number_is_standardised_and_every_family_weighs_the_same() -> None:
    made, clips, lengths = encoder()
    made.share.fill_(1)
    found = made(clips, lengths)
    moving = found[:, made.deviation > 1e-3]
    assert moving.shape[1] > 0.8 * made.dim  # so few bands tell few pitches
    torch.testing.assert_close(moving.mean(0), torch.zeros_like(moving[0]), atol=0.05, rtol=0)  # some are cut off
    torch.testing.assert_close(moving.std(0), torch.ones_like(moving[0]), atol=0.15, rtol=0)
    sizes = [Handcrafted(FRONTEND | {"bands": 32}, families=[name]).dim for name in FAMILIES]
    shares = Handcrafted(FRONTEND | {"bands": 32}).share.square().split(sizes)
    torch.testing.assert_close(torch.stack([share.sum() for share in shares]), torch.ones(len(FAMILIES)))


def test_no_number_is_farther_than_five_deviations() -> None:
    made, clips, _ = encoder(families=["mfcc", "shape"])
    made.share.fill_(1)
    assert made(clips).abs().max() < 5
    assert made(clips + 1000).abs().max() == 5


def test_families_are_computed_one_by_one() -> None:
    together, clips, lengths = encoder(families=["chroma", "bands"])
    parts = torch.cat([encoder(families=[name])[0].described(clips, lengths) for name in ("chroma", "bands")], 1)
    torch.testing.assert_close(together.described(clips, lengths), parts)
    for families in ([], ["ssd", "ssd"]):
        with pytest.raises(InputError, match="name one at least, and each once"):
            Handcrafted(FRONTEND, families=families)


def test_the_channels_are_described_each_by_itself() -> None:
    stereo = Handcrafted(FRONTEND | {"channels": 2}, families=["ssd"]).double()
    mono = Handcrafted(FRONTEND, families=["ssd"]).double()
    clips = features(stereo, 50)
    apart = [mono.described(clips[:, :, channel], LENGTHS[:2]) for channel in (0, 1)]
    torch.testing.assert_close(stereo.described(clips, LENGTHS[:2]), torch.cat(apart, 1))


def test_the_sequence_is_of_seconds() -> None:
    made, clips, _ = encoder(families=["bands"])
    steps = made.sequence(clips)
    assert steps.shape == (100, 3, 64)  # 62.5 frames a second
    torch.testing.assert_close(steps[:, 1], made(clips[:, 62:124]))


ALONE = [
    f"audio_encoder={json.dumps({'name': 'handcrafted', 'families': ['mfcc'], 'frontend': FRONTEND})}",
    "text_encoder={name: none}",
    "queries=[]",
    "tasks={neighbours: {draws: 0}}",
]


def test_it_cannot_be_trained(configure: Configure) -> None:
    config = configure("objectives={ntxent: {}}", *ALONE)
    model = DualEncoder(config.audio_encoder, config.text_encoder)
    assert not optimizers.build(config.optimizer, model.named_parameters()).param_groups[0]["params"]
    with pytest.raises(InputError, match=r"train\.epochs is 2: nothing of the model is left to train"):
        freeze(model, config, print)


@pytest.mark.slow
def test_a_run_of_it_is_judged_as_others_are(configure: Configure) -> None:
    folder = train(configure("train.epochs=0", "objectives={}", *ALONE), lambda line: None)
    metrics = read_json(folder / "results.json")["tasks"]["neighbours"]["metrics"]
    assert metrics["instrument/map"]["value"] > metrics["instrument/map"]["chance"] + 0.05
    assert read_json(folder / "environment.json")["parameters"] == 0

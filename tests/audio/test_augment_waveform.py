"""The augmentations of waveforms, measured: decibels, cents, milliseconds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from crossmodal.audio.augment import waveform as w
from crossmodal.audio.augment.chain import functions

RATE = 22_050
RATED = {"high_low_pass", "delay", "pitch_shift", "reverb"}  # what is given the sample rate
FUNCTIONS = functions("waveform")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def apply(name: str, x: torch.Tensor, seed: int = 0, **settings) -> torch.Tensor:
    given = {"sample_rate": RATE} if name in RATED else {}
    return FUNCTIONS[name](x, generator(seed), **given, **settings)


def music(items: int, channels: int = 1, samples: int = 8000, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return (0.1 * torch.randn(items, channels, samples, generator=generator(seed))).to(dtype)


def sine(hertz: float, samples: int, rate: int = RATE) -> torch.Tensor:
    return 0.3 * torch.sin(2 * math.pi * hertz * torch.arange(samples, dtype=torch.float64) / rate)[None, None]


def decibels(x: torch.Tensor, reference: torch.Tensor) -> float:
    return 10 * math.log10(float(x.double().square().mean() / reference.double().square().mean()))


def peak(x: torch.Tensor, rate: int = RATE) -> float:
    size = 2**20
    spectrum = torch.fft.rfft(x.flatten() * torch.hann_window(x.numel(), dtype=x.dtype), size).abs()
    return int(spectrum.argmax()) * rate / size


def test_they_are_clmrs_nine_and_each_says_what_it_changes():
    assert {name: f.changes for name, f in FUNCTIONS.items()} == {
        "crop": set(),
        "polarity": set(),
        "noise": {"timbre"},
        "gain": {"level"},
        "high_low_pass": {"timbre", "level"},
        "delay": {"timbre", "level"},
        "pitch_shift": {"pitch", "timbre"},
        "reverb": {"timbre"},
        "reverse": {"order"},
    }


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("samples", [1, 2, 37, 3001])
def test_any_length_silence_shape_and_type(name, samples):
    for dtype in (torch.float32, torch.float64):
        x = music(3, 2, samples, dtype=dtype)
        y = apply(name, x)
        assert y.shape == x.shape
        assert y.dtype == dtype
        assert y.isfinite().all()
    silent = apply(name, torch.zeros(2, 1, samples))
    assert torch.equal(silent, torch.zeros(2, 1, samples))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_seed_same_result_and_the_input_is_left_alone(name):
    x = music(4)
    before = x.clone()
    once, again, other = apply(name, x, 1), apply(name, x, 1), apply(name, x, 2)
    assert torch.equal(x, before)
    assert torch.equal(once, again)
    assert name in {"polarity", "reverse"} or not torch.equal(once, other)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_item_does_not_depend_on_what_the_others_sound_like(name):
    x = music(4, samples=3000)
    other = x.clone()
    other[[0, 2, 3]] = 3 * music(3, samples=3000, seed=9)
    torch.testing.assert_close(apply(name, x)[1], apply(name, other)[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"noise"}))
def test_channels_of_an_item_get_the_same_and_items_get_their_own(name):
    x = music(1, samples=12_000).expand(4, 2, -1)
    y = apply(name, x)
    torch.testing.assert_close(y[:, 0], y[:, 1], rtol=0, atol=1e-6)
    if name not in {"polarity", "reverse"}:
        assert len({tuple(row.tolist()) for row in y[:, 0, ::100]}) > 1


def loudness_of_sound(y: torch.Tensor, x: torch.Tensor) -> float:
    """Level of what sounds: a crop's silence is no change of level."""
    return decibels(y[y.abs() > 0], x)


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if "level" not in f.changes])
def test_what_does_not_declare_level_keeps_it(name):
    x = music(1, samples=40_000)
    assert all(abs(loudness_of_sound(apply(name, x, seed), x)) < 1.5 for seed in range(6))


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if "pitch" not in f.changes])
def test_what_does_not_declare_pitch_keeps_it(name):
    x = sine(440.0, 16_000)
    assert all(abs(1200 * math.log2(peak(apply(name, x, seed)) / 440)) < 5 for seed in range(2))


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if not f.changes & {"timbre", "order"}])
def test_what_declares_neither_timbre_nor_order_only_scales_the_spectrum(name):
    x = music(1, samples=40_000)
    y = apply(name, x, shortest=1.0) if name == "crop" else apply(name, x)
    ratio = torch.fft.rfft(y).abs() / torch.fft.rfft(x).abs()
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio), rtol=1e-2, atol=1e-3)


def test_gain_lies_in_its_range_and_is_what_was_asked():
    x = music(200, samples=50)
    drawn = [decibels(y, x_) for y, x_ in zip(apply("gain", x, low_db=-20.0, high_db=-1.0), x, strict=True)]
    assert -20.001 <= min(drawn) < -18.5
    assert -2.5 < max(drawn) <= -0.999
    assert decibels(apply("gain", x, low_db=-6.0, high_db=-6.0), x) == pytest.approx(-6, abs=1e-3)


def test_polarity_and_reverse_twice_are_nothing():
    x = music(2, 2)
    assert torch.equal(apply("polarity", apply("polarity", x)), x)
    assert torch.equal(apply("reverse", apply("reverse", x)), x)
    assert torch.equal(apply("reverse", x), x.flip(-1))


def test_reverse_leaves_the_padding_at_the_end():
    x = torch.arange(1.0, 13).view(2, 1, 6)
    x[0, :, 4:] = 0
    y = apply("reverse", x, lengths=torch.tensor([4, 6]))
    assert y.tolist() == [[[4, 3, 2, 1, 0, 0]], [[12, 11, 10, 9, 8, 7]]]


def test_noise_has_the_ratio_of_amplitudes_that_was_drawn():
    x = music(1, 2, samples=30_000)
    assert decibels(apply("noise", x, low_snr_db=40.0, high_snr_db=40.0) - x, x) == pytest.approx(-40, abs=0.2)
    assert decibels(apply("noise", x, low_snr_db=10.0, high_snr_db=10.0) - x, x) == pytest.approx(-10, abs=0.2)
    many = music(300, samples=400, dtype=torch.float64)
    ratios = (apply("noise", many) - many).std(-1) / many.square().mean(-1).sqrt()
    assert 1e-4 < float(ratios.min()) < 1e-3
    assert 9e-3 < float(ratios.max()) < 1.2e-2
    assert float(ratios.mean()) == pytest.approx(0.5e-2, rel=0.1)  # even in amplitude, as CLMR draws it


def test_noise_is_relative_to_the_valid_part():
    x = music(1, samples=40_000)
    x[..., 10_000:] = 0
    noise = apply("noise", x, lengths=torch.tensor([10_000]), low_snr_db=20.0, high_snr_db=20.0) - x
    assert decibels(noise, x[..., :10_000]) == pytest.approx(-20, abs=0.2)


def first_order(x: np.ndarray, cutoff: float, high: bool) -> np.ndarray:
    """Zölzer, DAFX: the first-order filters from an all-pass, sample by sample."""
    c = (math.tan(math.pi * cutoff / RATE) - 1) / (math.tan(math.pi * cutoff / RATE) + 1)
    through = lfilter([c, 1], [1, c], x)
    return (x - through) / 2 if high else (x + through) / 2


@pytest.mark.parametrize("cutoff", [200.0, 1200.0, 4000.0])
def test_high_low_pass_is_the_first_order_filter(cutoff):
    x = music(8, samples=2000, dtype=torch.float64)
    bounds = {f"{end}_{kind}_hz": cutoff for end in ("low", "high") for kind in ("highpass", "lowpass")}
    kinds = set()
    for given, found in zip(x, apply("high_low_pass", x, **bounds), strict=True):
        errors = {high: np.abs(first_order(given[0].numpy(), cutoff, high) - found[0].numpy()).max() for high in (0, 1)}
        assert min(errors.values()) < 1e-5
        kinds.add(min(errors, key=errors.get))
    assert kinds == {0, 1}


@pytest.mark.parametrize(("hertz", "expected"), [(100.0, -20.04), (1000.0, -3.01), (5000.0, -0.09)])
def test_a_high_pass_at_1_khz_attenuates_a_sine_by_what_it_should(hertz, expected):
    bounds = {
        "low_highpass_hz": 1000.0,
        "high_highpass_hz": 1000.0,
        "low_lowpass_hz": 9000.0,
        "high_lowpass_hz": 9000.0,
    }
    x = sine(hertz, 22_050)
    found = [decibels(apply("high_low_pass", x, seed, **bounds)[..., 2000:], x[..., 2000:]) for seed in range(8)]
    assert any(level == pytest.approx(expected, abs=0.1) for level in found)


def test_a_cutoff_beyond_half_the_rate_is_brought_below_it():
    x = music(16, samples=800)
    assert w.high_low_pass(x, generator(), 2000).isfinite().all()


def test_delay_equals_a_plain_loop_and_comes_in_steps():
    x = music(40, samples=9950)
    seen = set()
    for given, found in zip(x[:, 0].tolist(), apply("delay", x)[:, 0].tolist(), strict=True):
        fits = []
        for ms in range(200, 451, 50):
            offset = int(ms * RATE / 1000)
            pairs = ((t, given[t] + (0.5 * given[t - offset] if t >= offset else 0)) for t in range(0, 9950, 7))
            if all(abs(found[t] - expected / 2) < 1e-6 for t, expected in pairs):
                fits.append(ms)
        assert len(fits) == 1
        seen.update(fits)
    assert seen == {200, 250, 300, 350, 400, 450}


@pytest.mark.parametrize("cents", [-700.0, -317.0, 0.0, 100.0, 700.0, 1200.0])
@pytest.mark.parametrize("hertz", [220.0, 1500.0])
def test_pitch_shift_moves_a_sine_by_the_cents(cents, hertz):
    x = sine(hertz, RATE)
    y = apply("pitch_shift", x, low_cents=cents, high_cents=cents)
    assert y.shape == x.shape
    assert 1200 * math.log2(peak(y) / hertz) == pytest.approx(cents, abs=1.5)
    fifths = [decibels(part, x) for part in y.split(RATE // 5, -1)]  # it sounds from beginning to end
    assert fifths == pytest.approx([0] * 5, abs=1)


def test_pitch_shift_draws_the_cents_of_its_range():
    x = sine(500.0, 6000).expand(30, -1, -1)
    cents = [1200 * math.log2(peak(y) / 500) for y in apply("pitch_shift", x)]
    assert -710 < min(cents) < -500
    assert 500 < max(cents) < 710


@pytest.mark.parametrize("cents", [-700.0, -200.0, 700.0])
def test_pitch_shift_keeps_when_things_happen(cents):
    strokes = [4000, 14_321, 23_456]
    x = torch.zeros(1, 1, 30_000)
    for start in strokes:
        x[..., start : start + 300] = music(1, samples=300, seed=start) * (-torch.arange(300) / 100).exp()
    y = apply("pitch_shift", x, low_cents=cents, high_cents=cents)
    time = torch.arange(6000) - 3000
    for start in strokes:
        before, after = (z[0, 0, start - 3000 : start + 3000].square() for z in (x, y))
        centres = [float((time * energy).sum() / energy.sum()) for energy in (before, after)]
        spread = float(((time - centres[1]) ** 2 * after).sum() / after.sum()) ** 0.5
        assert abs(centres[1] - centres[0]) < 0.010 * RATE
        assert spread < 0.015 * RATE  # a window of the analysis is 93 ms long


def test_a_shift_is_as_clean_at_the_end_of_a_long_sound():
    samples, hertz = 20 * RATE, 3000 * 2 ** (7 / 12)
    y = apply("pitch_shift", sine(3000.0, samples).float(), low_cents=700.0, high_cents=700.0)[0, 0].double()
    time = 2 * math.pi * hertz * torch.arange(samples - RATE, samples - 3000, dtype=torch.float64) / RATE
    basis, end = torch.stack([time.sin(), time.cos()], dim=1), y[samples - RATE : samples - 3000]
    rest = end - basis @ torch.linalg.lstsq(basis, end[:, None]).solution[:, 0]
    assert decibels(rest, end) < -45


def test_no_shift_is_the_sound_itself():
    x = sine(300.0, 12_000) + sine(3000.0, 12_000) + music(1, samples=12_000, dtype=torch.float64)
    y = apply("pitch_shift", x, low_cents=0.0, high_cents=0.0)
    assert decibels(y - x, x) < -30


def test_what_a_shift_would_fold_back_is_left_out():
    x = sine(9000.0, 20_000)
    y = apply("pitch_shift", x, low_cents=700.0, high_cents=700.0)
    assert decibels(y, x) < -30


def test_reverb_decays_and_has_the_level_that_it_says():
    x = torch.zeros(1, 1, RATE)
    x[..., 0] = 1.0
    settings = {f"{end}_{knob}": 50.0 for end in ("low", "high") for knob in ("reverberance", "damping", "room")}
    tail = apply("reverb", x, **settings) - x
    feedback = 1 - 0.7 * (0.02 / 0.7) ** 0.5
    seconds = 0.03125 * 0.55 * math.log(1000) / -math.log(feedback)
    energy = tail.flatten().double().square()
    left = energy.flip(0).cumsum(0).flip(0)  # Schroeder's integral
    decay = 10 * torch.log10(left / left[0])
    assert float(decay[int(seconds / 2 * RATE)]) == pytest.approx(-30, abs=2)
    assert 10 * math.log10(float(energy.sum())) == pytest.approx(-12.5 + 2.5, abs=0.2)


def test_reverb_comes_after_the_sound():
    x = torch.zeros(20, 1, 3000)
    x[..., 2500] = 1.0
    y = apply("reverb", x)
    assert float(y[..., :2500].abs().max()) < 1e-5
    assert float(y[..., 2501:].abs().amax(-1).min()) > 1e-3


def test_a_crop_is_a_stretch_of_the_valid_part_then_silence():
    lengths = torch.tensor([60, 100] * 30)
    x = torch.arange(1.0, 101).expand(60, 1, -1) * (torch.arange(100) < lengths[:, None, None])
    shares, starts = [], []
    for row, length in zip(apply("crop", x, lengths=lengths, shortest=0.3)[:, 0], lengths.tolist(), strict=True):
        kept = int((row > 0).sum())
        first = int(row[0])
        assert row.tolist() == [*range(first, first + kept), *[0] * (100 - kept)]
        assert first + kept - 1 <= length
        shares.append(kept / length)
        starts.append(first)
    assert 0.3 <= min(shares) < 0.5 < 0.9 < max(shares)
    assert len(set(starts)) > 20


def test_a_device_without_a_generator_of_its_own():
    """A generator of the CPU serves data elsewhere: on the meta device all that can fail is where things are drawn."""
    x = torch.zeros(2, 1, 64, device="meta")
    for name in ("crop", "noise", "gain", "delay", "reverse", "reverb"):
        assert apply(name, x).device.type == "meta"

"""The augmentations of features: what they fill with, what they mix, what they leave."""

from __future__ import annotations

import math

import pytest
import torch

from crossmodal.audio.augment.chain import functions

SILENCE = -100.0
FUNCTIONS = functions("features")
SHAPES = [(16,), (2, 16)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(items: int, frames: int = 50, shape: tuple[int, ...] = (16,), seed: int = 0) -> torch.Tensor:
    return -60 + 15 * torch.randn(items, frames, *shape, generator=generator(seed)).clamp(-2, 2)


def apply(name: str, x: torch.Tensor, seed: int = 0, **settings) -> torch.Tensor:
    return FUNCTIONS[name](x, generator(seed), silence=SILENCE, **settings)


def test_each_says_what_it_changes():
    assert {name: f.changes for name, f in FUNCTIONS.items()} == {
        "time_mask": set(),
        "frequency_mask": {"timbre"},
        "mixup": {"timbre", "level"},
        "random_resized_crop": {"pitch", "tempo", "timbre"},
        "eq": {"timbre", "level"},
    }


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (1,)])
@pytest.mark.parametrize("frames", [1, 2, 31])
def test_any_size_shape_type_and_silence(name, shape, frames):
    for dtype in (torch.float32, torch.float64):
        x = features(3, frames, shape).to(dtype)
        y = apply(name, x)
        assert y.shape == x.shape
        assert y.dtype == dtype
        assert y.isfinite().all()
        assert float(y.min()) >= SILENCE
        assert apply(name, x[:1]).shape == x[:1].shape
    silent = torch.full((2, frames, *shape), SILENCE)
    torch.testing.assert_close(apply(name, silent), silent)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_seed_same_result_and_the_input_is_left_alone(name):
    x = features(4)
    before = x.clone()
    once, again, other = apply(name, x, 1), apply(name, x, 1), apply(name, x, 2)
    assert torch.equal(x, before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"mixup"}))
def test_an_item_does_not_depend_on_what_the_others_are(name):
    x = features(4)
    other = x.clone()
    other[[0, 2, 3]] = features(3, seed=9)
    assert torch.equal(apply(name, x)[1], apply(name, other)[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_channels_of_an_item_get_the_same(name):
    x = features(4)[:, :, None].expand(-1, -1, 2, -1)
    y = apply(name, x)
    torch.testing.assert_close(y[:, :, 0], y[:, :, 1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "axis", "longest"), [("time_mask", 1, 20), ("frequency_mask", -1, 5)])
def test_a_mask_is_one_stretch_of_silence_of_every_length(name, axis, longest, shape):
    x = features(300, 50, shape)
    y = apply(name, x, **{"frames" if name == "time_mask" else "bands": longest})
    masked = (y == SILENCE).movedim(axis, 1).flatten(2)
    assert torch.equal(masked.any(-1), masked.all(-1))
    assert torch.equal(y[y != SILENCE], x[y != SILENCE])
    widths = masked[..., 0].sum(1)
    assert set(widths.tolist()) == set(range(longest + 1))
    edges = masked[..., 0].int().diff(dim=1).abs().sum(1)
    assert int(edges.max()) <= 2  # one stretch
    assert masked[:, 0, 0].any()  # which reaches both ends
    assert masked[:, -1, 0].any()


def test_a_time_mask_stays_within_a_short_clip():
    x = features(200, 50)
    masked = (apply("time_mask", x, lengths=torch.full((200,), 8), frames=100) == SILENCE)[..., 0]
    assert not masked[:, 8:].any()
    assert set(masked.sum(1).tolist()) == set(range(9))


def by_loops(front: float, back: float, share: float) -> float:
    return 10 * math.log10((1 - share) * 10 ** (front / 10) + share * 10 ** (back / 10))


def test_mixup_is_the_sum_of_powers_with_another_item():
    x = features(5, 3, (4,)).double()
    y = apply("mixup", x, ratio=0.4)
    for item in range(5):
        fits = []
        for other in set(range(5)) - {item}:
            power = [10 ** (float(v[item].flatten()[0]) / 10) for v in (x, y)]
            share = (power[1] - power[0]) / (10 ** (float(x[other].flatten()[0]) / 10) - power[0])
            pairs = zip(x[item].flatten().tolist(), x[other].flatten().tolist(), strict=True)
            expected = [by_loops(front, back, share) for front, back in pairs] if 0 <= share <= 0.4 else [math.inf]
            fits.append(expected == pytest.approx(y[item].flatten().tolist(), abs=1e-4))
        assert sum(fits) == 1


def test_mixup_never_takes_the_item_itself_and_takes_every_other():
    x = torch.full((4, 1, 4), SILENCE)
    for item in range(4):
        x[item, :, item] = 0.0  # each item sounds in a band of its own
    seen = torch.stack([apply("mixup", x, seed)[:, 0] > SILENCE + 1 for seed in range(60)])
    assert int(seen.sum(-1).min()) == 2
    assert seen.any(0).all()


def test_mixup_of_some_rows_takes_backgrounds_from_the_whole_batch():
    x = torch.full((4, 1, 4), SILENCE)
    for item in range(4):
        x[item, :, item] = 0.0
    found = [apply("mixup", x, seed, rows=torch.tensor([2]))[0, 0] > SILENCE + 1 for seed in range(60)]
    assert torch.stack(found).any(0).all()
    assert all(int(row.sum()) == 2 and row[2] for row in found)


def test_mixup_without_another_changes_nothing():
    x = features(1)
    torch.testing.assert_close(apply("mixup", x), x, rtol=0, atol=1e-4)


def test_a_resized_crop_of_the_whole_is_the_whole():
    x = features(3)
    sides = dict.fromkeys(("low_time", "high_time", "low_frequency", "high_frequency"), 1.0)
    torch.testing.assert_close(apply("random_resized_crop", x, canvas=1.0, **sides), x, rtol=0, atol=1e-3)


def test_a_resized_crop_in_time_squeezes_or_stretches():
    ramp = -90 + torch.arange(50.0)[None, :, None].expand(40, -1, 16)
    keep = {"low_frequency": 1.0, "high_frequency": 1.0}
    longer = apply("random_resized_crop", ramp, low_time=0.5, high_time=0.5, canvas=1.0, **keep)
    slopes = longer[:, 5:45, 3].diff(dim=1)
    torch.testing.assert_close(slopes, torch.full_like(slopes, 24 / 49), rtol=0, atol=0.12)  # cubics ripple a little
    torch.testing.assert_close(slopes.mean(1), torch.full((40,), 24 / 49), rtol=0, atol=5e-3)
    assert len(set(longer[:, 25, 0].round().tolist())) > 5  # from many places
    wide = apply("random_resized_crop", ramp, low_time=1.5, high_time=1.5, canvas=1.5, **keep)
    sounds = wide[:, :, 3] > SILENCE
    assert sounds.sum(1).float().mean() == pytest.approx(50 / 1.5, abs=2)  # the whole clip, with silence around it
    assert not sounds[:, [0, -1]].any()
    before, after = sounds.float().argmax(1), sounds.flip(1).float().argmax(1)
    assert int((before - after).abs().max()) <= 1  # in the middle


def test_a_resized_crop_in_frequency_moves_a_band():
    x = torch.full((60, 20, 41), SILENCE)
    x[:, :, 20] = 0.0
    keep = {"low_time": 1.0, "high_time": 1.0, "canvas": 1.0}
    y = apply("random_resized_crop", x, low_frequency=0.6, high_frequency=0.8, **keep)
    places = set(y[:, 10].argmax(-1).tolist())
    assert len(places) > 8  # pitch has changed, as it declares
    assert min(places) < 20 < max(places)


def test_a_short_clip_is_cropped_as_if_it_were_alone():
    x = features(4, 50)
    x[:, 20:] = SILENCE
    alone = apply("random_resized_crop", x[:, :20].contiguous())
    padded = apply("random_resized_crop", x, lengths=torch.full((4,), 20))[:, :20]
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-2)


def test_eq_adds_one_smooth_curve_to_all_frames():
    x = features(50, 6, (2, 33))
    curve = apply("eq", x, low_db=-6.0, high_db=6.0, points=3) - x
    torch.testing.assert_close(curve, curve[:, :1, :1].expand_as(curve), rtol=0, atol=1e-4)
    assert float(curve.abs().max()) <= 6.0001
    assert float(curve.abs().max()) > 5
    bends = curve[:, 0, 0].diff(n=2, dim=1).abs() > 1e-3
    assert set(bends.nonzero()[:, 1].tolist()) == {15}  # straight lines between bands 0, 16 and 32


def test_eq_leaves_silence_silent_and_nothing_falls_below_it():
    x = features(20)
    x[:, :, 3] = SILENCE
    x[:, :, 5] = SILENCE + 0.5
    y = apply("eq", x, low_db=-20.0, high_db=20.0)
    assert bool((y[:, :, 3] == SILENCE).all())
    assert float(y.min()) == SILENCE


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if "pitch" not in f.changes])
def test_what_does_not_declare_pitch_leaves_peaks_in_their_band(name):
    x = torch.full((20, 10, 16), -60.0)
    x[:, :, 9] = 0.0
    y = apply(name, x)
    sounding = y[y[..., 9] > SILENCE]
    assert len(sounding)
    assert bool((sounding.argmax(-1) == 9).all())


@pytest.mark.parametrize("name", ["time_mask", "frequency_mask"])
def test_what_does_not_declare_level_keeps_it(name):
    x = features(20)
    y = apply(name, x)
    assert torch.equal(y[y > SILENCE], x[y > SILENCE])

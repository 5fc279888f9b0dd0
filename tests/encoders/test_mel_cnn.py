from __future__ import annotations

import pytest
import torch

from crossmodal.encoders.audio._layers import maximum, mean, moments, norm_layer, poolings
from crossmodal.encoders.audio.mel_cnn import MelCNN
from crossmodal.errors import InputError

FRONTEND = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 16}


@pytest.fixture
def encoder() -> MelCNN:
    torch.manual_seed(0)
    made = MelCNN(frontend=FRONTEND, channels=[4, 8], dim=12)
    made.fit(20 * torch.randn(10, 100, 16, generator=torch.Generator().manual_seed(1)) - 40)
    return made.eval()


def features(*shape: int) -> torch.Tensor:
    return 20 * torch.randn(*shape, 16, generator=torch.Generator().manual_seed(2)) - 40


def test_shapes_for_any_length(encoder: MelCNN) -> None:
    for frames in (1, 2, 7, 64, 333):
        assert encoder(features(3, frames)).shape == (3, 12)
        assert encoder.sequence(features(3, frames)).shape == (3, -(-frames // encoder.stride), 12)


def test_a_clip_gives_the_same_vector_alone_and_among_others(encoder: MelCNN) -> None:
    clips, lengths = features(16, 60), torch.arange(4, 64, 4).add(1).clamp(max=60)[:16]
    lengths = torch.cat([lengths, torch.full((16 - len(lengths),), 60)])
    with torch.no_grad():
        together = encoder(clips, lengths)
        alone = torch.cat([encoder(clips[i : i + 1], lengths[i : i + 1]) for i in range(16)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_padding_far_behind_the_length_does_not_count(encoder: MelCNN) -> None:
    clip = features(1, 64)
    other = clip.clone()
    other[:, 48:] = 100.0
    lengths = torch.tensor([32])
    with torch.no_grad():
        torch.testing.assert_close(encoder(clip, lengths), encoder(other, lengths))
        assert (encoder(clip) - encoder(other)).abs().max() > 1e-2


def test_a_step_that_has_begun_counts(encoder: MelCNN) -> None:
    clip, pooled = features(1, 40), []
    clip[:, 13:] = encoder.frontend.silence
    encoder.pool.register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
    encoder(clip, torch.tensor([13]))
    steps = encoder.sequence(clip)[0, : -(-13 // encoder.stride)]
    torch.testing.assert_close(pooled[0][0, :12], steps.mean(0))


def test_statistics_are_of_the_training_frames_and_are_saved(encoder: MelCNN) -> None:
    frames = torch.rand(500, 16) * torch.arange(16) - 60  # the first band never changes
    encoder.fit(frames.view(5, 100, 16))
    torch.testing.assert_close(encoder.mean, frames.mean(0))
    torch.testing.assert_close(encoder.deviation, frames.std(0).clamp(min=1.0))
    assert {"mean", "deviation"} <= encoder.state_dict().keys()


def test_silence_and_single_frames_have_finite_gradients(encoder: MelCNN) -> None:
    encoder.train()
    clips = torch.full((4, 3, 16), encoder.frontend.silence, requires_grad=True)
    encoder(clips, torch.tensor([1, 2, 3, 3])).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    assert clips.grad is not None
    assert torch.isfinite(clips.grad).all()


def test_the_position_in_frequency_is_heard(encoder: MelCNN) -> None:
    low, high = torch.full((2, 1, 40, 16), -80.0)
    low[..., 2:4], high[..., 12:14] = 0.0, 0.0
    with torch.no_grad():
        assert (encoder(low) - encoder(high)).abs().max() > 1e-2


def test_a_wrong_front_end_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="mel_cnn: frontend has no setting 'hopp'; valid: sample_rate"):
        MelCNN(frontend={"hopp": 3})
    with pytest.raises(InputError, match="f_max"):
        MelCNN(frontend={**FRONTEND, "f_max": 5000.0})


def test_mean_and_maximum_are_over_the_steps_that_are_reached_and_over_one_at_least():
    values = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 5
    for row, (length, steps) in enumerate([(9, 9), (4, 4), (0, 1)]):
        lengths = torch.full((3,), length)
        torch.testing.assert_close(mean(values, lengths)[row], values[row, :steps].mean(0))
        torch.testing.assert_close(maximum(values, lengths)[row], values[row, :steps].amax(0))


def test_groups_have_16_channels_or_more():
    for channels in (1, 4, 16, 24, 51, 64, 96, 200, 204, 512):
        layer = norm_layer("group", channels, 1)
        assert channels // layer.num_groups >= min(channels, 16)
    assert norm_layer("group", 128, 2).num_groups == 8


def test_bands_are_pooled_while_there_are_any():
    assert poolings(96, [2, 3, 4, 4]) == [(2, 2), (3, 3), (4, 4), (4, 4)]
    assert poolings(9, [2, 3, 4, 4]) == [(2, 2), (3, 3), (1, 4), (1, 4)]


def test_moments_equal_those_of_each_clip_alone():
    values = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = torch.tensor([9, 5, 1])
    found = moments(values, lengths)
    for row, length in enumerate(lengths):
        clip = values[row, :length]
        torch.testing.assert_close(found[row, :4], clip.mean(0))
        torch.testing.assert_close(found[row, 4:], (clip.var(0, correction=0) + 1e-6).sqrt())

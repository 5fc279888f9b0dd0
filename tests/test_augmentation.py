from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from crossmodal.augmentation import Augment, check_pitch
from crossmodal.config import Views
from crossmodal.errors import InputError
from crossmodal.types import Batch


class Levels:
    """A front end that gives, in four bands alike, the level of 10 samples at a time."""

    sample_rate, channels, silence = 1000, 1, -60.0

    def __init__(self, per_frame: int = 10) -> None:
        self.per_frame, self.frame_rate = per_frame, 1000 / per_frame

    def frames(self, samples: int) -> int:
        return -(-samples // self.per_frame)

    def forward(self, samples: Tensor) -> Tensor:
        power = samples.mean(-2).unflatten(-1, (-1, self.per_frame)).square().mean(-1)
        return (10 * power.clamp(min=1e-6).log10())[..., None].expand(*power.shape, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(views: int, sampled: bool = True, items: int = 5) -> Batch:
    shape = (views, items, 1, 400) if sampled else (views, items, 40, 4)
    audio = 0.1 * torch.randn(shape, generator=generator())
    audio = audio if sampled else -30 + 50 * audio
    lengths = torch.full((views, items), 400 if sampled else 40)
    none = torch.zeros(items, 0, dtype=torch.bool)
    return Batch(torch.arange(items), audio, lengths, {}, torch.zeros(0, items, dtype=torch.bool), none, none)


def waveforms(views: int) -> Batch:
    return replace(batch(views), sampled=True)


GAIN = {"name": "gain", "low_db": -6.0, "high_db": -6.0}
EQ = {"name": "eq", "low_db": 3.0, "high_db": 3.0}


def test_waveforms_become_features_and_nothing_else_is_touched():
    given = waveforms(2)
    found = Augment(Views(count=2), Levels())(given, generator())
    torch.testing.assert_close(found.audio, Levels().forward(given.audio))
    assert found.audio.shape == (2, 5, 40, 4)
    assert not found.sampled
    assert torch.equal(found.lengths, torch.full((2, 5), 40))
    assert torch.equal(found.tracks, given.tracks)


def test_features_pass_through_without_augmentations():
    given = batch(2, sampled=False)
    found = Augment(Views(count=2), Levels())(given, generator())
    assert torch.equal(found.audio, given.audio)
    assert torch.equal(found.lengths, given.lengths)


def test_both_chains_are_applied_before_and_after_the_front_end():
    given = waveforms(2)
    augment = Augment(Views(count=2, waveform=[GAIN], features=[EQ]), Levels())
    expected = Levels().forward(given.audio) - 6 + 3
    torch.testing.assert_close(augment(given, generator()).audio, expected)
    assert augment.needs_waveforms
    assert augment.changes == {"gain": {"level"}, "eq": {"timbre", "level"}}


def test_features_of_a_store_are_augmented():
    given = batch(2, sampled=False)
    augment = Augment(Views(count=2, features=[EQ]), Levels())
    torch.testing.assert_close(augment(given, generator()).audio, given.audio + 3)
    assert not augment.needs_waveforms


def test_the_first_views_stay_clean():
    given = waveforms(3)
    augment = Augment(Views(count=3, waveform=[GAIN], features=[EQ], clean=2), Levels())
    change = augment(given, generator()).audio - Levels().forward(given.audio)
    torch.testing.assert_close(change[:2], torch.zeros_like(change[:2]))
    torch.testing.assert_close(change[2], torch.full_like(change[2], -3.0), rtol=0, atol=1e-4)


def test_views_of_a_track_are_augmented_differently_and_by_the_generator_alone():
    given = waveforms(1)
    given = replace(given, audio=given.audio.expand(2, -1, -1, -1), lengths=given.lengths.expand(2, -1))
    augment = Augment(Views(count=2, waveform="clmr_code"), Levels())
    once, again, other = (augment(given, generator(seed)).audio for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once[0], once[1])


def test_padding_is_silent_and_lengths_are_frames():
    given = waveforms(2)
    lengths = torch.tensor([[400, 95, 1, 400, 400], [400, 400, 400, 250, 400]])
    given = replace(given, lengths=lengths)  # what follows them is noise: the augmentation silences it all the same
    reverb, noise = {"name": "reverb"}, {"name": "noise", "low_snr_db": 0.0, "high_snr_db": 0.0}
    for views in (Views(count=2), Views(count=2, waveform=[reverb, noise], features=[EQ], clean=1)):
        found = Augment(views, Levels())(given, generator())
        assert found.lengths.tolist() == [[40, 10, 1, 40, 40], [40, 40, 40, 25, 40]]
        for view, item in np.ndindex(2, 5):
            frames = int(found.lengths[view, item])
            assert bool((found.audio[view, item, frames:] == -60).all())
            assert bool((found.audio[view, item, :frames] > -60).all())


def test_mixup_takes_other_tracks_never_another_view():
    audio = torch.full((2, 3, 5, 3), -60.0)
    for track in range(3):
        audio[:, track, :, track] = 0.0  # each track sounds in a band of its own
    given = replace(batch(2, sampled=False, items=3), audio=audio, lengths=torch.full((2, 3), 5))
    augment = Augment(Views(count=2, features=[{"name": "mixup"}]), Levels())
    for seed in range(30):
        assert bool(((augment(given, generator(seed)).audio > -59).sum(-1) == 2).all())


def test_a_batch_of_one_short_track():
    given = waveforms(2)
    given = replace(given, audio=given.audio[:, :1, :, :10], lengths=torch.ones(2, 1, dtype=torch.int64))
    blocks = [{"name": name} for name in ("time_mask", "frequency_mask", "mixup", "random_resized_crop", "eq")]
    found = Augment(Views(count=2, waveform="clmr_paper", features=blocks), Levels())(given, generator())
    assert found.audio.shape == (2, 1, 1, 4)
    assert found.audio.isfinite().all()


@pytest.mark.parametrize("clean", [2, 3])
def test_clean_views_must_leave_one_to_augment(clean):
    with pytest.raises(InputError, match=f"{clean} of 2 stay clean: none is left to gain"):
        Augment(Views(count=2, clean=clean, waveform=[GAIN]), Levels())


def test_samples_have_no_bands_to_augment():
    with pytest.raises(InputError, match=r"views.features augments bands, .* use views.waveform"):
        Augment(Views(features=[EQ]), Levels(per_frame=1))


def test_training_for_key_refuses_views_of_another_pitch():
    augment = Augment(Views(waveform="clmr_code", features=[{"name": "random_resized_crop"}, EQ]), Levels())
    with pytest.raises(InputError, match=r"pitch_shift, random_resized_crop changes pitch.*tags of key, makam depend"):
        check_pitch(augment.changes, {"genre", "makam", "key"}, force=False)
    check_pitch(augment.changes, {"genre", "makam", "key"}, force=True)
    check_pitch(augment.changes, {"genre"}, force=False)
    check_pitch({"gain": frozenset({"level"})}, {"key"}, force=False)

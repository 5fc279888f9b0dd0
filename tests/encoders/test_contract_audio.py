"""What every audio encoder promises, over all that there are; a new one adds a small form of itself to `SMALL`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from networks import build, features, published

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder

LOG_MEL = {"sample_rate": 8000, "n_fft": 512, "hop": 128, "bands": 32}
SMALL: dict[str, dict[str, Any]] = {
    "clip_resnet": {"frontend": LOG_MEL, "width": 4, "layers": [1, 1, 1, 1], "heads": 2, "dim": 10},
    "crnn": {"frontend": LOG_MEL, "channels": [8, 8, 8, 8], "dim": 6},
    "handcrafted": {"frontend": LOG_MEL, "families": ["bands", "mfcc", "ssd", "rhythm", "shape", "contrast", "chroma"]},
    "kim2019": {"frontend": {**LOG_MEL, "channels": 2}, "dim": 6},
    "mel_cnn": {"frontend": LOG_MEL, "channels": [4, 8], "dim": 6},
    "musicnn": {"frontend": LOG_MEL, "timbral": 4, "temporal": 2, "backend": 4, "dim": 6},
    "sample_cnn": {"frontend": {"name": "raw", "sample_rate": 8000}, "strides": [3, 4, 2], "channels": [4, 4, 8, 8]},
    "short_chunk_cnn": {"frontend": LOG_MEL, "channels": 4},
    "short_chunk_cnn_res": {"frontend": LOG_MEL, "channels": 4},
    "vgg_res": {"frontend": LOG_MEL, "channels": [4, 8], "dim": 6},
}
UNNORMED = {"handcrafted", "kim2019"}
FORMS = [(name, norm) for name in SMALL for norm in ("batch", "group")[: 1 if name in UNNORMED else 2]]
forms = pytest.mark.parametrize(("name", "norm"), FORMS)
FRAMES = 300  # more than one step of every encoder


def small(name: str, norm: str = "batch") -> Any:
    return build(name, **SMALL[name], **({} if name in UNNORMED else {"norm": norm}))


def test_all_encoders_are_here():
    assert sorted(SMALL) == registry.names("encoders.audio")


@forms
def test_shapes_at_any_length_and_precision(name: str, norm: str) -> None:
    made = small(name, norm)
    for frames in (1, 2, 7, 130, FRAMES):
        sound = features(made, frames, batch=3)
        found, steps = made(sound), made.sequence(sound)
        assert (found.shape, found.dtype) == ((3, made.dim), torch.float64)
        assert (steps.ndim, len(steps), steps.shape[2], steps.dtype) == (3, 3, made.dim, torch.float64)
        assert steps.shape[1] >= 1
    made.float()
    torch.testing.assert_close(made(sound.float()), found.float(), rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert made(sound.float()).isfinite().all()


@forms
def test_a_clip_is_the_same_alone_and_among_others(name: str, norm: str) -> None:
    made, sound = small(name, norm), features(small(name), FRAMES, batch=5)
    lengths = torch.tensor([FRAMES, 290, 131, 24, 1])
    together = made(sound, lengths)
    for row in range(5):
        torch.testing.assert_close(made(sound[row : row + 1], lengths[row : row + 1]), together[row : row + 1])


@forms
def test_a_vector_in_evaluation_depends_on_the_sound_alone(name: str, norm: str) -> None:
    """Not on what came before, on a generator, or on how many clips there are, dropout and norms as they are built."""
    torch.manual_seed(0)
    made = published(name, **SMALL[name], **({} if name in UNNORMED else {"norm": norm})).double().eval()
    sound, lengths = features(made, FRAMES, batch=3), torch.tensor([FRAMES, 7, 140])
    before, state = {key: value.clone() for key, value in made.state_dict().items()}, torch.get_rng_state()
    first, steps = made(sound, lengths), made.sequence(sound)
    made(features(made, FRAMES, batch=7, seed=9))
    assert torch.equal(made(sound, lengths), first)
    torch.testing.assert_close(made.sequence(sound[1:2]), steps[1:2])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


@pytest.mark.parametrize("name", list(SMALL))
def test_the_order_of_numbers_in_memory_does_not_matter(name: str) -> None:
    made, sound = small(name), features(small(name), FRAMES)
    lengths = torch.tensor([FRAMES, 131])
    expected, steps = made(sound, lengths), made.sequence(sound)
    for other in (sound.transpose(0, 1).contiguous().transpose(0, 1), sound.transpose(1, -1).contiguous().mT):
        if other.shape == sound.shape:
            torch.testing.assert_close(made(other, lengths), expected)
            torch.testing.assert_close(made.sequence(other), steps)
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(made.to(memory_format=layout)(sound, lengths), expected)
        torch.testing.assert_close(made.sequence(sound), steps)


@forms
def test_frames_behind_the_length_do_not_count(name: str, norm: str) -> None:
    made, sound = small(name, norm), features(small(name), FRAMES)
    lengths, other = torch.tensor([200, 131]), sound.clone()
    other[0, 200:], other[1, 131:] = 1e6, torch.nan
    torch.testing.assert_close(made(sound, lengths), made(other, lengths))
    assert (made(sound)[0] - made(sound, lengths)[0]).abs().max() > 1e-6
    other[0, 199] += 20
    if name != "sample_cnn":  # whose last sample may lie behind its last whole step
        assert (made(sound, lengths)[0] - made(other, lengths)[0]).abs().max() > 0


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("clip_resnet", "sample_cnn")])
def test_padding_far_behind_the_end_changes_nothing(name: str) -> None:
    """What is pooled over time is pooled over the steps of the clip; a convolution sees a little beyond its end."""
    made, lengths = small(name), torch.tensor([256])
    short, silence = features(made, 768, batch=1), made.frontend.silence
    short[:, 256:] = silence
    long = torch.cat([short, torch.full_like(short, silence)], dim=1)
    torch.testing.assert_close(made(short, lengths), made(long, lengths))


@forms
def test_gradients_reach_every_weight(name: str, norm: str) -> None:
    made = small(name, norm).train()
    sound = features(made, FRAMES, batch=4).requires_grad_()
    made(sound, torch.tensor([FRAMES, 200, 140, 3])).square().sum().backward()
    assert sound.grad is not None
    assert sound.grad.isfinite().all()
    for key, parameter in made.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.ndim == 1 or parameter.grad.abs().max() > 0, key


@forms
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_a_single_clip_is_trained_on_or_refused_in_plain_words(name: str, norm: str, frames: int) -> None:
    made = small(name, norm).train()
    last_map_is_a_number = frames == 1 and name == "sample_cnn"
    normed = name in ("mel_cnn", "musicnn", "short_chunk_cnn", "short_chunk_cnn_res") or last_map_is_a_number
    if norm == "batch" and normed:
        with pytest.raises(InputError, match=r"a single clip.*micro_batch.*, or set norm: group"):
            made(features(made, frames, batch=1))
    else:
        assert made(features(made, frames, batch=1)).isfinite().all()


@pytest.mark.parametrize("name", list(SMALL))
def test_silence_has_finite_vectors_and_gradients(name: str) -> None:
    made = small(name).train()
    sound = torch.full((3, 40, *made.frontend.shape), made.frontend.silence, dtype=torch.float64, requires_grad=True)
    found = made(sound, torch.tensor([40, 1, 40]))
    found.square().sum().backward()
    assert found.isfinite().all()
    assert sound.grad is not None
    assert sound.grad.isfinite().all()


@forms
def test_with_group_norm_no_clip_of_a_training_batch_sees_another(name: str, norm: str) -> None:
    made, sound = small(name, norm).train(), features(small(name), FRAMES, batch=4)
    apart = torch.cat([made(sound[:2]), made(sound[2:])])
    alike = torch.allclose(made(sound), apart, rtol=1e-9, atol=1e-9)
    assert alike == (norm == "group" or name in UNNORMED)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("handcrafted", "sample_cnn")])
def test_the_normaliser_is_of_the_training_frames(name: str) -> None:
    made = small(name)
    clips, lengths = features(made, 50, batch=11), torch.arange(40, 51)
    frames = torch.cat([clip[:length] for clip, length in zip(clips, lengths, strict=True)])
    made.fit(clips, lengths)
    torch.testing.assert_close(made.state_dict()["mean"], frames.mean(0))
    torch.testing.assert_close(made.state_dict()["deviation"], frames.std(0))
    louder = small(name)
    louder.fit(3 * clips + 7, lengths)
    sound = features(made, 256)
    torch.testing.assert_close(louder(3 * sound + 7), made(sound))


@pytest.mark.parametrize("name", [name for name in SMALL if name != "sample_cnn"])
def test_waveforms_are_refused_where_spectrograms_are_seen(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} sees spectrograms"):
        build(name, frontend="raw")


@pytest.mark.parametrize("name", [name for name in SMALL if name != "sample_cnn"])
def test_stereo_has_a_channel_for_each_side(name: str) -> None:
    made = build(name, **SMALL[name] | {"frontend": {**LOG_MEL, "channels": 2}})
    sound = features(made, FRAMES)
    assert sound.shape == (2, FRAMES, 2, 32)
    assert (made(sound) - made(sound.flip(2))).abs().max() > 0


@pytest.mark.parametrize("name", list(SMALL))
def test_a_saved_model_gives_the_same_vectors(name: str, tmp_path: Any) -> None:
    torch.manual_seed(0)
    audio = {"name": name, **SMALL[name]}
    model = DualEncoder(audio, {"name": "none"}, dim=4, window_s=0.5)
    sound = features(model.audio_encoder, model.window + 9, batch=1)[0].numpy().astype(np.float32)
    (before,) = model.embed_features([sound])
    assert before.features.shape == (2, model.audio_encoder.dim)
    model.save(tmp_path / "model")
    (after,) = DualEncoder.load(tmp_path / "model").embed_features([sound])
    np.testing.assert_allclose(before.vectors, after.vectors, atol=1e-6)

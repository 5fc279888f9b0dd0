from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import build, conv, features, linear, parameters, published


def test_it_has_the_published_parameters():
    assert parameters(published("kim2019")) == 676_176
    assert parameters(published("kim2019", variant="keras")) == 676_176 - 8 * 128 * 256 == 414_032
    assert published("kim2019").frontend.shape == (2, 128)


@pytest.mark.parametrize("variant", ["pytorch", "keras"])
def test_it_computes_what_the_published_one_does(variant: str) -> None:
    """Theirs sees (time, bands) where ours has (bands, time): the filters are transposed."""
    made = build("kim2019", variant=variant)
    sound = features(made, 216)
    state = {name: x.transpose(2, 3) if x.ndim == 4 else x for name, x in made.state_dict().items()}
    x = ((sound - made.mean) / made.deviation).transpose(1, 2)
    assert x.shape == (2, 2, 216, 128)
    for number in range(1, 6):
        how = {"stride": (2, 1), "padding": 2} if number == 1 else {"padding": 1}
        x = F.max_pool2d(F.relu(conv(state, f"conv{number}", x, **how)), 2)
    x = F.relu(conv(state, "conv6a", x, padding=1))
    x = F.relu(conv(state, "conv6b", x, padding=0 if variant == "keras" else 1))
    assert x.shape == (2, 256, 3, 4)
    pooled = x.mean((2, 3)) if variant == "keras" else x.amax((2, 3))
    expected = linear(state, "fc_output", F.relu(linear(state, "fc_feature", pooled)))
    expected = F.elu(expected) if variant == "keras" else expected.sigmoid()
    torch.testing.assert_close(made(sound), expected)


@pytest.mark.parametrize("variant", ["pytorch", "keras"])
def test_only_the_steps_of_the_clip_are_pooled(variant: str) -> None:
    made = build("kim2019", variant=variant)
    sound, maps = features(made, 400, batch=1), []
    made.fc_feature.register_forward_pre_hook(lambda _, given: maps.append(given[0]))
    sound[:, 150:] = made.frontend.silence
    made.sequence(sound)
    made(sound, torch.tensor([150]))
    steps = maps[0][:, :2]
    torch.testing.assert_close(maps[1], steps.mean(1) if variant == "keras" else steps.amax(1))


def test_a_clip_of_one_step_is_its_step():
    made = build("kim2019", dim=6)
    sound = features(made, 100)
    torch.testing.assert_close(made.sequence(sound), made(sound).unsqueeze(1))


def test_the_published_variant_is_bounded_and_the_other_is_not():
    for variant, low in (("pytorch", 0.0), ("keras", -1.0)):
        found = build("kim2019", variant=variant)(100 * features(build("kim2019"), 70))
        assert found.min() >= low
        assert (found.max() <= 1) == (variant == "pytorch")

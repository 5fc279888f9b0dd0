from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, linear, normalised, parameters, published
from torch import Tensor


@pytest.mark.parametrize(("name", "count"), [("short_chunk_cnn", 3_661_698), ("short_chunk_cnn_res", 12_078_594)])
def test_it_has_the_parameters_of_wons(name: str, count: int) -> None:
    made = published(name)
    assert (parameters(made), made.dim, made.frontend.shape) == (count, 512, (128,))


def plain(state: dict[str, Tensor], layer: str, x: Tensor) -> Tensor:
    return F.max_pool2d(F.relu(bn(state, f"{layer}.bn", conv(state, f"{layer}.conv", x, padding=1))), 2)


def residual(state: dict[str, Tensor], layer: str, x: Tensor) -> Tensor:
    first = F.relu(bn(state, f"{layer}.bn_1", conv(state, f"{layer}.conv_1", x, padding=1, stride=2)))
    second = bn(state, f"{layer}.bn_2", conv(state, f"{layer}.conv_2", first, padding=1))
    return F.relu(second + bn(state, f"{layer}.bn_3", conv(state, f"{layer}.conv_3", x, padding=1, stride=2)))


@pytest.mark.parametrize(
    ("name", "block", "steps"), [("short_chunk_cnn", plain, 2), ("short_chunk_cnn_res", residual, 3)]
)
def test_it_computes_what_wons_does(name: str, block, steps: int) -> None:
    made = build(name, channels=4)
    sound, state = features(made, 300), made.state_dict()
    x = bn(state, "spec_bn", normalised(state, sound))
    for number in range(1, 8):
        x = block(state, f"layer{number}", x)
    assert x.shape == (2, 16, 1, steps)
    pooled = x.squeeze(2).amax(2)
    torch.testing.assert_close(made(sound), F.relu(bn(state, "bn", linear(state, "dense1", pooled))))
    torch.testing.assert_close(made.sequence(sound), x.squeeze(2).transpose(1, 2))


@pytest.mark.parametrize(("name", "steps"), [("short_chunk_cnn", 1), ("short_chunk_cnn_res", 2)])
def test_the_maximum_is_over_whole_steps_or_begun_ones(name: str, steps: int) -> None:
    made = build(name, channels=4)
    sound, state = features(made, 400, batch=1), made.state_dict()
    sound[:, 150:] = made.frontend.silence
    pooled = made.sequence(sound)[:, :steps].amax(1)
    assert (pooled - made.sequence(sound).amax(1)).abs().max() > 0.1
    expected = F.relu(bn(state, "bn", linear(state, "dense1", pooled)))
    torch.testing.assert_close(made(sound, torch.tensor([150])), expected)


@pytest.mark.parametrize("name", ["short_chunk_cnn", "short_chunk_cnn_res"])
@pytest.mark.parametrize("bands", [40, 300])
def test_other_numbers_of_bands_are_pooled_while_there_are_any(name: str, bands: int) -> None:
    made = build(name, channels=2, frontend={"n_fft": 8192, "bands": bands})
    assert made(features(made, 150)).shape == (2, 8)


def test_published_weights_see_power_of_half_as_many_bins():
    made, plain = build("short_chunk_cnn", channels=4), build("short_chunk_cnn", channels=4)
    state = {name: value for name, value in made.state_dict().items() if name not in ("mean", "deviation")}
    made.load_state_dict(made.foreign(state | {"dense2.weight": torch.ones(50, 16), "spec.window": torch.ones(512)}))
    plain.mean.zero_()
    plain.deviation.fill_(1)
    power = torch.rand(1, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 1e-3
    theirs = plain(10 * torch.log10(power))
    torch.testing.assert_close(made(10 * torch.log10(2 * power)), theirs, rtol=1e-5, atol=1e-5)

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, parameters, published

from crossmodal.errors import InputError

TEN = [4, 4, 4, 6, 6, 6, 6, 6, 6, 8]


def raw(sample_rate: int) -> dict[str, object]:
    return {"name": "raw", "sample_rate": sample_rate}


def test_it_has_the_parameters_of_clmrs():
    made = published("sample_cnn")
    assert parameters(made) == 2_368_512
    assert parameters(made) + parameters(torch.nn.Linear(512, 50)) == 2_394_162
    assert (made.dim, made.frontend.sample_rate, made.window) == (512, 22_050, 59_049)


@pytest.mark.parametrize(
    ("sample_rate", "window", "strides"),
    [
        (22_050, 59_049, [3, 3, 3, 3, 3, 3, 3, 3, 3]),
        (16_000, 43_740, [3, 3, 3, 3, 3, 3, 5, 2, 2]),
        (8_000, 20_736, [3, 3, 3, 2, 2, 4, 4, 2, 2]),
    ],
)
def test_a_window_is_one_step_as_clmr_flattens_it(sample_rate: int, window: int, strides: list[int]) -> None:
    made = build("sample_cnn", frontend=raw(sample_rate), channels=TEN)
    assert (made.window, made.strides) == (window, strides)
    samples, state = features(made, window), made.state_dict()
    x = samples.transpose(1, 2)
    for number, stride in enumerate([None, *strides, None]):
        how = {"stride": 3} if number == 0 else {"padding": 1}
        x = F.relu(bn(state, f"sequential.{number}.1", conv(state, f"sequential.{number}.0", x, **how)))
        x = x if stride is None else F.max_pool1d(x, stride)
    assert x.shape == (2, 8, 1)
    torch.testing.assert_close(made(samples), x.flatten(1))


@pytest.mark.parametrize("sample_rate", [22_050, 16_000, 8_000])
def test_steps_are_counted_as_the_network_makes_them(sample_rate: int) -> None:
    made = build("sample_cnn", frontend=raw(sample_rate), channels=[2] * 10)
    for samples in (made.window, 2 * made.window - 1, 3 * made.window + 100):
        found = made.sequence(features(made, samples, batch=1))
        assert found.shape == (1, made.steps(samples), 2)
    assert made.steps(10 * made.window) == 10


def test_longer_clips_are_the_mean_of_their_steps_and_shorter_ones_end_in_silence():
    made = build("sample_cnn", frontend=raw(8_000), strides=[3, 2], channels=[4, 4, 6])
    assert made.window == 18
    long = features(made, 60)
    torch.testing.assert_close(made(long), made.sequence(long).mean(1))
    cut = F.pad(long[:, :36], (0, 0, 0, 24))
    torch.testing.assert_close(made(long, torch.tensor([36, 36])), made.sequence(cut)[:, :2].mean(1))
    short = features(made, 5)
    torch.testing.assert_close(made(short), made(F.pad(short, (0, 0, 0, 13))))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frontend": raw(44_100)}, "no strides for 44100 Hz, only for 22050"),
        ({"frontend": {"bands": 64}}, "front end is named 'raw'"),
        ({"channels": [8, 8]}, "9 strides take one more of channels, not 2"),
        ({"strides": [3, 5], "channels": [8, 8, 8]}, r"strides \[3, 5\] leave no step"),
        ({"strides": [3, 1], "channels": [8, 8, 8]}, "all are 2 or more"),
    ],
)
def test_what_does_not_fit_is_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("sample_cnn", **settings)

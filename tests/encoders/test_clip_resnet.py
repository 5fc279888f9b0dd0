from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, normalised, parameters, published
from torch import Tensor

from crossmodal.encoders.audio.clip_resnet import AttentionPool
from crossmodal.errors import InputError

TINY = {"width": 4, "layers": (2, 2, 1, 1), "heads": 4, "dim": 6}


def test_it_has_the_parameters_of_deezers():
    made = published("clip_resnet")
    assert (parameters(made), made.dim) == (2_800_392, 1024)
    assert made.attnpool.positional_embedding.shape == (4 * 3 + 1, 512)


def test_a_window_of_4_seconds_has_12_places():
    made = build("clip_resnet", **TINY)
    assert made.frontend.frames(64_000) == 126
    for frames in (125, 126):
        assert made._maps(features(made, frames)).shape == (2, 128, 4, 3)


def bottleneck(state: dict[str, Tensor], name: str, x: Tensor, stride: int) -> Tensor:
    y = F.relu(bn(state, f"{name}.bn1", conv(state, f"{name}.conv1", x)))
    y = F.relu(bn(state, f"{name}.bn2", conv(state, f"{name}.conv2", y, padding=1)))
    y = bn(state, f"{name}.bn3", conv(state, f"{name}.conv3", F.avg_pool2d(y, stride)))
    if f"{name}.downsample.0.weight" in state:
        x = bn(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", F.avg_pool2d(x, stride)))
    return F.relu(x + y)


def attention(state: dict[str, Tensor], places: Tensor, heads: int) -> Tensor:
    """Torch's own attention, of all tokens to all, of which the published network keeps the first."""
    tokens = torch.cat([places.mean(0, keepdim=True), places]) + state["positional_embedding"].unsqueeze(1)
    found, _ = F.multi_head_attention_forward(
        *(tokens, tokens, tokens, tokens.shape[2], heads, None),
        torch.cat([state[f"{k}_proj.bias"] for k in "qkv"]),
        *(None, None, False, 0.0, state["c_proj.weight"], state["c_proj.bias"]),
        need_weights=False,
        use_separate_proj_weight=True,
        **{f"{k}_proj_weight": state[f"{k}_proj.weight"] for k in "qkv"},
    )
    return found[0]


def test_it_computes_what_deezers_does():
    made = build("clip_resnet", **TINY)
    sound, state = features(made, 126), made.state_dict()
    x = normalised(state, sound)
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = F.relu(bn(state, f"bn{number}", conv(state, f"conv{number}", x, stride=stride, padding=1)))
    x = F.avg_pool2d(x, 2)
    for layer, (count, stride) in enumerate(zip(TINY["layers"], (1, 2, 2, 2), strict=True), 1):
        for number in range(count):
            x = bottleneck(state, f"layer{layer}.{number}", x, 1 if number else stride)
    pool = {name.removeprefix("attnpool."): value for name, value in state.items() if name.startswith("attnpool.")}
    torch.testing.assert_close(made(sound), attention(pool, x.flatten(2).permute(2, 0, 1), heads=4))


def test_positions_of_other_windows_lie_between_those_of_the_published_one():
    pool = AttentionPool(bands=2, width=5, heads=1, dim=3)
    published = pool.positional_embedding.detach()
    assert pool._positions(3) is pool.positional_embedding
    found = pool._positions(6).detach()
    torch.testing.assert_close(found[0], published[0])
    low, high = found[1:7], found[7:]
    torch.testing.assert_close(low[1], 0.75 * published[1] + 0.25 * published[2])
    torch.testing.assert_close(low[0], published[1])
    torch.testing.assert_close(high[5], published[6])


def test_a_step_is_what_the_pooling_makes_of_a_map_that_is_nothing_else():
    """Where all places are alike and positions are 0, all attention gives the same."""
    made = build("clip_resnet", **TINY)
    made.attnpool.positional_embedding.data.zero_()
    made._maps = lambda *_: torch.arange(128.0, dtype=torch.float64).view(1, 128, 1, 1).expand(1, 128, 4, 3)
    sound = features(made, 126, batch=1)
    torch.testing.assert_close(made.sequence(sound), made(sound).expand(1, 3, 6))


def test_short_clips_are_padded_with_silence():
    made = build("clip_resnet", **TINY)
    short, silence = features(made, 20), torch.full((2, 76, 128), made.frontend.silence, dtype=torch.float64)
    torch.testing.assert_close(made(short), made(torch.cat([short, silence], dim=1)))


def test_too_few_bands_are_told():
    with pytest.raises(InputError, match="it takes 31 or more, not 30"):
        build("clip_resnet", frontend={"bands": 30}, **TINY)
    made = build("clip_resnet", frontend={"bands": 31}, **TINY)
    assert made(features(made, 50)).shape == (2, 6)


def test_published_weights_see_power_by_the_energy_of_the_window():
    made, plain = build("clip_resnet", **TINY), build("clip_resnet", **TINY)
    published = {name: value for name, value in made.state_dict().items() if name not in ("mean", "deviation")}
    spectrum = {"spec.spec.spectrogram.window": torch.hann_window(1024)}
    made.load_state_dict(made.foreign({f"embedding.{name}": value for name, value in published.items()} | spectrum))
    plain.mean.zero_()
    plain.deviation.fill_(1)
    power = torch.rand(1, 126, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 1e-3
    energy = torch.hann_window(1024, dtype=torch.float64).square().sum()
    theirs = plain(10 * torch.log10(power / energy))
    torch.testing.assert_close(made(10 * torch.log10(power)), theirs, rtol=1e-5, atol=1e-6)

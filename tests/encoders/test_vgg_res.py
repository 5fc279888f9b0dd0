from __future__ import annotations

import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, linear, normalised, parameters, published


def test_it_has_the_parameters_of_the_tutorials():
    made = published("vgg_res")
    assert (parameters(made), made.dim, made.frontend.hop) == (5_300_864, 512, 160)


def test_it_computes_what_the_tutorials_does():
    made = build("vgg_res", channels=[4, 4, 6, 8], dim=5)
    sound, state = features(made, 100), made.state_dict()
    x = normalised(state, sound)
    for number in range(4):
        block = f"blocks.{number}"
        y = F.relu(bn(state, f"{block}.1", conv(state, f"{block}.0", x, padding=1)))
        y = bn(state, f"{block}.4", conv(state, f"{block}.3", y, padding=1))
        skip = x if number == 1 else conv(state, f"res_convs.{number}", x)
        x = F.max_pool2d(F.relu(y + skip), 2)
    assert x.shape == (2, 8, 8, 6)
    torch.testing.assert_close(made(sound), linear(state, "fc", x.mean((2, 3))))
    assert made.sequence(sound).shape == (2, 6, 5)


def test_the_mean_of_the_steps_that_are_reached():
    made = build("vgg_res", channels=[4, 4], dim=5)
    sound = features(made, 40)
    found = made(sound, torch.tensor([40, 21]))
    torch.testing.assert_close(found[0], made.sequence(sound)[0].mean(0))
    silent = sound.clone()
    silent[:, 21:] = made.frontend.silence
    torch.testing.assert_close(found[1], made.sequence(silent)[1, :5].mean(0))


def test_weights_of_natural_logarithms_see_natural_logarithms():
    """The tutorial takes ln(power), of bands with half as many bins as ours: power p of theirs is 2 p of ours."""
    made = build("vgg_res", channels=[4, 4], dim=5)
    state = {name: value for name, value in made.state_dict().items() if name not in ("mean", "deviation")}
    power = torch.rand(1, 32, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 1e-3
    made.load_state_dict(made.foreign(state))
    plain = build("vgg_res", channels=[4, 4], dim=5)
    plain.mean.zero_()
    plain.deviation.fill_(1)
    torch.testing.assert_close(made(10 * torch.log10(2 * power)), plain(power.log()), rtol=1e-5, atol=1e-5)

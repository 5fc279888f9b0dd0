from __future__ import annotations

import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, normalised, parameters, published
from torch import Tensor

TINY = {"channels": (4, 4, 6, 6), "dim": 5}


def test_it_has_the_parameters_of_wons():
    made = published("crnn")
    assert (parameters(made), made.dim, made.frontend.shape) == (392_450, 32, (96,))


def gru(state: dict[str, Tensor], layer: int, steps: Tensor) -> Tensor:
    """Cho et al., 2014, one step after the other: ``(batch, time, inputs)`` to ``(batch, time, dim)``."""
    names = (f"layer5.{what}_{side}_l{layer}" for what in ("weight", "bias") for side in ("ih", "hh"))
    by_input, by_state, of_input, of_state = (state[name] for name in names)
    held, found = steps.new_zeros(len(steps), by_state.shape[1]), []
    for step in steps.unbind(1):
        reset, update, new = F.linear(step, by_input, of_input).chunk(3, dim=1)
        old_reset, old_update, old = F.linear(held, by_state, of_state).chunk(3, dim=1)
        share = (update + old_update).sigmoid()
        held = (1 - share) * (new + (reset + old_reset).sigmoid() * old).tanh() + share * held
        found.append(held)
    return torch.stack(found, dim=1)


def test_it_computes_what_wons_does():
    made = build("crnn", **TINY)
    sound, state = features(made, 400), made.state_dict()
    x = bn(state, "spec_bn", normalised(state, sound))
    for number, pooling in enumerate((2, 3, 4, 4), 1):
        layer = f"layer{number}"
        x = F.max_pool2d(F.relu(bn(state, f"{layer}.bn", conv(state, f"{layer}.conv", x, padding=1))), pooling)
    assert x.shape == (2, 6, 1, 4)
    states = gru(state, 1, gru(state, 0, x.squeeze(2).transpose(1, 2)))
    torch.testing.assert_close(made(sound), states[:, -1])
    torch.testing.assert_close(made.sequence(sound), states)


def test_the_last_state_is_that_of_the_last_whole_step():
    made = build("crnn", **TINY)
    sound = features(made, 400)
    silent = sound.clone()
    silent[:, 200:] = made.frontend.silence
    torch.testing.assert_close(made(sound, torch.tensor([200, 400]))[0], made.sequence(silent)[0, 1])

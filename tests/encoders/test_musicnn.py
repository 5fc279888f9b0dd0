from __future__ import annotations

import torch
import torch.nn.functional as F
from networks import bn, build, conv, features, linear, normalised, parameters, published

TINY = {"timbral": 4, "temporal": 3, "backend": 5, "dim": 6}


def test_it_has_the_parameters_of_wons():
    made = published("musicnn")
    assert (parameters(made), made.dim, made.frontend.shape) == (774_250, 200, (96,))
    filters = [tuple(layer.conv.weight.shape[1:]) for layer in made.layers]
    assert filters == [(1, 67, 7), (1, 38, 7), (1, 129), (1, 65), (1, 33)]


def test_it_computes_what_wons_does():
    made = build("musicnn", **TINY)
    sound, state = features(made, 150), made.state_dict()
    x = bn(state, "spec_bn", normalised(state, sound))
    found = []
    for number in range(5):
        name = f"layers.{number}"
        seen, padding = (x, (0, 3)) if number < 2 else (x.mean(2), (64, 32, 16)[number - 2])
        y = F.relu(bn(state, f"{name}.bn", conv(state, f"{name}.conv", seen, padding=padding)))
        found.append(y.amax(2) if number < 2 else y)
    filters = torch.cat(found, dim=1)
    steps = [filters, F.relu(bn(state, "layer1.bn", conv(state, "layer1.conv", filters, padding=3)))]
    for layer in ("layer2", "layer3"):
        steps.append(F.relu(bn(state, f"{layer}.bn", conv(state, f"{layer}.conv", steps[-1], padding=3))) + steps[-1])
    maps = torch.cat(steps, dim=1)
    dense = linear(state, "dense1", torch.cat([maps.amax(2), maps.mean(2)], dim=1))
    torch.testing.assert_close(made(sound), F.relu(bn(state, "bn", dense)))
    each = linear(state, "dense1", torch.cat([maps, maps], dim=1).transpose(1, 2))
    torch.testing.assert_close(made.sequence(sound), each)


def test_a_tall_filter_is_a_convolution_in_two_dimensions_with_the_same_gradient():
    made = build("musicnn", frontend={"bands": 20, "channels": 2}, **TINY)
    layer, x = made.layers[0], torch.randn(3, 2, 20, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    both = []
    for way in (layer._convolved, layer.conv):
        layer.conv.zero_grad()
        given = x.clone().requires_grad_()
        maps = way(given)
        maps.square().sum().backward()
        both.append((maps, given.grad, layer.conv.weight.grad.clone(), layer.conv.bias.grad.clone()))
    assert both[0][0].shape == (3, 4, 20 - 14 + 1, 9)
    torch.testing.assert_close(*both)

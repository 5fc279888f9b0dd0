"""Audio encoders with drawn statistics, as trained ones have, and the layers of papers by the names of their weights.

A module of its own, since more than one test compares a network with what its authors' code computes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal import registry

State = dict[str, Tensor]


def build(name: str, seed: int = 0, **settings: Any) -> Any:
    """An encoder of the family, in double precision and for evaluation, with all its numbers drawn, and no dropout.

    The statistics of batch norms come from random features, as training would leave them: with drawn ones the signal
    vanishes on its way, and all clips have the same vector.
    """
    generator = torch.Generator().manual_seed(seed)
    made: nn.Module = registry.build("encoders.audio", name, **settings).double().train()
    kept = made.state_dict()  # what is not in it are constants
    for key, value in [*made.named_parameters(), *made.named_buffers()]:
        if key in kept and "running" not in key and value.is_floating_point():
            value.data = drawn(key, torch.randn(value.shape, generator=generator, dtype=value.dtype).clamp(-3, 3))
    parts = list(made.modules())
    for dropout in (part for part in parts if isinstance(part, nn.Dropout)):
        dropout.p = 0.0
    for norm in (norms := [part for part in parts if isinstance(part, nn.modules.batchnorm._BatchNorm)]):
        norm.momentum = None  # the mean of all batches
    with torch.no_grad():
        for draw in range(2 if norms else 0):
            made(features(made, getattr(made, "window", 200), batch=4, seed=10 + draw))
    return made.eval()


def drawn(key: str, noise: Tensor) -> Tensor:
    """What stands under a name: matrices that keep the signal's size, scales about 1, decibels of music."""
    if key in ("mean", "deviation"):
        return 5 * noise - 50 if key == "mean" else 20 + 4 * noise
    if noise.ndim > 1:
        return noise * (2 / noise[0].numel()) ** 0.5
    return 1 + 0.2 * noise if key.endswith("weight") else 0.2 * noise


def published(name: str, **settings: Any) -> Any:
    """An encoder as it is built."""
    return registry.build("encoders.audio", name, **settings)


def features(made: Any, frames: int, batch: int = 2, seed: int = 1) -> Tensor:
    """Random features for an encoder, ``(batch, frames, *shape)``: noise around a spectrum of each clip's own."""
    generator = torch.Generator().manual_seed(seed)
    spectrum, noise = (
        torch.randn(batch, length, *made.frontend.shape, generator=generator, dtype=torch.float64)
        for length in (1, frames)
    )
    return spectrum + noise if made.frontend.silence == 0 else 12 * (spectrum + noise) - 50


def parameters(made: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in made.parameters())


def normalised(state: State, x: Tensor) -> Tensor:
    """``(batch, frames, bands)`` to ``(batch, 1, bands, frames)`` by the normaliser that `fit` sets."""
    return ((x - state["mean"]) / state["deviation"]).transpose(1, 2).unsqueeze(1)


def bn(state: State, name: str, x: Tensor) -> Tensor:
    """Batch norm in evaluation."""
    mean, variance, weight, bias = (state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, variance, weight, bias)


def conv(state: State, name: str, x: Tensor, **how: Any) -> Tensor:
    """Convolution over time, or over bands and time."""
    convolve = F.conv1d if state[f"{name}.weight"].ndim == 3 else F.conv2d
    return convolve(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **how)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    """A dense layer."""
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

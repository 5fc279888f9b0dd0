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
    """An encoder of the family, in double precision and for evaluation, with drawn weights, norms and normaliser."""
    generator = torch.Generator().manual_seed(seed)
    made: nn.Module = registry.build("encoders.audio", name, **settings).double().eval()
    for key, value in [*made.named_parameters(), *made.named_buffers()]:
        if value.is_floating_point() and not key.startswith("frontend."):
            noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            fan = value[0].numel() if value.ndim > 1 else 9
            positive = key.endswith(("running_var", "deviation"))
            value.data = 0.5 + noise.abs() if positive else noise / fan**0.5
    return made


def features(made: Any, frames: int, batch: int = 2, seed: int = 1) -> Tensor:
    """Random features for an encoder: ``(batch, frames, *shape)``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, *made.frontend.shape, generator=generator, dtype=torch.float64)


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

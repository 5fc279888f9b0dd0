"""What augmentations share: how they declare what they change, how they draw, how they move samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

Change = Literal["pitch", "tempo", "timbre", "level", "order"]
Function = TypeVar("Function", bound=Callable[..., Any])


def changes(*kinds: Change) -> Callable[[Function], Function]:
    """Declare what a function changes in the music: its attribute ``changes`` becomes the set of ``kinds``."""

    def declared(function: Function) -> Function:
        function.__dict__["changes"] = frozenset(kinds)
        return function

    return declared


def uniform(batch: Tensor, low: float, high: float, generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers for each item of ``batch``, from ``low`` up to ``high``: ``(batch, *shape)`` on the batch's device.

    Drawn on the generator's device, so that a generator of the CPU serves data that is elsewhere.
    """
    drawn = torch.rand(len(batch), *shape, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(batch.device)


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian numbers of deviation 1, on the device and of the type of ``like``."""
    return torch.randn(shape, generator=generator, device=generator.device).to(like)


def positions(batch: Tensor, length: int) -> Tensor:
    """0, 1, ... ``length`` - 1, on the device of ``batch``."""
    return torch.arange(length, device=batch.device)


def valid(batch: Tensor, length: int, lengths: Tensor | None) -> Tensor:
    """``lengths`` of the items, or ``length`` for each of them if None: ``(batch,)`` int64, at least 1."""
    if lengths is None:
        return torch.full((len(batch),), length, device=batch.device)
    return lengths.to(batch.device).clamp(1, length)


def beside(values: Tensor, batch: Tensor) -> Tensor:
    """A number an item, ``(batch,)``, in a shape and type that multiply ``batch``."""
    return values.to(batch.dtype).view(-1, *[1] * (batch.ndim - 1))

"""An exponential moving average of a model's weights, for validation and for the model that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The moving average of what a model learns: its trained weights, and its float buffers (batch norm's statistics).

    Update number n, from 0, moves the average by 1 - d of the way to the model, where d = min(decay, n / (9 + n)). So
    the first copies the model, and early on the average looks back over the last tenth of the steps rather than over
    1 / (1 - decay) of them, among which there would be weights of the very beginning. From n = 1 on it is the ramp
    (1 + t) / (10 + t) of TensorFlow's ExponentialMovingAverage, with t = n - 1.

    What is not trained and integers stay the model's own. Before the first update the average is the model itself.

    Args:
        model: whose weights are averaged; it is not held.
        decay: share of the average that stays in a step, below 1; 0.999 looks back over about 1,000 steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.values = {name: value.detach().clone() for name, value in _learnt(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """After a step of the optimiser."""
        moved = 1 - min(self.decay, self.updates / (9 + self.updates))
        for name, value in _learnt(model).items():
            self.values[name] = self.values[name].to(value.device)  # a restored average is on the CPU
            self.values[name].lerp_(value, moved)
        self.updates += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights for a block, and its own ones back after it, come what may."""
        learnt = _learnt(model) if self.updates else {}
        own = {name: value.detach().clone() for name, value in learnt.items()}
        _copy(self.values, learnt)
        try:
            yield
        finally:
            _copy(own, learnt)

    def state_dict(self) -> dict[str, Any]:
        """The average, and the number of its updates."""
        return {"updates": self.updates, "values": dict(self.values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; ValueError if it is of another model."""
        if state["values"].keys() != self.values.keys():
            differing = sorted(state["values"].keys() ^ self.values.keys())
            raise ValueError(f"the average is of other weights: {differing[0]} is in one alone")
        self.updates = state["updates"]
        self.values = {name: value.clone() for name, value in state["values"].items()}


def _learnt(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model's state that training moves: trained weights and float buffers."""
    return {
        name: value
        for name, value in model.state_dict(keep_vars=True).items()
        if isinstance(value, Tensor) and value.is_floating_point()  # a module may save anything beside its tensors
        if value.requires_grad or not isinstance(value, nn.Parameter)
    }


@torch.no_grad()
def _copy(values: dict[str, Tensor], to: dict[str, Tensor]) -> None:
    for name, value in to.items():
        value.copy_(values[name])

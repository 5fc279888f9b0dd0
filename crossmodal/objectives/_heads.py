"""The small networks between an encoder's output and a loss, and what compares several views of a track.

Batch norm in a head is over all views of all tracks at once: with two views a batch of one track has two rows, so that
no batch is too small for it. In evaluation it uses the statistics it has gathered, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.precision import at_least_float32
from crossmodal.settings import Count


@dataclass(frozen=True)
class Layers:
    """The settings of a head, a block of a config.

    CLMR's projector is ``{widths: [512, 64], norm: false}``, Deezer's ``{widths: [1024, 2048]}``, SSLISMIR's
    ``{widths: [512, 64], bias: true}``, and that of SimSiam's paper ``{widths: [2048, 2048, 2048], last: norm}``.

    Attributes:
        widths: outputs of each linear layer; with none the head gives back what it gets.
        norm: batch norm between a hidden layer and its ReLU.
        bias: of the linear layers.
        last: what follows the last linear layer: nothing, the norm, or the norm and ReLU of a hidden layer.
    """

    widths: list[Count]
    norm: bool = True
    bias: bool = False
    last: Literal["linear", "norm", "relu"] = "linear"


class Head(nn.Module):
    """Linear layers, with norm and ReLU after all but the last.

    Args:
        inputs: dimensions of what it is given.
        layers: the settings.
    """

    def __init__(self, inputs: int, layers: Layers) -> None:
        super().__init__()
        widths = [inputs, *layers.widths]
        self.dim = widths[-1]
        self.layers = nn.Sequential()
        for number, (before, after) in enumerate(pairwise(widths), start=1):
            kind = layers.last if number == len(layers.widths) else "relu"
            self.layers.append(nn.Linear(before, after, bias=layers.bias))
            if kind == "norm" or (kind == "relu" and layers.norm):
                self.layers.append(nn.BatchNorm1d(after))
            if kind == "relu":
                self.layers.append(nn.ReLU())

    def forward(self, values: Tensor) -> Tensor:
        """``(views, batch, inputs)`` to ``(views, batch, dim)``, in float32, or in float64 if both are that."""
        rows: Tensor = self.layers(at_least_float32(values).flatten(0, 1))
        return rows.view(*values.shape[:2], self.dim)


def head(where: str, inputs: int, settings: Mapping[str, Any] | None, *widths: int) -> Head:
    """Build a head from a config's block, or of ``widths`` where there is none.

    Raises:
        InputError: a setting that is unknown, missing or of the wrong type; the message names ``where``.
    """
    given = {"widths": list(widths)} if settings is None else dict(settings)
    registry.check_settings(Layers, given, where)
    return Head(inputs, Layers(**given))


def matching_head(where: str, dim: int, settings: Mapping[str, Any] | None, *widths: int) -> Head:
    """Build a head that gives as many dimensions as it gets; errors as `head`, and another last width."""
    made = head(where, dim, settings, *widths)
    if made.dim != dim:
        raise InputError(f"{where}: the last of widths is {made.dim}, but must be {dim}, that of the projector")
    return made


def mean_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean cosine of each view's prediction and each other view's target, over all ordered pairs and tracks.

    Args:
        predictions: ``(views, batch, dim)``, two views or more.
        targets: ``(views, batch, dim)``.
    """
    views, tracks = predictions.shape[:2]
    p, z = F.normalize(predictions, dim=-1), F.normalize(targets, dim=-1)
    same = (p * z).sum()
    return ((p.sum(0) * z.sum(0)).sum() - same) / (views * (views - 1) * tracks)

"""Batch norms, whose running statistics move without any gradient."""

from __future__ import annotations

from torch import nn


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """All of a module's."""
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def frozen_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Those that are to stay as they are: in a part of which there are weights, and none is trained.

    A norm with weights is such a part itself; one without is frozen with what it stands in.
    """
    found = [norm for part in module.modules() if _frozen(part) for norm in batch_norms(part)]
    return list(dict.fromkeys(found))


def _frozen(module: nn.Module) -> bool:
    trained = [weight.requires_grad for weight in module.parameters()]
    return bool(trained) and not any(trained)

"""Numbers: what training computes in, and what a loss is computed in at least."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def training_precision(wanted: str) -> str:
    """bf16 where the device computes in it, else fp32; ``wanted`` is auto, or either.

    On a CPU that means AVX512-BF16 or AMX: without them bf16 is emulated, eight times slower than fp32.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"

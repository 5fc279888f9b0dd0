"""Several processes that train one model, started by ``torchrun`` or ``accelerate launch``; alone it is idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

T = TypeVar("T")


def state() -> PartialState:
    """Where this process stands among the others: ``process_index``, ``num_processes``, ``is_main_process``."""
    return PartialState(cpu=not torch.cuda.is_available())


@contextmanager
def main_first() -> Iterator[None]:
    """The main process does the block before the others, which find what it made."""
    with state().main_process_first():
        yield


def from_main(value: Callable[[], T]) -> T:
    """What ``value`` gives in the main process, in every process; it is called nowhere else."""
    if state().num_processes == 1:
        return value()
    held: list[Any] = [value() if state().is_main_process else None]
    dist.broadcast_object_list(held, src=0)
    found: T = held[0]
    return found


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is true in any process."""
    return any(everywhere(flag))


def everywhere(value: T) -> list[T]:
    """The value of every process, in their order."""
    if state().num_processes == 1:
        return [value]
    held: list[Any] = [None] * state().num_processes
    dist.all_gather_object(held, value)
    return held


def gathered(value: Tensor, dim: int) -> tuple[Tensor, int]:
    """The tensors of all processes joined along ``dim``, where their sizes may differ; and where one's own begins.

    No gradient flows through it: see `crossmodal.gradients`.
    """
    if state().num_processes == 1:
        return value.detach(), 0
    own = value.detach().transpose(0, dim).contiguous()
    sizes = everywhere(len(own))
    padded = own.new_zeros(max(sizes), *own.shape[1:])
    padded[: len(own)] = own
    held = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(held, padded)
    parts = [part[:size] for part, size in zip(held, sizes, strict=True)]
    return torch.cat(parts).transpose(0, dim).contiguous(), sum(sizes[: state().process_index])


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over the processes."""
    if state().num_processes > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= state().num_processes


def accelerator(precision: str) -> Accelerator:
    """Accelerate's, for fp32 or bf16, on the GPU if there is one."""
    # a part without texts leaves the text encoder without a gradient, which DDP must be told to expect
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    mixed = "bf16" if precision == "bf16" else "no"
    return Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available(), kwargs_handlers=[unused])

"""Several processes that train one model, started by ``torchrun`` or ``accelerate launch``; alone it is idle."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from crossmodal import sharding
from crossmodal.errors import InputError, SharedError

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)
PATIENCE = timedelta(days=7)  # the others wait while the main process extracts features or validates


def state() -> PartialState:
    """Where this process stands among the others: ``process_index``, ``num_processes``, ``is_main_process``.

    Raises:
        SharedError: accelerate's configuration asks for what is not supported, see `crossmodal.sharding.plan`.
    """
    sharding.plan()
    return _joined()


@cache
def _joined() -> PartialState:
    found = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    atexit.register(found.destroy_process_group)  # gloo's threads may abort a process that ends without
    return found


def speaker(say: Callable[[str], None]) -> Callable[[str], None]:
    """``say`` in the main process; the others are silent."""
    return say if state().is_main_process else lambda line: None


def together(work: Callable[[], T]) -> T:
    """What ``work`` gives, in every process; a user's mistake in one of them is one in all, so that none waits.

    Raises:
        SharedError: where there are several processes, and one raised an `InputError`; it has the first one's message.
    """
    if state().num_processes == 1:
        return work()
    found: list[T] = []
    failure = None
    try:
        found.append(work())
    except InputError as error:
        failure = error
    if anywhere(failure is not None):
        raise SharedError(next(told for told in everywhere(failure and str(failure)) if told)) from failure
    return found[0]


def main_first(work: Callable[[], T]) -> T:
    """What ``work`` gives, in every process; the main one does it before the others, which find what it made.

    Raises:
        SharedError: as `together`.
    """
    if state().is_main_process:
        found = together(work)
        together(_nothing)
    else:
        together(_nothing)
        found = together(work)
    return found


def _nothing() -> None:
    """What a process does whose turn it is not."""


def in_main(work: Callable[[], object]) -> None:
    """Do something in the main process, and nowhere else.

    Raises:
        SharedError: as `together`.
    """
    together(work if state().is_main_process else _nothing)


def from_main(value: Callable[[], T]) -> T:
    """What ``value`` gives in the main process, in every process; it is called nowhere else.

    Raises:
        SharedError: as `together`.
    """
    held: list[T] = []
    in_main(lambda: held.append(value()))
    if state().num_processes > 1:
        held = held or [cast("T", None)]
        dist.broadcast_object_list(held, src=0)
    return held[0]


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is true in any process."""
    if state().num_processes == 1:
        return flag
    found = torch.tensor(int(flag), device=state().device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


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
    sizes = [int(size) for size in _all(torch.tensor(len(own), device=own.device))]
    padded = own.new_zeros(max(sizes), *own.shape[1:])
    padded[: len(own)] = own
    parts = [part[:size] for part, size in zip(_all(padded), sizes, strict=True)]
    return torch.cat(parts).transpose(0, dim).contiguous(), sum(sizes[: state().process_index])


def _all(value: Tensor) -> list[Tensor]:
    """Tensors of one shape, of all processes."""
    held = [torch.empty_like(value) for _ in range(state().num_processes)]
    dist.all_gather(held, value)
    return held


def as_in_main(tensors: Iterable[Tensor]) -> None:
    """Give each tensor the values that it has in the main process: another machine may have rounded otherwise."""
    if state().num_processes > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


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
    state()  # the environment as we leave it to accelerate
    AcceleratorState._reset_state()  # else the precision of an earlier training in this process would have to be ours
    return Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available(), kwargs_handlers=[unused])


def synchronised(model: M, own: Accelerator) -> M:
    """The model with batch norms over all processes where these are on GPUs; torch has none for the CPU."""
    if own.num_processes > 1 and own.device.type == "cuda":
        return cast("M", nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]
    return model


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list, so that the step under way is finished; a second one acts at once."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

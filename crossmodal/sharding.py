"""Weights, gradients and optimiser state shared out among processes: FSDP 2, where accelerate's configuration asks.

Each process holds a part of every tensor, and gathers the whole for as long as a forward or backward pass needs it: the
third stage of Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020. Torch's
`fully_shard` does it here and not accelerate, which takes no notice of FSDP on CPUs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from accelerate.utils import FullyShardedDataParallelPlugin
from packaging.version import Version
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.func import functional_call

from crossmodal.errors import SharedError, listed

M = TypeVar("M", bound=nn.Module)
HEEDED = (
    "fsdp_reshard_after_forward",
    "fsdp_auto_wrap_policy",
    "fsdp_transformer_layer_cls_to_wrap",
    "fsdp_min_num_params",
)

_plan: list[FullyShardedDataParallelPlugin] = []  # once it was found


def plan() -> FullyShardedDataParallelPlugin | None:
    """What accelerate's configuration says on sharding, None where it asks for none.

    It is taken out of the environment: on GPUs `accelerate.Accelerator` would shard too, in its own way, and
    transformers would leave a checkpoint's weights empty in all processes but one.

    Raises:
        SharedError: it asks for DeepSpeed, version 1 of FSDP, or a setting that would not be heeded.
    """
    if _true("ACCELERATE_USE_DEEPSPEED"):
        raise SharedError(
            "accelerate's configuration asks for DeepSpeed, which is not supported: take --use_fsdp --fsdp_version 2"
        )
    if _true("ACCELERATE_USE_FSDP"):
        _plan[:] = [_read()]
        del os.environ["ACCELERATE_USE_FSDP"]
    return _plan[0] if _plan else None


def _read() -> FullyShardedDataParallelPlugin:
    if os.environ.get("FSDP_VERSION") != "2":
        raise SharedError("accelerate's configuration asks for version 1 of FSDP: set --fsdp_version 2")
    if Version(torch.__version__) < Version("2.14"):  # whose FSDP may overlook tensors in a dataclass: nothing learns
        raise SharedError(f"FSDP needs torch 2.14, and this is {torch.__version__}: leave out --use_fsdp")
    try:
        found = FullyShardedDataParallelPlugin()
    except (ValueError, KeyError) as error:
        raise SharedError(f"accelerate's configuration of FSDP is not valid: {error}") from error
    if refused := _unheeded(found):
        raise SharedError(
            f"accelerate's configuration sets {listed(refused)}, which would not be heeded: leave it out;"
            f" what is heeded is {listed(HEEDED)}"
        )
    return found


def _true(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"true", "1"}


def _unheeded(found: FullyShardedDataParallelPlugin) -> list[str]:
    """What is set beyond the launcher's defaults and `HEEDED`."""
    by_layer = os.environ.get("FSDP_AUTO_WRAP_POLICY", "").upper() == "TRANSFORMER_BASED_WRAP"
    asked = {
        "fsdp_offload_params": isinstance(found.cpu_offload, CPUOffloadPolicy),
        "fsdp_activation_checkpointing (train.micro_batch saves that memory)": found.activation_checkpointing,
        "fsdp_forward_prefetch": _true("FSDP_FORWARD_PREFETCH"),
        "fsdp_ignored_modules": found.ignored_modules is not None,
        "fsdp_state_dict_type other than FULL_STATE_DICT": os.environ.get("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT")
        != "FULL_STATE_DICT",
        "parallelism_config": _true("ACCELERATE_USE_PARALLELISM_CONFIG"),
        "fsdp_auto_wrap_policy without fsdp_transformer_layer_cls_to_wrap": by_layer
        and not found.transformer_cls_names_to_wrap,
    }
    return [name for name, is_set in asked.items() if is_set]


def twin(model: M) -> M:
    """What is to be sharded in place of the model: itself, but in the main process, which keeps a whole one, a copy."""
    return model if dist.get_rank() else deepcopy(model)


def shard(model: nn.Module, teachers: list[nn.Module], plan: FullyShardedDataParallelPlugin) -> None:
    """Share out the weights of a model, and of each of its teachers, as they are in the main process.

    Args:
        model: on its device, as all processes have it; changed in place, its parameters anew.
        teachers: networks that follow a part of it.
        plan: whether whole weights are given up after a forward pass, and which layers are gathered one by one.

    Raises:
        InputError: the plan names layers that the model has not.
    """
    # views of embeddings are returned, and nobody changes them
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(next(model.parameters()).device.type, (dist.get_world_size(),))
    _check_names(model, plan)
    for module in (model, *teachers):
        module.to(memory_format=torch.contiguous_format)  # channels-last weights cannot be shared out
        for value in module.state_dict().values():
            if isinstance(value, Tensor):
                dist.broadcast(value, src=0)
        # a teacher has no backward pass, after which its weights would be given up in any case
        give_up = plan.reshard_after_forward or module is not model
        for part in (*_layers(module, plan), module):
            fully_shard(part, mesh=mesh, reshard_after_forward=give_up)


def _members(module: nn.Module) -> list[nn.Module]:
    """The members of a module's lists and sequences, innermost first: they are called, and so can gather weights.

    Of other modules one cannot know; their ``forward`` or their weights may be used without calling them.
    """
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList | nn.Sequential)]
    return [member for part in reversed(lists) for member in part]


def _layers(module: nn.Module, plan: FullyShardedDataParallelPlugin) -> list[nn.Module]:
    """The layers that are gathered by themselves: of the classes, or beyond the size, that the plan names."""
    names, size = plan.transformer_cls_names_to_wrap, plan.min_num_params
    if names:
        return [layer for layer in _members(module) if type(layer).__name__ in names]
    if size:
        return [layer for layer in _members(module) if sum(p.numel() for p in layer.parameters()) > size]
    return []


def _check_names(model: nn.Module, plan: FullyShardedDataParallelPlugin) -> None:
    known = {type(layer).__name__ for layer in _members(model)}
    if missing := sorted(set(plan.transformer_cls_names_to_wrap or ()) - known):
        raise SharedError(
            f"fsdp_transformer_layer_cls_to_wrap names {listed(missing)}; the model has layers {listed(sorted(known))}"
        )


def whole(state: Any) -> Any:
    """A state with whole tensors on the CPU; all processes take part, and the main one alone gets them."""
    if isinstance(state, DTensor):
        full = state.full_tensor()
        return state if dist.get_rank() else full.cpu()
    if isinstance(state, dict):
        changed = copy(state)  # of the same kind, with what a module's state holds beside its items
        changed.update({key: whole(value) for key, value in state.items()})
        return changed
    return state


def placed(state: Any, owner: Any) -> Any:
    """A state of whole tensors as its owner can load it: of what is shared out, this process's part."""
    if isinstance(owner, torch.optim.Optimizer):
        weights = [weight for group in owner.param_groups for weight in group["params"]]
        return _placed(state, {"state": dict(enumerate(weights))})
    return _placed(state, owner.state_dict())


def _placed(state: Any, like: Any) -> Any:
    if isinstance(state, dict):
        changed = copy(state)
        for key, value in state.items():
            changed[key] = _placed(value, like.get(key) if isinstance(like, Mapping) else like)
        return changed
    if isinstance(state, Tensor) and isinstance(like, DTensor) and state.shape == like.shape:
        return distribute_tensor(state, like.device_mesh, like.placements, src_data_rank=None)
    return state


@contextmanager
def gathered(model: nn.Module, kept: nn.Module) -> Iterator[None]:
    """Within the block ``kept`` of the main process, a `twin`, is what the model is, on its device; all take part."""
    if not isinstance(model, FSDPModule):
        yield
        return
    weights = whole(model.state_dict())
    if dist.get_rank() == 0:
        kept.load_state_dict(weights)
        kept.to(next(model.parameters()).device)
    try:
        yield
    finally:
        if dist.get_rank() == 0:
            kept.cpu()


def outside(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer of a sharded model as it can be called outside of the model's forward, by all processes."""

    def call(given: Tensor) -> Tensor:
        held = {name: weight.detach() for name, weight in layer.named_parameters()}
        weights = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in held.items()}
        return cast("Tensor", functional_call(layer, weights, (given,)))

    return call

"""Published weights that an audio encoder starts with, and weights that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from crossmodal import checkpoints, config
from crossmodal.checkpoints import Checkpoint
from crossmodal.errors import InputError, listed
from crossmodal.norms import frozen_norms

PREFIXES = (
    "student.module.backbone.",  # Deezer: byol and clustering
    "module.backbone.",  # Deezer: contrastive, barlow_twins and feature_stats
    "backbone.",
    "model.encoder.",  # CLMR v2
    "encoder.",  # CLMR v1
    "audio_encoder.",  # our own models
    "module.",  # torch's DataParallel
    "model.",
    "",  # taggers
)
"""What may stand before an encoder's names."""

_SEVERAL = 5  # names in a message


@dataclass(frozen=True)
class Report:
    """What became of a file's weights; all but ``ignored`` by the encoder's names.

    Attributes:
        loaded: the encoder's weights that were found.
        missing: those that were not; they stay as they are.
        unexpected: weights beside them that the encoder does not have.
        mismatched: those of another shape, with both shapes; they stay as they are.
        ignored: the file's other weights: outside the prefix, heads, front ends.
        prefix: what stood before the encoder's names.
        source: path or address.
        sha256: of the file.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    ignored: tuple[str, ...]
    prefix: str
    source: str
    sha256: str

    @property
    def whole(self) -> bool:
        """Whether every weight was found, and none is left over."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        wrong = {"missing": self.missing, "of another shape": self.mismatched, "unexpected": self.unexpected}
        told = [f"{len(names)} {what}: {listed(names, _SEVERAL)}" for what, names in wrong.items() if names]
        told += [f"{len(self.ignored)} ignored: {listed(self.ignored, _SEVERAL)}"] if self.ignored else []
        found = f"{len(self.loaded)} of {len(self.loaded + self.missing + self.mismatched)} weights found"
        where = f"in {self.source} (sha256 {self.sha256[:16]}), prefix {self.prefix!r}"
        return "; ".join([f"{found} {where}", *told])


def load(encoder: nn.Module, plan: config.Weights) -> Report:
    """Load the weights that ``plan.path`` names into an encoder, in place.

    The names lose the prefix ``plan.keys``, or the one of `PREFIXES` with which most of the encoder's weights are found
    (of equals, the first). ``foreign``, if the encoder has it, turns the authors' names into the encoder's, and leaves
    heads out.

    Raises:
        InputError: the file cannot be read or downloaded, holds code, or fits nowhere; with ``plan.strict`` also if a
            weight is missing, of another shape or left over. The encoder is then as it was.
    """
    report, renamed = _found(encoder, plan)
    encoder.load_state_dict({name: renamed[name] for name in report.loaded}, strict=False)
    return report


def check(encoder: nn.Module, plan: config.Weights) -> None:
    """Refuse what `load` would refuse; the encoder stays as it is."""
    _found(encoder, plan)


def _found(encoder: nn.Module, plan: config.Weights) -> tuple[Report, dict[str, Tensor]]:
    """What of the encoder's weights a file has, and the file's by the encoder's names."""
    if not plan.path:
        raise InputError("weights.path is not set: give a file or an http(s) address")
    checkpoint = checkpoints.read(plan.path)
    prefix, renamed = _best(encoder, checkpoint.weights, plan.keys)
    report = _compared(encoder.state_dict(), renamed, prefix, checkpoint)
    if not set(report.loaded) - _foreign(encoder)({}).keys():
        theirs, ours = listed(checkpoint.weights, _SEVERAL), listed(encoder.state_dict(), _SEVERAL)
        raise InputError(
            f"{plan.path} holds no weight of {type(encoder).__name__}: it has {theirs}, the encoder {ours};"
            " weights.keys says what stands before the encoder's names"
        )
    if plan.strict and not report.whole:
        raise InputError(f"{type(encoder).__name__} was not changed, as weights.strict asks: {report}")
    return report, renamed


def freeze(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Take weights out of training by patterns of their names (``audio_encoder.*``); returns the names.

    Raises:
        InputError: a pattern matches nothing.
    """
    weights = dict(module.named_parameters())
    for pattern in patterns:
        found = [name for name in weights if fnmatchcase(name, pattern)]
        if not found:
            raise InputError(f"weights.freeze: {pattern!r} matches no weight; there are {listed(weights)}")
        for name in found:
            weights[name].requires_grad_(False)
    return [name for name in weights if any(fnmatchcase(name, pattern) for pattern in patterns)]


def keep_frozen(module: nn.Module) -> None:
    """Put `frozen_norms` into evaluation mode; to be called after every ``train()``.

    Otherwise their running statistics would move, and what was frozen would compute something else.
    """
    for norm in frozen_norms(module):
        norm.eval()


def _foreign(encoder: nn.Module) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return getattr(encoder, "foreign", dict)


def _best(encoder: nn.Module, state: dict[str, Tensor], keys: str | None) -> tuple[str, dict[str, Tensor]]:
    """The prefix with which most of the encoder's weights are found, and the weights by the encoder's names."""
    wanted = encoder.state_dict().keys()
    prefixes = PREFIXES if keys is None else (keys if keys.endswith(".") or not keys else f"{keys}.",)
    tried = []
    for prefix in prefixes:
        under = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        tried.append((prefix, _foreign(encoder)(under)))
    return max(tried, key=lambda each: len(wanted & each[1].keys()))


def _compared(wanted: Mapping[str, Tensor], renamed: dict[str, Tensor], prefix: str, checkpoint: Checkpoint) -> Report:
    """What of the encoder's weights ``wanted`` the file has, by the encoder's names ``renamed``."""
    shapes = {name: (tuple(renamed[name].shape), tuple(wanted[name].shape)) for name in wanted if name in renamed}
    used = {id(value) for value in renamed.values()}
    return Report(
        loaded=tuple(name for name, (given, own) in shapes.items() if given == own),
        # batch norms count their batches for averages of another kind than ours; older files have no such count
        missing=tuple(n for n in wanted if n not in renamed and not n.endswith("num_batches_tracked")),
        unexpected=tuple(name for name in renamed if name not in wanted),
        mismatched=tuple(f"{n} is {given}, not {own}" for n, (given, own) in shapes.items() if given != own),
        ignored=tuple(name for name, value in checkpoint.weights.items() if id(value) not in used),
        prefix=prefix,
        source=checkpoint.source,
        sha256=checkpoint.sha256,
    )

"""Fine-tuning: a copy of an audio encoder and a fresh linear layer, on random windows of labelled tracks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from crossmodal.data.loader import Crops, Waveforms
from crossmodal.data.manifest import Manifest
from crossmodal.data.pairs import starts
from crossmodal.data.store import FeatureStore
from crossmodal.embedding import Embedded, embed
from crossmodal.errors import InputError
from crossmodal.heads._training import Standardised
from crossmodal.model import DualEncoder
from crossmodal.precision import at_least_float32, training_precision

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Truth = NDArray[np.int8]
Judge = Callable[[Floats], float]


class Targets(NamedTuple):
    """Tracks by their ids, and 1, 0 or -1 (unknown) for each of their classes, ``(tracks, classes)``."""

    ids: Sequence[str]
    truth: Truth


class Rates(NamedTuple):
    """Learning rates."""

    encoder: float
    head: float


class Plan(NamedTuple):
    """How long, and on how much at a time.

    Attributes:
        steps: at most.
        batch_size: windows of a step, each of another track.
        validate_every: steps.
        patience: validations without a better score, after which it stops.
        weight_decay: of matrices and kernels; what has one dimension or none does not decay.
        exclusive: whether a track has one class, which softmax gives, every class weighing the same; else sigmoids.
        seed: of the order of the tracks, the windows and dropout.
    """

    steps: int
    batch_size: int
    validate_every: int
    patience: int
    weight_decay: float
    exclusive: bool
    seed: int


class Tuned(NamedTuple):
    """The best of a fine-tuning by its score on the validation part.

    Attributes:
        model: a model of its own, with the tuned audio encoder.
        head: features to classes.
        score: on the validation part.
        step: after which it was best.
        losses: of all steps.
    """

    model: DualEncoder
    head: nn.Module
    score: float
    step: int
    losses: list[float]

    def scores(self, data: Targets, manifest: Manifest, store: FeatureStore | None) -> Floats:
        """Logits of whole tracks, ``(tracks, classes)``: the mean of their segments' by the seconds they hold."""
        return scores(self.model, self.head, data, manifest, store)


class Windows:
    """Random windows of tracks as front-end features, from the store, or else from the files."""

    def __init__(self, model: DualEncoder, manifest: Manifest, store: FeatureStore | None) -> None:
        frontend = self.frontend = model.audio_encoder.frontend
        paths = {str(track): Path(path) for track, path in manifest.paths().items()}
        self.crops: Crops = store or Waveforms(paths, frontend.sample_rate, frontend.channels)
        self.window = model.window if store else round(model.window_s * frontend.sample_rate)

    def draw(self, ids: Sequence[str], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A window of each track, padded with silence: ``(tracks, frames, *shape)``, and the frames that sound."""
        begins = [starts(self.crops.length(track), self.window, 1, "random", 0, rng)[0] for track in ids]
        crops = [self.crops.crop(track, begin, self.window) for track, begin in zip(ids, begins, strict=True)]
        batch = np.full((len(ids), self.window, *crops[0].shape[1:]), self.crops.silence, np.float32)
        for row, crop in zip(batch, crops, strict=True):
            row[: len(crop)] = crop
        lengths = [len(crop) for crop in crops]
        if not self.crops.sampled:
            return torch.from_numpy(batch), torch.tensor(lengths)
        waves = torch.from_numpy(batch.swapaxes(-1, -2))
        return self.frontend.forward(waves), torch.tensor([self.frontend.frames(length) for length in lengths])


def tune(
    embedded: Embedded, train: Targets, valid: Targets, rates: Rates, plan: Plan, judge: Judge, fresh: Floats
) -> Tuned:
    """Fine-tune all weights of a copy of the audio encoder, and a linear layer.

    Args:
        embedded: the model, which stays as it is, beside its data.
        train: what is learnt from.
        valid: whole tracks that say when to stop, and which step was best.
        rates: of AdamW, after a straight rise over the first tenth of the steps.
        plan: how.
        judge: logits of ``valid``, ``(tracks, classes)``, to a score, the greater the better.
        fresh: the frozen encoder's features of ``train``, ``(tracks, dim)``, which the head is scaled by.

    Raises:
        InputError: the loss is no number, or no validation has a score.
    """
    model = apart(embedded.model)
    head = _head(fresh, train.truth.shape[1]).to(model.device)
    encoder = model.audio_encoder
    net = nn.ModuleList([encoder, head]).requires_grad_(True)  # type: ignore[list-item]
    best, losses = Tuned(model, head, -np.inf, 0, []), list[float]()
    kept, waits = copy.deepcopy(net.state_dict()), 0
    with own_randomness(plan.seed, model.device):
        for step, loss in enumerate(_steps(embedded, net, train, rates, plan), start=1):
            losses.append(loss)
            if step % plan.validate_every and step < plan.steps:
                continue
            found = judge(scores(model, head, valid, embedded.part("valid"), embedded.store))
            waits += 1
            if found > best.score:
                best, kept, waits = best._replace(score=found, step=step), copy.deepcopy(net.state_dict()), 0
            if waits >= plan.patience:
                break
    if not best.step:
        raise InputError("fine_tune: no validation gave a score; the labelled tracks of part valid are too few")
    net.load_state_dict(kept)
    return best._replace(losses=losses)


def _head(features: Floats, classes: int) -> nn.Module:
    """A linear layer that begins at zero, on features in units of their deviation over the training tracks."""
    line: nn.Linear = nn.utils.skip_init(nn.Linear, features.shape[1], classes)  # type: ignore[no-untyped-call]
    for parameter in line.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(Standardised(features), line)


def _steps(embedded: Embedded, net: nn.ModuleList, train: Targets, rates: Rates, plan: Plan) -> Iterator[float]:
    """Take the steps, one loss after the other."""
    encoder, head = net
    windows = Windows(embedded.model, embedded.part("train"), embedded.store)
    optimizer = torch.optim.AdamW([*_group(encoder, rates.encoder, plan), *_group(head, rates.head, plan)])
    rise = max(1, plan.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / rise))
    device, half = next(net.parameters()).device, training_precision("auto") == "bf16"
    criterion = loss_of(train.truth, plan.exclusive, device)
    rng = np.random.default_rng(plan.seed)
    for rows in batches(len(train.ids), plan.batch_size, plan.steps, rng):
        audio, lengths = (value.to(device) for value in windows.draw([train.ids[row] for row in rows], rng))
        net.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            features = encoder(audio, lengths)
        loss = criterion(head(at_least_float32(features)), torch.from_numpy(train.truth[rows]).to(device))
        if not torch.isfinite(loss):
            raise InputError(
                f"fine_tune: the loss is {loss.item()} with learning rates {tuple(rates)}; give lower ones"
            )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        yield loss.item()


def _group(module: nn.Module, rate: float, plan: Plan) -> list[dict[str, object]]:
    weights = list(module.parameters())
    decays = [weight for weight in weights if weight.ndim > 1]
    rest = [weight for weight in weights if weight.ndim <= 1]
    groups = [(decays, plan.weight_decay), (rest, 0.0)]
    return [{"params": own, "lr": rate, "weight_decay": decay} for own, decay in groups if own]


def loss_of(truth: Truth, exclusive: bool, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of logits against truth: of one class a track, every class weighing the same, or of those known."""
    counts = torch.from_numpy((truth == 1).sum(axis=0)).clamp(min=1)
    weights = (len(truth) / (len(counts) * counts)).float().to(device)

    def one(logits: Tensor, wanted: Tensor) -> Tensor:
        return F.cross_entropy(logits, wanted.argmax(dim=1), weights)

    def many(logits: Tensor, wanted: Tensor) -> Tensor:
        known = wanted >= 0
        return F.binary_cross_entropy_with_logits(logits[known], (wanted == 1)[known].float())

    return one if exclusive else many


def batches(tracks: int, size: int, count: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Rows of so many batches, epoch after epoch, each a permutation of its own; none has a track twice."""
    size = min(size, tracks)
    left = rng.permutation(tracks)
    for _ in range(count):
        if len(left) < size:
            left = rng.permutation(tracks)
        yield left[:size]
        left = left[size:]


def scores(
    model: DualEncoder, head: nn.Module, data: Targets, manifest: Manifest, store: FeatureStore | None
) -> Floats:
    """Logits of whole tracks, ``(tracks, classes)``; linear in the features, so those of the tracks' mean features."""
    found = embed(model, manifest.select(data.ids), store)
    rows = {track: row for row, track in enumerate(found.track_ids)}
    features = torch.from_numpy(found.features[[rows[track] for track in data.ids]])
    with torch.inference_mode():
        made: Floats = head(features.to(model.device)).cpu().numpy()
    return made


def apart(model: DualEncoder) -> DualEncoder:
    """A copy whose audio encoder is its own; what reads text is shared, since nobody changes it."""
    shared: dict[int, object] = {id(part): part for part in (model.text_encoder, model.text_projection)}
    return copy.deepcopy(model, shared)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Let dropout draw from a seed, and leave the global generators as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

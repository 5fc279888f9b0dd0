"""Gradients of a loss over a whole batch, of which processes embed parts, and a process its part piece by piece.

A contrastive loss compares every track with every other, so it cannot be summed over parts. But it reaches the encoders
only through the embeddings:

    dL / d weights  =  sum over parts of  (dL / d embeddings of the part) (d embeddings of the part / d weights)

So each part is embedded; the embeddings are gathered over parts and processes; the objectives see the whole batch, and
give the gradient of each embedding; and each part's encoder is differentiated with its own share of these. It is the
gradient cache of Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021,
sec. 3. A part that is alone keeps its graph; several are embedded twice, first without one. What is learned depends
on neither parts nor processes, but for batch norm in the encoder, whose statistics are those of a part, and for what is
drawn part by part: dropout and augmentations, of which mixup takes its backgrounds from the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from crossmodal import processes
from crossmodal.norms import batch_norms
from crossmodal.types import Batch, Embeddings, Objective, Tokens, moved

Terms = dict[str, Tensor]
Look = Callable[[Batch, Embeddings, Terms], None]
DIMS = {"audio": 1, "text": 0, "features": 1, "sequence": 1, "steps": 1}  # of tracks, or of texts


@dataclass(frozen=True)
class Gradients:
    """Adds the gradients of a batch to those of model and objectives.

    Attributes:
        accelerator: its autocast, and its way not to synchronise.
        model: the dual encoder, as `Accelerator.prepare` wrapped it.
        objectives: by name.
        weights: what each objective's terms are multiplied by.
        augment: what is done to a part's views on the device, with a generator of its own.
        seed: of the augmentations.
        stand_in: tokens of any text, for parts that have none, where the model is sharded: a process gathers weights
            together with all others or waits for ever.
    """

    accelerator: Accelerator
    model: nn.Module
    objectives: Mapping[str, Objective]
    weights: Mapping[str, float]
    augment: Callable[[Batch, torch.Generator], Batch]
    seed: int
    stand_in: Tokens = field(default_factory=dict)

    def __call__(self, number: int, parts: Sequence[Batch], share: float = 1.0, look: Look | None = None) -> Terms:
        """Gradients of ``share`` times the loss of a batch; returns its weighted terms.

        Args:
            number: of the batch, from which what is random in its augmentations follows.
            parts: of this process.
            share: of the batch in an optimiser's step.
            look: sees the whole batch's embeddings and terms before they are differentiated.
        """
        views = [self._augmented(number, part.to(self.accelerator.device)) for part in parts]
        first, states = self._embedded(views)
        whole, starts = self._whole(first, len(views))
        targets = {name: self._targets(objective, views) for name, objective in self.objectives.items()}
        terms = self._terms(views[0], whole, targets)
        if look is not None:
            look(views[0], whole, terms)
        (torch.stack(list(terms.values())).sum() * share).backward()  # type: ignore[no-untyped-call]
        self._distribute(views, first, states, whole, starts)
        return {name: term.detach() for name, term in terms.items()}

    def _augmented(self, number: int, part: Batch) -> Batch:
        drawn = np.random.SeedSequence([self.seed, 2, number, part.first]).generate_state(1, np.uint64)
        device = part.audio.device
        return self.augment(part, torch.Generator(device).manual_seed(int(drawn[0] >> np.uint64(1))))

    def _embedded(self, views: Sequence[Batch]) -> tuple[list[Embeddings], list[list[Tensor]]]:
        """Embeddings of each part, and the state of the random generators before it; without a graph if several."""
        found, states = [], []
        several = len(views) > 1
        with torch.no_grad() if several else nullcontext(), still(self.model) if several else nullcontext():
            for part in views:
                states.append(random_state())
                found.append(self._embed(part))
        return found, states

    def _embed(self, part: Batch) -> Embeddings:
        with self.accelerator.autocast():
            wanted = any("sequence" in objective.needs for objective in self.objectives.values())
            if self.stand_in and not part.tokens:
                read: Embeddings = self.model(replace(part, tokens=moved(self.stand_in, part.audio.device)), wanted)
                return replace(read, text=read.text[:0])
            found: Embeddings = self.model(part, wanted)
            return found

    def _targets(self, objective: Objective, views: Sequence[Batch]) -> Tensor | None:
        """``(views, batch, ...)``, what the objective's teacher makes of all parts; None without a teacher."""
        found = []
        for part in views:
            with torch.no_grad(), self.accelerator.autocast():
                made = objective.targets(part.audio.flatten(0, 1), part.lengths.flatten())
            if made is None:
                return None
            found.append(made.view(*part.audio.shape[:2], *made.shape[1:]))
        return processes.gathered(torch.cat(found, 1), 1)[0]

    def _whole(self, parts: Sequence[Embeddings], count: int) -> tuple[Embeddings, dict[str, int]]:
        """The embeddings of the whole batch as leaves of a graph, and where this process's own begin."""
        fields: dict[str, Any] = {}
        starts: dict[str, int] = {}
        for name, dim in DIMS.items():
            own = [getattr(part, name) for part in parts]
            fields[name] = None
            if own[0] is not None:
                joined, starts[name] = processes.gathered(torch.cat(own, dim), dim)
                fields[name] = joined.requires_grad_(joined.is_floating_point())
        return Embeddings(**fields), starts

    def _terms(self, batch: Batch, whole: Embeddings, targets: Mapping[str, Tensor | None]) -> Terms:
        return {
            term: self.weights[name] * value
            for name, objective in self.objectives.items()
            for term, value in objective.forward(batch, replace(whole, targets=targets[name])).items()
        }

    def _distribute(
        self,
        views: Sequence[Batch],
        first: Sequence[Embeddings],
        states: Sequence[Sequence[Tensor]],
        whole: Embeddings,
        starts: dict[str, int],
    ) -> None:
        """Differentiate the encoders by each part's share of the gradient; the wrapped model averages processes'."""
        count = self.accelerator.num_processes
        for number, (part, made) in enumerate(zip(views, first, strict=True)):
            last = number == len(views) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                if len(views) > 1:
                    set_random_state(states[number])
                    made = self._embed(part)
                outputs, gradients = [], []
                for name, start in starts.items():
                    output, dim, leaf = getattr(made, name), DIMS[name], getattr(whole, name)
                    size = output.shape[dim]
                    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                    if output.requires_grad:
                        outputs.append(output)
                        gradients.append(count * gradient.narrow(dim, start, size))
                    starts[name] = start + size
                torch.autograd.backward(outputs, gradients)


def random_state() -> list[Tensor]:
    """The state of torch's generators, of the CPU and of every GPU."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def set_random_state(states: Sequence[Tensor]) -> None:
    """Go back to a state that `random_state` gave."""
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(list(states[1:]))


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Within the block batch norms leave their running statistics as they are: each part counts once, not twice."""
    norms = batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

"""Contrastive predictive coding: what was heard so far tells what comes next from what does not. One view is enough.

With z_t the steps of the encoder's sequence, c_t the state of a GRU that has read them up to t, and W_k a matrix for
each number of steps ahead:

    loss = mean over k of the mean over all t of all clips of
           -log( exp(z_{t+k} W_k c_t) / (exp(z_{t+k} W_k c_t) + sum over negatives x of exp(x W_k c_t)) )

InfoNCE, eq. 4 with eq. 3, of van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018.
Negatives are steps of the clip itself at other times, and of clips of other tracks at any time; they are drawn once a
batch for each clip and serve all its predictions, since so many more of them cost little. Steps after a clip's end,
which are padding, are neither read nor told nor negatives.

Differs from the seeds: CLMR's, of its first version, draws with the global generator, and may draw the very step to be
told. Here it is left out, and the draw follows from the number of the training step, which is saved.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.precision import at_least_float32
from crossmodal.settings import Count
from crossmodal.types import AudioEncoder, Batch, Embeddings, Objective, Space


def draw(tracks: Tensor, steps: Tensor, negatives: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clips and times of the negatives of each clip, both ``(clips, negatives)`` int64.

    A clip's negatives are drawn evenly from itself and the clips of other tracks, then from all times of that clip.

    Args:
        tracks: which track each clip is of, ``(clips,)``.
        steps: how many each clip has, ``(clips,)``.
        negatives: how many.
        generator: of the CPU, so that every device draws the same.
    """
    n = len(tracks)
    allowed = (tracks[:, None] != tracks) | torch.eye(n, dtype=torch.bool, device=tracks.device)
    count = allowed.sum(1, keepdim=True)
    listed = allowed.int().argsort(dim=1, descending=True, stable=True)  # those allowed come first
    uniform = torch.rand(2, n, negatives, generator=generator, dtype=torch.float64).to(tracks.device)
    drawn = listed.gather(1, (uniform[0] * count).long())
    return drawn, (uniform[1] * steps[drawn]).long()


def info_nce_ahead(predicted: Tensor, ahead: Tensor, candidates: Tensor, usable: Tensor) -> Tensor:
    """-log softmax of what came, against the negatives: ``(clips, time)``.

    Args:
        predicted: W_k c_t, ``(clips, time, features)``.
        ahead: z_{t+k}, ``(clips, time, features)``.
        candidates: the negatives of each clip, ``(clips, negatives, features)``.
        usable: ``(clips, time, negatives)`` bool, false where a negative is the very step to be told.
    """
    right = (predicted * ahead).sum(-1, keepdim=True)
    wrong = (predicted @ candidates.transpose(1, 2)).masked_fill(~usable, -torch.inf)
    return torch.cat([right, wrong], -1).logsumexp(-1) - right.squeeze(-1)


class CPC(nn.Module, Objective):
    """Prediction of the next steps of an encoder's sequence; one term, ``cpc``.

    A track's embedding stays the encoder's own; context and predictions serve training alone. A batch in which no clip
    is long enough to predict so far ahead costs 0.

    Args:
        space: for the dimensions of the encoder's sequence.
        steps: how far ahead is predicted, each step by a matrix of its own.
        context: dimensions of the GRU.
        negatives: drawn for each clip of a batch.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"sequence"})
    number: Tensor  # of the training step, from which the draw of negatives follows; a buffer

    def __init__(self, space: Space, steps: Count = 4, context: Count = 256, negatives: Count = 128) -> None:
        super().__init__()
        self.steps, self.negatives = steps, negatives
        self.context = nn.GRU(space.features, context, batch_first=True)
        self.ahead = nn.ModuleList(nn.Linear(context, space.features, bias=False) for _ in range(steps))
        self.register_buffer("number", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``cpc`` of ``sequence (views, batch, time, features)`` and its ``steps``.

        Raises:
            InputError: the sequence is too short to predict so many steps ahead.
        """
        if embeddings.sequence is None or embeddings.steps is None:
            raise ValueError("embeddings.sequence or its steps are None: cpc needs what the encoder's sequence() gives")
        views, _, time, _ = embeddings.sequence.shape
        if time <= self.steps:
            raise InputError(
                f"cpc: the encoder gives {time} steps for a crop, too few to predict {self.steps} ahead; lower"
                " objectives.cpc.steps, or raise window_s"
            )
        with torch.autocast(embeddings.sequence.device.type, enabled=False):
            clips, steps = at_least_float32(embeddings.sequence).flatten(0, 1), embeddings.steps.flatten()
            generator = torch.Generator().manual_seed(int(self.number))
            drawn, when = draw(batch.tracks.repeat(views), steps, self.negatives, generator)
            return {"cpc": torch.stack(self._losses(clips, steps, drawn, when)).mean()}

    def _losses(self, clips: Tensor, steps: Tensor, drawn: Tensor, when: Tensor) -> list[Tensor]:
        """The mean loss of the predictions of each k, over those within the ``steps`` of their clip."""
        context, candidates = self.context(clips)[0], clips[drawn, when]
        itself = drawn == torch.arange(len(clips), device=drawn.device)[:, None]
        losses = []
        for k, predict in enumerate(self.ahead, start=1):
            told = torch.arange(k, clips.shape[1], device=drawn.device)
            usable = ~(itself[:, None] & (when[:, None] == told[:, None]))
            within = told < steps[:, None]
            loss = info_nce_ahead(predict(context[:, :-k]), clips[:, k:], candidates, usable)
            losses.append(loss.masked_fill(~within, 0.0).sum() / within.sum().clamp(min=1))
        return losses

    def after_step(self, encoder: AudioEncoder, done: float) -> None:
        """Count the step, so that the next one draws other negatives."""
        self.number += 1

"""Looks at a run while it trains: how its vectors spread, how its terms pull at them, and whether they collapse.

The alarm's bounds were chosen after runs on the synthetic source (mel_cnn; batches of 16 or 32, if not said otherwise;
180 steps of AdamW at 2e-3, some of up to 560; a look every 20 steps; one seed):

- Where the encoder ends in a batch norm, byol, simsiam and vicreg collapse in their projector, while features stay at a
  deviation of 0.94 or more. Without predictor and average, byol's deviation falls from 0.8 to 0.1 or less; vicreg's
  spread by its invariance alone from 0.32 to 0.03; simsiam's rank without predictor, under a projector that ends in a
  batch norm, from 28 to 6, that of features to 15. These were told at steps 100 to 180.
- Healthy heads stay above a deviation of 0.63, a spread of 0.3, and 0.8 of the rank of the features. Rank alone falls
  to 0.26 of its beginning in a healthy simsiam (batches of 128). Silent were byol, simsiam, vicreg, barlow_twins,
  ntxent, dino, cpc, clip, siglip, triplet, tag_embedding, tag_classification; and clip, byol and tags together.
- clip without batch norm was below a deviation of 0.1 from step 20 to 100, and came back to 0.3; smaller
  encoders were below it for one look. Lower temperatures keep it lower: at step 360 it was 0.17, 0.31 and 0.45 at
  temperatures of 0.07, 0.2 and 0.5. siglip, whose bias moves slowly, came down to 0.11. Text comes down to 0.06 in runs
  that learn: it is not judged.

What a rank alone tells stays for the eye: simsiam without stop-gradient was told at batches of 32, not of 16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from math import inf
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.metrics import collapse
from crossmodal.types import Batch, Embeddings, Objective

COLLAPSE, GRADIENT = "collapse/", "gradient/"
ROWS = 512  # tracks, and texts, that are measured: the first of a batch, whose order is random

FLOOR, FALL, LOST, WASTED = 0.1, 0.25, 0.33, 0.6
STEPS, LOOKS = 80, 3  # how long a measure must be low, in steps and in looks
NAMES = {"audio": "the audio vectors of a batch", "features": "the features of the audio encoder"}
STATES = {
    "deviation": "are nearly equal (deviation, at most 1:",
    "spread": "shrink to a point (standard deviation:",
    "rank": "fill ever fewer dimensions (effective rank:",
}
ADVICE = (
    "raise the temperature, take larger batches, end the encoder in a batch norm, or add an objective that tells tracks"
    " apart (tag_classification, ntxent)"
)
ADVICE_OF_HEADS = (
    "keep the predictor, a slow teacher (momentum 0.99 or more), and the weight of the variance, or take an objective"
    " with negatives (ntxent)"
)


class Monitor:
    """Measures the embeddings of a batch, and what each term would do to them, every so many steps.

    Beside the model's own vectors it looks at those that an objective compares: what its module named ``projector``
    gives. Where the encoder ends in a batch norm they are what collapses; the features stay as they are.

    Args:
        every: steps from one look to the next.
        projection: the model's, of features into the joint space, so that terms on either can be compared.
        objectives: by name.
    """

    def __init__(self, every: int, projection: Callable[[Tensor], Tensor], objectives: Mapping[str, nn.Module]) -> None:
        self.every, self.projection = every, projection
        self.heads: dict[str, Tensor] = {}
        for name, objective in objectives.items():
            if "tags" not in cast(Objective, objective).needs:  # few labels need few dimensions
                for path, module in objective.named_modules():
                    if path.endswith("projector") and not path.startswith("teacher"):
                        module.register_forward_hook(self._note(name))

    def _note(self, name: str) -> Callable[..., None]:
        def note(_module: nn.Module, _given: tuple[Any, ...], made: Tensor) -> None:
            self.heads[name] = made.detach()

        return note

    def look(self, step: int, batch: Batch, embeddings: Embeddings, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Measures by name, ``collapse/...`` and ``gradient/...``; none between looks.

        Args:
            step: of the optimiser, from 0.
            batch: whose ``positives`` are those of all ``embeddings``.
            embeddings: of the batch; ``audio`` and ``features`` must be leaves that the terms were computed from.
            terms: weighted scalars, whose graph is kept.
        """
        if step % self.every:
            return {}
        return {**spread(batch, embeddings, self.heads), **gradients(terms, embeddings, self.projection)}


def spread(batch: Batch, embeddings: Embeddings, heads: Mapping[str, Tensor]) -> dict[str, float]:
    """The measures of `crossmodal.metrics.collapse` that a batch has, of its first `ROWS` tracks and texts.

    - ``collapse/<what>_deviation``: of ``audio`` and ``text`` in the joint space, of ``features`` and of each head;
    - ``collapse/<what>_rank``: of ``features`` and of each head;
    - ``collapse/<head>_spread``: mean standard deviation of its dimensions as they are, which VICReg's variance holds;
    - ``collapse/audio_uniformity``; ``collapse/views_alignment`` and ``collapse/text_alignment`` of audio;
    - ``collapse/views_similarity``, the mean cosine of two views of a track, and ``collapse/tracks_similarity``, of
      different tracks; ``collapse/positive_similarity`` and ``collapse/negative_similarity`` of text and audio;
    - ``collapse/modality_gap``.

    Args:
        batch: for its positives.
        embeddings: the first view, and for what compares views the second.
        heads: what objectives compare, ``(views, batch, dim)`` or ``(batch, dim)``, by name.
    """
    audio = [_rows(view) for view in embeddings.audio[:2]]
    if len(audio[0]) < 2:
        return {}
    spaces = {"features": _rows(embeddings.features[0])}
    spaces |= {name: _rows(made[0] if made.ndim > 2 else made) for name, made in heads.items()}
    found = {"audio_deviation": collapse.deviation(audio[0])}
    found |= {f"{name}_deviation": collapse.deviation(rows) for name, rows in spaces.items()}
    found |= {f"{name}_rank": collapse.effective_rank(rows) for name, rows in spaces.items()}
    found |= {f"{name}_spread": float(spaces[name].std(axis=0).mean()) for name in heads}
    found["audio_uniformity"] = collapse.uniformity(audio[0])
    if len(audio) > 1:
        found["views_alignment"] = collapse.alignment(audio[0], audio[1])
        found["views_similarity"], found["tracks_similarity"] = collapse.similarities(audio[0], audio[1])
    return {f"{COLLAPSE}{name}": value for name, value in (found | _with_text(batch, embeddings, audio[0])).items()}


def _with_text(batch: Batch, embeddings: Embeddings, audio: collapse.Floats) -> dict[str, float]:
    if len(embeddings.text) < 2:
        return {}
    text = _rows(embeddings.text)
    found = {"text_deviation": collapse.deviation(text), "modality_gap": collapse.modality_gap(audio, text)}
    positives = batch.positives[:ROWS, :ROWS].cpu().numpy()
    if positives.any() and not positives.all():
        found["text_alignment"] = collapse.alignment(text, audio, positives)
        found["positive_similarity"], found["negative_similarity"] = collapse.similarities(text, audio, positives)
    return found


def _rows(values: Tensor) -> collapse.Floats:
    rows: collapse.Floats = values[:ROWS].detach().float().cpu().numpy()
    return rows


def gradients(
    terms: Mapping[str, Tensor], embeddings: Embeddings, projection: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """How the terms pull at the features: who pulls hardest, and which objectives pull against each other.

    ``gradient/<term>`` is the norm of a term's gradient with respect to the features ``(views, batch, features)``, and
    ``gradient/<one>~<other>`` the cosine of two objectives', each the sum over its terms: -1 where they undo each
    other. A term of the joint space is differentiated through the projection; one that reaches neither is left out.

    Args:
        terms: scalars, whose graph is kept; the terms of an objective are named ``<objective>/...``.
        embeddings: ``audio`` and ``features`` are leaves that the terms were computed from.
        projection: of features into the joint space.
    """
    features = embeddings.features.detach().requires_grad_()
    audio = F.normalize(projection(features).to(embeddings.audio.dtype), dim=-1)
    found, objectives = {}, dict[str, Tensor]()
    for name, term in terms.items():
        pull = _pull(term, embeddings, features, audio)
        if pull is not None:
            found[f"{GRADIENT}{name}"] = float(pull.norm())
            objective = name.partition("/")[0]
            objectives[objective] = objectives.get(objective, torch.zeros_like(pull)) + pull
    for one, other in combinations(objectives, 2):
        cosine = F.cosine_similarity(objectives[one].flatten(), objectives[other].flatten(), dim=0)
        found[f"{GRADIENT}{one}~{other}"] = float(cosine)
    return found


def _pull(term: Tensor, embeddings: Embeddings, features: Tensor, audio: Tensor) -> Tensor | None:
    """The gradient of a term with respect to the features, None if it does not reach them."""
    if not term.requires_grad:
        return None
    leaves = (embeddings.features, embeddings.audio)
    pulls: Sequence[Tensor | None] = torch.autograd.grad(term, leaves, retain_graph=True, allow_unused=True)
    direct, joint = pulls
    if joint is None:
        return direct
    (through,) = torch.autograd.grad(audio, features, joint, retain_graph=True)
    return through if direct is None else direct + through


def low(seen: Mapping[str, float], highest: Mapping[str, float]) -> list[str]:
    """The measures that tell of a collapse, without their prefix. Words are learnt late, and text is not judged.

    - The deviation of audio or features is low below `FLOOR`, which is a mean cosine of 0.99.
    - A head's must have fallen to `FALL` of its highest.
    - A head's spread, which has no scale of its own, must be below `FLOOR`, and have fallen to `LOST` of its highest.
    - Its rank must have fallen to `LOST` of its highest, and to `WASTED` of the rank of the features: how many
      dimensions there are to begin with depends on the size of the batch and of the head.
    """
    found = []
    for name, value in seen.items():
        what, _, measure = name.rpartition("_")
        lost = LOST * highest[name]
        bounds = {"deviation": FLOOR if what in NAMES else FALL * highest[name], "spread": min(FLOOR, lost)}
        bounds["rank"] = min(lost, WASTED * seen["features_rank"])
        if what != "text" and value < bounds.get(measure, -inf):
            found.append(name)
    return found


def warning(names: Sequence[str], seen: Mapping[str, float], highest: Mapping[str, float]) -> str:
    """What is low, in words, and what to change."""
    told, advice = [], []
    for name in names:
        what, _, measure = name.rpartition("_")
        figures = f"{seen[name]:.2g}, {highest[name]:.2g} at its highest"
        vectors = NAMES.get(what, f"the vectors that {what} compares")
        told.append(f"{vectors} {STATES[measure]} {figures})")
        advice.append(ADVICE if what in NAMES else ADVICE_OF_HEADS)
    return f"{'; '.join(told)}: {'; or '.join(dict.fromkeys(advice))}"


@dataclass
class Alarm:
    """Warns when what a run learns collapses, once a collapse.

    Attributes:
        highest: of each measure so far.
        since: of each measure that is low, the first step of the looks in a row at which it was, and their number.
        told: whether the collapse has been told; it may be told again after a look at which nothing is low.
    """

    highest: dict[str, float] = field(default_factory=dict)
    since: dict[str, list[int]] = field(default_factory=dict)
    told: bool = False

    def hear(self, step: int, row: Mapping[str, float]) -> str | None:
        """A warning with advice, or None.

        Args:
            step: to which the row belongs.
            row: what a look gave; names without ``collapse/`` do not count.
        """
        seen = {name.removeprefix(COLLAPSE): value for name, value in row.items() if name.startswith(COLLAPSE)}
        if not seen:
            return None
        self.highest |= {name: max(value, self.highest.get(name, value)) for name, value in seen.items()}
        before = {name: self.since.get(name, [step, 0]) for name in low(seen, self.highest)}
        self.since = {name: [first, looks + 1] for name, (first, looks) in before.items()}
        self.told &= bool(self.since)
        lasting = [name for name, (first, looks) in self.since.items() if looks >= LOOKS and step - first >= STEPS]
        if not lasting or self.told:
            return None
        self.told = True
        return warning(lasting, seen, self.highest)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, from which `load_state_dict` goes on."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.highest, self.since = dict(state["highest"]), {name: list(looks) for name, looks in state["since"].items()}
        self.told = state["told"]

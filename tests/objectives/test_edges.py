"""Batches at the edge of what there is: every objective gives a finite number for them, and a finite gradient."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from multiview import FEATURES, SPACE, Encoder, randn
from torch import Tensor

from crossmodal import registry
from crossmodal.data.corpus import Corpus
from crossmodal.data.manifest import Manifest
from crossmodal.types import Batch, Embeddings

HEAD: dict[str, Any] = {"projector": {"widths": [8, 5]}}
BARE: dict[str, Any] = {"projector": {"widths": [5], "norm": False}}  # what is zero stays so
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("clip", {}),
    "siglip": ("siglip", {}),
    "triplet": ("triplet", {}),
    "triplet, hard": ("triplet", {"mining": "hard", "aggregation": "mean", "shape": "logistic"}),
    "triplet, soft": ("triplet", {"mining": "soft", "aggregation": "min", "shape": "exponential"}),
    "tag_embedding": ("tag_embedding", {}),
    "tag_classification": ("tag_classification", {}),
    "ntxent": ("ntxent", BARE),
    "ntxent, decoupled": ("ntxent", {**BARE, "variant": "decoupled"}),
    "supcon": ("supcon", {**BARE, "tagset": "genre"}),
    "byol": ("byol", {**BARE, "predictor": {"widths": [5]}}),
    "simsiam": ("simsiam", {**HEAD, "predictor": {"widths": [7, 5]}}),
    "barlow_twins": ("barlow_twins", BARE),
    "barlow_twins, mean": ("barlow_twins", {**HEAD, "scaling": "mean"}),
    "vicreg": ("vicreg", BARE),
    "vicreg, mean": ("vicreg", {**HEAD, "scaling": "mean"}),
    "dino": ("dino", {**BARE, "classes": 9}),
    "dino, plain": ("dino", {**HEAD, "classes": 9, "last_layer": "plain"}),
    "cpc": ("cpc", {"steps": 2, "context": 5, "negatives": 7}),
}
SHARPEST: dict[str, dict[str, Any]] = {
    "clip": {"temperature": 1e-4, "max_scale": 1e4},
    "siglip": {"scale": 1e4, "bias": 1e4},
    "tag_classification": {"scale": 1e4},
    "ntxent": {"temperature": 1e-3},
    "supcon": {"temperature": 1e-3},
    "dino": {"temperature": 1e-3, "start_temperature": 1e-3},
}
TAGGED = {"a": "rock", "b": "rock", "c": "jazz", "d": "folk", "e": "pop", "f": ""}  # nothing is said about the last
LABELLED = ("clip", "siglip", "triplet", "tag_embedding", "tag_classification")  # what learns from labels alone
each = pytest.mark.parametrize(("name", "settings"), OBJECTIVES.values(), ids=list(OBJECTIVES))


@cache
def corpus() -> Corpus:
    rows = [(track, "genre", tag) for track, tag in TAGGED.items() if tag]
    tags = pd.DataFrame(rows, columns=["track_id", "tagset", "tag"])
    return Corpus(Manifest.build(pd.DataFrame({"track_id": list(TAGGED)}), tags=tags), list(TAGGED))


def made(name: str, settings: dict[str, Any]) -> Any:
    torch.manual_seed(3)
    given = {"triplet": {"corpus": corpus()}, "tag_embedding": {"space": SPACE, "corpus": corpus()}}
    plain: dict[str, Any] = {} if name in ("clip", "siglip") else {"space": SPACE}
    objective = registry.build("objectives", name, **settings, **given.get(name, plain))
    objective.start(Encoder())
    return objective.train()


def batch(tracks: list[int], texts: int = 3) -> Batch:
    """Tracks by their rows in the corpus; text t is about track t, and every one is tagged with its own genre."""
    positives = torch.eye(texts, len(tracks), dtype=torch.bool)
    tags = torch.tensor([[row < 2, row == 2, False] for row in tracks])
    none = torch.zeros(0)
    return Batch(torch.tensor(tracks), none, none, {}, positives, tags, torch.ones_like(tags))


def leaves(views: int, tracks: int, texts: int = 3, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """What the encoders give, before it is brought to length one."""
    shapes = {
        "audio": (views, tracks, SPACE.dim),
        "text": (texts, SPACE.dim),
        "features": (views, tracks, FEATURES),
        "sequence": (views, tracks, 6, FEATURES),
    }
    return {name: randn(*shape, seed=len(name), dtype=dtype) for name, shape in shapes.items()}


def check(objective: Any, batch: Batch, given: dict[str, Tensor], precision: torch.dtype = torch.float32) -> Tensor:
    """The sum of the terms, after a look at each and at the gradients."""
    given = {name: value.clone().requires_grad_() for name, value in given.items()}
    features, sequence = given["features"], given["sequence"]
    audio, text = (F.normalize(given[name], dim=-1) for name in ("audio", "text"))
    steps = torch.full(sequence.shape[:2], sequence.shape[2])
    targets = features.detach().flip(0)
    terms = objective(batch, Embeddings(audio, text, features, sequence, targets, steps))
    assert all((value.shape, value.dtype) == ((), precision) for value in terms.values())
    total = torch.stack(list(terms.values())).sum()
    assert total.isfinite()
    total.backward()
    for name, value in [*given.items(), *objective.named_parameters()]:
        assert value.grad is None or value.grad.float().norm().isfinite(), name  # which gradients are clipped by
    return total.detach()


def test_all_objectives_are_here() -> None:
    assert sorted({name for name, _ in OBJECTIVES.values()}) == registry.names("objectives")


@each
@pytest.mark.parametrize(("views", "tracks"), [(2, 1), (3, 1), (2, 2), (3, 5)])
def test_any_number_of_tracks_and_views(name: str, settings: dict[str, Any], views: int, tracks: int) -> None:
    check(made(name, settings), batch(list(range(tracks)), texts=2), leaves(views, tracks, texts=2))


@each
def test_no_positive_in_the_batch(name: str, settings: dict[str, Any]) -> None:
    """No track shares a tag with another, and no text is about any of them."""
    alone = batch([0, 2, 3, 4])
    found = check(made(name, settings), replace(alone, positives=torch.zeros(3, 4, dtype=torch.bool)), leaves(2, 4))
    assert found == 0 or name not in ("clip", "siglip", "triplet")


@each
def test_nothing_is_known_of_any_track(name: str, settings: dict[str, Any]) -> None:
    """Neither text nor tag, and the track comes twice."""
    known = batch([5, 5], texts=0)
    nobody = torch.zeros_like(known.annotated)
    found = check(made(name, settings), replace(known, tags=nobody, annotated=nobody), leaves(2, 2, texts=0))
    assert found == 0 or name not in LABELLED


@each
def test_half_precision_is_computed_in_float32(name: str, settings: dict[str, Any]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        check(made(name, settings), batch([0, 1, 2, 3, 4]), leaves(2, 5, dtype=torch.bfloat16))


@each
def test_float64_stays(name: str, settings: dict[str, Any]) -> None:
    given = leaves(2, 5, dtype=torch.float64)
    found = check(made(name, settings).double(), batch([0, 1, 2, 3, 4]), given, torch.float64)
    single = check(made(name, settings), batch([0, 1, 2, 3, 4]), {n: value.float() for n, value in given.items()})
    torch.testing.assert_close(found.float(), single, rtol=1e-3, atol=1e-4)


@each
@pytest.mark.parametrize("zeros", [1, 5])
def test_zero_vectors(name: str, settings: dict[str, Any], zeros: int) -> None:
    given = leaves(2, 5)
    for key, value in given.items():
        value.narrow(0 if key == "text" else 1, 0, min(zeros, 3 if key == "text" else 5)).zero_()
    check(made(name, settings), batch([0, 1, 2, 3, 4]), given)


@each
def test_identical_vectors(name: str, settings: dict[str, Any]) -> None:
    given = {key: value.flatten(0, -2)[0].expand(value.shape) for key, value in leaves(3, 5).items()}
    check(made(name, settings), batch([0, 1, 2, 3, 4]), given)


@each
@pytest.mark.parametrize("alike", [False, True])
def test_very_large_logits(name: str, settings: dict[str, Any], alike: bool) -> None:
    """Features of 10,000 and the sharpest temperatures; with views as drawn, or of a track all alike."""
    given = {key: 1e4 * value for key, value in leaves(2, 5).items()}
    if alike:
        given = {key: value[:1].expand(value.shape).clone() for key, value in given.items()}
    check(made(name, {**settings, **SHARPEST.get(name, {})}), batch([0, 1, 2, 3, 4]), given)

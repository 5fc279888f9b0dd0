"""What holds for every objective of audio alone."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from multiview import FEATURES, Encoder, batch_of, embedded, make, randn
from torch import Tensor

from crossmodal import registry
from crossmodal.types import Embeddings

HEAD: dict[str, Any] = {"projector": {"widths": [8, 5]}}
BOTH = {**HEAD, "predictor": {"widths": [7, 5]}}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "ntxent": HEAD,
    "supcon": {**HEAD, "tagset": "genre"},
    "byol": BOTH,
    "simsiam": BOTH,
    "barlow_twins": HEAD,
    "vicreg": HEAD,
    "dino": {**HEAD, "classes": 9},
    "cpc": {"steps": 2, "context": 5, "negatives": 7},
}
VARIANTS = [
    *OBJECTIVES.items(),
    ("ntxent", {**HEAD, "variant": "decoupled"}),
    ("barlow_twins", {**HEAD, "scaling": "mean"}),
    ("vicreg", {**HEAD, "scaling": "mean"}),
    ("dino", {"projector": {"widths": [8, 5], "last": "relu"}, "classes": 9, "last_layer": "plain"}),
]
each = pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")


def given(views: int, tracks: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> Embeddings:
    features = randn(views, tracks, FEATURES, seed=seed, dtype=dtype).requires_grad_()
    sequence = randn(views, tracks, 6, FEATURES, seed=seed + 1, dtype=dtype).requires_grad_()
    return embedded(features, randn(views, tracks, FEATURES, seed=seed + 2, dtype=dtype), sequence)


def total(terms: dict[str, Tensor]) -> Tensor:
    assert all(value.shape == () for value in terms.values())
    return torch.stack(list(terms.values())).sum()


@each
@pytest.mark.parametrize("views", [2, 3])
def test_any_batch_has_a_finite_loss_and_gradient(name: str, settings: dict[str, Any], views: int) -> None:
    objective = make(name, **settings)
    for tracks in (1, 2, 5):
        embeddings = given(views, tracks)
        terms = objective(batch_of(range(tracks)), embeddings)
        assert all(key == name or key.startswith(f"{name}/") for key in terms)
        total(terms).backward()
        leaf = embeddings.sequence if name == "cpc" else embeddings.features
        assert torch.isfinite(total(terms))
        assert leaf is not None
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)


@each
def test_collapsed_input_has_a_finite_loss_and_gradient(name: str, settings: dict[str, Any]) -> None:
    features = torch.ones(2, 4, FEATURES, requires_grad=True)
    sequence = torch.ones(2, 4, 6, FEATURES, requires_grad=True)
    terms = make(name, **settings)(batch_of(range(4)), embedded(features, torch.ones(2, 4, FEATURES), sequence))
    total(terms).backward()
    assert torch.isfinite(total(terms))
    assert all(torch.isfinite(leaf.grad).all() for leaf in (features, sequence) if leaf.grad is not None)


@each
def test_half_precision_is_computed_in_float32(name: str, settings: dict[str, Any]) -> None:
    half = given(2, 5, torch.bfloat16)
    same = embedded(
        *(value if value is None else value.float() for value in (half.features, half.targets, half.sequence))
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make(name, **settings)(batch_of(range(5)), half)
    expected = make(name, **settings)(batch_of(range(5)), same)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@each
def test_float64_stays(name: str, settings: dict[str, Any]) -> None:
    terms = make(name, **settings).double()(batch_of(range(4)), given(2, 4, torch.float64))
    assert all(value.dtype == torch.float64 for value in terms.values())


@pytest.mark.parametrize(("name", "settings"), [pair for pair in VARIANTS if pair[0] != "cpc"])  # it draws by place
def test_order_of_tracks_and_of_views_does_not_matter(name: str, settings: dict[str, Any]) -> None:
    tags = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)
    objective, whole, tracks = make(name, **settings).double(), given(3, 5, torch.float64), [0, 1, 2, 2, 4]
    order, views = torch.tensor([3, 1, 4, 0, 2]), torch.tensor([2, 0, 1])
    assert whole.targets is not None
    moved = embedded(whole.features[views][:, order], whole.targets[views][:, order])
    found = objective(batch_of([tracks[i] for i in order], tags[order]), moved)
    torch.testing.assert_close(found, objective(batch_of(tracks, tags), whole))


def trained(objective: Any, encoder: Encoder, optimizer: torch.optim.Optimizer, steps: range) -> list[Tensor]:
    """The loss of each step of a short training."""
    losses = []
    for step in steps:
        audio = randn(2 * 4, 5, 3, seed=step, dtype=torch.float32)
        features = encoder(audio).unflatten(0, (2, 4))
        made = objective.targets(audio, torch.full((8,), 5))
        sequence = audio.new_tensor(randn(2, 4, 6, FEATURES, seed=step).tolist()) * features[:, :, None]
        targets = None if made is None else made.unflatten(0, (2, 4))
        loss = total(objective(batch_of(range(4)), embedded(features, targets, sequence)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after_step(encoder, (step + 1) / 6)
        losses.append(loss.detach())
    return losses


@pytest.mark.parametrize(("name", "settings"), OBJECTIVES.items(), ids=list(OBJECTIVES))
def test_a_restored_state_goes_on_bit_by_bit(name: str, settings: dict[str, Any]) -> None:
    def begin() -> tuple[Any, Encoder, torch.optim.Optimizer]:
        encoder = Encoder().eval()  # no dropout, which draws
        objective = make(name, **settings).train()
        objective.start(encoder)
        parameters = [p for part in (encoder, objective) for p in part.parameters() if p.requires_grad]
        return objective, encoder, torch.optim.SGD(parameters, lr=0.1)

    first = begin()
    trained(*first, range(3))
    written = BytesIO()
    torch.save([part.state_dict() for part in first], written)
    expected = trained(*first, range(3, 6))

    second = begin()
    written.seek(0)
    for part, state in zip(second, torch.load(written, weights_only=True), strict=True):
        part.load_state_dict(state)
    assert all(map(torch.equal, trained(*second, range(3, 6)), expected))
    assert all(map(torch.equal, second[0].state_dict().values(), first[0].state_dict().values()))


def test_the_table_has_a_row_for_every_objective() -> None:
    table = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
    assert [name for name in registry.names("objectives") if f"\n| `{name}`" not in table] == []

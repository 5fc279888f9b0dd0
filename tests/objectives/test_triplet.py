"""Triplets against plain loops, for every combination of mining, aggregation and shape."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossmodal.data.corpus import Corpus
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.objectives.triplet import Triplet, distances, triplet_loss
from crossmodal.types import Batch, Embeddings

HOW = list(
    itertools.product(("hard", "semi_hard", "soft"), ("max", "min", "mean"), ("hinge", "logistic", "exponential"))
)
ROWS = [("a", "rock"), ("a", "loud"), ("b", "rock"), ("b", "loud"), ("c", "folk"), ("d", "rock"), ("d", "loud")]
TEXTS = [("1", "a", "A loud song."), ("1", "b", "A loud song."), ("2", "c", "Eine ruhige Harfe.")]


def corpus(tracks: str = "abcde") -> Corpus:
    """Tracks a, b, d are rock, c is folk; of e nothing is said. Only a, b and c have texts."""
    texts = pd.DataFrame(TEXTS, columns=["text_id", "track_id", "text"]).assign(language="en", kind="review")
    tags = pd.DataFrame(ROWS, columns=["track_id", "tag"]).assign(tagset="genres")
    return Corpus(Manifest.build(pd.DataFrame({"track_id": list("abcdef")}), texts, tags), list(tracks))


def batch(rows: list[int], views: int = 1) -> Batch:
    tracks = len(rows)
    nothing = torch.zeros(tracks, 0, dtype=torch.bool)
    lengths = torch.ones(views, tracks, dtype=torch.int64)
    positives = torch.zeros(0, tracks, dtype=torch.bool)
    return Batch(torch.tensor(rows), torch.zeros(views, tracks, 1), lengths, {}, positives, nothing, nothing)


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def embeddings(audio: Tensor) -> Embeddings:
    return Embeddings(F.normalize(audio, dim=-1), audio.new_zeros(0, audio.shape[-1]), audio)


def negative(apart: float, others: list[Tensor], mining: str) -> Tensor:
    """The distance of an anchor's negative, where its positive is ``apart``."""
    if mining == "soft":
        return -torch.log(sum(torch.exp(-other) for other in others))
    if mining == "hard":
        return min(others)
    beyond = [other for other in others if other > apart]
    return min(beyond) if beyond else max(others)


def by_loops(audio: Tensor, positives: Tensor, negatives: Tensor, how: tuple[str, str, str], margin: float) -> Tensor:
    """The definition, one anchor at a time, for one view ``(tracks, dim)``."""
    mining, aggregation, shape = how
    unit = [track / track.square().sum().sqrt() for track in audio]
    anchors = []
    for row, anchor in enumerate(unit):
        apart = [(anchor - other).square().sum().sqrt() if n != row else None for n, other in enumerate(unit)]
        near = [apart[n] for n in range(len(unit)) if positives[row, n]]
        far = [apart[n] for n in range(len(unit)) if negatives[row, n]]
        if not near or not far:
            continue
        near = near if aggregation == "mean" else [max(near) if aggregation == "max" else min(near)]
        losses = []
        for positive in near:
            difference = positive - negative(positive, far, mining)
            if shape == "hinge":
                losses.append(torch.clamp(difference + margin, min=0))
            else:
                losses.append(torch.exp(difference) if shape == "exponential" else torch.log(1 + torch.exp(difference)))
        anchors.append(sum(losses) / len(losses))
    return sum(anchors) / len(anchors) if anchors else audio.sum() * 0


def pairs(seed: int, tracks: int) -> tuple[Tensor, Tensor]:
    """Random positives and negatives: some anchors lack either."""
    share = torch.rand(tracks, tracks, generator=torch.Generator().manual_seed(seed))
    other = ~torch.eye(tracks, dtype=torch.bool)
    return (share > 0.75) & other, (share < 0.45) & other


@pytest.mark.parametrize("how", HOW, ids="-".join)
def test_equals_loops_in_value_and_gradient(how: tuple[str, str, str]) -> None:
    for seed, tracks in ((0, 9), (1, 5), (2, 2)):
        audio = random(seed, tracks, 3).requires_grad_()
        positives, negatives = pairs(seed, tracks)
        found = triplet_loss(distances(F.normalize(audio, dim=-1)), positives, negatives, *how, 0.3)
        expected = by_loops(audio, positives, negatives, how, 0.3)
        assert found.item() == pytest.approx(expected.item(), abs=1e-12)
        gradients = [torch.autograd.grad(loss, audio)[0] for loss in (found, expected)]
        torch.testing.assert_close(*gradients, atol=1e-9, rtol=0)
        if tracks > 2:
            assert gradients[0].abs().max() > 1e-3


def test_semi_hard_takes_the_farthest_where_none_is_beyond() -> None:
    distance = torch.tensor([[0.0, 1.5, 0.5, 1.0]] * 4)
    near, far = torch.tensor([[0, 1, 0, 0]] + [[0] * 4] * 3).bool(), torch.tensor([[0, 0, 1, 1]] + [[0] * 4] * 3).bool()
    assert triplet_loss(distance, near, far, "semi_hard", "max", "hinge", 1.0).item() == pytest.approx(1.5 - 1.0 + 1)
    assert triplet_loss(distance, far, near, "semi_hard", "max", "hinge", 1.0).item() == pytest.approx(1.0 - 1.5 + 1)


def test_closed_forms() -> None:
    """Where all tracks lie on one point, and where positives coincide and negatives lie opposite."""
    near = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]).bool()
    far = ~near & ~torch.eye(4, dtype=torch.bool)
    point, apart = torch.ones(4, 2), torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    expected = {"hinge": (1.0, 0.0), "logistic": (math.log(2), math.log(1 + math.exp(-2))), "exponential": (1.0, None)}
    for shape, (collapsed, perfect) in expected.items():
        perfect = math.exp(-2) if perfect is None else perfect
        for mining in ("hard", "semi_hard"):
            found = [
                triplet_loss(distances(F.normalize(x, dim=-1)), near, far, mining, "max", shape, 1.0).item()
                for x in (point, apart)
            ]
            assert found == pytest.approx([collapsed, perfect], abs=1e-6)
    soft = triplet_loss(distances(F.normalize(apart, dim=-1)), near, far, "soft", "max", "exponential", 1.0)
    assert soft.item() == pytest.approx(2 * math.exp(-2))  # the sum over both negatives


@pytest.mark.parametrize("how", HOW, ids="-".join)
def test_without_positives_it_is_zero_with_a_gradient_of_zero(how: tuple[str, str, str]) -> None:
    objective = Triplet(corpus(), mining=how[0], aggregation=how[1], shape=how[2])
    for rows in ([0], [0, 2], [4], [0, 1], [4, 4], [2, 4]):  # none alike, none unlike, one track, nothing said
        audio = random(3, 2, len(rows), 4, dtype=torch.float32).requires_grad_()
        loss = objective(batch(rows, 2), embeddings(audio))["triplet"]
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(audio.grad, torch.zeros_like(audio))


@pytest.mark.parametrize("how", HOW, ids="-".join)
def test_finite_where_distances_are_zero_and_vectors_are_huge(how: tuple[str, str, str]) -> None:
    near = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    far = torch.tensor([[0, 0, 1], [0, 0, 1], [1, 1, 0]]).bool()
    for value in (torch.ones(3, 4), torch.zeros(3, 4), random(4, 3, 4, dtype=torch.float32) * 1e12):
        audio = value.clone().requires_grad_()
        loss = triplet_loss(distances(F.normalize(audio, dim=-1)), near, far, *how, 1.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(audio.grad).all()


def test_pairs_are_made_of_what_is_said() -> None:
    near, far = Triplet(corpus()).pairs(torch.tensor([0, 1, 2, 3, 4]))
    rock, folk = [0, 1, 3], [2]
    expected = [[[a != b and a in rock and b in rock for b in range(5)] for a in range(5)]]
    expected += [[[(a in rock and b in folk) or (a in folk and b in rock) for b in range(5)] for a in range(5)]]
    assert [near.tolist(), far.tolist()] == expected


def test_a_track_is_never_its_own_positive_nor_negative() -> None:
    """Not even where a batch over the end of an epoch holds it twice."""
    near, far = Triplet(corpus()).pairs(torch.tensor([0, 0, 1]))
    assert near.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    assert not far.any()


def test_thresholds_leave_a_band_between() -> None:
    tags = [("a", ["x", "y", "z"]), ("b", ["x", "y", "z"]), ("c", ["x", "y", "w"]), ("d", ["v"])]
    rows = pd.DataFrame([(track, tag) for track, tagged in tags for tag in tagged], columns=["track_id", "tag"])
    said = Corpus(Manifest.build(pd.DataFrame({"track_id": list("abcd")}), tags=rows.assign(tagset="t")), list("abcd"))
    vectors, _ = Triplet(said).content(torch.arange(4))
    cosine = float(vectors[0] @ vectors[2])
    assert 0.3 < cosine < 0.9
    for upper, lower, near, far in [(0.9, 0.2, 2, 6), (0.9, 0.9, 2, 10), (cosine - 0.01, 0.1, 6, 6)]:
        found = Triplet(said, upper=upper, lower=lower).pairs(torch.arange(4))
        assert [pairs.sum().item() for pairs in found] == [near, far]


def test_the_objective_is_the_mean_over_views() -> None:
    objective = Triplet(corpus(), mining="hard", margin=0.7)
    rows = [3, 2, 4, 0, 1, 2]
    audio = random(5, 3, 6, 4).requires_grad_()
    loss = objective(batch(rows, 3), embeddings(audio))["triplet"]
    near, far = objective.pairs(torch.tensor(rows))
    expected = sum(by_loops(view, near, far, ("hard", "max", "hinge"), 0.7) for view in audio) / 3
    assert (loss.dtype, loss.item()) == (torch.float64, pytest.approx(expected.item(), abs=1e-12))
    gradients = [torch.autograd.grad(value, audio)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=0)
    assert not gradients[0][:, 2].any()  # of that track nothing is said


def test_texts_decide_where_they_are_asked_for() -> None:
    near, far = Triplet(corpus(), content="texts").pairs(torch.arange(5))
    assert near.nonzero().tolist() == [[0, 1], [1, 0]]
    assert far.nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1]]


def test_another_encoder_can_be_named() -> None:
    objective = Triplet(corpus(), encoder={"name": "lsi", "kind": "texts", "topics": 3})
    assert objective.content.dim == 3
    with pytest.raises(InputError, match=r"triplet\.encoder \(lsi\) has no setting 'topcis'"):
        Triplet(corpus(), encoder={"name": "lsi", "topcis": 3})
    with pytest.raises(InputError, match=r"triplet\.encoder lacks the name of a plug-in"):
        Triplet(corpus(), encoder={"topics": 3})
    with pytest.raises(InputError, match="has no 'lda'"):
        Triplet(corpus(), encoder={"name": "lda"})


def test_it_trains_nothing_of_its_own_and_saves_nothing() -> None:
    objective = Triplet(corpus())
    assert (list(objective.parameters()), objective.state_dict()) == ([], {})


def test_bf16_autocast_and_bf16_inputs_are_computed_in_float32() -> None:
    for how in HOW:
        objective = Triplet(corpus(), mining=how[0], aggregation=how[1], shape=how[2])
        given = embeddings(random(6, 2, 5, 16, dtype=torch.float32))
        plain = objective(batch([0, 1, 2, 3, 4], 2), given)["triplet"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(objective(batch([0, 1, 2, 3, 4], 2), given)["triplet"], plain)
        half = Embeddings(given.audio.bfloat16(), given.text, given.features)
        loss = objective(batch([0, 1, 2, 3, 4], 2), half)["triplet"]
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)


def test_order_does_not_matter() -> None:
    objective, audio = Triplet(corpus()), random(7, 1, 5, 4)
    order = [3, 0, 4, 2, 1]
    moved = objective(batch(order), embeddings(audio[:, order]))["triplet"]
    torch.testing.assert_close(moved, objective(batch([0, 1, 2, 3, 4]), embeddings(audio))["triplet"])


@pytest.mark.parametrize(("upper", "lower"), [(0.8, 0.9), (1.0, 0.5), (0.5, -1.5), (math.nan, 0.0)])
def test_impossible_thresholds_are_refused(upper: float, lower: float) -> None:
    with pytest.raises(InputError, match="valid is -1 <= lower <= upper < 1"):
        Triplet(corpus(), upper=upper, lower=lower)


def test_without_any_document_it_is_refused() -> None:
    for content in ("tags", "texts"):
        with pytest.raises(InputError, match=r"triplet\.encoder: not one of 2 training tracks has a document"):
            Triplet(corpus("ef"), content=content)


def test_batches_are_mined_where_that_is_asked_for() -> None:
    """Of eight tracks in two batches, the two that are alike then always lie in one."""
    pairs = [("a", "rock"), ("b", "folk"), ("e", "rock"), *((name, f"genre {name}") for name in "cdfgh")]
    tags = pd.DataFrame(pairs, columns=["track_id", "tag"]).assign(tagset="genres")
    said = Corpus(Manifest.build(pd.DataFrame({"track_id": list("abcdefgh")}), None, tags), list("abcdefgh"))
    assert Triplet(said).order(4, 0) is None
    order = Triplet(said, mined=True).order(4, 0)
    assert order is not None
    for epoch in range(5):
        rows = order(epoch).tolist()
        assert sorted(rows) == list(range(8))
        assert (rows.index(0) < 4) == (rows.index(4) < 4)

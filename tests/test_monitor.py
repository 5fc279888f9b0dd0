from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from crossmodal.metrics import collapse
from crossmodal.monitor import ROWS, STEPS, Alarm, Monitor, gradients, spread
from crossmodal.objectives.byol import BYOL
from crossmodal.objectives.clip import Clip
from crossmodal.objectives.dino import DINO
from crossmodal.objectives.ntxent import NTXent
from crossmodal.objectives.simsiam import SimSiam
from crossmodal.objectives.supcon import SupCon
from crossmodal.objectives.tag_classification import TagClassification
from crossmodal.objectives.vicreg import VICReg
from crossmodal.types import Batch, Embeddings, Space

TAGS = tuple(("kind", f"tag{n}") for n in range(5))
SPACE = Space(dim=12, tags=TAGS, features=24)
EVERY = 20


def make_batch(tracks: int, texts: int = 0, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    known = torch.ones(tracks, len(TAGS), dtype=torch.bool)
    return Batch(
        tracks=torch.arange(tracks),
        audio=torch.zeros(1, tracks, 1, 1),
        lengths=torch.ones(1, tracks, dtype=torch.int64),
        tokens={},
        positives=torch.rand(texts, tracks, generator=rng) < 0.3,
        tags=torch.rand(tracks, len(TAGS), generator=rng) < 0.4,
        annotated=known,
    )


def make_embeddings(views: int, tracks: int, texts: int = 0, seed: int = 0) -> Embeddings:
    rng = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> torch.Tensor:
        return F.normalize(torch.randn(*shape, generator=rng), dim=-1).requires_grad_()

    features = torch.randn(views, tracks, SPACE.features, generator=rng).requires_grad_()
    return Embeddings(audio=unit(views, tracks, SPACE.dim), text=unit(texts, SPACE.dim), features=features)


def names(found: dict[str, float]) -> set[str]:
    return {name.removeprefix("collapse/") for name in found}


ALWAYS = {"audio_deviation", "features_deviation", "features_rank", "audio_uniformity"}
VIEWS = {"views_alignment", "views_similarity", "tracks_similarity"}
TEXT = {"text_deviation", "modality_gap", "text_alignment", "positive_similarity", "negative_similarity"}


class TestSpread:
    @pytest.mark.parametrize(
        ("views", "texts", "expected"),
        [(1, 0, ALWAYS), (2, 0, ALWAYS | VIEWS), (1, 9, ALWAYS | TEXT), (3, 9, ALWAYS | VIEWS | TEXT)],
    )
    def test_only_what_a_batch_has_is_measured(self, views, texts, expected):
        found = spread(make_batch(6, texts), make_embeddings(views, 6, texts), {})
        assert names(found) == expected
        assert all(math.isfinite(value) for value in found.values())

    def test_each_is_the_metric_of_that_name(self):
        batch, made = make_batch(7, 9), make_embeddings(2, 7, 9)
        audio, text = made.audio.detach().numpy(), made.text.detach().numpy()
        features, positives = made.features.detach().numpy(), batch.positives.numpy()
        head = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1))
        found = spread(batch, made, {"byol": head})
        expected = {
            "audio_deviation": collapse.deviation(audio[0]),
            "features_deviation": collapse.deviation(features[0]),
            "features_rank": collapse.effective_rank(features[0]),
            "text_deviation": collapse.deviation(text),
            "byol_deviation": collapse.deviation(head[0].numpy()),
            "byol_rank": collapse.effective_rank(head[0].numpy()),
            "byol_spread": float(np.mean([np.std(column) for column in head[0].numpy().T])),
            "audio_uniformity": collapse.uniformity(audio[0]),
            "views_alignment": collapse.alignment(audio[0], audio[1]),
            "views_similarity": collapse.similarities(audio[0], audio[1])[0],
            "tracks_similarity": collapse.similarities(audio[0], audio[1])[1],
            "text_alignment": collapse.alignment(text, audio[0], positives),
            "positive_similarity": collapse.similarities(text, audio[0], positives)[0],
            "negative_similarity": collapse.similarities(text, audio[0], positives)[1],
            "modality_gap": collapse.modality_gap(audio[0], text),
        }
        assert found == pytest.approx({f"collapse/{name}": value for name, value in expected.items()}, abs=1e-6)

    def test_a_large_batch_is_measured_by_its_first_rows(self):
        tracks, texts = ROWS + 40, ROWS + 70
        batch, made = make_batch(tracks, texts), make_embeddings(2, tracks, texts)
        first = replace(batch, positives=batch.positives[:ROWS, :ROWS])
        cut = Embeddings(audio=made.audio[:, :ROWS], text=made.text[:ROWS], features=made.features[:, :ROWS])
        assert spread(batch, made, {}) == spread(first, cut, {})

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    def test_any_precision(self, dtype):
        made = make_embeddings(2, 6, 4)
        other = Embeddings(audio=made.audio.to(dtype), text=made.text.to(dtype), features=made.features.to(dtype))
        assert spread(make_batch(6, 4), other, {}) == pytest.approx(spread(make_batch(6, 4), made, {}), abs=0.05)

    @pytest.mark.parametrize(("tracks", "texts"), [(1, 3), (1, 0)])
    def test_a_single_track_tells_nothing(self, tracks, texts):
        assert spread(make_batch(tracks, texts), make_embeddings(2, tracks, texts), {}) == {}

    def test_texts_about_no_track_have_no_alignment(self):
        batch = make_batch(6, 4)
        found = spread(replace(batch, positives=torch.zeros_like(batch.positives)), make_embeddings(1, 6, 4), {})
        assert names(found) == ALWAYS | {"text_deviation", "modality_gap"}


def normalised(projection, features):
    made = projection(features)
    return made / made.norm(dim=-1, keepdim=True)


class TestGradients:
    """Against one graph from features to terms, where the loop has two leaves."""

    @pytest.mark.parametrize("seed", [0, 1])
    def test_norms_and_cosines(self, seed):
        torch.manual_seed(seed)
        projection, objective = nn.Linear(24, 12).double(), NTXent(SPACE).double()
        joined = torch.randn(2, 6, 24, dtype=torch.float64, requires_grad=True)
        batch, text = make_batch(6, 8), F.normalize(torch.randn(8, 12, dtype=torch.float64), dim=-1)
        tags, clip = TagClassification(SPACE).double(), Clip().double()

        def terms(features, audio):
            made = Embeddings(audio=audio, text=text, features=features)
            both = features.square().sum() + audio[..., 0].sum()
            found = {"both": both}
            for objective_ in (clip, tags, objective):
                found |= objective_(batch, made)
            return found

        expected = {}
        for name, term in terms(joined, normalised(projection, joined)).items():
            expected[name] = torch.autograd.grad(term, joined, retain_graph=True)[0].flatten()
        leaves = Embeddings(
            audio=normalised(projection, joined).detach().requires_grad_(),
            text=text,
            features=joined.detach().clone().requires_grad_(),
        )
        found = gradients(terms(leaves.features, leaves.audio), leaves, projection)
        for name, pull in expected.items():
            assert found[f"gradient/{name}"] == pytest.approx(math.sqrt(sum(v * v for v in pull.tolist())), rel=1e-9)
        for one, other in (("both", "clip"), ("clip", "tag_classification"), ("tag_classification", "ntxent")):
            dot = sum(a * b for a, b in zip(expected[one].tolist(), expected[other].tolist(), strict=True))
            cosine = dot / float(expected[one].norm() * expected[other].norm())
            assert found[f"gradient/{one}~{other}"] == pytest.approx(cosine, rel=1e-9)
        assert len(found) == 4 + 6

    def test_nothing_is_changed(self):
        projection, made = nn.Linear(24, 12), make_embeddings(1, 6)
        term = made.audio[..., 0].sum() + made.features.square().sum()
        gradients({"term": term}, made, projection)
        assert made.audio.grad is None
        assert made.features.grad is None
        assert projection.weight.grad is None
        term.backward()  # the graph is still there
        assert made.features.grad is not None

    def test_objectives_of_several_terms_are_compared_as_a_whole(self):
        made = make_embeddings(1, 6)
        first, second = made.features[..., 0].sum(), made.features[..., 1].sum()
        found = gradients({"one/a": first, "one/b": second, "other": first}, made, nn.Linear(24, 12))
        assert found.keys() == {"gradient/one/a", "gradient/one/b", "gradient/other", "gradient/one~other"}
        assert found["gradient/one~other"] == pytest.approx(math.sqrt(0.5))
        assert found["gradient/one/b"] == pytest.approx(math.sqrt(6))

    def test_opposite_and_unrelated_terms(self):
        made = make_embeddings(1, 6)
        terms = {
            "up": made.features.sum(),
            "down": -3 * made.features.sum(),
            "elsewhere": make_embeddings(1, 2).audio.sum(),
            "constant": torch.tensor(1.0),
        }
        found = gradients(terms, made, nn.Linear(24, 12))
        assert found.keys() == {"gradient/up", "gradient/down", "gradient/up~down"}
        assert found["gradient/down"] == pytest.approx(3 * math.sqrt(6 * 24), rel=1e-6)
        assert found["gradient/up~down"] == pytest.approx(-1)


class TestMonitor:
    def test_it_looks_every_so_many_steps(self):
        monitor, batch, made = Monitor(5, nn.Linear(24, 12), {}), make_batch(6), make_embeddings(2, 6)
        terms = {"term": made.features.square().sum()}
        found = {step: monitor.look(step, batch, made, terms) for step in range(11)}
        assert [step for step, row in found.items() if row] == [0, 5, 10]
        assert names({name for name in found[0] if name.startswith("collapse/")}) == ALWAYS | VIEWS
        assert found[0]["gradient/term"] > 0

    def test_it_sees_what_objectives_compare(self):
        byol, supcon = BYOL(SPACE), SupCon(SPACE, tagset="kind")
        objectives = nn.ModuleDict({"byol": byol, "supcon": supcon, "clip": Clip()})
        monitor, batch, made = Monitor(1, nn.Linear(24, 12), objectives), make_batch(6, 4), make_embeddings(2, 6, 4)
        terms = byol(batch, replace(made, targets=made.features.detach())) | supcon(batch, made)
        found = monitor.look(0, batch, made, terms)
        assert {name for name in names(found) if name.startswith(("byol", "supcon"))} == {
            "byol_deviation",
            "byol_rank",
            "byol_spread",
        }
        with torch.no_grad():
            seen = byol.projector(made.features)[0].numpy()
        assert found["collapse/byol_rank"] == pytest.approx(collapse.effective_rank(seen), rel=1e-4)

    def test_it_sees_the_student_and_not_the_teacher(self):
        dino = DINO(SPACE, 6, {"widths": [8, 8]})
        monitor, batch, made = Monitor(1, nn.Linear(24, 12), {"dino": dino}), make_batch(6), make_embeddings(2, 6)
        with torch.no_grad():
            seen = dino.head.projector(made.features)
            dino.teacher.head.projector(torch.randn_like(made.features))
        found = monitor.look(0, batch, made, {})
        assert found["collapse/dino_deviation"] == pytest.approx(collapse.deviation(seen[0].numpy()), abs=1e-6)

    def test_state_dicts_know_nothing_of_it(self):
        objectives = nn.ModuleDict({"byol": BYOL(SPACE)})
        before = set(objectives.state_dict())
        Monitor(1, nn.Linear(24, 12), objectives)
        assert set(objectives.state_dict()) == before


class Encoder(nn.Module):
    """From noisy points to features; ends in a batch norm, or does not."""

    def __init__(self, last: nn.Module, shift: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(20, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 24), last)
        with torch.no_grad():
            self.layers[3].bias += shift

    def forward(self, points, lengths=None):
        return self.layers(points)


def train(objectives, encoder, steps=201, seed=0, text=False):
    """Train on views of points around 40 centres; gives the steps at which the alarm spoke, and what it said."""
    rng = torch.Generator().manual_seed(seed)
    centres, words = torch.randn(40, 20, generator=rng), torch.randn(40, 12, generator=rng)
    told = torch.rand(40, len(TAGS), generator=rng) < 0.4
    model = nn.ModuleDict({"encoder": encoder, "projection": nn.Linear(24, 12)})
    objectives = nn.ModuleDict(objectives)
    for objective in objectives.values():
        objective.start(encoder)
    monitor, alarm, said = Monitor(EVERY, model["projection"], objectives), Alarm(), []
    parameters = [*model.parameters(), *objectives.parameters()]
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    for step in range(steps):
        rows = torch.randint(40, (32,), generator=rng)
        points = (centres[rows] + 0.3 * torch.randn(2, 32, 20, generator=rng)).flatten(0, 1)
        leaf = encoder(points).unflatten(0, (2, 32))
        features = leaf.detach().requires_grad_()
        joined = F.normalize(model["projection"](leaf), dim=-1)
        audio = joined.detach().requires_grad_()
        heard = F.normalize(words[rows], dim=-1) if text else torch.zeros(0, 12)
        positives = rows[:, None] == rows if text else torch.zeros(0, 32, dtype=torch.bool)
        batch = replace(make_batch(32), tags=told[rows], positives=positives)
        made, terms = Embeddings(audio=audio, text=heard, features=features), {}
        for objective in objectives.values():
            targets = objective.targets(points, torch.ones(64))
            held = None if targets is None else targets.unflatten(0, (2, 32))
            terms |= objective(batch, replace(made, targets=held))
        row = monitor.look(step, batch, made, terms)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        pairs = [(leaf, features), (joined, audio)]
        reached = [(made, leaf.grad) for made, leaf in pairs if made.requires_grad and leaf.grad is not None]
        torch.autograd.backward([part for part, _ in reached], [grad for _, grad in reached])
        optimizer.step()
        for objective in objectives.values():
            objective.after_step(encoder, step / 400)
        if warning := alarm.hear(step, row):
            said.append((step, warning))
    return said


NONE = {"widths": []}
LINEAR = {"widths": [64, 64]}
NORMED = {"widths": [64, 64], "last": "norm"}
FORCED = {
    "byol_without_predictor_and_average": lambda: BYOL(SPACE, LINEAR, NONE, momentum=0.0, schedule="constant"),
    "simsiam_without_predictor": lambda: SimSiam(SPACE, LINEAR, NONE),
    "vicreg_of_invariance_alone": lambda: VICReg(SPACE, variance=0.0, covariance=0.0, projector=LINEAR),
}
HEALTHY = {
    "byol": lambda: BYOL(SPACE, LINEAR, LINEAR),
    "simsiam": lambda: SimSiam(SPACE, NORMED, {"widths": [16, 64]}),
    "vicreg": lambda: VICReg(SPACE, projector=LINEAR),
    "ntxent": lambda: NTXent(SPACE, projector=LINEAR),
}


@pytest.mark.parametrize("name", FORCED)
def test_a_forced_collapse_is_told_once_within_200_steps(name):
    torch.manual_seed(0)
    said = train({"objective": FORCED[name]()}, Encoder(nn.BatchNorm1d(24)))
    assert len(said) == 1
    assert said[0][0] <= 200
    assert "the vectors that objective compares" in said[0][1]
    assert "keep the predictor" in said[0][1]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_not_disturbed(name):
    torch.manual_seed(0)
    assert train({"objective": HEALTHY[name]()}, Encoder(nn.BatchNorm1d(24)), steps=161) == []


def test_a_run_that_begins_with_nearly_equal_vectors_and_spreads_is_not_disturbed():
    torch.manual_seed(0)
    encoder = Encoder(nn.Identity(), shift=8.0)
    rows = encoder(torch.randn(32, 20)).detach().numpy()
    assert collapse.deviation(rows) < 0.1
    assert train({"clip": Clip(), "tags": TagClassification(SPACE)}, encoder, text=True) == []


def test_an_encoder_that_stays_at_one_point_is_told():
    torch.manual_seed(0)
    encoder = Encoder(nn.Identity(), shift=8.0).requires_grad_(False)
    ((step, warning),) = train({"clip": Clip()}, encoder, steps=120, text=True)
    assert step == STEPS
    assert "the features of the audio encoder are nearly equal (deviation" in warning
    assert "raise the temperature" in warning


def look(audio=0.9, head=0.8, spread_=0.3, rank=20.0, text=0.6):
    """A row as the loop logs it."""
    found = {"audio_deviation": audio, "features_deviation": 0.9, "features_rank": 20.0, "text_deviation": text}
    found |= {"byol_deviation": head, "byol_spread": spread_, "byol_rank": rank, "audio_uniformity": -0.01}
    return {"loss": 0.0, **{f"collapse/{name}": value for name, value in found.items()}, "gradient/byol": 0.0}


def hear(alarm, rows, every=EVERY):
    """The steps at which the alarm speaks of rows ``every`` steps apart."""
    said = [(number * every, alarm.hear(number * every, row)) for number, row in enumerate(rows)]
    return [step for step, warning in said if warning]


class TestAlarm:
    @pytest.mark.parametrize(
        "fallen",
        [{"audio": 0.09}, {"head": 0.19}, {"spread_": 0.09}, {"rank": 6.5}],
        ids=["audio", "head", "spread", "rank"],
    )
    def test_it_speaks_of_what_lasts(self, fallen):
        assert hear(Alarm(), [look()] + [look(**fallen)] * 12) == [EVERY + STEPS]

    @pytest.mark.parametrize(
        "near",
        [{"audio": 0.11}, {"head": 0.21}, {"spread_": 0.11}, {"rank": 7.0}],
        ids=["audio", "head", "spread", "rank"],
    )
    def test_it_is_silent_above_the_bounds(self, near):
        assert hear(Alarm(), [look()] + [look(**near)] * 12) == []

    @pytest.mark.parametrize(
        ("first", "then"),
        [({"text": 0.6}, {"text": 0.01}), ({"spread_": 9.0}, {"spread_": 1.0})],
        ids=["text", "large_spread"],
    )
    def test_what_may_fall(self, first, then):
        assert hear(Alarm(), [look(**first)] + [look(**then)] * 12) == []

    def test_heads_that_were_always_small_are_not_judged(self):
        assert hear(Alarm(), [look(head=0.05, spread_=0.01, rank=2.0)] * 12) == []

    def test_a_large_head_may_use_few_dimensions_if_the_features_do(self):
        rows = [look(rank=60.0)] + [{**look(rank=19.0), "collapse/features_rank": 25.0}] * 12
        assert hear(Alarm(), rows) == []

    def test_it_takes_several_looks_and_steps(self):
        assert hear(Alarm(), [look()] + [look(audio=0.01)] * 200, every=1) == [1 + STEPS]
        assert hear(Alarm(), [look()] + [look(audio=0.01)] * 5, every=500) == [1500]

    def test_a_moment_is_no_collapse(self):
        rows = [*[look(audio=0.05)] * 4, look()]
        assert hear(Alarm(), rows * 5) == []

    def test_once_a_collapse_and_again_after_it_has_ended(self):
        low, other = [look(audio=0.05)] * 8, [look(audio=0.05, head=0.05)] * 8
        assert hear(Alarm(), [*low, *other, look(), *low]) == [STEPS, 17 * EVERY + STEPS]

    def test_rows_between_looks_do_not_count(self):
        alarm, said = Alarm(), []
        for step in range(STEPS + 2):
            said.append(alarm.hear(step, look(audio=0.05) if step % EVERY == 0 else {"loss": 1.0}))
        assert [step for step, warning in enumerate(said) if warning] == [STEPS]

    def test_the_warning_names_figures_and_remedies_once(self):
        alarm = Alarm()
        hear(alarm, [look()])
        for step in (20, 60):
            alarm.hear(step, look(audio=0.021, head=0.15, spread_=0.04, rank=2.4))
        warning = alarm.hear(100, look(audio=0.02, head=0.1, spread_=0.03, rank=2.0))
        assert warning.startswith(
            "the audio vectors of a batch are nearly equal (deviation, at most 1: 0.02, 0.9 at its"
        )
        assert "the vectors that byol compares shrink to a point (standard deviation: 0.03, 0.3 at its" in warning
        assert "the vectors that byol compares fill ever fewer dimensions (effective rank: 2, 20 at its" in warning
        assert warning.count("keep the predictor") == warning.count("raise the temperature") == 1

    @pytest.mark.parametrize("cut", [1, 3, 6, 9])
    def test_a_restored_one_goes_on(self, cut):
        rows = [look()] + [look(head=0.05)] * 12
        first, second = Alarm(), Alarm()
        said = hear(first, rows[:cut])
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        held = first.state_dict()
        for number, row in enumerate(rows[cut:], start=cut):
            if second.hear(number * EVERY, row):
                said.append(number * EVERY)
        assert said == [EVERY + STEPS]
        assert first.state_dict() == held

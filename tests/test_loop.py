from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import FRONTEND, Configure
from torch import Tensor, nn

from crossmodal import config as configs
from crossmodal.audio.frontends import LogMel
from crossmodal.checkpoints import read_state
from crossmodal.config import Config
from crossmodal.data.corpus import Corpus
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError
from crossmodal.loop import Trainer
from crossmodal.model import DualEncoder
from crossmodal.precision import training_precision
from crossmodal.prepare import fit_encoders, make_batches, open_store, read_manifest
from crossmodal.runs import SCORE, Run
from crossmodal.training import build_objectives, make_augment
from crossmodal.types import Batch, Embeddings, Objective

STILL = ["audio_encoder.dropout=0.0", "text_encoder.dropout=0.0"]


def quiet(_line: str) -> None:
    """Where lines for the screen go."""


Material = tuple[Manifest, FeatureStore | None]


@pytest.fixture(scope="module")
def material(experiment: Path) -> Material:
    """The tiny experiment's manifest and store."""
    config = configs.load(experiment)
    manifest = read_manifest(config, quiet)
    return manifest, open_store(config, manifest, LogMel(**FRONTEND), quiet)


def made(config: Config, folder: Path, material: Material) -> Trainer:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = DualEncoder(config.audio_encoder, config.text_encoder, config.dim, config.window_s)
    manifest, store = material
    part = manifest.part(config.split, "train")
    batches = make_batches(config, model, part, store)
    fit_encoders(model, batches)
    objectives, weights = build_objectives(config, model, batches, Corpus(part, batches.tracks))
    augment = make_augment(config, model, batches)
    return Trainer(Run(folder / "run", config), model, objectives, weights, batches, augment, "fp32")


@pytest.fixture
def trainer(configure: Configure, tmp_path: Path, material: Material) -> Callable[..., Trainer]:
    (tmp_path / "run").mkdir()
    return lambda *overrides: made(configure(*overrides), tmp_path, material)


def scores(values: list[float]) -> Callable[[], dict[str, float]]:
    rest: Iterator[float] = itertools.chain(values, itertools.repeat(values[-1]))
    return lambda: {SCORE: next(rest)}


def test_the_logged_rate_is_that_of_the_step(trainer: Callable[..., Trainer]) -> None:
    made = trainer("optimizer.lr=0.01", "optimizer.warmup=0.25")
    assert made.steps == 9  # two epochs of 68 tracks in batches of 16
    stream = (made.batches[step] for step in range(2))
    assert [made.step(stream)["lr"] for _ in range(2)] == pytest.approx([0.005, 0.01])


def test_accumulated_gradients_are_the_mean_of_the_batches_gradients(trainer: Callable[..., Trainer]) -> None:
    made = trainer("train.accumulate=2", "train.batch_size=8", "train.clip_norm=1e9", *STILL)
    twin, objectives = copy.deepcopy(made.model).train(), copy.deepcopy(made.objectives)
    for step in (0, 1):
        (batch,) = made.batches[step]
        (objectives["clip"](batch, twin(batch))["clip"] / 2).backward()
    row = made.step(made.batches[step] for step in (0, 1))
    by_hand = [p.grad for part in (twin, objectives) for p in part.parameters() if p.requires_grad]
    for parameter, expected in zip(made.parameters, by_hand, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-7)
    assert row["grad_norm"] == pytest.approx(float(torch.cat([g.flatten() for g in by_hand]).norm()), rel=1e-4)
    assert made.progress.step == 1


def test_gradients_are_clipped(trainer: Callable[..., Trainer]) -> None:
    made = trainer("train.clip_norm=0.01")
    row = made.step(made.batches[step] for step in range(1))
    assert row["grad_norm"] > 0.01
    assert torch.cat([p.grad.flatten() for p in made.parameters]).norm() <= 0.01 + 1e-6


def test_a_norm_of_zero_clips_nothing(trainer: Callable[..., Trainer]) -> None:
    free, far = (trainer(f"train.clip_norm={norm}", *STILL) for norm in ("0", "1e9"))
    rows = [made.step(made.batches[step] for step in range(1)) for made in (free, far)]
    assert rows[0]["grad_norm"] == rows[1]["grad_norm"] > 0
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(free.parameters, far.parameters, strict=True))


def test_terms_are_weighed_and_summed(trainer: Callable[..., Trainer]) -> None:
    plain = trainer(*STILL).step(iter([trainer(*STILL).batches[0]]))
    weighed = trainer("objectives={clip: {weight: 3.0}}", *STILL)
    row = weighed.step(iter([weighed.batches[0]]))
    assert row["loss"] == row["clip"] == pytest.approx(3 * plain["loss"], rel=1e-5)


class Sick(nn.Module, Objective):
    """An objective whose value, or whose gradient alone, is no number from the third batch on."""

    needs = frozenset()

    def __init__(self, gradient: bool) -> None:
        super().__init__()
        self.gradient, self.count = gradient, 0

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        self.count += 1
        total = embeddings.audio.sum()
        ill = (total * 0).sqrt() if self.gradient else total * math.nan  # sqrt has no slope at 0
        return {"sick": total + ill if self.count > 2 else total}


@pytest.mark.parametrize(("gradient", "said"), [(False, "loss"), (True, "norm of the gradient")])
def test_a_number_that_is_none_stops_in_one_line_and_what_is_saved_stays_whole(
    trainer: Callable[..., Trainer], gradient: bool, said: str
) -> None:
    made = trainer("train.save_every=1")
    sick = Sick(gradient)
    made.objectives = nn.ModuleDict({"sick": sick})
    made.gradients = replace(made.gradients, objectives={"sick": sick}, weights={"sick": 1.0})
    with pytest.raises(InputError, match=f"the {said} is nan at step 3; .* Lower optimizer.lr") as error:
        made.fit(scores([0.0]))
    assert "\n" not in str(error.value)
    state = read_state(made.run.state / "last.pt")
    assert state["progress"]["step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    assert [row["step"] for row in made.run.metrics()] == [0, 1, 2]


def test_patience_stops_and_the_best_model_is_the_one_kept(trainer: Callable[..., Trainer]) -> None:
    made = trainer("train.epochs=20", "train.patience=2")
    kept: dict[str, Tensor] = {}
    values = iter([0.1, 0.3, 0.2, 0.3])

    def validate() -> dict[str, float]:
        value = next(values)
        if value == 0.3 and not kept:
            kept.update({name: tensor.clone() for name, tensor in made.model.state_dict().items()})
        return {SCORE: value}

    made.fit(validate)
    each = made.validate_every
    assert (made.progress.step, made.progress.best, made.progress.best_step) == (3 * each, 0.3, each)
    saved = load_file(made.run.model / "model.safetensors")
    assert saved.keys() == kept.keys()
    assert all(torch.equal(saved[name], kept[name]) for name in kept)
    assert not torch.equal(saved["audio_projection.weight"], made.model.audio_projection.weight)


def test_a_state_of_another_model_is_refused(
    trainer: Callable[..., Trainer],
) -> None:
    trainer().save()
    other = trainer("dim=8")
    with pytest.raises(InputError, match=r"last\.pt is of another model: .*_projection") as error:
        other.restore()
    assert "\n" not in str(error.value)


def test_precision_is_what_is_asked_for() -> None:
    assert training_precision("bf16") == "bf16"
    assert training_precision("fp32") == "fp32"
    assert training_precision("auto") in ("bf16", "fp32")


@pytest.mark.slow
def test_a_compiled_encoder_learns_the_same(trainer: Callable[..., Trainer]) -> None:
    rows = []
    for compiled in ("false", "true"):
        made = trainer(f"train.compile={compiled}", *STILL)
        rows.append([made.step(iter([made.batches[step]]))["loss"] for step in range(3)])
        assert hasattr(made.model.audio_encoder, "_compiled_call_impl")
        assert (made.model.audio_encoder._compiled_call_impl is not None) == (compiled == "true")
    assert rows[1] == pytest.approx(rows[0], rel=1e-3)

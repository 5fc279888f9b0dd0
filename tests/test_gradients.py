"""Gradients of a shared batch are those of the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sharing import OBJECTIVES, TRACKS, gradients, model, objectives, parts
from torch import Tensor

from crossmodal.data.loader import Share
from crossmodal.gradients import still


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    return gradients(Share())


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_whole_batch_has_the_gradients_of_the_plain_loss(whole: dict[str, Tensor]) -> None:
    """By autograd through one graph, without any of the machinery."""
    torch.manual_seed(3)
    made = model()
    built = objectives(made)
    (batch,) = parts(made, Share())
    embeddings = made(batch, sequence=True)
    with torch.no_grad():
        teacher = built["byol"].targets(batch.audio.flatten(0, 1), batch.lengths.flatten())
    targets = {"byol": teacher.unflatten(0, batch.audio.shape[:2])}
    terms = {
        term: 0.5 * value
        for name, objective in built.items()
        for term, value in objective(batch, replace(embeddings, targets=targets.get(name))).items()
    }
    torch.stack(list(terms.values())).sum().backward()
    named = [*made.named_parameters(), *built.named_parameters()]
    expected = {name: p.grad for name, p in named if p.grad is not None}
    assert {f"term {name}" for name in terms} | expected.keys() == whole.keys()
    assert_equal({name: whole[name] for name in expected}, expected, 1e-9)
    assert_equal({name: whole[f"term {name}"] for name in terms}, {n: t.detach() for n, t in terms.items()}, 1e-9)


@pytest.mark.parametrize("micro_batch", [1, 5, TRACKS])
def test_a_gradient_cache_gives_the_gradients_of_the_whole_batch(whole: dict[str, Tensor], micro_batch: int) -> None:
    assert_equal(gradients(Share(micro_batch=micro_batch)), whole, 1e-6)


def test_with_batch_norm_the_encoder_sees_parts(whole: dict[str, Tensor]) -> None:
    """Not equal, as is documented; the objectives' own batch norms are over the whole batch all the same."""
    parted, together = gradients(Share(micro_batch=4), norm="batch"), gradients(Share(), norm="batch")
    assert not torch.allclose(parted["term clip"], together["term clip"], rtol=1e-6)


def test_dropout_is_the_same_in_both_passes() -> None:
    """A part that is alone keeps its graph: with the second pass drawn anew these gradients would differ."""
    only = {"tag_classification": OBJECTIVES["tag_classification"]}  # a sum over tracks: parts can be differentiated
    torch.manual_seed(3)
    made = model(dropout=0.5)
    built = objectives(made, only)
    torch.manual_seed(4)
    for part in parts(made, Share(micro_batch=4)):
        rows = slice(part.first, part.first + part.audio.shape[1])
        own = replace(part, tags=part.tags[rows], annotated=part.annotated[rows])
        value = built["tag_classification"](own, made(part))["tag_classification"]
        (0.5 * value * part.audio.shape[1] / TRACKS).backward()
    cached = gradients(Share(micro_batch=4), dropout=0.5, blocks=only)
    expected = {name: p.grad for name, p in made.named_parameters() if p.grad is not None and "text" not in name}
    assert_equal({name: cached[name] for name in expected}, expected, 1e-9)


def test_running_statistics_count_each_part_once() -> None:
    made = model("batch").train()
    norms = [m for m in made.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    before = [norm.running_mean.clone() for norm in norms]
    with still(made), torch.no_grad():
        made(parts(made, Share())[0])
    assert norms
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))
    assert all(norm.momentum == 0.1 for norm in norms)


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one(whole: dict[str, Tensor], tmp_path: Path) -> None:
    """Each embeds half of the batch, in two parts; the gradients are averaged by DDP over gloo."""
    program = Path(__file__).with_name("sharing.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [*command, str(program), str(tmp_path / "gradients.pt")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    # DDP gives parameters that no process used a gradient of zero
    found = {name: value for name, value in found.items() if name in whole or value.abs().max() > 0}
    assert_equal(found, whole, 1e-5)

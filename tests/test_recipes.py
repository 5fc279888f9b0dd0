"""Every experiment of the folder trains, and those with a teacher go on after a kill as if there had been none."""

from __future__ import annotations

import math
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
from killing import equal, killed

from crossmodal import config as configs
from crossmodal.cli import main
from crossmodal.config import load
from crossmodal.runs import find_run
from crossmodal.training import train

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SHARED = {"base", "ssl", "deezer", "ismir2025"}  # what others build on
RECIPES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml") if path.stem not in SHARED)
# they have tests of their own
WITHOUT_BUDGET = {"quickstart", "real_small", "catalogue", "handcrafted", "real_handcrafted"}
QUICK = {"reviews_tags_ssl"}  # the others train in the slow tests
TEACHERS = ["deezer_byol", "deezer_clustering", "ismir2025_byol", "ismir2025_dino"]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the little audio and its features are kept for all recipes."""
    return tmp_path_factory.mktemp("recipes")


def overrides(music: Path, folder: Path, tracks: int = 64) -> list[str]:
    """What makes a recipe of two steps of its budget small."""
    return [
        "budget=small",
        f"data={{name: synthetic, root: {music}/audio-{tracks}, tracks: {tracks}, duration_s: 5.0, workers: 1}}",
        f"features.folder={music}/features",
        "features.workers=1",
        "tasks={}",
        "queries=[]",
        f"run.folder={folder}",
        "train.batch_size=24",  # of up to 48
        "train.epochs=1",
        "train.workers=0",
        "train.threads=1",
        "train.precision=fp32",
        "train.monitor_every=1",
    ]


def test_the_recipes_of_the_five_systems_are_there() -> None:
    wanted = {"clmr", "cbmi2019_tag_embedding", "sac2020_text_triplet", "reviews_tags_ssl"}
    wanted |= {f"deezer_{name}" for name in ("contrastive", "byol", "barlow_twins", "vicreg", "clustering")}
    names = ("contrastive", "byol", "simsiam", "vicreg", "barlow_twins", "dino")
    wanted |= {f"ismir2025_{name}" for name in names}
    assert wanted <= set(RECIPES)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WITHOUT_BUDGET])
def test_a_recipe_says_how_it_is_run(name: str) -> None:
    path = EXPERIMENTS / f"{name}.yaml"
    kind = "ssl" if load(path).text_encoder == {"name": "none"} else "crossmodal"
    assert f"python scripts/train_{kind}.py" in path.read_text().partition("\ndefaults:")[0]


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in RECIPES
        if name not in WITHOUT_BUDGET
    ],
)
def test_a_recipe_trains(name: str, music: Path, tmp_path: Path) -> None:
    path = EXPERIMENTS / f"{name}.yaml"
    more = ["labelled=0.5"] if name == "scarce_labels" else []  # a tenth of so little music may be nothing
    folder = train(load(path, [*overrides(music, tmp_path), *more]), lambda line: None)
    rows = [row for row in find_run(folder).metrics() if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2]
    terms = set(load(path, ["budget=small"]).objectives)
    for row in rows:
        assert all(math.isfinite(value) for value in row.values())
        assert {key.partition("/")[0] for key in row} >= terms


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WITHOUT_BUDGET])
def test_a_budget_changes_no_more_than_it_says(name: str) -> None:
    path = EXPERIMENTS / f"{name}.yaml"
    full, small, said = load(path), load(path, ["budget=small"]), configs.budget(path, ["budget=small"])
    differs = {key for key in vars(full) if getattr(full, key) != getattr(small, key)}
    assert differs - {"budget"} <= said.keys()
    assert load(path, ["budget=small", "train.epochs=3"]).train.epochs == 3
    assert small.data["name"] == "synthetic"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TEACHERS, "clmr", "reviews_tags_ssl"])
def test_a_recipe_with_a_teacher_killed_and_continued_ends_bit_for_bit_as_without(
    name: str, music: Path, tmp_path: Path
) -> None:
    """Teachers, centres, the average of the weights, a plateau's memory: all of it is in the saved state.

    Of less music the validation part has no score, which a plateau waits for.
    """
    forkserver.ensure_running()
    more = [
        "train.batch_size=48",
        "train.epochs=5",
        "train.save_every=3",
        "train.ema=0.9",
        "train.monitor_every=2",
        "optimizer.schedule=plateau",
    ]
    step = int(np.random.default_rng(len(name)).integers(4, 8))
    ends = []
    for way in ("whole", "killed"):
        folder = tmp_path / way
        arguments = ["ssl", str(EXPERIMENTS / f"{name}.yaml"), *overrides(music, folder, 128), *more]
        if way == "killed":
            killed(arguments, folder, step)
        assert main(arguments) == 0
        run = find_run(next(folder.glob("*")))
        state = torch.load(run.state / "last.pt", weights_only=True)
        del state["progress"]["seconds"], state["progress"]["loading"]
        ends.append((state, (run.model / "model.safetensors").read_bytes(), run.metrics()))
    assert equal(ends[0], ends[1])
    assert len([row for row in ends[0][2] if "loss" in row]) == 10

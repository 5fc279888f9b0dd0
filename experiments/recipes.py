"""What each recipe learns at its small budget: linear probes on frozen features against the untrained network.

    python experiments/recipes.py OUT.md [--seeds N] [--at-once N] [--threads N] [--runs FOLDER]
        [RECIPE ...]

Every recipe is trained by its own command, `scripts/train_ssl.py` or `train_crossmodal.py`, with `budget=small`,
and once with no step at all: the same encoder with the same seed, its normaliser fitted, and nothing learnt. Both are
probed on the same tracks. Runs that are finished are not repeated, so a killed comparison goes on. The audio is
synthetic.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import t as student

ROOT = Path(__file__).resolve().parent.parent
CROSSMODAL = "reviews_tags_ssl"
RECIPES = [
    "clmr",
    *(f"deezer_{name}" for name in ("contrastive", "byol", "barlow_twins", "vicreg", "clustering")),
    *(f"ismir2025_{name}" for name in ("contrastive", "byol", "simsiam", "vicreg", "barlow_twins", "dino")),
    "cbmi2019_tag_embedding",
    "sac2020_text_triplet",
    CROSSMODAL,
]

HEAD = """# What the recipes learn at their small budgets
Made by `python experiments/recipes.py experiments/recipes.md`; the reading of it is in [LOG.md](LOG.md).

Synthetic music: 1,200 pieces of 8 s, of which 816 train, split `combination`, so that the test part holds
combinations of attributes that training never heard. Logistic probes on frozen features, whole tracks, C chosen on the
valid part, balanced accuracy on the test part; "untrained" and "trained" are means over the tagsets, the columns after
them single tagsets of the trained network. {seeds} seeds of the training; the gain pairs them, with a 95 % interval by
Student's t over seeds. Seconds are of a whole run on {threads} threads, {at_once} runs at a time on one machine.
"""

FAMILIES = ("deezer", "ismir2025")


def untrained(recipe: str) -> str:
    """The recipe whose untrained encoder is that of a recipe: all of a family have one."""
    family = recipe.partition("_")[0]
    return f"{family}_contrastive" if family in FAMILIES else recipe


def run(recipe: str, seed: int, trained: bool, folder: Path, threads: int) -> dict[str, float]:
    """Train a recipe, or only judge its untrained encoder; balanced accuracy by tagset, and the seconds it took."""
    home = folder / f"{recipe}-{seed}{'' if trained else '-untrained'}"
    found = sorted(home.glob("*/*/results.json"))
    if not found:
        script = "train_crossmodal.py" if recipe == CROSSMODAL else "train_ssl.py"
        command = [sys.executable, f"scripts/{script}", f"experiments/{recipe}.yaml", "budget=small", f"seed={seed}"]
        command += [f"run.folder={home}", f"train.threads={threads}"] + ([] if trained else ["train.epochs=0"])
        began = time.monotonic()
        with (folder / f"{home.name}.log").open("w") as log:
            subprocess.run(command, cwd=ROOT, check=True, stdout=log, stderr=log)
        (home / "seconds").write_text(str(time.monotonic() - began))
        found = sorted(home.glob("*/*/results.json"))
    metrics = json.loads(found[-1].read_text())["tasks"]["probe"]["metrics"]
    scores = {name.partition("/")[0]: metric["value"] for name, metric in metrics.items()}
    return {**scores, "seconds": float((home / "seconds").read_text())}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t over seeds)."""
    if len(values) < 2:
        return fmean(values), float("nan")
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return fmean(values), float(half)


def row(recipe: str, trained: Sequence[dict[str, float]], blank: Sequence[dict[str, float]]) -> str:
    """A line of the table: the mean over tagsets, and the gain, whose pairs share a seed."""
    names = [name for name in trained[0] if name != "seconds"]
    after, before = ([fmean(found[name] for name in names) for found in runs] for runs in (trained, blank))
    gains = [one - other for one, other in zip(after, before, strict=True)]
    mean, half = interval(gains)
    verdict = "better" if mean - half > 0 else "worse" if mean + half < 0 else "not told apart"
    cells = [f"{fmean(before):.3f}", f"{fmean(after):.3f}", f"{mean:+.3f} ± {half:.3f}", verdict]
    cells += [f"{fmean(found[name] for found in trained):.2f}" for name in names]
    return f"| `{recipe}` | " + " | ".join(cells) + f" | {fmean(found['seconds'] for found in trained):.0f} |"


def arguments(about: str | None, seeds: int, runs: Path) -> argparse.ArgumentParser:
    """What comparisons take on the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of each")
    parser.add_argument("--runs", type=Path, default=runs)
    return parser


def main() -> None:
    """Run what is missing and write the table."""
    parser = arguments(__doc__, seeds=3, runs=Path("runs/recipes"))
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    given = parser.parse_intermixed_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    seeds, recipes = range(given.seeds), given.recipes
    blank = [(name, seed, False) for seed in seeds for name in dict.fromkeys(map(untrained, recipes))]
    jobs = [*blank, *((recipe, seed, True) for seed in seeds for recipe in recipes)]
    for job in blank:
        if job[1] == 0:
            run(*job, given.runs, given.threads)  # one after the other, since they make audio and features
    with ThreadPoolExecutor(given.at_once) as pool:
        found = dict(zip(jobs, pool.map(lambda job: run(*job, given.runs, given.threads), jobs), strict=True))
    lines = []
    for recipe in recipes:
        before = [found[untrained(recipe), seed, False] for seed in seeds]
        lines.append(row(recipe, [found[recipe, seed, True] for seed in seeds], before))
    names = [name for name in found[jobs[0]] if name != "seconds"]
    head = ["recipe", "untrained", "trained", "gain", "", *names, "seconds"]
    table = [HEAD.format(**vars(given)), "| " + " | ".join(head) + " |", "| --- " * len(head) + "|", *lines]
    given.out.write_text("\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()

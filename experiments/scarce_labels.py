"""Reviews, tags and sound together against each alone, where a tenth of the training music is labelled.

    python experiments/scarce_labels.py OUT.md [--seeds N] [--at-once N] [--threads N] [--runs FOLDER]

experiments/scarce_labels.yaml, and what is left of it when objectives are taken away: the same model, tracks and
steps. Judged by the mean average precision of text to music with the test reviews, on combinations of attributes that
training never heard and in words that it never read. Runs that are finished are not repeated. The audio is synthetic.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recipes import ROOT, arguments, interval

METRIC = "text_to_audio/map"
HEAD = """# Reviews, tags and sound at once, where a tenth of the music is labelled
Made by `python experiments/scarce_labels.py experiments/scarce_labels.md`; the reading of it is in [LOG.md](LOG.md).

Synthetic music: 2,400 pieces of 8 s, split `combination`; texts and tags of a tenth of the training albums. Mean
average precision of text to music: test reviews, in words that training never read, on combinations it never heard.
"""
WAYS = {  # what is taken away from the experiment
    "together": [],
    "reviews": ["~objectives.tag_embedding", "~objectives.ntxent", "text.tag_sentences=0.0"],
    "tags": ["~objectives.ntxent", "text.tag_sentences=1.0"],
    "sound (NT-Xent)": ["~objectives.clip", "~objectives.tag_embedding"],
    "reviews and tags": ["~objectives.ntxent"],
}


def run(way: str, seed: int, folder: Path, threads: int) -> dict[str, float]:
    """Train one way with one seed, unless it is done; the metric and its chance."""
    home = folder / f"{way.partition(' (')[0].replace(' ', '-')}-{seed}"
    if not list(home.glob("*/*/results.json")):
        command = [sys.executable, "scripts/train_crossmodal.py", "experiments/scarce_labels.yaml", f"seed={seed}"]
        with (folder / f"{home.name}.log").open("w") as log:
            more = [f"run.folder={home}", f"train.threads={threads}", *WAYS[way]]
            subprocess.run([*command, *more], cwd=ROOT, check=True, stdout=log, stderr=log)
    found = json.loads(max(home.glob("*/*/results.json")).read_text())["tasks"]["retrieval"]["metrics"][METRIC]
    return {"value": float(found["value"]), "chance": float(found["chance"])}


def main() -> None:
    """Run what is missing and write the table."""
    given = arguments(__doc__, seeds=5, runs=Path("runs/scarce_labels")).parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    jobs = [(way, seed) for seed in range(given.seeds) for way in WAYS]
    run(*jobs[0], given.runs, given.threads)  # alone: it makes audio and features
    with ThreadPoolExecutor(given.at_once) as pool:
        found = dict(zip(jobs, pool.map(lambda job: run(*job, given.runs, given.threads), jobs), strict=True))
    values = {way: [found[way, seed]["value"] for seed in range(given.seeds)] for way in WAYS}
    lines = [HEAD, "| learnt from | mAP | together is better by |", "| --- | --- | --- |"]
    for way, own in values.items():
        mean, half = interval(own)
        gain, width = interval([one - other for one, other in zip(values["together"], own, strict=True)])
        lines.append(f"| {way} | {mean:.3f} ± {half:.3f} | {f'{gain:+.3f} ± {width:.3f}' if gain else ''} |")
    lines.append(f"\nChance is {found[jobs[0]]['chance']:.3f}; {given.seeds} seeds, 95 % intervals by Student's t.")
    given.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""The picture in README.md: python docs/picture.py RUN [PICTURE.png].

Left, the map of a run's test part with the tracks that answer its example queries first; right, recall@10 of text to
audio in each language, with its interval and chance.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from crossmodal.embedding import Embedded
from crossmodal.evaluation import open_run
from crossmodal.files import read_json
from crossmodal.report.space import space_map
from crossmodal.runs import find_run

OUT = Path(__file__).with_name("quickstart.png")
TAGSET = "instrument"


def draw_map(axes: Axes, embedded: Embedded, examples: list[dict[str, Any]], seed: int) -> None:
    """t-SNE of the tracks, in a colour for each instrument; the first answer to each query is a numbered star."""
    shown = space_map(embedded, "test", [], seed)
    assert shown is not None, "the run has too few test tracks"
    points = np.array(shown.points)
    for name in shown.tagsets[TAGSET]:
        number = shown.tagsets[TAGSET].index(name)
        rows = [row for row, tags in enumerate(shown.tags[TAGSET]) if number in tags]
        axes.scatter(*points[rows].T, s=9, label=name)
    place = dict(zip(embedded.vectors("test").track_ids, points, strict=True))
    for number, example in enumerate(examples, 1):
        x, y = place[example["hits"][0]["track_id"]]
        axes.plot(x, y, marker="*", color="black", markersize=13)
        axes.annotate(str(number), (x, y), (5, 5), textcoords="offset points", weight="bold")
    said = [f"★{number} first answer to “{example['query']}”" for number, example in enumerate(examples, 1)]
    axes.set_title(f"the audio of {len(points)} synthetic test tracks,\nin the joint space, by {TAGSET}", fontsize=10)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("\n".join(said), loc="left", fontsize=8)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=2)


def draw_recall(axes: Axes, metrics: dict[str, dict[str, float]]) -> None:
    """A bar for each language, its interval, and chance as a line."""
    start, end = "text_to_audio/review/", "/recall@10"
    found = {m.removeprefix(start).removesuffix(end): v for m, v in metrics.items() if m.startswith(start)}
    found = {language: value for language, value in found.items() if len(language) == 2}
    heights = np.array([value["value"] for value in found.values()])
    low, high = (np.array([value[side] for value in found.values()]) for side in ("low", "high"))
    axes.bar(list(found), heights, yerr=(heights - low, high - heights), capsize=3, color="tab:gray")
    first = next(iter(found.values()))
    axes.axhline(first["chance"], color="tab:red", linestyle="--", label=f"chance {first['chance']:.3f}")
    title = f"recall@10, reviews never read,\n{first['queries']} queries a language, {first['candidates']} tracks"
    axes.set_title(title, fontsize=10)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, frameon=False, loc="upper right")


def main(folder: str, out: str | Path = OUT) -> None:
    """Draw the picture of a run."""
    mpl.use("Agg")
    results = read_json(find_run(folder).folder / "results.json")
    run, embedded = open_run(folder)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=(3, 2))
    draw_map(left, embedded, results["examples"], run.config.seed)
    draw_recall(right, results["tasks"]["retrieval"]["metrics"])
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])

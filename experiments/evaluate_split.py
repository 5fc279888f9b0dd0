"""The split of the real clips that can be judged: without the test clips whose sound train or valid have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from evaluate_systems import ROOT

from crossmodal import config, guards, registry
from crossmodal.data.engine import named
from crossmodal.data.manifest import Manifest
from crossmodal.data.sameness import hear, same_sound
from crossmodal.files import write_text
from crossmodal.judging import HEARD

NAME = "dev_without_copies"


def without_copies(data: Path, runs: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Listen to the clips, once, and write the split without copies, where there are any.

    Returns:
        What an experiment changes to be judged by it, and the test clips that are in no part of it, each with its copy.
    """
    here = (f"data.root={data}", "data.columns.key=meta.key")  # of the folk tunes
    asked = config.load(ROOT / "experiments" / "real_small.yaml", here)
    manifest: Manifest = registry.build_block("datasets", asked.data).manifest().check()
    parts = manifest.parts(asked.split)
    folder, engine = Path(asked.features.folder) / HEARD, named(asked.features.engine, asked.features.workers)
    sides = (manifest.part(asked.split, "test"), manifest.select(parts.index[parts.isin(guards.TUNED)]))
    copies = dict(same_sound(*(hear(side, folder, engine) for side in sides), folder).pairs)
    if not copies:
        return here, {}
    kept = pd.read_csv(data / "dev_split.tsv", sep="\t", dtype=str, keep_default_na=False)
    path = (runs / f"{NAME}.tsv").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, kept[~kept["id"].isin(list(copies))].to_csv(sep="\t", index=False))
    return (*here, f"data.splits.{NAME}={path}", f"split={NAME}"), copies

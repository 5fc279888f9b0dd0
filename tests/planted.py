"""What tasks leave behind, planted: tables of truth and scores, of queries and of curves, and figures that say more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from crossmodal.data.leakage import Leak
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.snapshots import Snapshots

Tables = dict[tuple[str, str], pd.DataFrame]


def single(manifest: Manifest, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and scores of the instruments, of which most are right; nobody plays the theremin."""
    own = manifest.tags[manifest.tags["tagset"] == "instrument"].set_index("track_id")["tag"]
    index = pd.Index(manifest.tracks["track_id"], name="track_id")
    names = [*sorted(own.unique()), "theremin"]
    truth = pd.DataFrame({name: (own.reindex(index) == name).astype("int8") for name in names}, index=index)
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    return truth, truth + 0.45 * noise


def several(manifest: Manifest, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and scores of the moods: the first track's are not known, and every track is "audible"."""
    index = pd.Index(manifest.tracks["track_id"], name="track_id")
    pairs = manifest.tags[manifest.tags["tagset"] == "mood"]
    truth = pd.DataFrame(
        {tag: index.isin(pairs.loc[pairs["tag"] == tag, "track_id"]).astype("int8") for tag in pairs["tag"].unique()},
        index=index,
    ).assign(audible=1)
    truth.iloc[0] = -1
    return truth, truth + np.random.default_rng(seed).normal(size=truth.shape)


def queries(embedded: Embedded, seed: int = 2) -> Tables:
    """Tables of queries, in which the last query of each direction is the worst."""
    manifest, rng = embedded.part("test"), np.random.default_rng(seed)
    texts = manifest.texts.drop_duplicates("text")
    tracks = manifest.tracks.set_index("track_id")
    tables = {}
    for direction in ("text_to_audio", "audio_to_text", "audio_to_audio", "text_to_text"):
        by_text = direction.startswith("text")
        index = pd.Index(texts["text"] if by_text else tracks.index, name="text" if by_text else "track_id")
        precision = np.sort(rng.uniform(0.01, 1, len(index)))[::-1]
        about = {"kind": "review" if by_text else "", "language": texts["language"].to_numpy() if by_text else ""}
        ranks = np.arange(1, len(index) + 1)
        made = pd.DataFrame({**about, "group": "g", "recall@10": 1.0, "map": precision, "median_rank": ranks}, index)
        tables["retrieval", f"queries/{direction}"] = made
    return tables


def shares(seed: int) -> pd.DataFrame:
    """Two metrics that rise with the share of labels, three draws, as ``limited_labels`` gives them."""
    rng = np.random.default_rng(seed)
    rows = [
        (share, draw, draw, metric, 0.7 + 0.1 * np.log10(share) + 0.02 * rng.normal(), int(share * 500))
        for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
        for draw in range(3)
        for metric in ("macro_roc_auc", "macro_average_precision")
    ]
    return pd.DataFrame(rows, columns=["share", "draw", "seed", "metric", "value", "tracks"])


def precisions() -> pd.DataFrame:
    """Precision that falls, as ``tagset_precision`` gives it."""
    found = [(name, k, 0.9 / (1 + np.log10(k))) for name in ("instrument", "mean") for k in (1, 10, 100, 1000)]
    rows = [(name, k, value, value - 0.05, value + 0.05, 0.25) for name, k, value in found]
    return pd.DataFrame(rows, columns=["tagset", "k", "value", "low", "high", "chance"])


def tables(embedded: Embedded) -> Tables:
    """All of them."""
    manifest = embedded.part("test")
    found = {}
    for task, name, made in (("probe", "instrument", single(manifest)), ("zero_shot", "mood", several(manifest))):
        found |= {(task, f"{name}/{what}"): table for what, table in zip(("truth", "scores"), made, strict=True)}
    found |= {("limited_labels", f"curve/{name}"): shares(seed) for seed, name in enumerate(("key", "mood"))}
    found["tagset_precision", "curve/precision"] = precisions()
    return found | queries(embedded)


def more(results: dict[str, Any]) -> dict[str, Any]:
    """Results with what a figure says of its prompts and of the pivot language, and with guards."""
    retrieval = results["tasks"]["retrieval"]["metrics"]
    drop = {"pivot": "en", "value": 0.0525, "low": 0.0125, "high": 0.0925, "pairs": 100}
    retrieval["text_to_audio/review/de/recall@10"]["drop"] = drop
    for number, pair in enumerate(("de_to_de", "de_to_tr", "tr_to_de")):
        figure = {"value": 0.4545 + number / 10, "low": 0.4, "high": 0.5, "chance": 0.1}
        retrieval[f"text_to_text/review/{pair}/recall@10"] = figure
    prompts = {"templates": 7, "low": 0.3125, "high": 0.4375, "sd": 0.0315, "worst": "{}", "best": "the sound of {}"}
    zero_shot = {
        "text_to_audio/map": {"value": 0.4111, "low": 0.39, "high": 0.44, "chance": 0.2},
        "tagging/mood/macro_roc_auc": {"value": 0.6111, "low": 0.59, "high": 0.64, "chance": 0.5, "prompts": prompts},
    }
    results["tasks"]["zero_shot"] = {
        "primary": "text_to_audio/map",
        "metrics": zero_shot,
        "left_out": {"<key>": "no tag"},
    }
    example = "t1 with <b>Łukasz & Co</b>"
    leaks = [Leak("artist", "split", 3, 0.005, 0, 0, [example]), Leak("track", "split", 0, 0.0, 0, 0, [])]
    spread = {"vectors": 612, "dim": 16, "deviation": 0.875, "rank": 11.25}
    return {**results, "guards": {"leaks": [leak._asdict() for leak in leaks], "collapse": {"audio": spread}}}


def snapshots(folder: Snapshots, embedded: Embedded, steps: tuple[int, ...] = (0, 40, 80, 120)) -> None:
    """Vectors that go from noise to what they are now."""
    found = embedded.vectors("test")
    for step in steps:
        share, rng = step / steps[-1], np.random.default_rng(step)
        mixed = share * found.vectors + (1 - share) * rng.normal(size=found.vectors.shape) / 4
        folder.save(step, found.track_ids, mixed / np.linalg.norm(mixed, axis=1, keepdims=True))

"""Figures of a model card's front matter, ``model-index``, which the hub shows and lets others search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult

from crossmodal.report.tables import headlines


def eval_results(results: Mapping[str, Mapping[str, Any]]) -> list[EvalResult]:
    """What sums each task up, with its data, split and part; what is undefined is left out.

    Args:
        results: the content of results.json by the evaluation's title.
    """
    return [
        EvalResult(
            task_type=task,
            metric_type=metric,
            metric_name=f"{metric} ({title})",
            metric_value=figure["value"],
            **_data(found),
        )
        for title, found in results.items()
        for task, metric, figure in headlines(found)
        if figure["value"] is not None
    ]


def _data(found: Mapping[str, Any]) -> dict[str, str]:
    """What was judged; tracks of a table need not say where they are from."""
    sources, split = [source or "unknown" for source in found["data"]["sources"]], found["split"]
    return {
        "dataset_type": "-".join(sources),
        "dataset_name": ", ".join(sources),
        "dataset_config": split["name"],
        "dataset_split": split["part"],
        "dataset_revision": split["hash"],
    }

"""What an approximate index finds of words: one that was tuned by segments alone, and one by likely queries too.

    OMP_NUM_THREADS=1 python benchmarks/words.py [RUN] [ROWS]

The segments are those of the run's own index, its test part, expanded to ROWS; the queries, texts of that part whose
words stand in no other. Beside them, microseconds of a query among many, at that effort.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "vectors"))

from expansion import expanded, matched, read

from crossmodal.data.manifest import Manifest
from crossmodal.evaluation import best_model, likely_queries
from crossmodal.material import Floats
from crossmodal.runs import Run, find_run
from crossmodal.search import SearchIndex

KINDS = ("hnsw", "ivfsq", "ivfpq")


def unseen(run: Run) -> list[str]:
    """Texts of the test part that neither training nor validation read."""
    manifest = Manifest.load(run.folder / "manifest")
    parts = {part: set(manifest.part(run.config.split, part).texts["text"]) for part in ("train", "valid", "test")}
    return sorted(parts["test"] - parts["train"] - parts["valid"])


def asked(index: SearchIndex, queries: Floats, flat: SearchIndex) -> str:
    """Recall of the ten best, with two standard errors, and microseconds a query."""
    best = [{hit.track_id for hit in hits} for hits in flat.search(queries, 10)]
    began = time.perf_counter()
    found = [{hit.track_id for hit in hits} for hits in index.search(queries, 10)]
    took = (time.perf_counter() - began) / len(queries)
    shares = np.array([len(one & other) / 10 for one, other in zip(found, best, strict=True)])
    return f"{shares.mean():.3f} ± {2 * shares.std() / len(shares) ** 0.5:.3f}, {took * 1e6:4.0f} us"


def main(path: str = "runs/quickstart", rows: str = "50000") -> None:
    faiss.omp_set_num_threads(1)
    run = find_run(path)
    model = best_model(run)
    likely, texts = likely_queries(run, model), model.embed_text(unseen(run))
    real, _ = read(run.folder)
    vectors = expanded(real, matched(real, 0), int(rows), 0)
    segments = pd.DataFrame({"track_id": np.arange(len(vectors)).astype(str), "start": 0.0, "end": 1.0})
    print(f"{len(real):,} segments made {len(vectors):,}; {len(texts)} texts")
    with tempfile.TemporaryDirectory() as folder:
        made = vectors, segments, segments[["track_id"]], model.fingerprint
        flat = SearchIndex.build(f"{folder}/flat", *made)
        for kind in KINDS:
            for name, queries in (("segments", None), ("both", likely)):
                index = SearchIndex.build(f"{folder}/{kind}-{name}", *made, kind, queries=queries)
                told = f"{index.info['effort']}, measured {index.info['recall']['of']}"
                print(f"{kind:6}by {name:9}{asked(index, texts, flat)}  {told}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

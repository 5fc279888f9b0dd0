"""The quickstart learns what music and words share, and nothing else: without that, it falls to chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crossmodal import config as configs
from crossmodal import training
from crossmodal.config import Config
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.orchestra.reviews import mask_decisive
from crossmodal.prepare import read_manifest
from crossmodal.runs import open_run
from crossmodal.tasks.retrieval import Retrieval

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
RECALL = "text_to_audio/review{}/recall@10"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    home = tmp_path_factory.mktemp("quickstart")
    folders = [f"data.root={home}/audio", f"features.folder={home}/features", f"run.folder={home}/runs"]
    return configs.load(ROOT / "experiments" / "quickstart.yaml", folders)


def trained(config: Config) -> Embedded:
    with open_run(config) as (run, _):
        return training.fit(run, lambda line: None)


@pytest.fixture(scope="module")
def proper(config: Config) -> Embedded:
    return trained(config)


def shuffled(manifest: Manifest, split: str, seed: int = 0) -> Manifest:
    """The manifest where, in the training part, every album has the texts and the tags of another one."""
    tracks = manifest.part(split, "train").tracks
    albums = tracks.groupby("album")["track_id"].agg(list)
    albums = albums[albums.map(len) == albums.map(len).max()]  # a short last album stays out of it
    order = np.random.default_rng(seed).permutation(len(albums))
    others = np.roll(order, 1)  # one cycle: no album keeps its own
    pairs = {
        old: new
        for a, b in zip(order, others, strict=True)
        for old, new in zip(albums.iloc[a], albums.iloc[b], strict=True)
    }

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(track_id=table["track_id"].map(lambda track: pairs.get(track, track)))

    return replace(
        manifest, texts=moved(manifest.texts), tags=moved(manifest.tags), annotated=moved(manifest.annotated)
    )


def figures(embedded: Embedded) -> dict[str, dict[str, Any]]:
    return Retrieval(tags=False).evaluate(embedded).as_dict()


def at_chance(found: dict[str, Any]) -> bool:
    return bool(found["low"] <= found["chance"] <= found["high"])


def test_the_quickstart_is_ten_times_chance_in_every_language(proper: Embedded) -> None:
    found = figures(proper)
    assert found[RECALL.format("")]["candidates"] >= 500
    languages = proper.part("test").texts["language"].unique()
    assert len(languages) == 6
    for name in (RECALL.format(part) for part in ("", *(f"/{language}" for language in languages))):
        assert found[name]["value"] >= 10 * found[name]["chance"], (name, found[name])
        assert not at_chance(found[name])


def test_with_the_decisive_words_masked_it_is_at_chance(proper: Embedded) -> None:
    texts = proper.manifest.texts
    masked = [mask_decisive(text, code) for text, code in zip(texts["text"], texts["language"], strict=True)]
    changed = replace(proper.manifest, texts=texts.assign(text=masked))
    assert (changed.texts["text"] != texts["text"]).all()
    found = figures(Embedded(proper.model, changed, proper.split, proper.store))
    assert at_chance(found[RECALL.format("")]), found[RECALL.format("")]


def test_trained_on_shuffled_pairs_it_is_at_chance(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        training, "read_manifest", lambda config, say: shuffled(read_manifest(config, say), config.split)
    )
    embedded = trained(replace(config, name="shuffled"))
    part = embedded.part("test")
    assert len(part.texts)
    found = figures(embedded)
    assert at_chance(found[RECALL.format("")]), found[RECALL.format("")]

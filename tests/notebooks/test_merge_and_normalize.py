"""Notebook 4: stores by part that fit, and one of all tracks that training finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from executing import ROOT, read, run
from nbclient.exceptions import CellExecutionError

from crossmodal import config, registry
from crossmodal.audio.frontends import described
from crossmodal.data import engine
from crossmodal.data.extraction import Features
from crossmodal.data.normalise import Normaliser
from crossmodal.data.store import FeatureStore
from crossmodal.prepare import open_store, read_manifest

NOTEBOOK = ROOT / "notebooks" / "4_Merge_and_Normalize.ipynb"
pytestmark = pytest.mark.slow


@pytest.fixture
def extracted(work) -> Path:
    """The folder as notebook 2 leaves it, with one track that cannot be used."""
    settings = config.load(work / "experiment.yaml")
    manifest = read_manifest(settings, lambda line: None)
    manifest.path("album-0003-2").write_bytes(b"RIFF")
    frontend = registry.build_block("encoders.audio", settings.audio_encoder).frontend
    with engine.run(manifest, Features(described(frontend)), work / "shards", engine.ALONE) as results:
        assert [skipped.id for skipped in results.skipped] == ["album-0003-2"]
    return work


def test_merge_and_normalize(extracted):
    printed = run(read(NOTEBOOK), {"work": str(extracted), "length_s": 2.5})
    assert "sound: 47 tracks in" in printed
    assert "a crop is a memmap of 1,984 bytes" in printed  # 62 frames of 16 bands in 16 bits
    stores = {part: FeatureStore(extracted / "store" / f"{part}.h5") for part in ("train", "valid", "test")}
    assert sum(map(len, stores.values())) == 47
    assert {store.length(track) for store in stores.values() for track in store.track_ids} == {156}
    assert float(stores["test"][stores["test"].track_ids[0]][-1].max()) == stores["test"].silence  # it is padded
    normalised = FeatureStore(extracted / "store" / "normalised" / "train.h5")
    frames = np.concatenate([normalised[track] for track in normalised.track_ids]).astype(np.float64)
    assert np.abs(frames.mean(0)).max() < 0.01
    assert np.abs(frames.std(0) - 1).max() < 0.01
    fitted = Normaliser.load(extracted / "store" / "normalised" / "normaliser.json")
    assert fitted.tracks == len(stores["train"])


def test_training_reads_what_was_merged(extracted):
    run(read(NOTEBOOK), {"work": str(extracted), "length_s": 1.0})
    (merged,) = (extracted / "features").glob("*.h5")
    before = merged.stat().st_mtime_ns
    settings = config.load(extracted / "experiment.yaml")
    frontend = registry.build_block("encoders.audio", settings.audio_encoder).frontend
    store = open_store(settings, read_manifest(settings, lambda line: None), frontend, lambda line: None)
    assert store.path == merged
    assert merged.stat().st_mtime_ns == before  # found, not extracted again
    assert len(store) == 47


def test_shards_of_other_settings_are_refused(extracted):
    with pytest.raises(CellExecutionError, match="the shards are of other settings"):
        run(read(NOTEBOOK), {"work": str(extracted), "overrides": ["features.precision=32"]})

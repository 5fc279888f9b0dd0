"""Notebook 2: every track is extracted or skipped with its reason, and a shard that was spoilt is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from executing import ROOT, read, run
from nbclient.exceptions import CellExecutionError

from crossmodal import config, registry
from crossmodal.audio.decode import features_of
from crossmodal.data.extraction import Features
from crossmodal.data.ledger import Ledger
from crossmodal.data.manifest import Manifest
from crossmodal.data.work import finished
from crossmodal.files import read_json

NOTEBOOK = ROOT / "notebooks" / "2_Prepare_Audio_Data.ipynb"
pytestmark = pytest.mark.slow


def test_prepare_audio_data(work):
    manifest = Manifest.load(work / "manifest")
    manifest.path("album-0003-2").write_bytes(b"RIFF")
    manifest.path("album-0005-3").write_bytes(manifest.path("album-0001-1").read_bytes())
    notebook = read(NOTEBOOK)
    printed = run(notebook, {"work": str(work), "workers": 2, "track": "album-0002-1"})
    assert "sound: 47 tracks in" in printed
    assert "1 skipped" in printed
    assert "1 files are corrupt: album-0003-2 (is not audio" in printed
    assert "1 pairs of files are the same: album-0001-1 and album-0005-3" in printed
    ledger = Ledger.load(work / "manifest.ledger")
    assert dict(ledger.clusters) == {"album-0001-1": "album-0001-1", "album-0005-3": "album-0001-1"}
    assert len(ledger.table) == 48
    shown = "".join(
        out["data"]["text/plain"] for cell in notebook.cells for out in cell.get("outputs", []) if "data" in out
    )
    assert "is not audio" in shown  # the reason
    features = Features.restored(read_json(work / "shards" / "work.json"))
    done = finished(work / "shards", features, manifest.tracks["track_id"])
    assert [skipped.id for skipped in done.skipped] == ["album-0003-2"]
    encoder = registry.build_block("encoders.audio", config.load(work / "experiment.yaml").audio_encoder)
    expected = features_of(manifest.path("album-0002-1"), encoder.frontend)
    np.testing.assert_allclose(done.rows("album-0002-1"), expected, atol=0.1)  # decibels in 16 bits


def test_shards_that_were_spoilt_are_noticed(work):
    run(read(NOTEBOOK), {"work": str(work), "workers": 1})
    (shard,) = [path for path in (work / "shards").glob("*.raw") if path.stat().st_size]
    spoil(shard)
    with pytest.raises(CellExecutionError, match="values that are no numbers: "):
        run(read(NOTEBOOK), {"work": str(work), "workers": 1})


def spoil(shard: Path) -> None:
    frames = np.fromfile(shard, "<f2")
    frames[1000] = np.nan
    frames.tofile(shard)

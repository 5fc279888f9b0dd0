"""Notebook 5 on tiny synthetic data, on tags alone, and on real data: topics and vectors are saved, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from executing import ROOT, read, run

from crossmodal import registry
from crossmodal.data.manifest import Manifest
from crossmodal.data.similarity import load_vectors
from crossmodal.data.topics import TopicModel, tag_documents
from crossmodal.datasets.synthetic import Synthetic

DATA = Path(__file__).parents[3] / "shared" / "data"
NOTEBOOK = ROOT / "notebooks" / "5_Text_and_Topic_Models.ipynb"
pytestmark = pytest.mark.slow


def test_topics_of_synthetic_tracks(tmp_path):
    manifest = Synthetic(str(tmp_path / "audio"), tracks=240).manifest(labels_only=True)
    manifest.save(tmp_path / "manifest")
    given = {"work": str(tmp_path), "n_topics": 12}
    given |= {"tag": "instrument: organ", "split": "album"}
    printed = run(read(NOTEBOOK), given)
    assert "nearest to instrument: organ" in printed
    assert printed.count("read back, the same") == 2
    for name in ("tags", "texts"):
        ids, vectors = load_vectors(tmp_path / "topics" / f"{name}.npz")
        assert ids == manifest.tracks["track_id"].tolist()
        assert vectors.shape == (240, 12)
    learned = tag_documents(manifest.part("album", "train"))
    expected = TopicModel.fit(learned, 12).transform(tag_documents(manifest))
    np.testing.assert_allclose(load_vectors(tmp_path / "topics" / "tags.npz")[1], expected, atol=1e-4)


def test_topics_of_tags_alone(tmp_path):
    full = Synthetic(str(tmp_path / "audio"), tracks=96).manifest(labels_only=True)
    Manifest.build(full.tracks, None, full.tags, full.annotated, full.splits).save(tmp_path / "manifest")
    given = {"work": str(tmp_path), "tagsets": ["instrument", "mood"]}
    assert run(read(NOTEBOOK), given).count("read back, the same") == 1
    terms = TopicModel.load(tmp_path / "topics" / "tags").terms
    assert {term.partition(": ")[0] for term in terms} == {"instrument", "mood"}


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data is not there")
def test_topics_of_real_tracks(tmp_path):
    data = yaml.safe_load((ROOT / "experiments" / "real_small.yaml").read_text(encoding="utf-8"))["data"]
    manifest = registry.build_block("datasets", data | {"root": str(DATA)}).manifest(labels_only=True)
    manifest.save(tmp_path / "manifest")
    given = {"work": str(tmp_path)}
    assert run(read(NOTEBOOK), given).count("read back, the same") == 2
    assert len(load_vectors(tmp_path / "topics" / "tags.npz")[0]) == 3856

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
import torch
from pyarrow import parquet
from tiny import Trained

from crossmodal.audio.frontends import LogMel
from crossmodal.data.extraction import extract
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded, Vectors, embed
from crossmodal.errors import InputError
from crossmodal.evaluation import open_run
from crossmodal.model import DualEncoder


@pytest.fixture(scope="module")
def embedded(trained: Trained) -> Embedded:
    return open_run(trained.folder)[1]


@pytest.fixture(scope="module")
def vectors(embedded: Embedded) -> Vectors:
    return embedded.vectors("test")


@pytest.fixture
def model(embedded: Embedded) -> DualEncoder:
    return embedded.model


def test_a_row_a_track_in_the_order_of_the_manifest(embedded: Embedded, vectors: Vectors) -> None:
    assert list(vectors.track_ids) == list(embedded.part("test").tracks["track_id"])
    assert vectors.vectors.shape == (20, 16)
    assert vectors.features.shape == (20, 16)
    assert vectors.segment_vectors.shape == (60, 16)  # three seconds each
    np.testing.assert_allclose(np.linalg.norm(vectors.segment_vectors, axis=1), 1, atol=1e-5)
    assert embedded.vectors("test") is vectors


def test_a_track_is_the_mean_of_its_segments_by_the_seconds_they_hold(vectors: Vectors) -> None:
    track = vectors.tracks[3]
    by_hand = sum(weight * vector for weight, vector in zip(track.weights, track.vectors, strict=True))
    np.testing.assert_allclose(vectors.vectors[3], by_hand / np.linalg.norm(by_hand), atol=1e-6)
    feature = np.average(track.features, axis=0, weights=track.weights)
    np.testing.assert_allclose(vectors.features[3], feature, atol=1e-5)
    rows = vectors.segments[vectors.segments["track_id"] == vectors.track_ids[3]]
    assert rows["start"].round(1).tolist() == [0.0, 1.0, 2.0]
    assert rows["end"].round(1).tolist() == [1.0, 2.0, 3.0]


def test_the_store_and_the_files_give_nearly_the_same(embedded: Embedded, vectors: Vectors) -> None:
    from_files = embed(embedded.model, embedded.part("test"))
    assert from_files.track_ids == vectors.track_ids
    assert (from_files.vectors * vectors.vectors).sum(1).min() > 0.999  # a store of 16 bits rounds
    np.testing.assert_allclose(from_files.vectors, embedded.model.embed_audio(paths(embedded)), atol=1e-6)


def paths(embedded: Embedded) -> list[Path]:
    return [Path(path) for path in embedded.part("test").paths()]


def test_the_batch_size_does_not_change_the_vectors(embedded: Embedded, vectors: Vectors) -> None:
    for batch_size in (1, 2, 64):
        again = embed(embedded.model, embedded.part("test"), embedded.store, batch_size)
        np.testing.assert_allclose(again.vectors, vectors.vectors, atol=1e-5)


def test_vectors_are_saved_with_ids_and_fingerprint(vectors: Vectors, tmp_path: Path) -> None:
    vectors.save(tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as saved:
        assert saved["track_ids"].tolist() == list(vectors.track_ids)
        np.testing.assert_array_equal(saved["vectors"], vectors.vectors)
        assert str(saved["fingerprint"]) == vectors.fingerprint
    assert (tmp_path / "v.skipped.csv").read_text().splitlines() == ["id,path,reason"]


def saved(path: Path) -> dict[str, Any]:
    """A file of vectors as those read it who know only its format."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    if path.suffix == ".pt":
        return dict(torch.load(path, weights_only=True))
    table = parquet.read_table(path)
    kinds = {name: table.schema.field(name).type for name in ("vector", "features")}
    assert all(pa.types.is_fixed_size_list(kind) and kind.list_size == 16 for kind in kinds.values())
    found = {name: np.array(table[name].to_pylist(), dtype=np.float32) for name in table.column_names[1:]}
    mark = table.schema.metadata[b"fingerprint"].decode()
    return {"track_ids": table["track_id"].to_pylist(), **found, "vectors": found["vector"], "fingerprint": mark}


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".parquet"])
@pytest.mark.parametrize("segments", [False, True])
def test_every_format_holds_the_same_numbers(vectors: Vectors, tmp_path: Path, suffix: str, segments: bool) -> None:
    vectors.save(tmp_path / f"v{suffix}", segments)
    found = saved(tmp_path / f"v{suffix}")
    per_track = [(track, one) for track, one in zip(vectors.track_ids, vectors.tracks, strict=True)]
    ids = [track for track, one in per_track for _ in (one.vectors if segments else [0])]
    rows = [one.vectors if segments else one.vector[None] for _, one in per_track]
    features = [one.features if segments else one.feature[None] for _, one in per_track]
    assert list(found["track_ids"]) == ids
    np.testing.assert_array_equal(np.asarray(found["vectors"]), np.concatenate(rows))
    np.testing.assert_array_equal(np.asarray(found["features"]), np.concatenate(features))
    assert str(found["fingerprint"]) == vectors.fingerprint
    assert ("start" in found) == segments
    if segments:
        bounds = np.stack([np.asarray(found["start"]), np.asarray(found["end"])], axis=1)
        np.testing.assert_array_equal(bounds, np.concatenate([one.bounds for _, one in per_track]))


def test_ids_of_every_script_come_back(vectors: Vectors, tmp_path: Path) -> None:
    ids = ("سماعي", "Łódź/1", "a\nb", *vectors.track_ids[3:])
    renamed = replace(vectors, track_ids=ids)
    for suffix in (".npz", ".pt", ".parquet"):
        renamed.save(tmp_path / f"v{suffix}")
        assert tuple(saved(tmp_path / f"v{suffix}")["track_ids"]) == ids


def test_an_unknown_format_is_refused(vectors: Vectors, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v\.csv: vectors are written as \.npz, \.pt, \.parquet, not as \.csv"):
        vectors.save(tmp_path / "v.csv")
    assert list(tmp_path.iterdir()) == []


def test_tracks_that_cannot_be_used_are_skipped_with_the_reason(model: DualEncoder, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    (tmp_path / "empty.wav").touch()
    tracks = pd.DataFrame({"track_id": ["good", "empty", "gone"]})
    manifest = Manifest.build(tracks.assign(path=tracks["track_id"] + ".wav"), root=tmp_path)
    found = embed(model, manifest)
    assert found.track_ids == ("good",)
    assert [(skip.id, Path(skip.path).name) for skip in found.skipped] == [("empty", "empty.wav"), ("gone", "gone.wav")]
    assert "is empty" in found.skipped[0].reason
    assert "no such file" in found.skipped[1].reason
    store = extract(manifest, model.audio_encoder.frontend, tmp_path / "store.h5")
    from_store = embed(model, manifest, store)
    assert [(skip.id, skip.reason) for skip in from_store.skipped] == [(s.id, s.reason) for s in store.skipped]
    with pytest.raises(InputError, match="none of 2 tracks could be embedded"):
        embed(model, manifest.select(["empty", "gone"]))


def test_a_store_of_another_front_end_is_refused(embedded: Embedded, tmp_path: Path) -> None:
    other = LogMel(sample_rate=8000, n_fft=256, hop=64, bands=16)
    store = extract(embedded.part("test"), other, tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"other\.h5 was made by another front end: hop 64, not 128"):
        embed(embedded.model, embedded.part("test"), store)


def test_forget_embeds_again(embedded: Embedded) -> None:
    fresh = Embedded(embedded.model, embedded.manifest, embedded.split, embedded.store)
    first = fresh.vectors("valid")
    fresh.forget()
    assert fresh.vectors("valid") is not first
    with pytest.raises(InputError, match="train"):
        fresh.vectors("exam")

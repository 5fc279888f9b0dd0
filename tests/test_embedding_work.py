"""Files embedded by an engine: the bits do not depend on which, nor on an interruption."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from crossmodal import embedding_work
from crossmodal.data.cluster import Ray
from crossmodal.data.engine import Engine, Processes
from crossmodal.data.manifest import Manifest
from crossmodal.data.work import done
from crossmodal.embedding import Vectors, embed
from crossmodal.embedding_work import embed_files
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that was not trained."""
    torch.manual_seed(0)
    audio = {"name": "mel_cnn", "frontend": {"bands": 16, "sample_rate": 8000}, "channels": [4], "dim": 12}
    text = {"name": "mini_transformer", "vocabulary": 300, "dim": 8, "layers": 1, "heads": 2}
    model = DualEncoder(audio, text, dim=8, window_s=0.5)
    model.text_encoder.fit(["a sad violin", "orgue"])
    path = tmp_path_factory.mktemp("model")
    model.save(path / "model")
    return path / "model"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Eight tracks of 0.4 to 2.2 s, two of which cannot be used."""
    rng = np.random.default_rng(0)
    names = [f"t{number}.wav" for number in range(8)]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, rng.standard_normal(3200 + 2057 * number) * 0.1, 8000)
    (tmp_path / names[2]).write_text("no music")
    (tmp_path / names[6]).unlink()
    return Manifest.build(pd.DataFrame({"track_id": [name[:2] for name in names], "path": names}), root=tmp_path)


def read(vectors: Vectors) -> dict[str, np.ndarray]:
    """Everything in them, copied."""
    found = {name: np.array(getattr(vectors, name)) for name in ("vectors", "features", "segment_vectors")}
    features = np.concatenate([track.features for track in vectors.tracks])
    weights = np.concatenate([track.weights for track in vectors.tracks])
    return found | {"segments": vectors.segments.to_numpy(), "each": features, "weights": weights}


def embedded(folder: Path, manifest: Manifest, at: Path, engine: Engine) -> dict[str, np.ndarray]:
    with embed_files(folder, manifest, at, engine) as vectors:
        assert vectors.track_ids == ("t0", "t1", "t3", "t4", "t5", "t7")
        assert vectors.fingerprint == DualEncoder.load(folder).fingerprint
        assert [skip.id for skip in vectors.skipped] == ["t2", "t6"]
        found = read(vectors)
    assert not at.exists()
    return found


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], strict=True, err_msg=name)


def interrupted(monkeypatch: pytest.MonkeyPatch, folder: Path, manifest: Manifest, at: Path) -> None:
    """Embed up to t4, where the disk is full."""
    features = embedding_work.features_of

    def full(path: str, *more: object) -> np.ndarray:
        if path.endswith("t4.wav"):
            raise OSError(28, "No space left on device")
        return features(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(embedding_work, "features_of", full)
        with pytest.raises(InputError, match=r"No space left.*is kept there"):
            embedded(folder, manifest, at, Processes())


def test_what_is_found_is_what_embed_finds(folder: Path, manifest: Manifest, tmp_path: Path) -> None:
    expected = embed(DualEncoder.load(folder), manifest)
    found = embedded(folder, manifest, tmp_path / "w", Processes())
    for name, values in read(expected).items():
        if name == "segments":
            np.testing.assert_array_equal(found[name], values)
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_a_track_does_not_depend_on_the_others(folder: Path, manifest: Manifest, tmp_path: Path) -> None:
    with embed_files(folder, manifest, tmp_path / "w", Processes()) as vectors:
        together = {track: vectors.vectors[row] for row, track in enumerate(vectors.track_ids)}
    for track in ("t0", "t7"):
        with embed_files(folder, manifest.select([track]), tmp_path / "w", Processes()) as alone:
            np.testing.assert_array_equal(alone.vectors[0], together[track], strict=True)


def test_interrupted_it_goes_on_and_the_bits_are_the_same(
    folder: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = embedded(folder, manifest, tmp_path / "w", Processes())
    interrupted(monkeypatch, folder, manifest, tmp_path / "v")
    assert [entry.track_id for entry in done(tmp_path / "v").values()] == ["t0", "t1", "t3"]
    asked: list[str] = []
    features: Callable[..., np.ndarray] = embedding_work.features_of
    monkeypatch.setattr(embedding_work, "features_of", lambda path, *m: asked.append(path[-6:]) or features(path, *m))
    same_bits(whole, embedded(folder, manifest, tmp_path / "v", Processes()))
    assert asked == ["t2.wav", "t4.wav", "t5.wav", "t6.wav", "t7.wav"]


def test_what_was_not_saved_is_kept(folder: Path, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no room"), embed_files(folder, manifest, tmp_path / "w", Processes()):
        raise InputError("no room for the result")
    assert len(done(tmp_path / "w")) == 6
    with embed_files(folder, manifest, tmp_path / "w", Processes()) as vectors:
        vectors.save(tmp_path / "v.npz")
        expected = vectors.vectors
    with np.load(tmp_path / "v.npz") as saved:
        np.testing.assert_array_equal(saved["vectors"], expected)


def test_vectors_of_another_model_and_none_at_all_are_refused(
    folder: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, folder, manifest, tmp_path / "w")
    other = DualEncoder.load(folder)
    with torch.no_grad():
        other.audio_projection.weight.mul_(2)
    other.save(tmp_path / "other")
    with pytest.raises(InputError, match="was begun with model"):
        embedded(tmp_path / "other", manifest, tmp_path / "w", Processes())
    with pytest.raises(InputError, match="none of 2 tracks could be embedded"):
        embedded(folder, manifest.select(["t2", "t6"]), tmp_path / "x", Processes())


@pytest.mark.slow
def test_the_bits_do_not_depend_on_the_engine(
    folder: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    one = embedded(folder, manifest, tmp_path / "w", Processes())
    same_bits(one, embedded(folder, manifest, tmp_path / "w", Processes(2)))
    same_bits(one, embedded(folder, manifest, tmp_path / "w", Ray(2)))
    interrupted(monkeypatch, folder, manifest, tmp_path / "v")
    same_bits(one, embedded(folder, manifest, tmp_path / "v", Ray(2)))

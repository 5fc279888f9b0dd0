from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from tiny import TINY, Trained

import crossmodal
from crossmodal.audio.frontends.presets import PRESETS
from crossmodal.encoders.text.mini_transformer import MiniTransformer
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder, sounding
from crossmodal.types import Batch

RATE = TINY["audio_encoder"]["frontend"]["sample_rate"]
OUTSIDE = '''
import pathlib
pathlib.Path(__file__).with_name("executed").touch()
from crossmodal.encoders.audio.mel_cnn import MelCNN


class Mine(MelCNN):
    """An outside encoder of the family."""


class Other:
    """Of no family."""

    def __init__(self, **settings):
        pathlib.Path(__file__).with_name("built").touch()
'''


@pytest.fixture(scope="module")
def model(trained: Trained) -> DualEncoder:
    return DualEncoder.load(trained.folder)


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the model, to be spoilt."""
    shutil.copytree(trained.folder / "model", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with code from outside the package, importable as `strange`; it leaves a file when it is executed."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "strange.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield tmp_path / "code"
    sys.modules.pop("strange", None)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixteen files of different lengths."""
    root = tmp_path_factory.mktemp("files")
    for number in range(16):
        soundfile.write(root / f"{number}.wav", noise(0.3 + 0.43 * number, number), RATE)
    return [root / f"{number}.wav" for number in range(16)]


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder: Path, match: str, trust: tuple[str, ...] = ()) -> None:
    with pytest.raises(InputError, match=match) as error:
        DualEncoder.load(folder, trust)
    assert "\n" not in str(error.value)


def test_a_file_gives_one_vector_alone_among_others_and_after_loading_again(
    model: DualEncoder, files: list[Path], trained: Trained, tmp_path: Path
) -> None:
    together = model.embed_audio(files)
    assert together.shape == (16, 16)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([model.embed_audio([path]) for path in files])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(model.embed_audio(files, batch_size=1), together, atol=1e-5)
    np.testing.assert_allclose(crossmodal.DualEncoder.load(trained.folder).embed_audio(files), together, atol=1e-5)
    model.save(tmp_path / "again")
    np.testing.assert_allclose(DualEncoder.load(tmp_path / "again").embed_audio(files[::-1])[::-1], together, atol=1e-5)


def test_a_text_gives_one_vector_alone_among_others_and_after_loading_again(
    model: DualEncoder, trained: Trained
) -> None:
    texts = ["a slow organ", "schnelle Harfe. " * 90, "🎻", "عود بطيء"]
    together = model.embed_text(texts)
    np.testing.assert_allclose(np.concatenate([model.embed_text([text]) for text in texts]), together, atol=1e-5)
    np.testing.assert_allclose(DualEncoder.load(trained.folder).embed_text(texts), together, atol=1e-5)
    np.testing.assert_allclose(model.embed_text(texts, batch_size=1), together, atol=1e-5)


@pytest.mark.parametrize(("length", "steps"), [(1, 1), (8, 1), (9, 2), (24, 4), (32, 5), (33, 6), (36, 6)])
def test_a_sequence_ends_with_its_clip(length: int, steps: int) -> None:
    """36 frames are 6 steps: one in every 6, of which at least 3 hold sound."""
    assert sounding(torch.tensor([[length, 36]]), 36, 6).tolist() == [[steps, 6]]


def test_the_steps_of_a_batch_are_those_of_its_lengths() -> None:
    made = DualEncoder(TINY["audio_encoder"], {"name": "none"}).eval()
    audio, lengths = torch.zeros(2, 3, 63, 16), torch.tensor([[63, 32, 1], [63, 63, 4]])
    batch = Batch(torch.arange(3), audio, lengths, {}, *[torch.zeros(0)] * 3)
    found = made(batch, sequence=True)
    assert found.sequence.shape == (2, 3, 16, 16)
    assert found.steps.tolist() == [[16, 8, 1], [16, 16, 1]]
    assert made(batch).steps is None


def test_nothing_in_gives_nothing_out(model: DualEncoder) -> None:
    assert model.embed_audio([]).shape == model.embed_text([]).shape == (0, 16)


def bounds(model: DualEncoder, sound: np.ndarray) -> tuple[list[float], list[float]]:
    frames = model.audio_encoder.frontend(torch.from_numpy(sound)[None]).numpy()
    (track,) = model.embed_features([frames])
    return track.bounds[:, 0].round(2).tolist(), track.weights.tolist()


def test_exact_multiples_of_the_window_have_no_extra_segment(trained: Trained) -> None:
    settings = {key: TINY[key] for key in ("audio_encoder", "text_encoder", "dim")}
    for window_s in (0.5, 1.0, 4.0):  # 31.25, 62.5 and 250 frames
        model = DualEncoder(**settings, window_s=window_s)
        for count in (1, 2, 3, 5):
            starts, weights = bounds(model, noise(count * window_s))
            assert len(starts) == count, (window_s, count)
            assert min(weights) > 0.8


def test_every_second_counts_once(model: DualEncoder) -> None:
    starts, weights = bounds(model, noise(2.5))
    assert len(starts) == 3
    assert weights[:2] == [1.0, 1.0]
    assert weights[2] == pytest.approx(0.5, abs=0.05)
    rate = model.audio_encoder.frontend.frame_rate
    assert sum(weights) * model.window / rate == pytest.approx(2.5, abs=1.5 / rate)


@pytest.mark.parametrize("at", [0.2, 1.4, 2.3, 2.45])
def test_an_event_anywhere_changes_the_vector(model: DualEncoder, tmp_path: Path, at: float) -> None:
    sound = 0.01 * noise(2.5)
    soundfile.write(tmp_path / "without.wav", sound, RATE)
    sound[round(at * RATE) : round((at + 0.04) * RATE)] += 0.9
    soundfile.write(tmp_path / "with.wav", sound, RATE)
    without, event = model.embed_audio([tmp_path / "without.wav", tmp_path / "with.wav"])
    assert np.abs(without - event).max() > 1e-4


def test_embedding_leaves_training_mode_and_gradients_as_they_were(trained: Trained, files: list[Path]) -> None:
    model = DualEncoder.load(trained.folder).train()
    vectors = model.embed_features(torch.zeros(2, 100, 16).numpy())
    next(vectors)
    assert not torch.is_inference_mode_enabled()
    vectors.close()
    model.embed_audio(files[:1])
    assert model.training
    with pytest.raises(InputError, match="text 1 is empty"):
        model.embed_text(["words", "  \n"])
    assert model.training


def test_the_fingerprint_names_settings_and_weights(model: DualEncoder, folder: Path) -> None:
    again = DualEncoder.load(folder)
    assert again.fingerprint == model.fingerprint
    with torch.no_grad():
        again.audio_projection.bias[0] += 1e-3
    assert again.fingerprint != model.fingerprint


def test_a_saved_model_replaces_the_one_before(model: DualEncoder, folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    model.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "text_encoder"]
    assert DualEncoder.load(folder).fingerprint == model.fingerprint


def test_changed_weights_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_projection.weight"][0, 0] += 0.5
    save_file(weights, folder / "model.safetensors")
    refused(folder, "holds other weights, another tokenizer or front end than config")


def test_a_preset_that_has_changed_since_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"name": "mel_cnn", "channels": [4, 4, 4, 4], "dim": 8, "frontend": "deezer"}
    DualEncoder(small, {"name": "none"}).save(tmp_path / "model")
    assert DualEncoder.load(tmp_path / "model").audio_encoder.frontend.settings["f_max"] == 11025.0
    monkeypatch.setitem(PRESETS, "deezer", PRESETS["deezer"] | {"f_max": 11024.0})
    refused(tmp_path / "model", "tokenizer or front end than config")


def test_the_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    other = MiniTransformer(vocabulary=400, dim=16, layers=1, heads=2)
    other.fit(["other words than the orchestra's", "and not many"])
    other.save(folder / "text_encoder")
    refused(folder, "other weights")


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "text_projection.weight": torch.zeros(8, 16)}, folder / "model.safetensors")
    refused(folder, r"model\.safetensors is of another model: .*text_projection")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors")
    refused(folder, r"model\.safetensors is of another model: .*text_projection")


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_truncated_weights_are_refused(folder: Path, size: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    refused(folder, r"model\.safetensors cannot be read")


def test_weights_that_are_a_pickle_are_refused(folder: Path) -> None:
    torch.save({"text_projection.weight": torch.zeros(1)}, folder / "model.safetensors")
    refused(folder, r"model\.safetensors cannot be read")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "text_encoder/tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, Path(name).name)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 99}', "null", "\x00"])
def test_a_config_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    refused(folder, r"config\.json")


def test_a_tokenizer_that_is_none_is_refused(folder: Path) -> None:
    (folder / "text_encoder" / "tokenizer.json").write_text('{"model": 3}')
    refused(folder, r"tokenizer\.json is no tokenizer")


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda c: c.update(dim="16"), "dim is '16'"),
        (lambda c: c.update(audio_encoder=None), "audio_encoder is None"),
        (lambda c: c["audio_encoder"].pop("name"), "audio_encoder lacks the name"),
        (lambda c: c["text_encoder"].pop("name"), "text_encoder lacks the name"),
        (lambda c: c["text_encoder"].update(name="lstm"), "has no 'lstm'"),
        (lambda c: c["text_encoder"].update(width=3), "no setting 'width'"),
        (lambda c: c["audio_encoder"]["frontend"].update(hopp=3), "no setting 'hopp'"),
        (lambda c: c.update(window_s=2.0), "holds other weights"),
    ],
)
def test_a_changed_config_is_refused(folder: Path, edit: Callable[[dict[str, Any]], Any], match: str) -> None:
    change(folder, edit)
    refused(folder, match)


def test_an_outside_class_is_neither_imported_nor_run_unless_it_is_trusted(folder: Path, outside: Path) -> None:
    change(folder, lambda config: config["audio_encoder"].update(name="strange:Mine"))
    refused(folder, r'strange:Mine is code from outside the package; pass trust=\["strange:Mine"\]')
    refused(folder, "strange:Mine is code from outside", trust=("strange:Other",))
    assert "strange" not in sys.modules
    assert not (outside / "executed").exists()
    change(folder, lambda config: config["text_encoder"].update(name="strange:Mine"))
    refused(folder, "strange:Mine is code from outside")
    assert not (outside / "executed").exists()


def test_a_trusted_class_must_be_of_the_family(folder: Path, outside: Path) -> None:
    change(folder, lambda config: config["audio_encoder"].update(name="strange:Other"))
    refused(folder, "strange:Other is not a class that inherits from crossmodal.types.AudioEncoder", ("strange:Other",))
    assert not (outside / "built").exists()
    change(folder, lambda config: config["audio_encoder"].update(name="os:system"))
    refused(folder, "os:system is not a class", ("os:system",))


def test_a_trusted_class_of_the_family_is_loaded(trained: Trained, outside: Path, tmp_path: Path) -> None:
    block = {**TINY["audio_encoder"], "name": "strange:Mine"}
    model = DualEncoder(block, TINY["text_encoder"], TINY["dim"], TINY["window_s"])
    model.text_encoder.fit(["a few words"])
    model.save(tmp_path / "saved")
    loaded = DualEncoder.load(tmp_path / "saved", trust=["strange:Mine"])
    assert type(loaded.audio_encoder).__name__ == "Mine"
    assert loaded.fingerprint == model.fingerprint

"""Decoding: what good files give, and what is said of bad ones."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
import torch

from crossmodal.audio import decode as module
from crossmodal.audio.decode import AudioError, blocks, decode, features_of, probe
from crossmodal.audio.frontends import LogMel

RATE = 16_000


def tone(seconds: float, rate: int = RATE, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * (hz * (c + 1)) * times) for c in range(channels)], 1).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **how: str) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.opus"])
def test_formats(tmp_path, name):
    how = {"format": "OGG", "subtype": "OPUS"} if name.endswith("opus") else {}
    samples = tone(2.0)
    found = decode(write(tmp_path / name, samples, **how), RATE)
    assert found.shape == (1, len(samples))
    assert found.dtype == np.float32
    middle = slice(4000, 28_000)
    error = np.abs(found[0, middle] - samples[middle, 0]).max()
    assert error < (1e-4 if name in ("a.wav", "a.flac") else 0.05)


def test_resampling_and_mixing_equal_the_plain_way(tmp_path, monkeypatch):
    samples = tone(1.3, 44_100, channels=2)
    path = write(tmp_path / "a.wav", samples, 44_100, subtype="FLOAT")
    whole = soxr.resample(samples.mean(1), 44_100, 22_050)
    monkeypatch.setattr(module, "BLOCK", 5000)
    found = decode(path, 22_050)[0]
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, atol=1e-6)
    stereo = decode(path, 44_100, channels=2)
    np.testing.assert_array_equal(stereo, samples.T)


def test_mono_as_stereo_is_the_same_twice(tmp_path):
    found = decode(write(tmp_path / "a.wav", tone(0.5)), RATE, channels=2)
    assert found.shape == (2, 8000)
    np.testing.assert_array_equal(found[0], found[1])


def test_probe(tmp_path):
    info = probe(write(tmp_path / "a.flac", tone(1.5, 44_100, 2), 44_100))
    assert (info.duration, info.sample_rate, info.channels, info.frames) == (1.5, 44_100, 2, 66_150)


def test_a_stretch_is_the_slice_and_may_be_silent_or_past_the_end(tmp_path):
    samples = np.concatenate([np.zeros((RATE, 1), np.float32), tone(1.0)])
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    np.testing.assert_array_equal(decode(path, RATE, start_s=0.5, stop_s=1.5)[0], samples[8000:24_000, 0])
    assert not decode(path, RATE, stop_s=0.5).any()
    assert decode(path, RATE, start_s=9.0, stop_s=10.0).shape == (1, 0)


def test_a_stretch_of_an_mp3_is_the_slice(tmp_path):
    path = write(tmp_path / "a.mp3", tone(4.0))
    whole = decode(path, RATE)[0]
    np.testing.assert_allclose(decode(path, RATE, start_s=2.0, stop_s=3.0)[0], whole[32_000:48_000], atol=1e-3)


def corrupt(folder: Path, case: str) -> Path:
    what, _, suffix = case.rpartition(" ")
    path, samples = folder / f"bad.{suffix}", tone(10.0)
    samples += np.random.default_rng(0).standard_normal(samples.shape).astype(np.float32) * 0.1
    spoiled = {"nan": np.nan, "infinite": np.inf}
    lengths = {"empty": 0, "short": 800}
    if what == "text":
        path.write_text("not music " * 500)
    elif what == "zero-byte":
        path.touch()
    elif what in spoiled:
        samples[20_000] = spoiled[what]
        write(path, samples, subtype="FLOAT")
    elif what != "missing":
        write(path, samples[: lengths.get(what, len(samples))] * (what != "silent"))
    if what == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    if what.startswith("rate"):
        content = bytearray(path.read_bytes())
        content[24:28] = int(what.split()[1]).to_bytes(4, "little")
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("missing wav", "there is no such file"),
        ("zero-byte wav", "is empty"),
        ("empty wav", "holds no samples"),
        ("text mp3", "is not audio"),
        ("silent wav", "is silent"),
        ("short wav", "lasts 0.050 s; at least 0.1 s"),
        ("nan wav", "holds NaN or infinite values"),
        ("infinite wav", "holds NaN or infinite values"),
        ("truncated wav", "truncated: it declares 320000 bytes of samples and holds"),
        ("truncated flac", "truncated"),
        ("truncated ogg", "truncated"),
        ("truncated mp3", "truncated: it declares 160000 frames and holds"),
        ("rate 7 wav", "7 Hz; valid is 4000 to 384000 Hz"),
        ("rate 900000 wav", "900000 Hz; valid is 4000 to 384000 Hz"),
        ("rate 0 wav", "header is broken"),
    ],
)
def test_bad_files_are_told_by_name_and_reason(tmp_path, case, reason):
    path = corrupt(tmp_path, case)
    with pytest.raises(AudioError) as caught:
        decode(path, RATE)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


def test_a_streamed_wav_declares_more_than_it_can_hold_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav", tone(1.0))
    content = bytearray(path.read_bytes())
    content[40:44] = content[4:8] = b"\xff\xff\xff\xff"  # what ffmpeg writes into a pipe
    path.write_bytes(content)
    assert decode(path, RATE).shape == (1, RATE)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(AudioError, match="is not a file"):
        probe(tmp_path)


def test_error_survives_pickling(tmp_path):
    error = AudioError(tmp_path / "a: b.wav", "is silent")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.reason) == (str(error), "is silent")


def test_m4a_without_torchcodec_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(AudioError, match=r'pip install "crossmodal\[decode\]"'):
        decode(path, RATE)


class FakeDecoder:
    """What torchcodec's decoder promises: channels first, and a stretch by its seconds."""

    samples = torch.from_numpy(tone(1.0, channels=2).T.copy())
    metadata = SimpleNamespace(sample_rate=RATE, num_channels=2, duration_seconds=1.0)

    def __init__(self, path: str) -> None:
        assert isinstance(path, str)

    def get_samples_played_in_range(self, start: float, stop: float) -> SimpleNamespace:
        return SimpleNamespace(data=self.samples[:, round(start * RATE) : round(stop * RATE)])


def test_m4a_by_torchcodec(tmp_path, monkeypatch):
    fake = ModuleType("torchcodec.decoders")
    fake.AudioDecoder = FakeDecoder
    monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", fake)
    monkeypatch.setattr(module, "BLOCK", 3000)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    np.testing.assert_array_equal(decode(path, RATE, channels=2), FakeDecoder.samples.numpy())
    found = decode(path, RATE, start_s=0.25, stop_s=0.5)[0]
    np.testing.assert_allclose(found, FakeDecoder.samples[:, 4000:8000].mean(0), atol=1e-6)


def test_two_hours_come_in_small_blocks(tmp_path):
    path, rate, minute = tmp_path / "long.wav", 4000, tone(60.0, 4000)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for number in range(120):
            file.write(minute * (0.01 if number < 119 else 1.0))
    frontend = LogMel(rate, n_fft=1024, hop=1000, bands=16)
    assert max(block.nbytes for block in blocks(path, rate)) <= module.BLOCK * 4
    found = features_of(path, frontend)
    assert found.shape == (frontend.frames(7200 * rate), 16)
    np.testing.assert_allclose(found[-100:-50].max() - found[100:150].max(), 40.0, atol=0.2)  # 0.01 is -40 dB

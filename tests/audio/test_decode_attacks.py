"""Files that are made to harm: each is refused in one line, or bounded in time and memory, and nothing hangs."""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from crossmodal.audio import decode as module
from crossmodal.audio.decode import AudioError, blocks, decode, features_of, probe
from crossmodal.audio.frontends import LogMel
from crossmodal.cli.shared import say
from crossmodal.errors import InputError
from crossmodal.files import Skipped, read_skipped, write_skipped

RATE = 8_000
TONE = (0.5 * np.sin(np.arange(RATE) / 5)).astype(np.float32)


def wav(samples: NDArray[np.float32] = TONE, rate: int = RATE, channels: int = 1, size: int | None = None) -> bytes:
    """Float samples under any header."""
    data = samples.astype("<f4").tobytes()
    size = len(data) if size is None else size
    form = struct.pack("<IHHIIHH", 16, 3, channels, rate, rate * channels * 4 % 2**32, channels * 4 % 2**16, 32)
    head = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + form
    return head + b"data" + struct.pack("<I", size) + data


def refused(path: Path, reason: str) -> None:
    """By both, in one line, without so much as a MB of memory."""
    for function in (probe, lambda found: decode(found, RATE)):
        with pytest.raises(AudioError, match=reason) as raised:
            function(path)
        assert "\n" not in str(raised.value)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("0 Hz.wav", wav(rate=0), "header is broken"),
        ("2 GHz.wav", wav(rate=2**31), "header is broken"),
        ("1 MHz.wav", wav(rate=10**6), "1000000 Hz; valid is 4000 to 384000"),
        ("channels.wav", wav(channels=65_535), "header is broken"),
        ("1000 channels.wav", wav(np.tile(TONE, 1000), channels=1000), "1000 channels; valid is 1 to 64"),
        ("zip.mp3", b"PK\x03\x04" + bytes(2000), "is not audio"),
        ("gzip.flac", gzip.compress(bytes(10**6)), "is not audio"),
        ("xml.ogg", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "is not"),
        ("html.wav", b"<!doctype html><script>alert(1)</script>" * 50, "is not audio"),
        ("raw.raw", wav(), "is raw, without a header"),
        ("m3u.mp3", b"#EXTM3U\nfile:///etc/passwd\nhttp://localhost/x.mp3\n", "is not audio"),
    ],
)
def test_what_is_no_sound_or_cannot_be_is_refused_by_its_header(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    refused(write(tmp_path / name, data), reason)


def test_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.mp3", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(5_000_000))
    tracemalloc.start()
    refused(tmp_path / "bomb.mp3", "is not audio")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("size", [2**32 - 1, 3 * 2**30])
def test_a_wav_that_declares_gigabytes_gives_what_it_holds(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a.wav", wav(size=size))
    assert probe(path).frames == RATE
    np.testing.assert_array_equal(decode(path, RATE)[0], TONE)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((np.nan,), "NaN"),
        ((np.inf, -np.inf), "NaN or inf"),
        ((3e38, 3e38), "NaN or inf"),
        ((1e30,), "1e.30 times full"),
    ],
)
def test_values_that_are_no_sound_are_refused(tmp_path: Path, values: tuple[float, ...], reason: str) -> None:
    samples = np.tile(np.array(values, np.float32), RATE)
    path = write(tmp_path / "a.wav", wav(samples, channels=len(values)))
    with pytest.raises(AudioError, match=reason):
        decode(path, RATE)


def flac(path: Path, frames: int | None) -> Path:
    """A second of noise whose header says that there are so many frames; None: that it is not known."""
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    data = bytearray(path.read_bytes())
    declared = frames or 0
    data[21] = data[21] & 0xF0 | declared >> 32
    data[22:26] = struct.pack(">I", declared % 2**32)
    return write(path, bytes(data))


def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path: Path) -> None:
    refused(flac(tmp_path / "pipe.flac", None), "does not say how long it is")
    long = flac(tmp_path / "long.flac", 2**36 - 1)
    with pytest.raises(AudioError, match=r"has 8589935 s to be read; at most 21600 s are read at once"):
        decode(long, RATE)
    with pytest.raises(AudioError, match="truncated: it declares 68719476735 frames and holds 8000"):
        list(blocks(long, RATE))
    assert decode(flac(tmp_path / "less.flac", 1000), RATE).shape == (1, 1000)


@pytest.fixture(scope="module")
def ten_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zeros, as a sparse wav: what takes no place on the disk and 576 MB in memory."""
    path = tmp_path_factory.mktemp("long") / "ten hours.wav"
    frames = 10 * 3600 * 4000
    path.write_bytes(wav(np.zeros(0, np.float32), rate=4000, size=4 * frames))
    os.truncate(path, path.stat().st_size + 4 * frames)
    return path


def test_ten_hours_are_refused_before_anything_is_read(ten_hours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(module, "_checked", never)
    assert probe(ten_hours).duration == 36_000
    for refusing in (
        lambda: probe(ten_hours, longest_s=600),
        lambda: decode(ten_hours, 4000, longest_s=600),
        lambda: list(blocks(ten_hours, 4000, longest_s=600)),
        lambda: features_of(ten_hours, LogMel(4000), longest_s=600),
        lambda: decode(ten_hours, 4000, start_s=10, stop_s=610.5, longest_s=600),
    ):
        with pytest.raises(AudioError, match=r"has (36000|600) s to be read; at most 600 s are read at once"):
            refusing()
    with pytest.raises(AudioError, match=r"at most 21600 s are read at once"):
        decode(ten_hours, 4000)


def test_a_stretch_of_ten_hours_takes_no_more_than_its_own_memory(ten_hours: Path) -> None:
    tracemalloc.start()
    assert decode(ten_hours, 4000, start_s=35_000, stop_s=35_010, longest_s=10).shape == (1, 40_000)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("seconds", [30, pytest.param(3600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_a_decoder_bomb_is_refused_by_the_length_that_its_header_tells(
    tmp_path: Path, suffix: str, seconds: int
) -> None:
    path = tmp_path / f"bomb.{suffix}"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(seconds):  # libsndfile dies of an hour of ogg that is written at once
            file.write(np.zeros(8000, np.float32))
    with pytest.raises(AudioError, match=f"has {seconds} s to be read; at most {seconds - 1} s"):
        decode(path, 8000, longest_s=seconds - 1)
    tracemalloc.start()
    with pytest.raises(AudioError, match="is silent"):
        sum(block.shape[1] for block in blocks(path, 8000))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_many_channels_come_in_shorter_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", wav(np.repeat(TONE, 64), channels=64))
    monkeypatch.setattr(module, "BLOCK", 1600)
    found = list(blocks(path, RATE))
    assert {block.shape[1] for block in found} == {200}
    np.testing.assert_allclose(np.concatenate(found, axis=1)[0], TONE, atol=1e-6)


@pytest.mark.parametrize("times", [(-1.0, None), (float("nan"), None), (0.0, float("nan")), (0.0, -1.0)])
def test_times_that_are_none_are_refused(tmp_path: Path, times: tuple[float, float | None]) -> None:
    path = write(tmp_path / "a.wav", wav())
    with pytest.raises(InputError, match="a stretch begins and ends at 0 s or later"):
        decode(path, RATE, 1, *times)
    assert decode(path, RATE, 1, float("inf")).shape == (1, 0)
    assert decode(path, RATE, 1, 0.0, float("inf")).shape == (1, RATE)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder in which files lie that may not be read; the tests may be root's, who may read all."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        if os.geteuid() != os.getuid():
            os.seteuid(os.getuid())


def test_what_may_not_be_read_is_told_as_such(nobody: Path) -> None:
    path = write(nobody / "a.wav", wav())
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65_534)
    refused(path, "cannot be read: Permission denied")


def test_pipes_devices_folders_and_loops_are_no_files_and_nothing_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    for name in ("fifo.wav", "zero.wav", "folder.wav"):
        refused(tmp_path / name, "is not a file")
    (tmp_path / "a.wav").symlink_to("b.wav")
    (tmp_path / "b.wav").symlink_to("a.wav")
    refused(tmp_path / "a.wav", "Too many levels of symbolic links")
    (tmp_path / "gone.wav").symlink_to("nowhere")
    for missing in ("gone.wav", "zero byte\0.wav", "fifo.wav/a.wav"):
        refused(tmp_path / missing, "there is no such file")
    refused(tmp_path / ("a" * 300), "cannot be read: File name too long")


def test_a_file_called_as_standard_input_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(wav())
    assert decode("-", RATE).shape == (1, RATE)


def test_names_need_not_be_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.wav")
    path.write_bytes(wav())
    np.testing.assert_array_equal(decode(path, RATE)[0], TONE)
    write(path, b"x")
    refused(path, "is not audio")
    say(f"{path.name}: told")
    assert capsys.readouterr().out == "caf\\udce9 \\udcff.wav: told\n"
    write_skipped(tmp_path / "skipped.csv", [Skipped("a", path.name, "is not audio")])
    assert read_skipped(tmp_path / "skipped.csv") == (Skipped("a", "caf\\udce9 \\udcff.wav", "is not audio"),)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_cut_anywhere_is_refused_or_what_is_left_of_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, TONE, RATE)
    whole = path.read_bytes()
    samples = decode(path, RATE).shape[1]
    told = []
    for size in np.unique(np.geomspace(1, len(whole) - 1, 25).astype(int)):
        write(path, whole[:size])
        try:
            assert decode(path, RATE).shape[1] <= samples
        except AudioError as error:
            told.append(str(error))
    assert len(told) > 15
    assert not any("\n" in line for line in told)

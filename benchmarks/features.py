"""How fast audio becomes features, against decoding alone and against librosa, in one run.

    python benchmarks/features.py [repetitions]

A 30 s stereo mp3 at 44.1 kHz, made here, becomes log-mel features at 22,050 Hz, n_fft 1024, hop 256, 128 bands, all
on one core. The three ways take turns, so that what else the machine does falls on all of them; ratios are medians over
the turns. Then: what the front ends cost beside each other, how extraction scales over processes, and what memory it
takes for few files and for many.
Needs ``pip install "crossmodal[bench]"``.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soundfile
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal.audio.decode import features_of
from crossmodal.audio.frontends import PRESETS, LogMel, build
from crossmodal.data.engine import Processes
from crossmodal.data.extraction import extract
from crossmodal.data.manifest import Manifest

SETTINGS = {"sample_rate": 22_050, "n_fft": 1024, "hop": 256, "bands": 128, "f_min": 0.0, "norm": "slaney"}


def music(seconds: float, rate: int = 44_100, seed: int = 0) -> np.ndarray:
    """Stereo samples ``(samples, 2)``: a chord of eight partials every half second, and noise as of a drum."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * rate)) / rate
    decay = np.exp(-6 * (times % 0.5))[:, None]
    beats = np.floor(times / 0.5).astype(int)
    out = rng.standard_normal((len(times), 2)) * 0.1 * decay**4
    for _ in range(4):
        notes = (55 * 2 ** (rng.integers(0, 48, beats.max() + 1) / 12))[beats]
        phase = 2 * np.pi * np.cumsum(notes) / rate
        for partial in range(1, 9):
            out += (np.sin(partial * phase) / partial * 0.1)[:, None] * decay * rng.uniform(0.3, 1, 2)
    return (out / np.abs(out).max() * 0.9).astype(np.float32)


def by_librosa(path: Path) -> np.ndarray:
    samples, rate = librosa.load(path, sr=22_050, mono=True)
    power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=1024, hop_length=256, n_mels=128)
    return librosa.power_to_db(power, top_db=None).T


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def one_core(path: Path, repetitions: int) -> None:
    """Decoding alone, ours and librosa's, in turns on one core."""
    print(f"mp3 of {path.stat().st_size * 8 / 30_000:.0f} kbit/s")
    frontend = LogMel(**SETTINGS)
    ways = (
        lambda: soundfile.read(path, dtype="float32", always_2d=True),
        lambda: features_of(path, frontend),
        lambda: by_librosa(path),
    )
    for way in ways:
        way()
    times = np.array([[seconds_of(way) for way in ways] for _ in range(repetitions)])
    decode, ours, theirs = np.median(times, axis=0) * 1e3
    print(f"decode {decode:.1f} ms, decode + log-mel {ours:.1f} ms, librosa {theirs:.1f} ms ({repetitions} turns)")
    print(f"speed against decoding alone: {np.median(times[:, 0] / times[:, 1]):.2f} (at least 0.65)")
    print(f"speed against librosa:        {np.median(times[:, 2] / times[:, 1]):.2f} (at least 1.5)")
    mine, other = features_of(path, frontend), by_librosa(path)
    difference = np.abs(mine - other).max() / np.ptp(other)
    print(f"largest difference: {difference:.1e} of the range (at most 1e-3)")


def front_ends(repetitions: int, seconds: int = 30) -> None:
    """Milliseconds of one core for a second of samples, without decoding: each front end, and librosa's constant-Q."""
    sound = music(seconds).T.copy()  # what its rate is does not matter here
    built = {name: build(name) for name in ("log_mel", *PRESETS, "cqt")}
    ways = {
        name: lambda f=frontend: list(f.stream([sound[: f.channels, : seconds * f.sample_rate]]))
        for name, frontend in built.items()
    }
    mono = sound[0, : seconds * 16_000]
    bands = {"fmin": 55.0, "n_bins": built["cqt"].bands, "bins_per_octave": 60}
    ways["cqt of librosa"] = lambda: librosa.cqt(mono, sr=16_000, hop_length=512, **bands)
    for way in ways.values():
        way()
    times = np.array([[seconds_of(way) for way in ways.values()] for _ in range(repetitions)])
    for name, spent in zip(ways, np.median(times, axis=0) * 1e3 / seconds, strict=True):
        print(f"{name}: {spent:.2f} ms for a second of samples")
    print(f"cqt against log_mel: {np.median(times[:, -2] / times[:, 0]):.0f} times")


def corpus(folder: Path, files: int, seconds: float, suffix: str, distinct: int = 50) -> Manifest:
    """``files`` files, of which the first ``distinct`` are encoded and the others are links to them."""
    folder.mkdir()
    names = [f"{number:04}.{suffix}" for number in range(files)]
    for number, name in enumerate(names[:distinct]):
        soundfile.write(folder / name, music(seconds, seed=number), 44_100)
    for number, name in enumerate(names[distinct:]):
        os.link(folder / names[number % distinct], folder / name)
    return Manifest.build(pd.DataFrame({"track_id": names, "path": names}), root=folder)


def scaling(folder: Path, files: int = 400) -> None:
    """Seconds to extract by 1, 2 and 4 processes, without the seconds they take to start."""
    whole = corpus(folder / "scaling", files, 30, "mp3")
    few = whole.select(whole.tracks["track_id"].head(1))
    base = 0.0
    for workers in (1, 2, 4):
        if workers > len(os.sched_getaffinity(0)):
            break
        begun = seconds_of(lambda n=workers: extract(few, LogMel(**SETTINGS), folder / f"few{n}.h5", Processes(n)))
        spent = (
            seconds_of(lambda n=workers: extract(whole, LogMel(**SETTINGS), folder / f"all{n}.h5", Processes(n)))
            - begun
        )
        base = base or spent
        print(f"{workers} worker(s): {spent:.2f} s for {files} files, {base / spent:.2f} times one")


def peak(manifest: Manifest, out: Path) -> None:
    extract(manifest, LogMel(**SETTINGS), out)
    # not getrusage, which begins with the peak of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    print(f"peak memory, {len(manifest)} files:", next(line.split(":")[1].strip() for line in lines if "VmHWM" in line))


def memory(folder: Path) -> None:
    """Peak memory of a process that extracts few files, and of one that extracts many."""
    for files in (50, 400):
        manifest = corpus(folder / str(files), files, 2, "ogg")
        process = multiprocessing.get_context("spawn").Process(target=peak, args=(manifest, folder / f"{files}.h5"))
        process.start()
        process.join()


def main(repetitions: int = 25) -> None:
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, level in (("high.mp3", 0.0), ("low.mp3", 0.7)):
            soundfile.write(folder / name, music(30), 44_100, bitrate_mode="CONSTANT", compression_level=level)
        os.sched_setaffinity(0, {max(cores)})
        torch.set_num_threads(1)
        one_core(folder / "high.mp3", repetitions)  # as in most collections of music
        one_core(folder / "low.mp3", repetitions)
        front_ends(repetitions)
        os.sched_setaffinity(0, cores)
        scaling(folder)
        memory(folder)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

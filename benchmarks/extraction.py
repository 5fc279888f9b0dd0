"""How fast a folder of audio becomes a feature store, against the librosa way, and how that grows with the cores.

    python benchmarks/extraction.py [FOLDER] [repetitions]

Every audio file below FOLDER, or 400 made here, becomes mono log-mel features at 22,050 Hz, n_fft 1024, hop 256, 128
bands in 16 bits. The librosa way is `librosa.load`, `melspectrogram`, `power_to_db` and a file a track, in as many
processes with one thread each. The ways take turns, all processes are started before the clock, and ratios are medians
over the turns. Then the merge, against ``cp`` of the same bytes; and the most memory that a worker took.
Needs ``pip install "crossmodal[bench]"``.
"""

from __future__ import annotations

import multiprocessing
import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of every process here, before they load

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from features import SETTINGS, corpus

from crossmodal.audio import SUFFIXES
from crossmodal.audio.frontends import LogMel, described
from crossmodal.data import engine
from crossmodal.data.extraction import Features
from crossmodal.data.manifest import Manifest
from crossmodal.data.merging import merge
from crossmodal.data.work import Writer
from crossmodal.files import remove

WORK = Features(described(LogMel(**SETTINGS)))


def folder_of(path: Path) -> Manifest:
    """All audio below a folder, mixed, so that long files do not lie together."""
    paths = sorted(str(p) for p in path.resolve().rglob("*") if p.suffix.lower() in SUFFIXES)
    mixed = [paths[n] for n in np.random.default_rng(0).permutation(len(paths))]
    return Manifest.build(pd.DataFrame({"track_id": mixed, "path": mixed}), root=path)


def by_librosa(job: tuple[str, Path]) -> None:
    """One file the librosa way."""
    path, out = job
    samples, rate = librosa.load(path, sr=22_050, mono=True)
    power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=1024, hop_length=256, n_mels=128, fmin=0.0)
    np.save(out, librosa.power_to_db(power, top_db=None).astype(np.float16))


def theirs(manifest: Manifest, folder: Path, workers: int) -> float:
    """Seconds of the librosa way, its processes warm before the clock starts; as many threads as processes."""
    folder.mkdir()
    jobs = [(path, folder / f"{number}.npy") for number, path in enumerate(manifest.paths())]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool:
        list(pool.map(by_librosa, jobs[: 4 * workers]))
        begun = time.perf_counter()
        list(pool.map(by_librosa, jobs, chunksize=8))
        spent = time.perf_counter() - begun
    remove(folder)
    return spent


def ours(manifest: Manifest, folder: Path, workers: int) -> float:
    """Seconds of ours, without those that the processes take to start, which a first few tracks tell."""
    few = manifest.head(workers)
    begun = time.perf_counter()
    with engine.run(few, WORK, folder / "few", engine.Processes(workers)):
        started = time.perf_counter() - begun
    begun = time.perf_counter()
    with engine.run(manifest, WORK, folder / "all", engine.Processes(workers)) as results:
        spent = time.perf_counter() - begun - started
        assert len(results.tracks) == len(manifest), results.skipped[:3]
    remove(folder)
    return spent


def extraction(manifest: Manifest, folder: Path, turns: int) -> None:
    """Both ways on one core and on all, and what we gain by the cores."""
    cores = len(os.sched_getaffinity(0))
    found: dict[int, list[tuple[float, float]]] = {1: [], cores: []}
    for turn in range(turns):
        for workers, spent in found.items():
            spent.append((ours(manifest, folder / "ours", workers), theirs(manifest, folder / "theirs", workers)))
            mine, other = spent[-1]
            print(f"turn {turn + 1}, {workers} worker(s): {mine:.1f} s, librosa {other:.1f} s", flush=True)
    for workers, spent in found.items():
        times = np.array(spent)
        speed = len(manifest) / np.median(times[:, 0])
        ratio = np.median(times[:, 1] / times[:, 0])
        print(f"{workers} worker(s): {speed:.0f} files/s, {ratio:.2f} times librosa (at least 1.5)")
    gain, bound = (
        np.median([one[way] / all_[way] for one, all_ in zip(*found.values(), strict=True)]) for way in (0, 1)
    )
    print(f"{cores} workers: {gain / cores:.2f} of perfect scaling (at least 0.85); librosa {bound / cores:.2f}")


def alone(manifest: Manifest, folder: Path, files: int) -> None:
    """What one worker does, and the most memory it took."""
    torch.set_num_threads(1)
    folder.mkdir()
    writer = Writer(folder, WORK)
    for job in engine._jobs(manifest.head(files)):
        writer(job)
    # not getrusage, which begins with the peak of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    print(
        f"peak memory of a worker, {files} files:",
        next(line.split(":")[1].strip() for line in lines if "VmHWM" in line),
    )


def memory(manifest: Manifest, folder: Path) -> None:
    """Peak memory of a worker after few files, and after many."""
    for files in (50, len(manifest)):
        given = (manifest, folder / f"memory{files}", files)
        process = multiprocessing.get_context("spawn").Process(target=alone, args=given)
        process.start()
        process.join()


def merging(manifest: Manifest, folder: Path, turns: int) -> None:
    """The merge, against cp of the store that it makes, in turns; both read what is in the page cache."""
    spent = []
    with engine.run(manifest, WORK, folder / "shards", engine.Processes(len(os.sched_getaffinity(0)))) as results:
        for _ in range(turns):
            begun = time.perf_counter()
            merge(results, folder / "store.h5")
            merged = time.perf_counter() - begun
            begun = time.perf_counter()
            subprocess.run(["cp", folder / "store.h5", folder / "copy.h5"], check=True)
            spent.append((merged, time.perf_counter() - begun))
            size = (folder / "store.h5").stat().st_size
            remove(folder / "store.h5")
            remove(folder / "copy.h5")
    times = np.array(spent)
    speed, ratio = size / np.median(times[:, 0]) / 1e6, np.median(times[:, 1] / times[:, 0])
    print(f"merge of {size / 1e6:.0f} MB: {speed:.0f} MB/s, {ratio:.2f} of the speed of cp")


def main(folder: str = "", turns: int = 3) -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        manifest = folder_of(Path(folder)) if folder else corpus(work / "music", 400, 10, "ogg")
        print(f"{len(manifest)} files of {folder or 'synthetic music'}")
        extraction(manifest, work, turns)
        memory(manifest, work)
        merging(manifest, work, turns)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))

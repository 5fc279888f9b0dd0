"""What a million tracks cost beside their frames: memory and seconds of merging and opening, and the bytes of it all.

    python benchmarks/million.py [TRACKS]

Shards and journals of TRACKS tracks are made here, of 8 frames of 16 bands each, since the frames are streamed and only
the tracks count; then they are merged and opened in processes of their own. The bytes of a catalogue are counted, not
measured: frames x channels x bands x bytes of a value.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal.audio.frontends import LogMel, described
from crossmodal.data.extraction import Features
from crossmodal.data.merging import merge
from crossmodal.data.store import FeatureStore
from crossmodal.data.work import Done, finished
from crossmodal.files import write_json, write_skipped

WORK = Features(described(LogMel(8000, 256, 128, 16)))
FRAMES, SHARDS = 8, 4
CATALOGUES = {"10 s, stereo, 128 bands": 880 * 2 * 128, "30 s, mono, 64 bands, 62.5 frames/s": 1876 * 64}


def name(number: int) -> str:
    return f"TR{number:016}"


def shards(folder: Path, tracks: int) -> None:
    """What extraction leaves of so many tracks."""
    rows = np.full((FRAMES, 16), -50, np.float16).tobytes()
    for shard in range(SHARDS):
        with (folder / f"{shard}.raw").open("wb") as raw, (folder / f"{shard}.jsonl").open("w") as journal:
            for place, number in enumerate(range(shard, tracks, SHARDS)):
                raw.write(rows)
                key = f"{name(number)}\t/music/{number}.mp3\t3000000\t1700000000000000000"
                journal.write(json.dumps(Done(key, name(number), f"{shard}.raw", place * FRAMES, FRAMES)) + "\n")
    write_json(folder / "work.json", WORK.identity)
    write_skipped(folder / "skipped.csv", [])


def told(what: str, begun: float) -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if "VmHWM" in line)
    print(f"{what}: {time.perf_counter() - begun:.1f} s, peak memory {peak / 1e6:.2f} GB", flush=True)


def merged(folder: Path, tracks: int) -> None:
    begun = time.perf_counter()
    merge(finished(folder, WORK, [name(number) for number in range(tracks)]), folder / "store.h5")
    told(f"merge of {tracks:,} tracks", begun)


def opened(folder: Path, tracks: int) -> None:
    begun = time.perf_counter()
    store = FeatureStore(folder / "store.h5")
    assert store.crop(name(tracks - 1), 0, 4).shape == (4, 16)
    told("opening the store", begun)


def main(tracks: int = 1_000_000) -> None:
    for what, values in CATALOGUES.items():
        print(f"{what}: {values * 2 * tracks / 1e9:.0f} GB in 16 bits, {values * 4 * tracks / 1e9:.0f} GB in 32")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shards(folder, tracks)
        for work in (merged, opened):
            process = multiprocessing.get_context("spawn").Process(target=work, args=(folder, tracks))
            process.start()
            process.join()
        beside = (folder / "store.h5").stat().st_size - tracks * FRAMES * 32
        print(f"beside the frames the store has {beside / tracks:.0f} bytes a track")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

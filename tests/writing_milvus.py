"""A writer of an index in Milvus that is killed: what it told to be done is done. Run as a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import writing

from crossmodal.search import open_index


def write(where: str, seed: int) -> None:
    """Change the index until killed; each change is told before it begins and once it is acknowledged."""
    index, rng = open_index(where), np.random.default_rng(seed)
    held = {track["track_id"]: track["year"] for track in index.tracks}
    for turn in range(1000 * (seed + 1), 1000 * (seed + 2)):
        if turn % 3 == 2:
            after = dict(sorted(held.items())[3:])
            names = sorted(held.keys() - after.keys())
        else:
            names = [f"{turn} {i}" for i in range(int(rng.integers(1, 100)))] + sorted(held)[: 3 * (turn % 3)]
            after = held | dict.fromkeys(names, turn)
        print(json.dumps(["begun", after]), flush=True)
        if turn % 3 == 2:
            index.delete(names)
        else:
            (index.add if turn % 3 == 0 else index.update)(*writing.tables(names, turn), "m")
        print(json.dumps(["done", after]), flush=True)
        held = after


def killed(where: Path, seed: int, delay_s: float) -> list[tuple[str, dict[str, int]]]:
    """Let a process of its own write, kill it so long after it began, and return what it told."""
    told = where.with_name("told.jsonl")
    with told.open("w", encoding="utf-8") as out:
        child = subprocess.Popen([sys.executable, __file__, str(where), str(seed)], stdout=out)
    deadline = time.monotonic() + 120
    while not told.stat().st_size:
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(delay_s)
    child.kill()
    child.wait()
    lines = told.read_text(encoding="utf-8").splitlines(keepends=True)
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))

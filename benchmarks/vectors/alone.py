"""What an engine costs in a process of its own: seconds to open it and to answer first, and what it keeps resident.

For search.py, which starts these processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engines import Engine, engines

from crossmodal.search import SearchIndex

TIMES = 3
ASKED, SECONDS = 500, 5.0  # queries whose pages count, as far as there is time


def files(path: Path) -> list[Path]:
    """What an engine has written."""
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def measured(folder: Path, engine: Engine, *, cold: bool) -> dict[str, float]:
    """The medians of what processes of their own tell; cold: nothing of the files is in memory before."""
    told = []
    for _ in range(TIMES):
        for file in files(engine.path(folder)) if cold else []:
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
                os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        command = [sys.executable, __file__, str(folder), engine.name]
        told.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {key: median(one[key] for one in told) for key in told[0]}


def alone(folder: Path, name: str) -> dict[str, float]:
    """Open an engine and ask it, at the effort that it was tuned to, or the least."""
    faiss.omp_set_num_threads(1)
    engine = next(engine for engine in engines([name.split()[-1]]) if engine.name == name)
    queries, before = np.load(folder / "queries.npy")[:ASKED], resident()
    began = time.perf_counter()
    opened, search = engine.open(engine.path(folder))
    done = time.perf_counter()
    effort: Any = opened.info["effort"] or None if isinstance(opened, SearchIndex) else engine.efforts(len(queries))[0]
    search(queries[:1], effort)
    first = time.perf_counter() - done
    for row in range(1, len(queries)):
        if time.perf_counter() - done < SECONDS:
            search(queries[row : row + 1], effort)
    after = resident()
    return {"open": done - began, "first": first, **{key: after[key] - before[key] for key in after}}


def resident() -> dict[str, float]:
    """Megabytes of this process: its own, the index, vectors and tables (looked up), libraries."""
    found, at = {"own": 0.0, "vectors": 0.0, "files": 0.0, "libraries": 0.0}, ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        word, *rest = line.split()
        if not word.endswith(":"):  # a mapping, and the file's name if it is one
            name = rest[4] if len(rest) > 4 and rest[4].startswith("/") else ""
            at = "vectors" if name.endswith((".npy", ".arrow")) else "files" if name else "own"
            at = "libraries" if ".so" in name or "/bin/" in name or "/locale/" in name else at
        elif word == "Rss:":
            found[at] += int(rest[0]) / 1024
    return found


if __name__ == "__main__" and sys.argv[1:]:
    print(json.dumps(alone(Path(sys.argv[1]), sys.argv[2])))

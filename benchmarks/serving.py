"""What serving costs beside the bare search: the same queries in this process and over HTTP, then 50 clients at once.

    python benchmarks/serving.py [RUN]

Without a run, a model that is not trained and an index of 2,000 tracks of random vectors are made. The server is
`crossmodal serve` in a process of its own; so are the 50 clients, who each ask again as soon as they have an answer.
The fastest tenth says what it costs where the machine is busy with other work.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

WORDS = [
    "slow",
    "fast",
    "sad",
    "happy",
    "cello",
    "violin",
    "organ",
    "drums",
    "guitar",
    "flute",
    "loud",
    "soft",
    "bright",
]
TURNS, CLIENTS, SECONDS = 300, 50, 15
HEAD = {"Content-Type": "application/json"}


def queries(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(count)]


def made(folder: Path) -> tuple[Path, Path]:
    """An index and a model that go together."""
    import pandas as pd
    import torch

    from crossmodal.model import DualEncoder
    from crossmodal.search import SearchIndex

    torch.manual_seed(0)
    model = DualEncoder({"name": "mel_cnn"}, {"name": "mini_transformer"}, 128)
    model.text_encoder.fit(queries(200, 1))
    model.save(folder / "model")
    rng = np.random.default_rng(0)
    ids = [f"track-{number}" for number in range(2000)]
    tracks = pd.DataFrame({"track_id": ids, "title": ids, "artist": "nobody", "year": 2000, "licence": "CC0-1.0"})
    spans = [(name, 10.0 * part, 10.0 * part + 10) for name in ids for part in range(10)]
    vectors = rng.normal(size=(len(spans), 128)).astype(np.float32)
    segments = pd.DataFrame(spans, columns=["track_id", "start", "end"])
    SearchIndex.build(folder / "index", vectors, segments, tracks, DualEncoder.load(folder / "model").fingerprint)
    return folder / "index", folder / "model"


def served(arguments: list[str]) -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    call = "import sys; from crossmodal.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", call, "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    address = process.stdout.readline().split()[0]
    return process, int(address.rpartition(":")[2])


def asked(connection: HTTPConnection, query: str) -> float:
    begun = time.perf_counter()
    connection.request("POST", "/api/search", json.dumps({"query": query, "k": 10}), HEAD)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return time.perf_counter() - begun


def one_client(port: int, arguments: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of each query over HTTP, and of the same in this process, by turns."""
    from crossmodal.asking import Wishes
    from crossmodal.queries import parse
    from crossmodal.serve.server import open_served

    model = Path(arguments[2]) if len(arguments) > 1 else None
    asker = open_served(Path(arguments[0]), model).catalogue.asker
    connection = HTTPConnection("127.0.0.1", port)
    over, bare = [], []
    for query in queries(TURNS, 2):
        over.append(asked(connection, query))
        begun = time.perf_counter()
        asker.ask(parse(query, files=False), Wishes(k=10))
        bare.append(time.perf_counter() - begun)
    connection.close()
    return over[20:], bare[20:]


async def client(port: int, texts: list[str], until: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took, wrong = [], 0
    while time.perf_counter() < until:
        body = json.dumps({"query": texts[len(took) % len(texts)], "k": 10}).encode()
        begun = time.perf_counter()
        writer.write(b"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        took.append(time.perf_counter() - begun)
        wrong += not head.startswith(b"HTTP/1.1 200")
    writer.close()
    return took, wrong


def crowd(port: int, out: Any) -> None:
    async def all_of_them() -> Any:
        until = time.perf_counter() + SECONDS
        return await asyncio.gather(*(client(port, queries(100, 10 + n), until) for n in range(CLIENTS)))

    out.put(asyncio.run(all_of_them()))


def told(name: str, seconds: list[float]) -> None:
    tenth, half, last = np.percentile(seconds, [10, 50, 99]) * 1e3
    shown = f"10 % {tenth:7.2f}   median {half:7.2f}   p99 {last:8.2f} ms"
    print(f"{name:32s} {shown}   {len(seconds):6d} queries", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = sys.argv[1:2]
        if not arguments:
            index, model = made(Path(folder))
            arguments = [str(index), "--model", str(model)]
        process, port = served(arguments)
        try:
            over, bare = one_client(port, arguments)
            told("embed and search, in process", bare)
            told("the same over HTTP, 1 client", over)
            less = np.percentile(over, [10, 50]) * 1e3 - np.percentile(bare, [10, 50]) * 1e3
            print(f"overhead: {less[1]:.2f} ms at the median, {less[0]:.2f} ms at the fastest tenth", flush=True)
            answers: Any = multiprocessing.Queue()
            clients = multiprocessing.Process(target=crowd, args=(port, answers))
            clients.start()
            found = answers.get()
            clients.join()
        finally:
            process.terminate()
            code = process.wait(30)
    took = [one for client_took, _ in found for one in client_took]
    told(f"over HTTP, {CLIENTS} clients at once", took)
    print(f"{len(took) / SECONDS:.0f} queries a second, {sum(wrong for _, wrong in found)} errors; exit code {code}")


if __name__ == "__main__":
    main()

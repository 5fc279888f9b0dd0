"""`crossmodal serve` as a program: what it refuses, what it says first, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from library import TOKEN, build
from tiny import Trained

from crossmodal.errors import InputError
from crossmodal.model import DualEncoder
from crossmodal.serve.guard import Token
from crossmodal.serve.server import open_served

ROOT = Path(__file__).resolve().parents[2]
CALL = "import sys; from crossmodal.cli import main; sys.exit(main(sys.argv[1:]))"


def test_what_is_refused(fail: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1, port {port}: Address already in use" in fail("serve", tmp_path, "--port", port)
    assert "--open-to-all to do without one" in fail("serve", tmp_path, "--host", "0.0.0.0")
    assert "is no address of this machine" in fail("serve", tmp_path, "--host", "no.such.host.invalid", "--open-to-all")
    assert "16 or more" in fail("serve", tmp_path, "--token", "short")
    assert "cannot be read" in fail("serve", tmp_path, "--token-file", tmp_path / "none")
    monkeypatch.setenv("CROSSMODAL_TOKEN", TOKEN)
    assert "given twice" in fail("serve", tmp_path, "--token-file", tmp_path)
    assert str(tmp_path) in fail("serve", tmp_path, "--port", 0)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert fail("serve", tmp_path) == 'serving needs uvicorn: pip install "crossmodal[serve]"'


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Token(TOKEN))
    for bad in ("", "a" * 15, "a b" * 9, "é" * 20, "a\n" * 9):
        with pytest.raises(InputError, match="16 or more"):
            Token(bad)


@pytest.mark.slow
def test_an_index_is_served_with_the_model_that_is_named(model: DualEncoder, files: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "index", model, files[:3])
    model.save(tmp_path / "model")
    assert len(open_served(tmp_path / "index", tmp_path / "model").catalogue.index) == 3
    with pytest.raises(InputError, match="name the run of its model with --model"):
        open_served(tmp_path / "index")
    with pytest.raises(InputError):
        open_served(tmp_path)


@contextmanager
def started(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The program, and the address that its first line tells."""
    command = [sys.executable, "-c", CALL, "serve", *map(str, arguments), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read()
        yield process, line.split()[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_is_served_until_it_is_told_to_end(trained: Trained) -> None:
    with started(trained.folder, CROSSMODAL_TOKEN=TOKEN) as (process, address):
        key = {"Authorization": f"Bearer {TOKEN}"}
        info = httpx2.get(f"{address}/api/info", headers=key).json()
        assert (info["name"], info["examples"]) == ("tiny", ["a bright organ"])
        found = httpx2.post(f"{address}/api/search", json={"query": "a bright organ"}, headers=key).json()
        assert len(found["hits"]) == 10
        assert httpx2.get(f"{address}/api/info").status_code == 401
        assert httpx2.get(f"{address}/api/info", headers={**key, "Host": "evil.example"}).status_code == 400
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_soon_while_it_works_and_while_someone_listens(trained: Trained, sign: signal.Signals) -> None:
    with started(trained.folder) as (process, address):
        port = int(address.rpartition(":")[2])
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        waiting[0].sendall(b"GET /api/map HTTP/1.1\r\nHost: localhost\r\n\r\n")
        waiting[1].sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.5)
        begun = time.monotonic()
        process.send_signal(sign)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - begun
        for connection in waiting:
            connection.close()
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert took < 45  # the five seconds that those in work have, and what a busy machine adds

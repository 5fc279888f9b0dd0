"""What several processes do together: two of them over gloo, each part by itself and a whole training."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from launching import (
    ACCELERATE,
    TORCHRUN,
    assert_alike,
    command,
    ended,
    free_port,
    join,
    messages,
    rows,
    start,
    without_chance,
)
from tiny import Trained

from crossmodal import processes
from crossmodal.cli import main
from crossmodal.errors import InputError, SharedError
from crossmodal.runs import find_run


def own(rank: int, columns: int) -> torch.Tensor:
    """A tensor ``(2, columns, 3)`` of its process's own."""
    return torch.arange(6.0 * columns).view(2, columns, 3) + 100 * rank


def told(work: Callable[[], object]) -> str:
    try:
        work()
    except SharedError as error:
        return str(error)
    return "no error"


def fails(message: str) -> Callable[[], object]:
    def work() -> object:
        raise InputError(message)

    return work


def findings(rank: int, folder: Path) -> dict[str, Any]:
    """What one of two processes finds."""
    called: list[str] = []
    columns = (3, 1)[rank]
    mine = own(rank, columns).requires_grad_()
    weights = [torch.full((2,), float(rank)), torch.full((1, 3), 10.0 * rank)]
    same = torch.full((2, 2), float(rank))
    processes.average(weights)
    processes.as_in_main([same])

    def made() -> str:
        called.append("first")
        path = folder / "made"
        found = path.read_text() if path.is_file() else "nothing"
        path.write_text("something")
        return found

    return {
        "state": (processes.state().process_index, processes.state().num_processes),
        "gathered": processes.gathered(mine, 1),
        "gathered rows": processes.gathered(mine.transpose(0, 1), 0),
        "gathered none of one's own": processes.gathered(mine[:, : 3 * (1 - rank)], 1),
        "gathered half": processes.gathered(mine.bfloat16(), 1),
        "average": weights,
        "as_in_main": same,
        "everywhere": processes.everywhere({"rank": rank}),
        "anywhere": [processes.anywhere(flag) for flag in (False, rank == 1, True)],
        "from_main": processes.from_main(lambda: called.append("main") or {"of": rank}),
        "main_first": processes.main_first(made),
        "together": processes.together(lambda: rank),
        "failed in one": told(lambda: processes.together(fails("one") if rank else lambda: None)),
        "failed in both": told(lambda: processes.together(fails(f"of {rank}"))),
        "failed in main": told(lambda: processes.from_main(fails("main"))),
        "failed inside": told(lambda: processes.together(lambda: processes.in_main(fails("inside")))),
        "failed first": told(lambda: processes.main_first(lambda: (called.append("late"), fails("first")())[1])),
        "failed second": told(lambda: processes.main_first(fails("second") if rank else lambda: None)),
        "called": called,
    }


def process(rank: int, port: int, folder: Path) -> None:
    """One of two processes, as a launcher would start it."""
    join(rank, port)
    torch.save(findings(rank, folder), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The findings of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    port = free_port()
    context = multiprocessing.get_context("forkserver")
    children = [context.Process(target=process, args=(rank, port, folder)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dim", "columns"),
    [("gathered", 1, (3, 1)), ("gathered rows", 0, (3, 1)), ("gathered none of one's own", 1, (3, 0))],
)
def test_tensors_of_different_sizes_are_joined(
    found: list[dict[str, Any]], name: str, dim: int, columns: tuple[int, int]
) -> None:
    parts = [own(rank, (3, 1)[rank])[:, :size] for rank, size in enumerate(columns)]
    whole = torch.cat(parts, 1)
    for rank, begin in enumerate((0, 3)):
        joined, start = found[rank][name]
        assert start == begin
        assert not joined.requires_grad
        assert torch.equal(joined, whole if dim else whole.transpose(0, 1))


@pytest.mark.slow
def test_half_precision_is_joined_too(found: list[dict[str, Any]]) -> None:
    joined, _ = found[0]["gathered half"]
    assert joined.dtype == torch.bfloat16
    assert joined.shape == (2, 4, 3)


@pytest.mark.slow
def test_values_are_shared(found: list[dict[str, Any]]) -> None:
    for rank, one in enumerate(found):
        assert one["state"] == (rank, 2)
        assert one["everywhere"] == [{"rank": 0}, {"rank": 1}]
        assert one["anywhere"] == [False, True, True]
        assert one["from_main"] == {"of": 0}
        assert one["together"] == rank
        assert torch.equal(one["average"][0], torch.full((2,), 0.5))
        assert torch.equal(one["average"][1], torch.full((1, 3), 5.0))
        assert torch.equal(one["as_in_main"], torch.zeros(2, 2))


@pytest.mark.slow
def test_the_main_process_is_first_and_the_others_find_what_it_made(found: list[dict[str, Any]]) -> None:
    assert [one["main_first"] for one in found] == ["nothing", "something"]


@pytest.mark.slow
def test_a_mistake_in_one_process_is_one_in_all(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["failed in one"] == "one"
        assert one["failed in both"] == "of 0"
        assert one["failed in main"] == "main"
        assert one["failed inside"] == "inside"
        assert one["failed first"] == "first"
        assert one["failed second"] == "second"
    assert found[0]["called"] == ["main", "first", "late"]
    assert found[1]["called"] == ["first"]  # nothing of main's alone, and no turn after its mistake


def test_alone_a_mistake_stays_what_it_is() -> None:
    for shared in (processes.together, processes.main_first, processes.in_main, processes.from_main):
        with pytest.raises(InputError) as error:
            shared(fails("alone"))
        assert type(error.value) is InputError
    assert processes.from_main(lambda: 3) == processes.main_first(lambda: 3) == 3
    value, start = processes.gathered(own(0, 2), 1)
    assert torch.equal(value, own(0, 2))
    assert start == 0


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_what_processes_share_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, lines: int
) -> None:
    def shared(*_arguments: object, **_settings: object) -> None:
        raise SharedError("no such folder")

    monkeypatch.setenv("LOCAL_RANK", rank)
    assert main([], shared) == 2
    assert capsys.readouterr().err == "crossmodal: no such folder\n" * lines


def test_what_one_process_alone_meets_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main([], lambda *_arguments, **_settings: fails("mine alone")()) == 2
    assert capsys.readouterr().err == "crossmodal: mine alone\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    return without_chance(trained.experiment, tmp_path_factory.mktemp("shared") / "tiny.yaml")


@pytest.fixture(scope="module")
def alone(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    assert main(["train", str(plain), f"run.folder={folder}", "tasks={}", "train.micro_batch=null"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_train_like_one(plain: Path, alone: Path, tmp_path: Path, launcher: str) -> None:
    """Fresh audio and features, made once; one folder, one voice, one row a step."""
    fresh = [f"data.root={tmp_path}/audio", f"features.folder={tmp_path}/features"]
    used = TORCHRUN if launcher == "torchrun" else [*ACCELERATE, "--multi_gpu"]
    code, lines = ended(command(plain, tmp_path, *fresh, launcher=used), tmp_path)
    assert code == 0, lines[-20:]
    run = find_run(tmp_path / "tiny").folder
    assert len(list((tmp_path / "tiny").glob("*/config.yaml"))) == 1
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    assert sum("new run" in line for line in lines) == 1
    assert sum("96 tracks" in line for line in lines) == 1
    steps = [row["step"] for row in rows(tmp_path) if "loss" in row]
    assert steps == list(range(1, len(steps) + 1))
    assert_alike(tmp_path, alone)
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_ctrl_c_is_agreed_and_as_many_processes_go_on(plain: Path, alone: Path, tmp_path: Path) -> None:
    arguments = command(plain, tmp_path)
    process = start(arguments, tmp_path)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("tiny/*/metrics.jsonl")) or len(rows(tmp_path)) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    (message,) = messages((tmp_path / "said").read_text().replace("\r", "\n").splitlines())
    assert message.startswith("stopped after step")
    state = torch.load(find_run(tmp_path / "tiny").state / "last.pt", weights_only=True)
    assert 0 < state["progress"]["step"] < 17
    assert len(state["random"]) == 2

    assert main(["train", str(plain), f"run.folder={tmp_path}", "tasks={}"]) == 2  # one process alone
    code, lines = ended(arguments, tmp_path)
    assert code == 0, lines[-20:]
    assert any(f"from step {state['progress']['step']}" in line for line in lines)
    assert_alike(tmp_path, alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_size=15", "train.batch_size is 15, but 2 processes share it: take a multiple"),
        ("data={name: folder, root: /nowhere}", "/nowhere"),
        ("train.bach=3", "train has no setting 'bach'"),
    ],
)
def test_a_mistake_is_told_once_and_none_waits(plain: Path, tmp_path: Path, override: str, message: str) -> None:
    began = time.monotonic()
    code, lines = ended(command(plain, tmp_path, override), tmp_path)
    assert code == 1  # torchrun's own; the processes' is 2
    assert any("exitcode  : 2" in line for line in lines), lines[-30:]
    (only,) = messages(lines)
    assert message in only
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_file_that_one_process_cannot_read_stops_both(plain: Path, tmp_path: Path) -> None:
    """Found in the middle of a step, by the process whose share of the batch it is in."""
    audio = [f"data.root={tmp_path}/audio", "features.source=audio", "data.tracks=96"]
    process = start(command(plain, tmp_path, *audio, "train.epochs=2000"), tmp_path)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("tiny/*/metrics.jsonl")) or len(rows(tmp_path)) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for path in sorted((tmp_path / "audio").rglob("*.wav"))[::3]:
        path.write_bytes(b"no audio")
    assert process.wait(60) == 1
    lines = (tmp_path / "said").read_text().replace("\r", "\n").splitlines()
    (message,) = messages(lines)
    assert ".wav" in message
    assert any("exitcode  : 2" in line for line in lines), lines[-30:]

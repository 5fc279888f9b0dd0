from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny import Configure, Trained

from crossmodal.cli import main
from crossmodal.errors import InputError
from crossmodal.runs import Run, find_run, open_run

HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def finish(run: Run) -> None:
    (run.folder / "report.html").touch()


def test_the_newest_unfinished_run_of_the_same_config_goes_on(configure: Configure) -> None:
    config = configure()
    with open_run(config) as (first, continued):
        assert not continued
    with open_run(configure("run.new=true")) as (second, continued):
        assert not continued
        assert second.folder != first.folder
    with open_run(config) as (again, continued):
        assert continued
        assert again.folder == second.folder
    finish(second)
    with open_run(config) as (again, continued):
        assert continued
        assert again.folder == first.folder
    finish(first)
    with open_run(config) as (third, continued):
        assert not continued
        assert third.folder not in (first.folder, second.folder)


def test_another_config_never_goes_on_with_it(configure: Configure) -> None:
    with open_run(configure()) as (first, _):
        pass
    with open_run(configure("train.epochs=3")) as (other, continued):
        assert not continued
        assert other.folder != first.folder


def test_a_finished_run_is_not_trained_again(trained: Trained) -> None:
    assert Run(trained.folder, find_run(trained.folder).config).finished
    with open_run(find_run(trained.folder).config) as (run, continued):
        assert not continued
        assert run.folder != trained.folder
    (run.folder / "config.yaml").unlink()  # so that the shared experiment's newest run stays the trained one


def test_a_live_run_is_refused_with_exit_code_2(
    configure: Configure, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_run(configure()) as (run, _):
        pass
    held = [sys.executable, "-c", HOLD, str(run.folder / "run.lock")]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert main(["train", str(trained.experiment), f"run.folder={tmp_path}/runs"]) == 2
        child.communicate()
    said = capsys.readouterr().err.strip().splitlines()
    wanted = (
        f"crossmodal: {run.folder} is being trained by another process; wait for it, or start another with run.new=true"
    )
    assert said == [wanted]
    with open_run(configure()) as (again, continued):
        assert continued
        assert again.folder == run.folder


def test_two_that_start_at_once_do_not_share_a_run(configure: Configure) -> None:
    found: list[str] = []
    together = threading.Barrier(2)

    def start() -> None:
        together.wait()
        try:
            with open_run(configure()) as (run, _):
                together.wait(10)
                found.append(str(run.folder))
        except InputError as error:
            together.wait(10)
            found.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("is being trained by another process" in text for text in found) == 1


def test_the_resolved_config_lies_in_the_run(configure: Configure) -> None:
    config = configure("optimizer.lr=0.5")
    with open_run(config) as (run, _):
        assert find_run(run.folder).config == config
        assert find_run(run.folder.parent).folder == run.folder


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run: it holds no config\.yaml"):
        find_run(tmp_path)


def test_rewind_forgets_later_steps_and_a_cut_line(configure: Configure, tmp_path: Path) -> None:
    run = Run(tmp_path, configure())
    for step in range(5):
        run.log({"step": step, "loss": 1.0 / (step + 1)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    assert [row["step"] for row in run.metrics()] == [0, 1, 2, 3, 4]
    run.rewind(2)
    run.log({"step": 3, "valid/score": 0.5})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3]
    run.write_csv()
    table = (tmp_path / "metrics.csv").read_text().splitlines()
    assert table[0] == "step,loss,valid/score"
    assert table[4] == "3,,0.5"

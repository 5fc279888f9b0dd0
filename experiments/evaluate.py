"""Judge four systems by every protocol that the data allow, with several seeds, and write one page of it.

    python experiments/evaluate.py OUT.md [--data FOLDER] [--seeds N] [--at-once N] [--threads N] [--runs FOLDER]
        [--protocol NAME ...]

Descriptors that are not learnt, an encoder that is not trained, one that is trained with words and one without: on the
synthetic orchestra, and on the real clips of FOLDER where there is such a folder. Runs that are finished are not
repeated, and neither is a protocol that they were judged by: a killed evaluation goes on, and one of a changed
experiment, or of other settings of a protocol, does only what has changed. Changed code is not noticed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evaluate_systems import ALLOWED, ELSEWHERE, REAL, RECORD, ROOT, SYNTHETIC, SYSTEMS, Job, protocol_of


def trained(job: Job) -> Any:
    """The finished run of a job, which is trained unless there is one of the same config."""
    from crossmodal import config
    from crossmodal.runs import Run
    from crossmodal.training import train

    asked = config.load(ROOT / "experiments" / f"{SYSTEMS[job.system][job.data][0]}.yaml", job.overrides)
    wanted = config.config_hash(asked)
    for mark in sorted(job.home.glob("*/*/config_hash")):
        run = Run(mark.parent, asked)
        if mark.read_text().strip() == wanted and run.finished:
            return run
    return Run(train(asked), asked)


def by_protocols(run: Any, data: str, names: list[str]) -> dict[str, dict[str, Any]]:
    """Judge a run by protocols; by name, the seconds that it took, or why it was refused."""
    from crossmodal import protocols, results
    from crossmodal.errors import InputError
    from crossmodal.files import read_json, write_json
    from crossmodal.judging import Judge

    record = run.folder / RECORD
    known: dict[str, dict[str, Any]] = read_json(record) if record.is_file() else {}
    judge = Judge(run, None, print, ALLOWED)
    for name in names:
        path = protocol_of(name, data)
        folder, protocol = run.folder / results.PROTOCOLS / Path(path).stem, protocols.load(path)
        done = results.read(folder).found if (folder / results.RESULTS).is_file() else {"tasks": {}}
        settings = {task: found["settings"] for task, found in done["tasks"].items()}
        if settings == protocol.tasks and done["protocol"]["forbids"] == protocol.forbids:
            continue
        began = time.process_time()
        try:
            judge.by(path)
            known[name] = {"seconds": round(time.process_time() - began, 1)}
        except InputError as error:
            known[name] = {"refused": str(error).replace(path, Path(path).stem)}
        write_json(record, known)
    return known


@contextmanager
def spoken_to(log: Path) -> Iterator[None]:
    """What is said goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        yield


def work(job: Job, names: list[str]) -> tuple[Path, float]:
    """Train and judge, in a process of its own: the run's folder, and the seconds of processor time that it took."""
    import torch

    torch.set_num_threads(job.threads)
    began = time.process_time()
    with spoken_to(job.home / "log"):
        run = trained(job)
        by_protocols(run, job.data, names)
    return run.folder, time.process_time() - began


def jobs(given: argparse.Namespace) -> list[Job]:
    """All of them, those that take longest first."""
    return [
        Job(name, system, seed, changes, given.runs, given.threads)
        for name, changes in given.changes.items()
        for system in SYSTEMS
        for seed in range(given.seeds)
    ]


def run_all(given: argparse.Namespace, names: list[str]) -> dict[Job, Path]:
    """The runs' folders. The first of each data set goes before the others, since it makes what they share."""
    every, found = jobs(given), {}
    first = [next(job for job in reversed(every) if job.data == data) for data in {job.data: 0 for job in every}]
    began = time.monotonic()
    with ProcessPoolExecutor(given.at_once, get_context("spawn")) as pool:
        for stage in (first, [job for job in every if job not in first]):
            waiting = {job: pool.submit(work, job, names) for job in stage}
            for job, future in waiting.items():
                found[job], seconds = future.result()
                told = f"{job.data}, {job.system}, seed {job.seed}: {seconds:.0f} s of processor time"
                print(f"{time.monotonic() - began:6.0f} s  {told}", flush=True)
    return {job: found[job] for job in every}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the real clips; without it, or if it is not there: none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--runs", type=Path, default=Path("runs/evaluate"))
    parser.add_argument("--protocol", action="append", help="one of those that are judged; all of them unless given")
    given = parser.parse_args()
    if given.data is not None and not (given.data / "manifest.jsonl").is_file():
        print(f"{given.data} holds no manifest.jsonl: the synthetic half is judged alone")
        given.data = None
    return given


def main() -> None:
    """Run what is missing, and write the page."""
    given = arguments()
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(given.threads)))
    from evaluate_page import page
    from evaluate_split import without_copies

    from crossmodal import protocols
    from crossmodal.files import write_text

    names = given.protocol or [name for name in protocols.names() if name not in ELSEWHERE]
    given.changes, given.copies = {SYNTHETIC: ()}, {}
    if given.data is not None:
        changes, given.copies = without_copies(given.data, given.runs)
        given.changes = {REAL: changes, SYNTHETIC: ()}
    write_text(given.out, page(run_all(given, names), names, given))
    print(f"wrote {given.out}")


if __name__ == "__main__":
    sys.exit(main())

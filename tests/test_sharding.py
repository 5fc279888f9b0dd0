"""A model whose weights two processes share learns what one that is whole learns, is saved whole, and goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from killing import SERVER, equal, logged
from launching import ACCELERATE, TORCHRUN, assert_alike, command, ended, free_port, join, messages, without_chance
from safetensors.torch import load_file
from sharing import TRACKS, gradients
from tiny import Answer, Trained
from torch import Tensor
from torch.distributed.tensor import DTensor

from crossmodal import config as configs
from crossmodal import processes, sharding
from crossmodal.checkpoints import read_state
from crossmodal.cli import main
from crossmodal.data.loader import Share
from crossmodal.loop import Trainer
from crossmodal.runs import Run, find_run
from crossmodal.training import prepared
from crossmodal.types import Batch

ASKED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
BY_LAYER = {"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP", "FSDP_TRANSFORMER_CLS_TO_WRAP": "Block,Stage"}
BY_SIZE = {"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP", "FSDP_MIN_NUM_PARAMS": "100"}
HEADS = "{projector: {widths: [16, 8]}, predictor: {widths: [16, 8]}}"
LEARNT = [f"objectives={{clip: {{}}, byol: {HEADS}}}", "views={count: 2}", "train.ema=0.9", "train.epochs=1"]
ADAMW = ["optimizer={name: adamw, lr: 0.002}"]
FEW = (0, 1, 3)  # tracks with texts: all of the first process's share


def quiet(_line: str) -> None:
    """Where lines for the screen go."""


def doubled(batch: Batch, _generator: torch.Generator) -> Batch:
    return replace(batch, audio=batch.audio.double())


def trainer(experiment: Path, folder: Path, overrides: Sequence[str]) -> Trainer:
    """A training in float64."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    run = Run(folder, configs.load(experiment, [*LEARNT, "tasks={}", "queries=[]", *overrides]))
    data, batches, objectives, weights = processes.main_first(lambda: prepared(run, quiet))
    return Trainer(run, data.model.double(), objectives.double(), weights, batches, doubled, "fp32")


def trained_to_the_end(experiment: Path, folder: Path, overrides: Sequence[str]) -> Trainer:
    made = trainer(experiment, folder, overrides)
    made.restore()
    made.fit(dict)
    return made


def held(made: Trainer) -> dict[str, int]:
    """How many numbers this process holds of what is trained and of what follows it."""
    own = {
        "weights": list(made.model.parameters()),
        "gradients": [weight.grad for weight in made.model.parameters()],
        "optimizer": [v for weight in made.model.parameters() for v in made.optimizer.state[weight].values() if v.ndim],
        "teacher": list(made.objectives["byol"].teacher.encoder.parameters()),
        "average": [made.average.values[name] for name, _ in made.model.named_parameters()],
    }
    return {what: sum((t.to_local() if isinstance(t, DTensor) else t).numel() for t in own[what]) for what in own}


def findings(experiment: Path, folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What one of two processes finds."""
    made = trained_to_the_end(experiment, folder / "sharded", overrides)
    cut = trainer(experiment, folder / "cut", overrides)
    for number in range(2):
        cut.step(iter([cut.batches[number]]))
    cut.save()
    trained_to_the_end(experiment, folder / "cut", overrides)
    share = Share(processes.state().process_index, 2, 3)
    found = {"gradients": gradients(share), "gradients of few texts": gradients(share, texts_of=FEW)}
    return {"held": held(made)} | (found if processes.state().is_main_process else {})


def ended_alike(experiment: Path, folder: Path, overrides: Sequence[str]) -> bool:
    """Whether a training of two processes went to its end."""
    made = trained_to_the_end(experiment, folder / "sharded", overrides)
    return made.progress.step == made.steps


def process(rank: int, port: int, asked: dict[str, str], work: Callable[..., Any], *arguments: Any) -> None:
    """One of two processes, as accelerate's launcher would start it with FSDP in its configuration."""
    join(rank, port)
    os.environ |= ASKED | asked
    made = work(*arguments)
    torch.save(made, arguments[1] / f"{rank}.pt")
    dist.destroy_process_group()


def both(asked: dict[str, str], work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What each of two processes finds; the second of the arguments is a folder."""
    port = free_port()
    children = [SERVER.Process(target=process, args=(rank, port, asked, work, *arguments)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        child.kill()  # one that waits for the other for ever
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    return [torch.load(arguments[1] / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    return without_chance(trained.experiment, tmp_path_factory.mktemp("plain") / "tiny.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharding")


@pytest.fixture(scope="module")
def alone(plain: Path, folder: Path) -> Trainer:
    return trained_to_the_end(plain, folder / "alone", ADAMW)


@pytest.fixture(scope="module")
def found(plain: Path, folder: Path, alone: Trainer) -> list[dict[str, Any]]:
    return both({}, findings, plain, folder, ADAMW)


def learnt(folder: Path) -> dict[str, Any]:
    """What a run ends with, but for times."""
    state = read_state(folder / "state" / "last.pt")
    return {name: state[name] for name in ("model", "objectives", "optimizer", "schedule", "average")}


def assert_close(mine: Any, theirs: Any, tolerance: float, path: str = "") -> None:
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), path
        for key, value in theirs.items():
            assert_close(mine[key], value, tolerance, f"{path}/{key}")
    elif isinstance(theirs, Tensor):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance, msg=lambda told: f"{path}: {told}")
    else:
        assert mine == theirs, path


@pytest.mark.slow
def test_two_processes_learn_what_one_does(found: list[dict[str, Any]], folder: Path) -> None:
    """With AdamW, parts of the batch, a teacher and an average of the weights; the saved state is of the same form."""
    assert_close(learnt(folder / "sharded"), learnt(folder / "alone"), 1e-10)


@pytest.mark.slow
def test_the_model_that_is_kept_is_the_one_that_one_process_keeps(found: list[dict[str, Any]], folder: Path) -> None:
    kept = [load_file(folder / name / "model" / "model.safetensors") for name in ("sharded", "alone")]
    assert_close(kept[0], kept[1], 1e-10)
    average = read_state(folder / "sharded" / "state" / "last.pt")["average"]["values"]
    assert all(torch.equal(kept[0][name], value) for name, value in average.items())


@pytest.mark.slow
def test_each_process_holds_about_half(found: list[dict[str, Any]], alone: Trainer) -> None:
    for what, count in held(alone).items():
        shares = [one["held"][what] for one in found]
        assert sum(shares) == count, what
        assert max(shares) < 0.6 * count, what


@pytest.mark.slow
def test_what_was_saved_goes_on_bit_for_bit(found: list[dict[str, Any]], folder: Path) -> None:
    assert equal(learnt(folder / "cut"), learnt(folder / "sharded"))
    random = [read_state(folder / name / "state" / "last.pt")["random"] for name in ("cut", "sharded")]
    assert equal(random[0], random[1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "texts_of"), [("gradients", None), ("gradients of few texts", FEW)])
def test_gradients_are_those_of_one_process(
    found: list[dict[str, Any]], name: str, texts_of: tuple[int, ...] | None
) -> None:
    """One of every kind of objective; also where a process has no text, and would not gather the text encoder."""
    assert max(FEW) < TRACKS // 2
    whole = gradients(Share(), **({"texts_of": texts_of} if texts_of else {}))
    mine = {key: value for key, value in found[0][name].items() if key in whole or value.abs().max() > 0}
    assert_close(mine, whole, 1e-10)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "asks for DeepSpeed, which is not supported: take --use_fsdp"),
        ({"FSDP_VERSION": "1"}, "asks for version 1 of FSDP: set --fsdp_version 2"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "sets fsdp_offload_params, which would not be heeded: leave it out"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "train.micro_batch saves that memory"),
        ({"FSDP_FORWARD_PREFETCH": "true"}, "sets fsdp_forward_prefetch"),
        ({"FSDP_IGNORED_MODULES": "text.*"}, "sets fsdp_ignored_modules"),
        ({"FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT"}, "fsdp_state_dict_type other than FULL_STATE_DICT"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, "sets parallelism_config"),
        ({"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}, "without fsdp_transformer_layer_cls_to_wrap"),
        ({"FSDP_AUTO_WRAP_POLICY": "WHICH"}, "not valid: Invalid auto wrap policy: WHICH"),
        ({"FSDP_RESHARD_AFTER_FORWARD": "FULL_SHARD"}, "not valid: invalid truth value full_shard"),
    ],
)
def test_what_would_not_be_heeded_is_refused(
    monkeypatch: pytest.MonkeyPatch, fail: Answer, trained: Trained, asked: dict[str, str], said: str
) -> None:
    for name, value in (ASKED | asked).items():
        monkeypatch.setenv(name, value)
    line = fail("train", trained.experiment)
    assert line.startswith("accelerate's configuration ")
    assert said in line


def test_what_accelerates_launcher_sets_by_itself_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And taken out of the environment, so that accelerate does not shard a second time."""
    by_itself = {"SHARDING_STRATEGY": "FULL_SHARD", "RESHARD_AFTER_FORWARD": "true", "OFFLOAD_PARAMS": "false"}
    by_itself |= {"MIN_NUM_PARAMS": "100000000", "FORWARD_PREFETCH": "false", "USE_ORIG_PARAMS": "true"}
    by_itself |= {"CPU_RAM_EFFICIENT_LOADING": "true", "SYNC_MODULE_STATES": "true"}
    by_itself |= {"ACTIVATION_CHECKPOINTING": "false", "ACTIVATION_CHECKPOINTING_OFFLOAD": "false"}
    for name, value in (ASKED | {f"FSDP_{name}": value for name, value in by_itself.items()}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sharding, "_plan", [])
    found = sharding.plan()
    assert found is not None
    assert found.reshard_after_forward
    assert "ACCELERATE_USE_FSDP" not in os.environ
    assert sharding.plan() is found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "overrides"),
    [
        ({}, ["optimizer={name: sgd, lr: 0.05, momentum: 0.9}"]),
        ({}, ["optimizer={name: lars, lr: 0.2}"]),
        (BY_LAYER, [*ADAMW, "train.accumulate=2"]),
        (BY_SIZE, [*ADAMW, "train.micro_batch=null"]),
        ({"FSDP_RESHARD_AFTER_FORWARD": "false"}, [*ADAMW, "weights.freeze=['audio_encoder.stages.0.*']"]),
        ({}, [*ADAMW, "text_encoder={name: none}", "objectives={byol: {}, cpc: {steps: 2}, dino: {}}"]),
    ],
)
def test_any_optimizer_and_any_plan_learns_what_one_process_does(
    plain: Path, tmp_path: Path, asked: dict[str, str], overrides: list[str]
) -> None:
    overrides = ["train.epochs=2", *overrides]
    trained_to_the_end(plain, tmp_path / "alone", overrides)
    assert both(asked, ended_alike, plain, tmp_path, overrides) == [True, True]
    assert_close(learnt(tmp_path / "sharded"), learnt(tmp_path / "alone"), 1e-9)


@pytest.fixture(scope="module")
def whole_run(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command's own training, of one process, in fp32."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(["train", *command(plain, folder, *LEARNT, "train.epochs=3", launcher=[])[1:]]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate", "accelerate's file"])
def test_both_launchers_shard(
    plain: Path, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    used = [*ACCELERATE, "--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "SIZE_BASED_WRAP"]
    used += ["--fsdp_min_num_params", "1000"]
    if launcher == "torchrun":
        used = TORCHRUN
        for name, value in ASKED.items():
            monkeypatch.setenv(name, value)
    elif launcher != "accelerate":
        asked = {"fsdp_version": 2, "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}
        asked |= {"fsdp_transformer_layer_cls_to_wrap": "Block", "fsdp_reshard_after_forward": True}
        settings = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP", "fsdp_config": asked}
        (tmp_path / "accelerate.json").write_text(json.dumps(settings | {"num_processes": 2, "num_machines": 1}))
        used = [*ACCELERATE, "--config_file", str(tmp_path / "accelerate.json")]
    code, lines = ended(command(plain, tmp_path, *LEARNT, "train.epochs=3", launcher=used), tmp_path)
    assert code == 0, lines[-30:]
    assert sum("new run" in line for line in lines) == 1
    assert not any("Warning" in line for line in lines)
    assert_alike(tmp_path, whole_run)
    run = find_run(tmp_path / "tiny").folder
    assert (run / "report.html").is_file()
    assert json.loads((run / "environment.json").read_text())["sharded"] is True
    assert json.loads((find_run(whole_run / "tiny").folder / "environment.json").read_text())["sharded"] is False


@pytest.mark.slow
def test_a_layer_that_is_not_there_is_told_once(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ASKED | BY_LAYER | {"FSDP_TRANSFORMER_CLS_TO_WRAP": "BertLayer"}).items():
        monkeypatch.setenv(name, value)
    code, lines = ended(command(plain, tmp_path), tmp_path)
    assert code == 1  # torchrun's own; the processes' is 2
    assert any("exitcode  : 2" in line for line in lines), lines[-30:]
    (told,) = messages(lines)
    assert told.startswith("fsdp_transformer_layer_cls_to_wrap names BertLayer; the model has layers Block, ")


@pytest.mark.slow
def test_a_sharded_run_that_was_killed_ends_bit_for_bit_like_one_that_was_not(plain: Path, tmp_path: Path) -> None:
    arguments = [*LEARNT, *ADAMW, "train.epochs=4", "text_encoder.dropout=0.2"]
    ran = both({}, commanded, plain, folder_of(tmp_path, "whole"), arguments)
    port, killed = free_port(), folder_of(tmp_path, "killed")
    work = ({}, commanded, plain, killed, arguments)
    children = [SERVER.Process(target=process, args=(rank, port, *work)) for rank in range(2)]
    for child in children:
        child.start()
    deadline = time.monotonic() + 120
    while logged(killed) < 7:
        assert all(child.is_alive() for child in children)
        assert time.monotonic() < deadline
        time.sleep(0.002)
    for child in children:
        child.kill()
        child.join()
    assert children[0].exitcode == -signal.SIGKILL
    assert logged(killed) < 17
    assert both(*work) == ran == [0, 0]
    ends = [find_run(tmp_path / name / "tiny") for name in ("whole", "killed")]
    states = [learnt(run.folder) for run in ends]
    assert equal(states[0], states[1])
    models = [(run.model / "model.safetensors").read_bytes() for run in ends]
    assert models[0] == models[1]
    assert ends[0].metrics() == ends[1].metrics()


def folder_of(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def commanded(plain: Path, folder: Path, arguments: list[str]) -> int:
    """The exit code of the command."""
    return main(["train", str(plain), f"run.folder={folder}", "tasks={}", "queries=[]", *arguments])

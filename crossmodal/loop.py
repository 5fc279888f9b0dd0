"""The training loop: steps, validation, checkpoints from which a killed run goes on to the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from crossmodal import optimizers, processes, sharding
from crossmodal.augmentation import Augment
from crossmodal.averaging import Average
from crossmodal.checkpoints import read_state
from crossmodal.data.loader import Batches, Share, load
from crossmodal.errors import InputError, Interrupted
from crossmodal.files import atomic
from crossmodal.gradients import Gradients, Terms, random_state, set_random_state
from crossmodal.loggers import Logger
from crossmodal.model import DualEncoder
from crossmodal.monitor import Alarm, Monitor
from crossmodal.runs import SCORE, Run
from crossmodal.types import Batch, Embeddings
from crossmodal.weights import keep_frozen

Validate = Callable[[], dict[str, float]]


@dataclass
class Progress:
    """Where training stands; saved with every state."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    waits: int = 0  # validations since the best one
    seconds: float = 0.0
    loading: float = 0.0  # seconds of these that the loop waited for data

    def summary(self) -> str:
        """Steps, time, and the share of it that the loop waited for data, in words."""
        share = self.loading / max(self.seconds, 1e-9)
        waiting = f"{share:.1%} of it waiting for data"
        return f"{self.step} steps in {self.seconds:.0f} s ({waiting}); best at step {self.best_step}"


class Trainer:
    """A model, its objectives and its batches on the way to the last step.

    Args:
        run: where states, models and metrics go.
        model: trained in place; where it is sharded, a copy is trained, whose weights it has when it is validated.
        objectives: by name; ``forward`` gives named terms.
        weights: what each objective's terms are multiplied by.
        batches: item ``i`` is batch ``i``; a step takes ``accumulate`` of them.
        augment: what is done to the views of a batch.
        precision: fp32 or bf16 (autocast; weights stay in fp32).

    Raises:
        InputError: the batch cannot be shared evenly by the processes, or the model as it is asked for.
    """

    def __init__(
        self,
        run: Run,
        model: DualEncoder,
        objectives: nn.ModuleDict,
        weights: Mapping[str, float],
        batches: Batches,
        augment: Augment,
        precision: str,
    ) -> None:
        self.run, self.plan = run, run.config.train
        self.loggers: Sequence[Logger] = ()
        self.accelerator = processes.accelerator(precision)
        self.batches = replace(batches, share=self._share())
        sharded = sharding.plan() if self.accelerator.num_processes > 1 else None
        self.kept, model = model, sharding.twin(model) if sharded else model
        model, self.objectives = model.to(self.accelerator.device), objectives.to(self.accelerator.device)
        built = cast("dict[str, Any]", dict(objectives.items()))
        for objective in built.values():
            objective.start(model.audio_encoder)
        processes.as_in_main(value for value in objectives.state_dict().values() if isinstance(value, Tensor))
        self.model = processes.synchronised(model, self.accelerator)
        if sharded:
            encoder = type(model.audio_encoder)
            sharding.shard(self.model, [part for part in objectives.modules() if isinstance(part, encoder)], sharded)
        if self.plan.compile:
            cast("nn.Module", model.audio_encoder).compile()
        named = [*model.named_parameters(), *objectives.named_parameters()]
        trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        self.parameters = [parameter for _, parameter in trained]
        per_step = self.plan.batch_size * self.plan.accumulate
        self.steps = math.ceil(self.plan.epochs * len(batches.tracks) / per_step)
        self.validate_every = max(1, round(self.plan.validate_every * len(batches.tracks) / per_step))
        optimizer = optimizers.build(run.config.optimizer, trained)
        self.schedule = optimizers.Schedule(run.config.optimizer, optimizer, self.steps)
        self.optimizer = self.accelerator.prepare(optimizer)
        wrapped = self.model if sharded else self.accelerator.prepare(self.model)
        seed = run.config.seed
        stand_in = model.text_encoder.tokenize(["music"]) if sharded and model.reads else {}
        self.gradients = Gradients(self.accelerator, wrapped, built, weights, augment, seed, stand_in)
        self.average = Average(model, self.plan.ema) if self.plan.ema else None
        projection = sharding.outside(model.audio_projection) if sharded else model.audio_projection
        self.monitor, self.alarm = Monitor(self.plan.monitor_every, projection, built), Alarm()
        self.progress = Progress()
        if self.accelerator.process_index:  # else its tracks would be dropped out like those of the main process
            torch.manual_seed(seed + self.accelerator.process_index)

    def _share(self) -> Share:
        own, size = self.accelerator, self.plan.batch_size
        if size % own.num_processes:
            raise InputError(f"train.batch_size is {size}, but {own.num_processes} processes share it: take a multiple")
        return Share(own.process_index, own.num_processes, self.plan.micro_batch)

    def fit(self, validate: Validate, loggers: Sequence[Logger] = ()) -> None:
        """Train from where `restore` left off to the last step, or to the early stop.

        Args:
            validate: gives metrics of the model as it is; `SCORE` among them, if there is one to go by.
            loggers: where metrics go beside metrics.jsonl.
        """
        self.loggers = loggers
        if self.progress.step == 0:
            self._validate(validate)
        each = self.plan.accumulate
        stream = load(self.batches, self.progress.step * each, self.steps * each, self.plan.workers)
        begin, hidden = self.progress.step, not self.accelerator.is_main_process
        bar = tqdm(total=self.steps, initial=begin, desc="train", unit="step", dynamic_ncols=True, disable=hidden)
        with bar, processes.stop_signals() as stopped:
            while self.progress.step < self.steps and not self._early():
                row = processes.together(lambda: self._logged_step(stream))
                bar.update()
                best = {"best": f"{self.progress.best:.3f}"} if math.isfinite(self.progress.best) else {}
                bar.set_postfix(loss=f"{row['loss']:.3f}", **best)
                self._after_step(validate, processes.anywhere(bool(stopped)))
        processes.in_main(self._flush)

    def step(self, stream: Iterator[list[Batch]]) -> dict[str, float]:
        """One optimiser's step over ``accumulate`` batches; returns the loss, its terms and what was looked at."""
        began, waited, terms, seen = time.perf_counter(), 0.0, dict[str, Tensor](), dict[str, float]()
        self._train_mode()
        self.optimizer.zero_grad()
        share = 1 / self.plan.accumulate
        for number in range(self.plan.accumulate):
            asked = time.perf_counter()
            parts = processes.together(lambda: next(stream))
            waited += time.perf_counter() - asked
            index = self.progress.step * self.plan.accumulate + number
            for name, term in self.gradients(index, parts, share, self._look(seen)).items():
                terms[name] = terms.get(name, torch.zeros(())) + term.cpu() * share
        row = {"loss": float(sum(terms.values())), **self._move(), **{name: float(t) for name, t in terms.items()}}
        self.progress.step += 1
        self.progress.seconds += time.perf_counter() - began
        self.progress.loading += waited
        return {**row, **seen}

    def _train_mode(self) -> None:
        self.gradients.model.train()
        self.objectives.train()
        keep_frozen(self.model)

    def _look(self, seen: dict[str, float]) -> Callable[[Batch, Embeddings, Terms], None]:
        """Measure collapse and compare the terms' gradients into ``seen``, where the monitor wants to look."""

        def look(batch: Batch, embeddings: Embeddings, terms: Terms) -> None:
            check_finite("loss", torch.stack(list(terms.values())).sum(), self.progress.step + 1)
            if not seen:
                seen.update(self.monitor.look(self.progress.step, batch, embeddings, terms))

        return look

    def _move(self) -> dict[str, float]:
        """Move the weights, and what follows them."""
        processes.average(p.grad for p in self.objectives.parameters() if p.grad is not None)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.plan.clip_norm or math.inf)
        check_finite("norm of the gradient", norm, self.progress.step + 1)
        rate = self.schedule.lr
        self.optimizer.step()
        self.schedule.step()
        done = (self.progress.step + 1) / self.steps
        for objective in self.gradients.objectives.values():
            objective.after_step(self.model.audio_encoder, done)
        if self.average:
            self.average.update(self.model)
        return {"grad_norm": float(norm), "lr": rate}

    def _logged_step(self, stream: Iterator[list[Batch]]) -> dict[str, float]:
        row = self.step(stream)
        self._log(row)
        if warning := self.alarm.hear(self.progress.step, row):
            self._warn(warning)
        return row

    def _after_step(self, validate: Validate, stopped: bool) -> None:
        step = self.progress.step
        if step % self.validate_every == 0 or step == self.steps:
            self._validate(validate)
        if step % self.plan.save_every == 0 or step % self.validate_every == 0 or step == self.steps or stopped:
            self.save()
        if stopped:
            raise Interrupted(
                f"stopped after step {step} of {self.steps}; {self.run.folder} is saved; the same command goes on"
            )

    def _validate(self, validate: Validate) -> None:
        """Validate in the main process; a better score, or none to go by, makes this the model that is kept."""
        averaged = self.average.applied(self.model) if self.average else nullcontext()
        with averaged, sharding.gathered(self.model, self.kept):
            metrics = processes.from_main(lambda: self._judged(validate))
        score, progress = metrics.get(SCORE, math.inf), self.progress
        if SCORE in metrics:
            self.schedule.validated(score)
        progress.waits += 1
        if self._better(metrics):
            progress.best_step, progress.waits = progress.step, 0
            progress.best = score if progress.step else -math.inf  # what nothing has learnt is no rival, but a baseline

    def _judged(self, validate: Validate) -> dict[str, float]:
        metrics = validate()
        if self._better(metrics):
            self.kept.save(self.run.model)
        self._log(metrics)
        self._flush()
        return metrics

    def _better(self, metrics: Mapping[str, float]) -> bool:
        return metrics.get(SCORE, math.inf) > self.progress.best or SCORE not in metrics

    def _log(self, metrics: Mapping[str, float]) -> None:
        if not self.accelerator.is_main_process:
            return
        self.run.log({"step": self.progress.step, **metrics})
        for logger in self.loggers:
            logger.log(self.progress.step, metrics)

    def _warn(self, warning: str) -> None:
        if self.accelerator.is_main_process:
            self.run.log({"step": self.progress.step, "alarm": warning})
            tqdm.write(f"step {self.progress.step}: {warning}")

    def _flush(self) -> None:
        for logger in self.loggers:
            logger.flush()

    def _early(self) -> bool:
        return 0 < self.plan.patience <= self.progress.waits

    def _stateful(self) -> dict[str, Any]:
        """All that a resumed run goes on with, by its name in the saved state."""
        held = {"model": self.model, "objectives": self.objectives, "optimizer": self.optimizer}
        held |= {"schedule": self.schedule, "alarm": self.alarm}
        return held | ({"average": self.average} if self.average else {})

    def save(self) -> None:
        """Write ``state/last.pt``: weights, teachers, optimiser, schedule, random generators and progress."""
        state = {name: sharding.whole(part.state_dict()) for name, part in self._stateful().items()}
        state |= {"random": processes.everywhere(random_state()), "progress": asdict(self.progress)}
        processes.in_main(lambda: self._write(state))

    def _write(self, state: dict[str, Any]) -> None:
        written = BytesIO()  # torch.save reports a full disk in its own way
        torch.save(state, written)
        with atomic(self.run.state / "last.pt") as temporary:
            temporary.write_bytes(written.getbuffer())

    def restore(self) -> bool:
        """Go back to the last saved state, if there is one."""
        path = self.run.state / "last.pt"
        if not path.is_file():
            return False
        state = read_state(path)
        random, own = state["random"], self.accelerator
        if len(random) != own.num_processes:
            raise InputError(f"{path} is of {len(random)} processes; go on with as many, not with {own.num_processes}")
        try:
            for name, part in self._stateful().items():
                part.load_state_dict(sharding.placed(state[name], part))
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"{path} is of another model: {str(error).splitlines()[-1].strip()}") from error
        set_random_state(random[own.process_index])
        self.progress = Progress(**state["progress"])
        if own.is_main_process:
            self.run.rewind(self.progress.step)
        return True


def check_finite(name: str, value: Tensor, step: int) -> None:
    """Stop before a number that is none reaches the weights, and with them the saved state."""
    if not torch.isfinite(value):
        raise InputError(
            f"the {name} is {value.item()} at step {step}; what was saved before it is whole. Lower optimizer.lr"
        )

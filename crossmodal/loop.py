"""The training loop: steps, validation, checkpoints from which a killed run goes on to the same weights."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from crossmodal.config import Train
from crossmodal.data.loader import Batches, load
from crossmodal.errors import InputError, Interrupted
from crossmodal.files import atomic
from crossmodal.loggers import Logger
from crossmodal.model import DualEncoder
from crossmodal.runs import SCORE, Run
from crossmodal.types import Batch

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
        model: trained in place.
        objectives: by name; ``forward`` gives named terms.
        weights: what each objective's terms are multiplied by.
        batches: item ``i`` is batch ``i``; a step takes ``accumulate`` of them.
        precision: fp32 or bf16 (autocast; weights stay in fp32).
    """

    def __init__(
        self,
        run: Run,
        model: DualEncoder,
        objectives: nn.ModuleDict,
        weights: Mapping[str, float],
        batches: Batches,
        precision: str,
    ) -> None:
        self.run, self.plan, self.weights, self.batches = run, run.config.train, weights, batches
        self.loggers: Sequence[Logger] = ()
        mixed = "bf16" if precision == "bf16" else "no"
        self.accelerator = Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available())
        self.model, self.objectives = model.to(self.accelerator.device), objectives.to(self.accelerator.device)
        self.parameters = [p for part in (model, objectives) for p in part.parameters() if p.requires_grad]
        per_step = self.plan.batch_size * self.plan.accumulate
        self.steps = math.ceil(self.plan.epochs * len(batches.tracks) / per_step)
        self.validate_every = max(1, round(self.plan.validate_every * len(batches.tracks) / per_step))
        optimizer = adamw(self.parameters, self.plan)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.schedule = LambdaLR(optimizer, lambda step: learning_rate(step, self.steps, self.plan.warmup))
        self.progress = Progress()

    def fit(self, validate: Validate, loggers: Sequence[Logger] = ()) -> None:
        """Train from where `restore` left off to the last step, or to the early stop.

        Args:
            validate: gives metrics, `SCORE` among them, of the model as it is.
            loggers: where metrics go beside metrics.jsonl.
        """
        self.loggers = loggers
        if self.progress.step == 0:
            self._validate(validate)
        each = self.plan.accumulate
        stream = load(self.batches, self.progress.step * each, self.steps * each, self.plan.workers)
        bar = tqdm(total=self.steps, initial=self.progress.step, desc="train", unit="step", dynamic_ncols=True)
        with bar, stop_signals() as stopped:
            while self.progress.step < self.steps and not self._early():
                row = self.step(stream)
                bar.update()
                bar.set_postfix(loss=f"{row['loss']:.3f}", best=f"{self.progress.best:.3f}")
                self._after_step(row, validate, bool(stopped))
        self._flush()

    def step(self, stream: Iterator[Batch]) -> dict[str, float]:
        """One optimiser's step over ``accumulate`` batches; returns the loss and its terms."""
        began, waited, terms = time.perf_counter(), 0.0, dict[str, Tensor]()
        self.wrapped.train()
        self.optimizer.zero_grad()
        for _ in range(self.plan.accumulate):
            asked = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - asked
            for name, term in self._backward(batch.to(self.accelerator.device)).items():
                terms[name] = terms.get(name, torch.zeros(())) + term / self.plan.accumulate
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.plan.clip_norm)
        self._check_finite("norm of the gradient", norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.schedule.step()
        self.progress.step += 1
        self.progress.seconds += time.perf_counter() - began
        self.progress.loading += waited
        row = {"loss": float(sum(terms.values())), "grad_norm": float(norm), "lr": rate}
        return {**row, **{name: float(term) for name, term in terms.items()}}

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        """Gradients of one batch; returns its weighted terms."""
        with self.accelerator.autocast():
            embeddings = self.wrapped(batch)
        terms = {
            term: self.weights[name] * value
            for name, objective in self.objectives.items()
            for term, value in objective(batch, embeddings).items()
        }
        loss = torch.stack(list(terms.values())).sum()
        self._check_finite("loss", loss)
        self.accelerator.backward(loss / self.plan.accumulate)
        return {name: term.detach().cpu() for name, term in terms.items()}

    def _check_finite(self, name: str, value: Tensor) -> None:
        """Stop before a number that is none reaches the weights, and with them the saved state."""
        if not torch.isfinite(value):
            raise InputError(
                f"the {name} is {value.item()} at step {self.progress.step + 1}; what was saved before it is whole."
                " Lower train.lr"
            )

    def _after_step(self, row: dict[str, float], validate: Validate, stopped: bool) -> None:
        step = self.progress.step
        self._log(row)
        if step % self.validate_every == 0 or step == self.steps:
            self._validate(validate)
        if step % self.plan.save_every == 0 or step % self.validate_every == 0 or step == self.steps or stopped:
            self.save()
        if stopped:
            raise Interrupted(
                f"stopped after step {step} of {self.steps}; {self.run.folder} is saved; the same command goes on"
            )

    def _validate(self, validate: Validate) -> None:
        metrics = validate()
        self._log(metrics)
        self.progress.waits += 1
        if metrics[SCORE] > self.progress.best:
            self.progress.best, self.progress.best_step = metrics[SCORE], self.progress.step
            self.progress.waits = 0
            self.model.save(self.run.model)
        self._flush()

    def _log(self, metrics: Mapping[str, float]) -> None:
        self.run.log({"step": self.progress.step, **metrics})
        for logger in self.loggers:
            logger.log(self.progress.step, metrics)

    def _flush(self) -> None:
        for logger in self.loggers:
            logger.flush()

    def _early(self) -> bool:
        return 0 < self.plan.patience <= self.progress.waits

    def save(self) -> None:
        """Write ``state/last.pt``: weights, optimiser, schedule, random generators and progress."""
        state = {
            "model": self.model.state_dict(),
            "objectives": self.objectives.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "progress": asdict(self.progress),
        }
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
        try:
            self.model.load_state_dict(state["model"])
            self.objectives.load_state_dict(state["objectives"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"{path} is of another model: {str(error).splitlines()[-1].strip()}") from error
        torch.set_rng_state(state["random"])
        if state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.progress = Progress(**state["progress"])
        self.run.rewind(self.progress.step)
        return True


def read_state(path: Path) -> dict[str, Any]:
    """A saved state: tensors and plain values; a file that holds anything else is refused, never executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no saved state: {reason}") from error
    if not isinstance(state, dict) or "progress" not in state:
        raise InputError(f"{path} is no saved state of crossmodal")
    return state


def adamw(parameters: list[nn.Parameter], plan: Train) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices and kernels, but no bias, norm or temperature."""
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=plan.lr)


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: a linear rise over the first ``warmup`` share of the steps, then a cosine to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list, so that the step under way is finished; a second one acts at once."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def training_precision(wanted: str) -> str:
    """bf16 where the device computes in it, else fp32; ``wanted`` is auto, or either.

    On a CPU that means AVX512-BF16 or AMX: without them bf16 is emulated, eight times slower than fp32.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"

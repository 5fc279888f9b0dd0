"""From an experiment to a trained run with its index, results and report."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crossmodal import registry
from crossmodal.config import Config, check_plugins
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import best_model, finish
from crossmodal.files import atomic, recover
from crossmodal.loggers import check_installed, open_loggers
from crossmodal.loop import Trainer, training_precision
from crossmodal.model import DualEncoder
from crossmodal.prepare import fit_encoders, make_batches, open_store, read_manifest
from crossmodal.runs import SCORE, Run, describe_environment, open_run, recorded_threads
from crossmodal.types import Space

Say = Callable[[str], None]


def train(config: Config, say: Say = print) -> Path:
    """Train an experiment, or go on with its unfinished run, evaluate it and write its report.

    Args:
        config: the experiment.
        say: takes each line for the screen.

    Returns:
        The run's folder.

    Raises:
        InputError: the config, the data, or another process that trains the same run stand in the way.
        Interrupted: Ctrl-C; the state is saved.
    """
    check_plugins(config)
    check_installed(config)
    with open_run(config) as (run, continued):
        say(f"{'continuing' if continued else 'new run'} {run.folder}")
        finish(run, fit(run, say), say)
    return run.folder


def fit(run: Run, say: Say) -> Embedded:
    """Prepare the data, train to the last step, and return the best model beside its data."""
    config = run.config
    set_threads(run)
    torch.manual_seed(config.seed)
    model = DualEncoder(config.audio_encoder, config.text_encoder, config.dim, config.window_s)
    manifest = read_manifest(config, say)
    manifest.save(run.folder / "manifest")
    store = open_store(config, manifest, model.audio_encoder.frontend, say)
    batches = make_batches(config, model, manifest, store)
    objectives, weights = build_objectives(config, Space(config.dim, batches.tags.vocabulary))
    precision = training_precision(config.train.precision)
    trainer = Trainer(run, model, objectives, weights, batches, precision)
    recover(run.model)
    if (run.state / "text_encoder").is_dir():
        model.text_encoder.restore(run.state / "text_encoder")
    if not trainer.restore():
        begin(run, trainer)
    facts = {"threads": torch.get_num_threads(), "precision": precision, "device": str(trainer.accelerator.device)}
    describe_environment(run, **facts, parameters=sum(p.numel() for p in model.parameters()))
    say(f"{facts['precision']} on {facts['device']}, {facts['threads']} threads, from step {trainer.progress.step}")
    trainer.fit(Validation(Embedded(model, manifest, config.split, store)), open_loggers(run))
    say(f"trained {trainer.progress.summary()}")
    return Embedded(best_model(run), manifest, config.split, store)


def begin(run: Run, trainer: Trainer) -> None:
    """Before the first step: fit what is fitted to training data, and keep the tokenizer for a resumed run."""
    run.rewind(-1)
    fit_encoders(trainer.model, trainer.batches)
    with atomic(run.state / "text_encoder") as folder:
        folder.mkdir()
        trainer.model.text_encoder.save(folder)


def set_threads(run: Run) -> None:
    """Use the thread count that the run began with, on which its weights depend, or the config's."""
    threads = recorded_threads(run) or run.config.train.threads
    if threads:
        torch.set_num_threads(threads)


def build_objectives(config: Config, space: Space) -> tuple[nn.ModuleDict, dict[str, float]]:
    """The objectives by name, and their weights; ``space`` is given to those that ask for it."""
    blocks = {name: dict(settings) for name, settings in config.objectives.items()}
    weights = {name: float(settings.pop("weight", 1.0)) for name, settings in blocks.items()}
    built = {}
    for name, settings in blocks.items():
        asked = inspect.signature(registry.find("objectives", name)).parameters
        given: dict[str, Any] = {"space": space} if "space" in asked else {}
        built[name] = registry.build("objectives", name, **settings, **given)
    for name, objective in built.items():
        if "views" in objective.needs and config.train.views < 2:
            raise InputError(f"objective {name} compares views of a track: set train.views to 2 or more")
    return nn.ModuleDict(built), weights


class Validation:
    """Retrieval on the validation part; the mean average precision of text to audio chooses the best model.

    The texts are the manifest's; where it has none, a sentence for each tag.
    """

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        words = len(embedded.part("valid").texts) > 0
        self.task = registry.build("tasks", "retrieval", draws=0, tags=not words)
        self.direction = "text_to_audio" if words else "text_to_audio/tags"

    def __call__(self) -> dict[str, float]:
        """Metrics named ``valid/...``, with the score among them."""
        self.embedded.forget()
        metrics = self.task.evaluate(self.embedded, "valid")
        names = [f"{self.direction}/{metric}" for metric in ("recall@10", "map")]
        return {**{f"valid/{name}": metrics[name]["value"] for name in names}, SCORE: metrics[names[1]]["value"]}

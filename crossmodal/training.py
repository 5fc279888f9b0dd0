"""From an experiment to a trained run with its index, results and report."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from crossmodal import processes, registry, weights
from crossmodal.augmentation import Augment, check_pitch
from crossmodal.checks import check, check_model, check_tracks
from crossmodal.config import Config, weighed
from crossmodal.data.corpus import Corpus
from crossmodal.data.loader import Batches
from crossmodal.embedding import Embedded, embed
from crossmodal.errors import InputError, listed
from crossmodal.evaluation import best_model, finish
from crossmodal.files import atomic, recover
from crossmodal.loggers import open_loggers
from crossmodal.loop import Trainer
from crossmodal.model import DualEncoder, Floats
from crossmodal.precision import training_precision
from crossmodal.prepare import fit_normaliser, labelled, make_batches, open_store, read_manifest
from crossmodal.runs import SCORE, Run, describe_environment, open_run, recorded_threads
from crossmodal.snapshots import TRACKS, Snapshots
from crossmodal.types import Objective, Space

Say = Callable[[str], None]


def train(config: Config, say: Say = print) -> Path:
    """Train an experiment, or go on with its unfinished run, evaluate it and write its report.

    Under ``torchrun`` or ``accelerate launch`` every process calls it; the main one writes and speaks.

    Args:
        config: the experiment.
        say: takes each line for the screen.

    Returns:
        The run's folder.

    Raises:
        InputError: the config, the data, or another process that trains the same run stand in the way.
        Interrupted: Ctrl-C; the state is saved.
    """
    say = processes.speaker(say)
    processes.together(lambda: check(config))
    with shared_run(config) as (run, continued):
        say(f"{'continuing' if continued else 'new run'} {run.folder}")
        embedded = fit(run, say)
        if processes.state().is_main_process:
            finish(run, embedded, say)
    return run.folder


@contextmanager
def shared_run(config: Config) -> Iterator[tuple[Run, bool]]:
    """The run that the main process opened, and whether it goes on, in every process."""
    with ExitStack() as stack:
        yield processes.from_main(lambda: stack.enter_context(open_run(config)))


def fit(run: Run, say: Say) -> Embedded:
    """Prepare the data, train to the last step, and return the best model beside its data."""
    data, batches, objectives, factors = processes.main_first(lambda: prepared(run, say))
    model, precision = data.model, training_precision(run.config.train.precision)
    trainer = processes.together(
        lambda: Trainer(run, model, objectives, factors, batches, make_augment(run.config, model, batches), precision)
    )
    processes.together(trainer.restore)
    facts = {
        "threads": torch.get_num_threads(),
        "precision": precision,
        "device": str(trainer.accelerator.device),
        "processes": trainer.accelerator.num_processes,
        "sharded": trainer.kept is not trainer.model,  # in the main process, which writes it
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    processes.in_main(lambda: describe_environment(run, **facts))
    validation = processes.together(lambda: judge(run.config, data))
    say(f"{precision} on {facts['device']}, {facts['threads']} threads, from step {trainer.progress.step}")
    say("objectives: " + " + ".join(f"{factors[name]:g} {name}" for name in objectives))
    snapshots = Snapshots(run.folder / "snapshots")

    def validate() -> dict[str, float]:
        metrics = validation()
        snapshots.save(trainer.progress.step, *validation.sample())
        return metrics

    trainer.fit(validate, open_loggers(run) if trainer.accelerator.is_main_process else ())
    say(f"trained {trainer.progress.summary()}")
    say(f"kept for the map over epochs: {snapshots}")
    return replace(data, model=best_model(run))


def prepared(run: Run, say: Say) -> tuple[Embedded, Batches, nn.ModuleDict, dict[str, float]]:
    """The model beside its data, the training batches, the objectives and their weights, as they are at first."""
    config = run.config
    set_threads(run)
    torch.manual_seed(config.seed)
    model = DualEncoder(config.audio_encoder, config.text_encoder, config.dim, config.window_s)
    freeze(model, config, say)
    check_model(config, model, (run.state / "last.pt").is_file())
    manifest = read_manifest(config, say)
    if processes.state().is_main_process:
        manifest.save(run.folder / "manifest")
    part = labelled(manifest.part(config.split, "train"), config.labelled)
    check_tracks(config, manifest, part)
    store = open_store(config, manifest, model.audio_encoder.frontend, say)
    batches = make_batches(config, model, part, store)
    begin(run, model, batches, say)
    objectives, factors = build_objectives(config, model, batches, Corpus(part, batches.tracks))
    data = Embedded(model, manifest, config.split, store)
    return data, ordered(batches, objectives), objectives, factors


def freeze(model: DualEncoder, config: Config, say: Say) -> None:
    """Take out of training what ``weights.freeze`` names; an `InputError` if that is nothing, or all."""
    patterns = config.weights.freeze
    if patterns:
        say(f"not trained: {listed(weights.freeze(model, patterns), 10)}")
    if (patterns or config.train.epochs) and not any(weight.requires_grad for weight in model.parameters()):
        named = f"weights.freeze is {listed(patterns)}" if patterns else f"train.epochs is {config.train.epochs}"
        raise InputError(f"{named}: nothing of the model is left to train")


def begin(run: Run, model: DualEncoder, batches: Batches, say: Say) -> None:
    """What comes before the first step: fitting to training data, and weights from elsewhere.

    The main process of a new run fits the tokenizer and keeps it; the others, and a resumed run, find it there. What
    else was fitted a resumed run finds in its saved state.
    """
    config, resumed = run.config.weights, (run.state / "last.pt").is_file()
    main, kept = processes.state().is_main_process, run.state / "text_encoder"
    if main:
        recover(run.model)
    if kept.is_dir() and (resumed or not main):
        model.text_encoder.restore(kept)
    elif not resumed:
        model.text_encoder.fit(batches.texts.corpus())
        run.rewind(-1)
        with atomic(kept) as folder:
            folder.mkdir()
            model.text_encoder.save(folder)
    if not resumed:
        fit_normaliser(model, batches)
        if config.path is not None:
            say(str(weights.load(cast("nn.Module", model.audio_encoder), config)))


def set_threads(run: Run) -> None:
    """Use the thread count that the run began with, on which its weights depend, or the config's."""
    threads = recorded_threads(run) or run.config.train.threads
    if threads:
        torch.set_num_threads(threads)


def build_objectives(
    config: Config, model: DualEncoder, batches: Batches, corpus: Corpus
) -> tuple[nn.ModuleDict, dict[str, float]]:
    """The objectives by name, and their weights; those that ask for ``space`` or ``corpus`` are given it."""
    factors = {name: float(weighed(block)[0]) for name, block in config.objectives.items()}
    known = {"space": Space(model.dim, batches.tags.vocabulary, model.audio_encoder.dim), "corpus": corpus}
    built = {}
    for name, block in config.objectives.items():
        asked = inspect.signature(registry.find("objectives", name)).parameters
        given: dict[str, Any] = {key: value for key, value in known.items() if key in asked}
        built[name] = registry.build("objectives", name, **weighed(block)[1], **given)
    return nn.ModuleDict(built), factors


def ordered(batches: Batches, objectives: nn.ModuleDict) -> Batches:
    """The batches in the order that an objective wants, if one does."""
    built = cast("dict[str, Objective]", dict(objectives.items()))
    found = {name: objective.order(batches.batch_size, batches.seed) for name, objective in built.items()}
    wanted = {name: order for name, order in found.items() if order is not None}
    if len(wanted) > 1:
        raise InputError(f"objectives {listed(wanted)} each want batches of their own; let one of them mine")
    return replace(batches, order=next(iter(wanted.values()), None))


def make_augment(config: Config, model: DualEncoder, batches: Batches) -> Augment:
    """What is done to the views of a batch, checked against the objectives, their tags, and the tasks."""
    augment = Augment(config.views, model.audio_encoder.frontend)
    objectives = [registry.find("objectives", name) for name in config.objectives]
    told = any({"tags", "text"} & each.needs or "corpus" in inspect.signature(each).parameters for each in objectives)
    trained = [tagset for tagset, _ in batches.tags.vocabulary] if told else []
    judged = [tagset for settings in config.tasks.values() for tagset in settings.get("tagsets") or []]
    check_pitch(augment.changes, [*trained, *judged], config.views.force)
    return augment


def judge(config: Config, data: Embedded) -> Validation:
    """The validation of a training; refuses what waits for a score where there is none."""
    validation = Validation(data)
    waits = ["train.patience"] * bool(config.train.patience)
    waits += ["optimizer.schedule=plateau"] * (config.optimizer.schedule == "plateau")
    if waits and not validation.names:
        raise InputError(f"{listed(waits)}: there is no score to go by, nothing in part valid to judge with")
    return validation


class Validation:
    """Retrieval on the validation part: a mean average precision chooses the best model.

    Of text to audio, where the texts are the manifest's, or a sentence for each tag if it has none; of music to music,
    by shared tags, for a model of audio alone. Without texts and tags there is no score, and the last model is kept.
    """

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        part = embedded.part("valid")
        words = len(part.texts) > 0
        if embedded.model.reads:
            direction = "text_to_audio" if words else "text_to_audio/tags"
            self.task = registry.build("tasks", "retrieval", draws=0, tags=not words, directions=["text_to_audio"])
            self.names = [f"{direction}/map", f"{direction}/recall@10"] if words or len(part.tags) else []
        else:
            self.task = registry.build("tasks", "neighbours", draws=0)
            self.names = ["map"] if self.task.judged(part) else []

    def __call__(self) -> dict[str, float]:
        """Metrics named ``valid/...``, with the score among them, or nothing."""
        if not self.names:
            return {}
        self.embedded.forget()
        metrics = self.task.evaluate(self.embedded, "valid").metrics
        values = {f"valid/{name}": metrics[name].value for name in self.names}
        return {**values, SCORE: metrics[self.names[0]].value}

    def sample(self) -> tuple[list[str], Floats]:
        """Some tracks of the part, the same whenever it is asked, and their vectors by the model as it is now."""
        embedded, ids = self.embedded, self.embedded.part("valid").tracks["track_id"].to_numpy()
        chosen = ids[np.sort(np.random.default_rng(0).permutation(len(ids))[:TRACKS])]
        if self.names:
            found = embedded.vectors("valid")
        else:  # nothing was judged, so nothing is embedded yet
            found = embed(embedded.model, embedded.manifest.select(chosen), embedded.store)
        wanted = set(chosen)
        rows = [row for row, track in enumerate(found.track_ids) if track in wanted]
        return [found.track_ids[row] for row in rows], found.vectors[rows]

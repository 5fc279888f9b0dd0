"""What can be known to fail before any data is read: by the experiment alone, and by its model."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from crossmodal import optimizers, registry, weights
from crossmodal.augmentation import Augment
from crossmodal.config import Config, check_plugins, weighed
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError, listed
from crossmodal.loggers import check_installed
from crossmodal.model import DualEncoder
from crossmodal.types import Space


def check(config: Config) -> None:
    """Refuse what the experiment alone shows to fail, or to be without effect."""
    check_names(config)
    check_plugins(config)
    for name, block in config.tasks.items():
        registry.build("tasks", name, **block)
    check_read(config)
    check_installed(config)


def check_names(config: Config) -> None:
    """Refuse empty names and texts, which nobody means."""
    name = config.name
    if Path(name).name != name or name in ("", "..") or not name.isprintable():
        raise InputError(f"name is {name!r}, but must be that of a folder, and no path")
    if config.text.languages == []:
        raise InputError("text.languages is empty: name some, or write null for all")
    given = {"run.folder": config.run.folder, "features.folder": config.features.folder}
    given |= {"data.root": str(config.data.get("root", "."))}  # most data sets have one
    given |= {f"queries[{number}]": text for number, text in enumerate(config.queries)}
    empty = [key for key, text in given.items() if not text.strip()]
    if empty:
        raise InputError(f"{listed(empty)}: the text is empty")


def check_read(config: Config) -> None:
    """Refuse settings that nothing reads beside the others; one that is as by default may be nobody's word."""
    views, optimizer, plan = config.views, config.optimizer, config.weights
    reads = registry.find("encoders.text", config.text_encoder["name"]).reads
    texts = [f"text.{key}" for key in vars(config.text)]
    stored = ["features.precision", "features.engine", "features.max_duration_s"]
    only = [  # whether they are read, with what they would be, and they themselves
        (views.count > 1, "views.count of 2 or more", ["views.pair"]),
        (views.pair == "gap", "views.pair=gap", ["views.gap_s"]),
        (bool(views.waveform or views.features), "views.waveform or views.features", ["views.clean"]),
        (optimizer.name in ("sgd", "lars"), "optimizer.name=sgd or lars", ["optimizer.momentum"]),
        (optimizer.schedule == "cosine", "optimizer.schedule=cosine", ["optimizer.final_lr"]),
        (optimizer.schedule == "plateau", "optimizer.schedule=plateau", ["optimizer.factor", "optimizer.plateau"]),
        (plan.path is not None, "weights.path", ["weights.keys", "weights.strict"]),
        (config.features.source == "store", "features.source=store", stored),
        (reads, "a text_encoder that reads", texts),
    ]
    for key, needs in ((key, needs) for read, needs, keys in only if not read for key in keys):
        section, _, name = key.partition(".")
        block = getattr(config, section)
        value = getattr(block, name)
        if value != getattr(type(block)(), name):
            raise InputError(f"{key} is {value!r}, but is only read with {needs}: set that, or leave it out")


def check_model(config: Config, model: DualEncoder, resumed: bool) -> None:
    """Refuse what the model shows to fail; weights from elsewhere are none of a resumed run's."""
    check_words(config, model)
    check_views(config, model)
    check_objectives(config, model)
    optimizers.check(config.optimizer, model.named_parameters(), config.objectives)
    if config.weights.path is not None and not resumed:
        weights.check(cast("nn.Module", model.audio_encoder), config.weights)


def check_tracks(config: Config, manifest: Manifest, part: Manifest) -> None:
    """Refuse what a manifest and the tracks of its training part show to fail; nothing has been decoded by then."""
    size, times = config.train.batch_size, config.train.accumulate
    if size * times > len(part):
        lost = manifest.skipped
        why = f"; {len(lost)} rows or tracks cannot be used; the first: {lost[0]}" if lost else ""
        wrong = f"train.batch_size is {size}, accumulate {times}"
        raise InputError(f"{wrong}, but there are {len(part)} training tracks{why}")
    for kind, there in (("text", len(part.texts) + len(part.tags)), ("tags", len(part.tags))):
        asking = [name for name in config.objectives if kind in registry.find("objectives", name).needs]
        if asking and not there:
            raise InputError(f"objectives {listed(asking)} need {kind}, but the training tracks have none")
    check_known(config, manifest)


def check_known(config: Config, manifest: Manifest) -> None:
    """Refuse kinds, languages and tagsets that a manifest does not have; tags are put in the lexicon's languages."""
    texts, tagsets = manifest.texts, set(manifest.tags["tagset"])
    languages = set(Lexicon.load().languages) if tagsets else set(texts["language"])
    named = [
        ("text.kinds", config.text.kinds, set(texts["kind"])),
        ("text.languages", config.text.languages, languages),
    ]
    named += [(f"tasks.{name}.tagsets", block.get("tagsets"), tagsets) for name, block in config.tasks.items()]
    for key, wanted, known in named:
        unknown = [each for each in wanted or () if each not in known]
        if unknown:
            raise InputError(f"{key}: there is no {listed(unknown)}; there are {listed(sorted(known)) or 'none'}")


def check_words(config: Config, model: DualEncoder) -> None:
    """Refuse what asks in words of a model of audio alone."""
    if not model.reads:
        asked = [f"tasks.{name}" for name in config.tasks if name in ("retrieval", "zero_shot")]
        asked += ["queries"] * bool(config.queries)
        if asked:
            raise InputError(f"{listed(asked)}: words are asked, but text_encoder is none; leave it out, or name one")


def check_views(config: Config, model: DualEncoder) -> None:
    """Refuse augmentations that do not exist, are set wrongly, or find nothing to work on."""
    frontend = model.audio_encoder.frontend
    waveforms = config.features.source == "audio" or frontend.frame_rate == frontend.sample_rate
    if Augment(config.views, frontend).needs_waveforms and not waveforms:
        raise InputError("views.waveform needs waveforms: set features.source=audio, or name the front end raw")


def check_objectives(config: Config, model: DualEncoder) -> None:
    """Refuse objectives that lack what they compare, and heads that are set wrongly.

    Those that learn from tags or documents are built when these are read; the others on a device that holds nothing.
    """
    space = Space(model.dim, (), model.audio_encoder.dim)
    for name, block in config.objectives.items():
        objective = registry.find("objectives", name)
        if "views" in objective.needs and config.views.count < 2:
            raise InputError(f"objective {name} compares views of a track: set views.count to 2 or more")
        if "text" in objective.needs and not model.reads:
            raise InputError(f"objective {name} needs texts, but text_encoder is none: name one that reads")
        asked = inspect.signature(objective).parameters
        if "corpus" not in asked and "tags" not in objective.needs:
            given: dict[str, Any] = {"space": space} if "space" in asked else {}
            with torch.device("meta"):
                registry.build("objectives", name, **weighed(block)[1], **given)

"""An experiment: a YAML file, the files it builds on, and overrides from the command line become a frozen `Config`.

A file may begin with ``defaults: [base, ...]``, names of files in its own folder, without ``.yaml``, later ones over
earlier ones and the file itself over them all. Sections (`Features`, `Text`, `Train`, `Run`) are merged key by key;
everything else, the blocks of plug-ins too, is stated whole, so that no setting of one encoder is left to another.
An override ``train.epochs=3`` sets one value, ``~train.patience`` removes one. ``${oc.env:HOME}`` and other
interpolations are OmegaConf's.

``budgets: {small: {train: {epochs: 1}}}`` holds by name what a budget changes. One is chosen by ``budget=small``, or by
``budget: small`` in the file, and lies between the file and the overrides; what is resolved has neither key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from crossmodal import registry, settings
from crossmodal.errors import InputError, listed
from crossmodal.files import write_text
from crossmodal.settings import Amount, Count, Positive, Range, Setting, Share, Whole, fits

Block = dict[str, Any]
Seed = Annotated[int, Range(0, 10**9)]
Decay = Annotated[float, Range(0, 0.999999)]  # an average that never moves holds nothing learnt


@dataclass(frozen=True, kw_only=True)
class Features:
    """Where training crops come from: a store of log-mel features, or the audio files themselves."""

    source: Literal["store", "audio"] = "store"  # audio: decoded as they are needed, the front end on the device
    folder: str = "cache/features"  # of the stores, one a manifest and front end
    precision: Literal[16, 32] = 16  # bits of a stored value
    workers: Count = 2  # processes that decode
    engine: Literal["processes", "ray"] = "processes"  # of this machine, or actors of a Ray cluster
    max_duration_s: Positive | None = None  # what follows in a longer file is not read


@dataclass(frozen=True, kw_only=True)
class Text:
    """Which texts training reads."""

    kinds: list[str] | None = None  # of the manifest's texts; all of them if null
    languages: list[str] | None = None  # all of them if null
    tag_sentences: Share = 0.5  # share of the texts that the lexicon makes from tags
    per_track: Count = 1  # texts drawn for a track of a batch
    sentences: Count = 3  # sampled from a long review, each time anew


@dataclass(frozen=True, kw_only=True)
class Views:
    """The crops of a track in a batch, and what is done to them."""

    count: Count = 1  # crops of a track
    pair: Literal["random", "same", "adjacent", "gap"] = "random"  # how the crops of a track lie to each other
    gap_s: Amount = 0.0  # gap: least seconds from the end of one crop to the start of the next
    waveform: str | list[Block] = field(default_factory=list)  # augmentations in order, or a preset's name
    features: list[Block] = field(default_factory=list)  # augmentations of features, in order
    clean: Whole = 0  # so many views, the first ones, stay as they are
    force: bool = False  # let training for key change pitch


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW, Adam, SGD with Nesterov's momentum or LARS, and their schedules."""

    name: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    lr: Amount = 1e-3  # the highest
    momentum: Share = 0.9  # of sgd and lars
    weight_decay: Amount = 0.01  # of weight matrices
    final_weight_decay: Amount | None = None  # where a cosine leads it; null: it stays
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"  # of lr, after the warm-up
    warmup: Share = 0.05  # share of the steps in which lr rises
    final_lr: Share = 0.0  # of lr, where a cosine ends
    factor: Share = 0.2  # plateau: what lr is multiplied by
    plateau: Count = 5  # plateau: validations without a better score before lr falls
    groups: list[Block] = field(default_factory=list)  # {match: a pattern of names, lr: factor, weight_decay: ...}


@dataclass(frozen=True, kw_only=True)
class Train:
    """The loop."""

    epochs: Whole  # passes over the training part; 0: the untrained network is judged
    batch_size: Count  # tracks that are compared with each other, on all processes together
    micro_batch: Count | None = None  # most tracks that a process embeds at a time, for want of memory; null: all
    clip_norm: Amount = 1.0  # highest norm of the gradient; 0: it is logged, and stays as it is
    accumulate: Count = 1  # batches of an optimiser's step
    ema: Decay = 0.0  # decay of the average of the weights that is validated and kept; 0: the weights themselves
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: by what the device can do
    compile: bool = False  # torch.compile of the audio encoder
    validate_every: Count = 1  # epochs
    monitor_every: Count = 20  # steps between looks at collapse
    save_every: Count = 50  # steps between saved states
    patience: Whole = 0  # validations without a better one before training stops; 0: never
    workers: Whole = 0  # processes of the loader
    threads: Annotated[int, Range(1, 1024)] | None = None  # of torch on a CPU; torch's own choice if null
    loggers: list[Literal["csv", "tensorboard", "wandb"]] | None = None  # null: csv, and tensorboard if installed


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights from elsewhere that training of the audio encoder starts with."""

    path: str | None = None  # a file, or an http(s) address
    keys: str | None = None  # prefix of the names that are read; the encoder's own known ones if null
    strict: bool = True  # every weight must be found, and none be left
    freeze: list[str] = field(default_factory=list)  # patterns of names in the model that are not trained


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a run lies. No part of what is learnt, so no part of the config's hash."""

    folder: str = "runs"  # holds <name>/<time>
    new: bool = False  # start another run even if one of this config is unfinished


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole experiment, resolved."""

    name: str  # of the experiment and of its folder of runs
    data: Block  # {name: a data set, its settings}
    split: str  # name of a split of the manifest
    seed: Seed = 0  # of everything that is drawn
    dim: Count = 128  # of the joint space
    window_s: Positive = 4.0  # seconds of a training crop and of a segment
    audio_encoder: Block = field(default_factory=lambda: {"name": "mel_cnn"})  # {name: ..., its settings}
    text_encoder: Block = field(default_factory=lambda: {"name": "mini_transformer"})  # {name: ..., its settings}
    objectives: dict[str, Block] = field(default_factory=lambda: {"clip": {}})  # name -> settings and its weight
    features: Features = field(default_factory=Features)
    labelled: Share = 1.0  # share of the training groups whose texts and tags are used; the others are audio alone
    text: Text = field(default_factory=Text)
    views: Views = field(default_factory=Views)
    weights: Weights = field(default_factory=Weights)
    optimizer: Optimizer = field(default_factory=Optimizer)
    train: Train
    tasks: dict[str, Block] = field(default_factory=lambda: {"retrieval": {}})  # name -> settings; run at the end
    queries: list[str] = field(default_factory=list)  # asked and answered on the screen at the end
    run: Run = field(default_factory=Run)


_SECTIONS = {key for key, hint in get_type_hints(Config).items() if is_dataclass(hint)}


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read an experiment.

    Args:
        path: the YAML file.
        overrides: ``key=value`` with dotted keys and YAML values, or ``~key``; what a budget changes comes before.

    Raises:
        InputError: file or defaults not there or not YAML; an override without its key; unknown keys; wrong types; a
            budget that the file does not have.
    """
    values, changes, others = _budgeted(Path(path), overrides)
    values = _merged(values, changes)
    apply(values, others)
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error
    return settings.built(Config, resolved, str(path))


def budget(path: str | Path, overrides: Sequence[str]) -> Block:
    """What the budget changes that ``budget=NAME`` among ``overrides``, or else the file, chooses; errors as `load`."""
    return _budgeted(Path(path), overrides)[1]


def _budgeted(path: Path, overrides: Sequence[str]) -> tuple[Block, Block, list[str]]:
    """An experiment without its budgets, what the chosen one changes, and the overrides that do not choose it."""
    values = _composed(path, ())
    choosing = [each for each in overrides if each.removeprefix("~").partition("=")[0] == "budget"]
    apply(values, choosing)
    name, known = values.pop("budget", "full"), {"full": {}, **values.pop("budgets", {})}
    if not isinstance(name, str) or name not in known:
        raise InputError(f"{path} has no budget {name!r}; it has {listed(known)}")
    return values, known[name], [each for each in overrides if each not in choosing]


def save(config: Config, path: str | Path) -> None:
    """Write the resolved config as YAML; `load` reads it back as it was."""
    write_text(path, OmegaConf.to_yaml(asdict(config)))


def config_hash(config: Config) -> str:
    """SHA-256 of the resolved content but for ``run``: two configs of one hash train the same model."""
    content = {key: value for key, value in asdict(config).items() if key != "run"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_plugins(config: Config) -> None:
    """Check every plug-in's block against its constructor; the plug-ins are imported, no data is read.

    Raises:
        InputError: an unknown plug-in, or a setting that is unknown, missing or of the wrong type.
    """
    registry.check("datasets", config.data, "data")
    registry.check("encoders.audio", config.audio_encoder, "audio_encoder")
    registry.check("encoders.text", config.text_encoder, "text_encoder")
    for name, block in config.objectives.items():
        weight, own = weighed(block)
        settings.check(f"objectives.{name}", {"weight": weight}, {"weight": Setting(Amount, False)})
        registry.check_settings(registry.find("objectives", name), own, f"objectives.{name}")
        if block.get("encoder") is not None:  # of documents, which some objectives learn from
            registry.check("encoders.text", block["encoder"], f"objectives.{name}.encoder")
    if config.train.epochs and not any(weighed(block)[0] for block in config.objectives.values()):
        raise InputError("objectives: there is none with a weight above 0, and so nothing to learn from")
    for name, block in config.tasks.items():
        registry.check_settings(registry.find("tasks", name), block, f"tasks.{name}")


def weighed(block: Block) -> tuple[float, Block]:
    """An objective's weight in the sum, 1 unless it is said, and its own settings."""
    own = dict(block)
    return own.pop("weight", 1.0), own


def _composed(path: Path, chain: tuple[Path, ...]) -> Block:
    """The file's content over that of its defaults; ``chain`` holds the files that led here."""
    if path.resolve() in chain:
        raise InputError(f"{path}: its defaults lead back to itself ({' -> '.join(p.name for p in chain)})")
    content = read(path)
    defaults = content.pop("defaults", [])
    if not fits(defaults, list[str]):
        raise InputError(f"{path}: defaults is {defaults!r}, but must be a list of names of files beside it")
    composed: Block = {}
    for name in defaults:
        composed = _merged(composed, _composed(path.parent / f"{name}.yaml", (*chain, path.resolve())))
    return _merged(composed, content)


def read(path: Path) -> Block:
    """The content of a YAML file that holds keys and values; references in it stay as they are."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except OSError as error:
        beside = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise InputError(f"{path}: {error.strerror}; experiments there: {listed(beside) or 'none'}") from error
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold keys and values, not a {type(content).__name__}")
    settings.check(str(path), {"budgets": content.get("budgets", {})}, {"budgets": Setting(dict[str, Block], False)})
    return content


def _merged(under: Block, over: Block) -> Block:
    sections = {
        key: under[key] | over[key]
        for key in _SECTIONS & under.keys() & over.keys()
        if isinstance(under[key], dict) and isinstance(over[key], dict)
    }
    small, large = under.get("budgets", {}), over.get("budgets", {})
    budgets = {name: _merged(small.get(name, {}), block) for name, block in large.items()}
    return under | over | sections | ({"budgets": small | budgets} if small or large else {})


def apply(values: Block, overrides: Sequence[str]) -> None:
    """Set or remove values in place: ``key=value`` with dotted keys and YAML values, or ``~key``; errors as `load`."""
    for override in overrides:
        _apply(values, override)


def _apply(values: Block, override: str) -> None:
    key, equals, text = override.removeprefix("~").partition("=")
    *parents, last = key.split(".")
    removes = override.startswith("~")
    if removes == bool(equals) or not all([*parents, last]):
        raise InputError(f"{override!r} is not an override; write key=value, or ~key to remove one")
    block = values
    for parent in parents:
        block = block.get(parent) if removes else block.setdefault(parent, {})  # type: ignore[assignment]
        if not isinstance(block, dict):
            raise InputError(f"{override!r}: {parent} holds no keys")
    if removes and last not in block:
        raise InputError(f"{override!r}: there is no {key}; there are {listed(block, limit=50)}")
    if removes:
        del block[last]
    else:
        block[last] = _value(text, override)


def _value(text: str, override: str) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]), resolve=False)["value"]
    except (YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{override!r}: the value is not YAML: {' '.join(str(error).split())}") from error

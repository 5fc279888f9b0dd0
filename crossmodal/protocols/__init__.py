"""Protocols: how a figure comes about, by name, one YAML file each beside this one.

A protocol says on which data and split a model is judged, what the parts may not share, which tasks judge it with which
settings, and which papers reported figures in this way. ``source: any`` and ``split: run`` stand for a run's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossmodal import config, registry, settings
from crossmodal.data.leakage import Kind
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.errors import InputError, listed, nearest

ANY, OWN = "any", "run"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Data:
    """What a protocol judges on.

    Attributes:
        source: of the manifest's tracks, all of them; `ANY` for whatever the manifest holds.
        split: of the manifest; `OWN` for the run's own.
        hash: of the split, as `split_hash` gives it; a split of the same name with another one is refused.
    """

    source: str
    split: str
    hash: str | None = None

    def located(self, manifest: Manifest, own: str, name: str) -> str:
        """The name of the split that protocol ``name`` judges; ``own`` is that of the run.

        Raises:
            InputError: the manifest holds other sources, no such split, or another one of that name.
        """
        sources = sorted(manifest.tracks["source"].unique())
        if self.source != ANY and sources != [self.source]:
            raise InputError(
                f"protocol {name} is of {self.source}, but the tracks are of {listed(sources)}; make its manifest with"
                f" `crossmodal data {self.source}`, and give that with --manifest"
            )
        known = sorted(manifest.splits["name"].unique())
        split = known[0] if self.split == OWN and own not in known and len(known) == 1 else self._split(own)
        if split not in known:
            raise InputError(
                f"protocol {name} judges split {split!r}, but the tracks have {listed(known) or 'none'};"
                " `crossmodal data split` makes one"
            )
        self._check_hash(manifest, split, name)
        return split

    def _split(self, own: str) -> str:
        return own if self.split == OWN else self.split

    def _check_hash(self, manifest: Manifest, split: str, name: str) -> None:
        found = split_hash(manifest, split)
        if self.hash is not None and found != self.hash:
            raise InputError(
                f"protocol {name}: split {split!r} has hash {found}, not {self.hash}; tracks are missing, or stand in"
                " other parts, so figures would not compare with others of this protocol"
            )


@dataclass(frozen=True)
class Protocol:
    """One way to judge.

    Attributes:
        title: in one line.
        data: what it judges on.
        tasks: by name, with their settings, as an experiment names them.
        about: features, head, selection, metrics, and where it departs from the papers.
        forbids: what the test part may share neither with train and valid nor with what the run was trained on.
        needs: ``text`` where the model must read, ``manifest`` where the data must be other than the run's own.
        papers: that reported figures in this way.
    """

    title: str
    data: Data
    tasks: dict[str, dict[str, Any]]
    about: str = ""
    forbids: list[Kind] = field(default_factory=list)
    needs: list[Literal["text", "manifest"]] = field(default_factory=list)
    papers: list[str] = field(default_factory=list)


def names() -> list[str]:
    """The protocols of the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Protocol:
    """A protocol of the package by its name, or one's own by its path, which ends in ``.yaml``.

    Raises:
        InputError: there is none, or it lacks something, or holds something that is unknown or of the wrong type.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if path.parent != FOLDER and path.stem in names():
        raise InputError(f"{path} is called as a protocol of the package is; its results would be taken for that one's")
    if path.parent == FOLDER and name not in names():
        raise InputError(f"there is no protocol {name!r}; there are {listed(names(), 50)}{nearest(name, names())}")
    return settings.built(Protocol, config.read(path), str(path))


def check_tasks(protocol: Protocol, name: str) -> None:
    """Check the tasks' settings against their constructors; an `InputError` names what does not fit."""
    for task, block in protocol.tasks.items():
        registry.check_settings(registry.find("tasks", task), block, f"protocol {name}: tasks.{task}")

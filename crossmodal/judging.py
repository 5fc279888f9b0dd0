"""Judge a run by protocols: the data and the split that each names, its tasks, and a folder of results for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossmodal import protocols, results
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import best_model, judge
from crossmodal.prepare import open_store
from crossmodal.protocols import Protocol
from crossmodal.runs import Run

Say = Callable[[str], None]
FOLDER, PART = "protocols", "test"


class Judge:
    """A run's best model beside the data it is judged on, for one protocol after the other.

    Args:
        run: whose model is judged; its folder gets ``protocols/NAME/`` for each protocol.
        manifest: of other data than the run's own.
        say: for what is told on the way.

    The tracks of a split are embedded once, whatever the number of protocols.
    """

    def __init__(self, run: Run, manifest: Manifest | None, say: Say) -> None:
        self.run, self.say = run, say
        self.model = best_model(run)
        self.manifest = Manifest.load(run.folder / "manifest") if manifest is None else manifest.check()
        self.foreign = manifest is not None
        self._embedded: dict[str, Embedded] = {}

    def by(self, name: str) -> Path:
        """Judge by a protocol of the package, or by one's own file; the folder of its results.

        Raises:
            InputError: there is no such protocol, or the run or the data do not suit it.
        """
        protocol = protocols.load(name)
        protocols.check_tasks(protocol, name)
        embedded = self._data(protocol, name)
        evaluation = judge(embedded, protocol.tasks, PART)
        found = {
            "experiment": self.run.config.name,
            "seed": self.run.config.seed,
            **evaluation.results,
            "protocol": described(protocol, name),
        }
        folder = self.run.folder / FOLDER / Path(name).stem
        results.write(folder, found, evaluation.judgements)
        return folder

    def _data(self, protocol: Protocol, name: str) -> Embedded:
        if "text" in protocol.needs and not self.model.reads:
            raise InputError(f"protocol {name} asks with words, and {self.run.folder} is a model of audio alone")
        split = protocol.data.located(self.manifest, self.run.config.split, name)
        if split not in self._embedded:
            self._embedded[split] = Embedded(self.model, self.manifest, split, self._store())
        return self._embedded[split]

    def _store(self) -> FeatureStore | None:
        config = self.run.config
        if self.foreign:
            config = replace(config, data={"name": "-".join(sorted(self.manifest.tracks["source"].unique()))})
        return open_store(config, self.manifest, self.model.audio_encoder.frontend, self.say)


def described(protocol: Protocol, name: str) -> Mapping[str, Any]:
    """A protocol as results.json tells of it."""
    return {
        "name": Path(name).stem,
        "title": protocol.title,
        "about": protocol.about,
        "forbids": protocol.forbids,
        "papers": protocol.papers,
    }

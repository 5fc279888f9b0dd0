"""Judge a run by protocols: the data and the split that each names, its tasks, and a folder of results for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossmodal import guards, protocols, results
from crossmodal.data.engine import named
from crossmodal.data.leakage import Kind, Leak
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.data.store import FeatureStore
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import ask_words, best_model, every_skip, judge
from crossmodal.files import write_skipped
from crossmodal.prepare import open_store
from crossmodal.protocols import Protocol
from crossmodal.runs import Run

Say = Callable[[str], None]
PART, HEARD = "test", "heard"


class Judge:
    """A run's best model beside the data it is judged on, for one protocol after the other.

    Args:
        run: whose model is judged; its folder gets ``protocols/NAME/`` for each protocol.
        manifest: of other data than the run's own.
        say: for what is told on the way.
        allow: kinds of leaks that are told, and not refused, though a protocol forbids them; results say so.

    The tracks of a split are embedded once, whatever the number of protocols.
    """

    def __init__(self, run: Run, manifest: Manifest | None, say: Say, allow: Collection[Kind] = ()) -> None:
        self.run, self.say, self.allow = run, say, allow
        self.model = best_model(run)
        self.manifest = Manifest.load(run.folder / "manifest") if manifest is None else manifest.check()
        self.foreign = manifest is not None
        self._embedded: dict[str, Embedded] = {}
        self._known: dict[str, list[Leak]] = {}

    def by(self, name: str) -> Path:
        """Judge by a protocol of the package, or by one's own file; the folder of its results.

        Raises:
            InputError: there is no such protocol, the run or the data do not suit it, the judged tracks share what it
                forbids with others, or the model has collapsed.
        """
        protocol, split = self.suited(name)
        if split not in self._embedded:
            self._embedded[split] = Embedded(self.model, self.manifest, split, self._store())
        embedded = self._embedded[split]
        checked = self._guarded(protocol, name, embedded)
        evaluation = judge(embedded, protocol.tasks, PART)
        found = {
            "experiment": self.run.config.name,
            "seed": self.run.config.seed,
            **evaluation.results,
            "protocol": described(protocol, name, self.allow),
            "guards": checked,
        }
        folder = self.run.folder / results.PROTOCOLS / self._named(protocol, name, split)
        write_skipped(folder / "skipped.csv", every_skip(embedded, embedded.vectors(PART)))
        results.write(folder, found, evaluation.judgements)
        return folder

    def suited(self, name: str) -> tuple[Protocol, str]:
        """A protocol and the split that it judges, both checked; nothing is embedded yet.

        Raises:
            InputError: there is no such protocol, or the run or the data do not suit it.
        """
        protocol = protocols.load(name)
        protocols.check_tasks(protocol, name)
        if "text" in protocol.needs and not self.model.reads:
            raise InputError(f"protocol {name} asks with words, and {self.run.folder} is a model of audio alone")
        if "manifest" in protocol.needs and not self.foreign:
            raise InputError(f"protocol {name} is of other data than the run was trained on; give them with --manifest")
        return protocol, protocol.data.located(self.manifest, self.run.config.split, name)

    def _named(self, protocol: Protocol, name: str, split: str) -> str:
        """The name of the folder; with the data, where the protocol leaves it to others to say which they are."""
        if not self.foreign or protocol.data.source != protocols.ANY:
            return Path(name).stem
        return f"{Path(name).stem}@{self._sources()}-{split_hash(self.manifest, split)[:8]}"

    def _sources(self) -> str:
        return "-".join(sorted(self.manifest.tracks["source"].unique()))

    def _guarded(self, protocol: Protocol, name: str, embedded: Embedded) -> dict[str, Any]:
        """What the guards say of the data and the model: refused, told, and for results.json."""
        leaks = self._leaks(embedded.split)
        guards.refuse(leaks, set(protocol.forbids) - set(self.allow), f"protocol {name}")
        for line in guards.told(leaks, protocol.forbids):
            self.say(f"{name}: {line}")
        spread = guards.collapse(embedded, PART, ask_words(protocol.tasks), self.run.config.train.epochs > 0)
        return {"leaks": [leak._asdict() for leak in leaks], "collapse": spread}

    def _leaks(self, split: str) -> list[Leak]:
        """What the judged tracks share with others, once a split; what is heard is kept beside the features."""
        if split not in self._known:
            how = self.run.config.features
            trained = self._trained() if self.foreign or split != self.run.config.split else None
            heard, engine = Path(how.folder) / HEARD, named(how.engine, how.workers)
            self._known[split] = guards.leaks(self.manifest, split, PART, trained, heard, engine)
        return self._known[split]

    def _trained(self) -> Manifest | None:
        """The tracks that the run was trained and chosen on; none if it was not trained."""
        own, config = Manifest.load(self.run.folder / "manifest"), self.run.config
        parts = own.parts(config.split)
        return own.select(parts.index[parts.isin(guards.TUNED)]) if config.train.epochs else None

    def _store(self) -> FeatureStore | None:
        config = self.run.config
        if self.foreign:
            config = replace(config, data={"name": self._sources()})
        return open_store(config, self.manifest, self.model.audio_encoder.frontend, self.say)


def described(protocol: Protocol, name: str, allow: Collection[Kind]) -> Mapping[str, Any]:
    """A protocol as results.json tells of it."""
    return {
        "name": Path(name).stem,
        "title": protocol.title,
        "about": protocol.about,
        "forbids": protocol.forbids,
        "allowed": sorted(set(allow) & set(protocol.forbids)),
        "papers": protocol.papers,
    }

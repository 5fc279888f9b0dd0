"""The systems that `evaluate.py` compares: experiments with small budgets, on synthetic music and on real clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SYNTHETIC, REAL = "synthetic", "real"

Experiment = tuple[str, tuple[str, ...]]  # of the folder experiments/, and what is changed in it: small budgets
SYSTEMS: dict[str, dict[str, Experiment]] = {
    "words and audio": {
        REAL: ("real_small", ("train.epochs=2", "train.validate_every=2")),
        SYNTHETIC: ("quickstart", ("budget=small", "train.epochs=8")),
    },
    "audio alone": {
        REAL: ("real_ssl", ("train.epochs=2", "train.validate_every=2", "window_s=1.5")),
        SYNTHETIC: ("ssl_quickstart", ("budget=small", "train.epochs=5", "train.validate_every=5")),
    },
    "untrained": {
        REAL: ("real_small", ("train.epochs=0",)),
        SYNTHETIC: ("quickstart", ("budget=small", "train.epochs=0")),
    },
    "hand-crafted": {REAL: ("real_handcrafted", ()), SYNTHETIC: ("handcrafted", ("budget=small",))},
}
COMMON = ("tasks={}", "queries=[]")  # protocols judge
# half of the real clips are notes by one orchestra, which no split could keep on one side; its pitches are kept apart
ALLOWED = ("artist",)
ELSEWHERE = ("transfer",)  # protocols that need a manifest of data that the run was not trained on
RECORD = "judged.json"  # in a run's folder: what each protocol took, or why it was refused


def protocol_of(name: str, data: str) -> str:
    """What a protocol is judged by: itself, or where it takes an hour and more a smaller one, which says so."""
    smaller = [ROOT / "experiments" / "protocols" / f"{name}_{size}.yaml" for size in (data, "small")]
    return next((str(path) for path in smaller if path.is_file()), name)


@dataclass(frozen=True)
class Job:
    """One system on one data set with one seed: what is trained, and judged."""

    data: str
    system: str
    seed: int
    changes: tuple[str, ...]  # what all of a data set change: where it is, and its split
    runs: Path
    threads: int

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.runs / self.data / self.system.replace(" ", "_") / f"seed-{self.seed}"

    @property
    def overrides(self) -> list[str]:
        """What it changes in its experiment."""
        own = [f"seed={self.seed}", f"train.threads={self.threads}", f"run.folder={self.home}"]
        return [*COMMON, *SYSTEMS[self.system][self.data][1], *own, *self.changes]

"""Key: what a head reads off frozen features of the key a track is in, judged by the weights of MIREX."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from crossmodal.errors import InputError, listed
from crossmodal.heads import Aggregate, Fit
from crossmodal.judgement import Judgement, Measured
from crossmodal.metrics import key as metrics
from crossmodal.settings import Count, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Layer, Silence
from crossmodal.tasks._reader import UNWEIGHTED, Predicted, Reader
from crossmodal.tasks._tagsets import classes
from crossmodal.types import Task

if TYPE_CHECKING:
    import pandas as pd

    from crossmodal.data.manifest import Manifest
    from crossmodal.embedding import Embedded

NAME = re.compile(r"\s*([A-Ga-g])\s*([#b♯♭]?)\s*[ :_-]?\s*(major|maj|minor|min|m|M)?(\s+[a-z]+)?\s*")
SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
MINOR = ("minor", "min", "m")
SHIFTS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
KEYS = metrics.KEYS


class Key(Task):
    """A head over the keys that the training part has; what it finds likeliest is judged.

    ``weighted_score``: 1 for the key itself, .5 for the one a fifth above it, .3 for the relative, .2 for the parallel
    one, and 0 for others, through mir_eval; ``correct``, ``fifth``, ``relative``, ``parallel`` and ``other``: the share
    of each. Names may be as "Eb minor", "D# minor", "Ebm" or "eb:min"; a church mode after the key is left out. Tracks
    without a key, or with several, take no part. The head is fitted on train, and chooses on valid by balanced
    accuracy. Chance is what one of the 24 keys, drawn at random, is expected to reach. Intervals: bootstrap over
    tracks, clustered by artist and group.

    Args:
        keys: the tagset, or else the column of ``manifest.tracks``, that has them.
        head: of `crossmodal.heads`, with its settings; linear, every track weighing the same, unless given.
        layer: see `crossmodal.tasks.probe`, as of ``fit``, ``aggregate``, ``silence`` and ``seeds``.
        fit: likewise.
        aggregate: likewise.
        silence: likewise.
        seeds: likewise.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap, and the first of the head.
    """

    primary: ClassVar[str] = "weighted_score"

    def __init__(
        self,
        keys: str = "key",
        head: dict[str, Any] | None = None,
        layer: Layer = "features",
        fit: Fit | None = None,
        aggregate: Aggregate | None = None,
        silence: Silence | None = None,
        seeds: Count = 1,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        head = UNWEIGHTED if head is None else head
        self.reader = Reader.of("key", head, layer, fit, aggregate, silence, seeds, seed)
        self.keys, self.draws, self.seed = keys, draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<keys>/<measure>``, and the tables ``<keys>/truth`` and ``<keys>/scores`` over the 24 keys."""
        tagset = classes(embedded, self.keys, keys_of(embedded.manifest, self.keys), part)
        made = self.reader.predict(embedded, tagset, part)
        tables = {name: table.reindex(columns=list(KEYS), fill_value=0) for name, table in made.tables().items()}
        return Judgement({f"{self.keys}/{name}": figure for name, figure in self._measured(made).items()}, tables)

    def _measured(self, made: Predicted) -> dict[str, Measured]:
        units, true = made.units(self.draws, self.seed), made.labels.tolist()
        each = [metrics.scores(true, best.tolist()) for best in made.best]
        counts = {"candidates": len(KEYS)}
        weighted = _measures.mean(each, units, made.more, chance=metrics.chance(true), **counts)
        shares = {
            name: _measures.mean([one == score for one in each], units, made.more, **counts)
            for score, name in metrics.RELATIONS.items()
        }
        return {"weighted_score": weighted, **shares}


def keys_of(manifest: Manifest, name: str) -> pd.Series[str]:
    """The key of each track that has one, by track id, as `KEYS` spells it.

    Args:
        manifest: the tracks.
        name: of a tagset, or else of a column.

    Raises:
        InputError: there is neither, or a name is no key.
    """
    if name in set(manifest.tags["tagset"]):
        cells = manifest.tags[manifest.tags["tagset"] == name].set_index("track_id")["tag"]
        cells = cells[~cells.index.duplicated(keep=False)]
    elif name in manifest.tracks:
        cells = manifest.tracks.set_index("track_id")[name].astype("str")
        cells = cells[cells.str.strip() != ""]
    else:
        tagsets = sorted(manifest.tags["tagset"].unique())
        raise InputError(f"key: there is neither a tagset nor a column {name!r}; tagsets: {listed(tagsets) or 'none'}")
    found = cells.map(spelt)
    if wrong := sorted(set(cells[found == ""])):
        raise InputError(f"key: {len(wrong)} names of {name!r} are no keys, as 'Eb minor' is: {listed(wrong, 5)}")
    return found


def spelt(name: str) -> str:
    """A key as `KEYS` spells it; ``""`` for what is none."""
    match = NAME.fullmatch(name)
    if match is None:
        return ""
    letter, sign, mode, _ = match.groups()
    if mode is None and letter.islower():  # some write "a" for A minor, others for A major
        return ""
    tonic = metrics.TONICS[(SEMITONES[letter.upper()] + SHIFTS[sign]) % 12]
    return f"{tonic} {'minor' if mode in MINOR else 'major'}"

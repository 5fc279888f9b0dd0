"""What can be heard in a piece of the orchestra, and which pieces there are.

An album draws one value of every tagset. Five of the tagsets make its *combination*; a fixed share of all
combinations, chosen by hash and so the same for every seed, is kept for testing.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np

Attributes = dict[str, str]
"""One value for each tagset."""

TAGSETS: dict[str, tuple[str, ...]] = {
    "instrument": ("guitar", "organ", "bells", "trumpet", "flute", "violin", "clarinet", "synthesizer"),
    "mood": ("happy", "sad", "mysterious"),
    "tempo": ("slow", "moderate", "fast"),
    "texture": ("melody", "chords", "arpeggio"),
    "rhythm": ("drums", "no drums"),
    "metre": ("triple metre", "quadruple metre"),
    "dynamics": ("soft", "loud", "swelling"),
    "register": ("high", "low"),
}
ABSENT = frozenset({"no drums"})
"""Values that are said in reviews and are no tag: the track is annotated with nothing."""

COMBINED = ("instrument", "mood", "tempo", "texture", "rhythm")
HELD_SHARE = 0.22
FRACTIONS = {"test": 0.22, "valid": 0.10}
ALBUM_TRACKS = 4


@dataclass(frozen=True)
class Album:
    """Tracks that share their attributes and their reviews; ``part`` is its part of the split "combination"."""

    number: int
    attributes: Attributes
    part: str

    @property
    def id(self) -> str:
        """The album's name in tables and file names."""
        return f"album-{self.number:04d}"

    @property
    def combination(self) -> tuple[str, ...]:
        """The values that make the combination, in the order of `COMBINED`."""
        return tuple(self.attributes[tagset] for tagset in COMBINED)


def generator(seed: int, *key: int) -> np.random.Generator:
    """A generator of its own for the thing that ``key`` numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def is_held(combination: tuple[str, ...]) -> bool:
    """Whether a combination is kept for testing: by hash, the same on every machine and for every seed."""
    digest = hashlib.blake2b("|".join(combination).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < HELD_SHARE * 2**64


def combinations(held: bool) -> list[tuple[str, ...]]:
    """All combinations that are, or are not, kept for testing."""
    everything = itertools.product(*(TAGSETS[tagset] for tagset in COMBINED))
    return [combination for combination in everything if is_held(combination) == held]


def plan(tracks: int, seed: int) -> list[Album]:
    """The albums that hold ``tracks`` tracks; the parts of the split "combination" are drawn here.

    A combination returns only when all others of its kind have been used, and then with another variant of the
    remaining tagsets.
    """
    count = -(-tracks // ALBUM_TRACKS)
    rng = generator(seed, 0)
    parts = [str(part) for part in np.array(_parts(count))[shuffled(count, rng)]]
    deals = {held: _deal(held, count, rng) for held in (False, True)}
    albums = []
    for number, part in enumerate(parts):
        albums.append(Album(number, deals[part == "test"].pop(), part))
    return albums


def shuffled(count: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of ``range(count)``, from uniform numbers alone: these are the same in every NumPy."""
    return np.argsort(rng.random(count), kind="stable")


def _parts(count: int) -> list[str]:
    """How many albums each part gets: at least one of each, training last, as soon as there are three."""
    sizes = {part: max(round(share * count), 1) for part, share in FRACTIONS.items()} if count >= 3 else {}
    return [part for part, size in sizes.items() for _ in range(size)] + ["train"] * (count - sum(sizes.values()))


def _deal(held: bool, count: int, rng: np.random.Generator) -> list[Attributes]:
    """A stack of ``count`` attributes to draw from."""
    cores = combinations(held)
    rest = [tagset for tagset in TAGSETS if tagset not in COMBINED]
    variants = list(itertools.product(*(TAGSETS[tagset] for tagset in rest)))
    orders = [shuffled(len(variants), rng) for _ in cores]
    deal: list[Attributes] = []
    for visit in range(-(-count // len(cores))):
        for core in shuffled(len(cores), rng):
            variant = variants[orders[core][visit % len(variants)]]
            deal.append(dict(zip(COMBINED, cores[core], strict=True)) | dict(zip(rest, variant, strict=True)))
    return deal[:count][::-1]

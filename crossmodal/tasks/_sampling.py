"""Samples of labelled tracks in which every tag has its share, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crossmodal.heads import Ints, Truth


def stratified(truth: Truth, groups: Sequence[str], share: float, rng: np.random.Generator) -> Ints:
    """The rows of about a ``share`` of tracks, sorted; groups stay whole, and every tag keeps a track at least.

    By iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML
    PKDD 2011) into what is taken and what is left: the tag with the fewest groups to deal is dealt first, each of its
    groups goes where more of the tag is still wanted, or else more tracks. Wanted of a tag is its share, but one track
    at least; so where tags are many and rare, more than a share of all tracks is taken.

    Args:
        truth: ``(tracks, tags)``; 1 for a tag that a track has.
        groups: of the tracks; each its own where tracks are drawn one by one.
        share: 0 to 1.
        rng: of the order in which groups are dealt.
    """
    number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    counts = np.zeros((int(number.max()) + 1, truth.shape[1]))
    np.add.at(counts, number, truth == 1)
    dealt = _Deal(counts, np.bincount(number).astype(np.float64), share)
    order = rng.permutation(len(counts))
    while (tag := dealt.rarest()) is not None:
        for group in order[dealt.open[order] & (counts[order, tag] > 0)]:
            dealt.give(group, tag)
    for group in order[dealt.open[order]]:
        dealt.give(group, None)
    return np.flatnonzero(dealt.taken[number])


class _Deal:
    """Groups that are dealt: what is still wanted of each tag and of tracks, taken and left."""

    def __init__(self, counts: NDArray[np.float64], sizes: NDArray[np.float64], share: float) -> None:
        self.counts, self.sizes = counts, sizes
        total = counts.sum(axis=0)
        self.wanted = np.stack([np.maximum(share * total, np.minimum(1, total)), (1 - share) * total])
        self.tracks = np.array([share, 1 - share]) * sizes.sum()
        self.open, self.taken = np.ones(len(counts), bool), np.zeros(len(counts), bool)
        self.left = (counts > 0).sum(axis=0)  # groups to deal, of each tag
        self.lost = self.left > 0  # tags of which nothing is taken

    def rarest(self) -> int | None:
        """The tag with the fewest groups to deal, or None if no tag has any."""
        return int(np.where(self.left > 0, self.left, np.iinfo(int).max).argmin()) if self.left.any() else None

    def give(self, group: int, tag: int | None) -> None:
        """Take a group, or leave it."""
        has = self.counts[group] > 0
        last = bool((has & self.lost & (self.left == 1)).any())
        taken = last or self._more(tag)
        self.open[group], self.taken[group] = False, taken
        self.left -= has
        self.lost &= ~(has & taken)
        self.wanted[int(not taken)] -= self.counts[group]
        self.tracks[int(not taken)] -= self.sizes[group]

    def _more(self, tag: int | None) -> bool:
        """Whether more of a tag, or else more tracks, are wanted among those taken."""
        if tag is not None and self.wanted[0, tag] != self.wanted[1, tag]:
            return bool(self.wanted[0, tag] > self.wanted[1, tag])
        return bool(self.tracks[0] > self.tracks[1])


def samples(
    truth: Truth, groups: Sequence[str], shares: Sequence[float], nested: bool, seed: Sequence[int]
) -> dict[float, Ints]:
    """The rows of each share, by share; with ``nested`` each sample lies within the next larger one."""
    falling = sorted({1.0, *shares}, reverse=True)
    found, names = {1.0: np.arange(len(truth))}, np.asarray(groups, dtype=str)
    for place, (larger, share) in enumerate(pairwise(falling)):
        rng = np.random.default_rng([*seed, place])
        rows = found[larger] if nested else found[1.0]
        within = share / larger if nested else share
        found[share] = rows[stratified(truth[rows], names[rows].tolist(), within, rng)]
    return {share: found[share] for share in shares}

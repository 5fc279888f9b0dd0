"""Tagsets that heads are fitted on: which tags a head can learn, and of which tracks what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crossmodal.errors import InputError, listed

if TYPE_CHECKING:
    import pandas as pd

    from crossmodal.data.manifest import Manifest
    from crossmodal.embedding import Embedded

Tags = Mapping[str, frozenset[str]]  # of each track that is annotated, by its id; none is an answer too


class Tagset(NamedTuple):
    """A tagset.

    A tag that train lacks cannot be told. Exclusive ones count all the same, as what they are: errors, whatever is said
    of their tracks; independent ones have no figure.

    Attributes:
        name: its own.
        tags: those that train has.
        exclusive: whether each track has exactly one.
        has: the tags of the annotated tracks of all parts.
        unseen: tags that the judged part has, and train has not.
    """

    name: str
    tags: tuple[str, ...]
    exclusive: bool
    has: Tags
    unseen: tuple[str, ...] = ()

    @property
    def judged(self) -> Tagset:
        """As the judged part is labelled: the tags that train has, and of exclusive ones the unseen after them."""
        return self._replace(tags=self.tags + self.unseen, unseen=()) if self.exclusive else self


def chosen_on(part: str) -> dict[str, str]:
    """What is told of figures of a part by what is fitted on train and chosen on valid.

    Raises:
        InputError: the part is train.
    """
    if part == "train":
        raise InputError("part train cannot be judged by what is fitted on it; judge valid or test")
    return {"chosen_on": part} if part == "valid" else {}


def tagsets_of(
    embedded: Embedded, names: Sequence[str] | None, part: str, joint: str | None = None
) -> tuple[list[Tagset], dict[str, str]]:
    """The tagsets that can be probed, and by name why others cannot.

    Args:
        embedded: the model beside its data.
        names: the tagsets; None for all that there are.
        part: what is judged.
        joint: the name under which all of them are one set of independent tags ``<tagset>/<tag>``, of the tracks that
            are annotated with each of them; None for each by itself.

    Raises:
        InputError: one that was named cannot be probed, or none can; or the part is train.
    """
    chosen_on(part)
    known = sorted(embedded.manifest.tags["tagset"].unique())
    asked = known if names is None else names
    if unknown := [name for name in asked if name not in known]:
        raise InputError(f"there is no tagset {listed(unknown)} with tags; there are: {listed(known) or 'none'}")
    if joint is not None:
        _check_joint(joint, known, sorted(set(asked)))
    every = {name: _tags(embedded.manifest, name) for name in asked}
    found, reasons = [], {}
    for name, has in (every if joint is None else {joint: _joined(every)}).items():
        exclusive = joint is None and all(len(tags) == 1 for tags in has.values())
        tagset, reason = _tagset(embedded, name, has, exclusive, part)
        if reason:
            reasons[name] = reason
        else:
            found.append(tagset)
    for name in reasons if names is not None or not found else ():
        raise InputError(f"tagset {name!r}: {reasons[name]}")
    if not found:
        raise InputError("there are no tagsets to probe: no track has a tag")
    return found, reasons


def _check_joint(joint: str, known: Sequence[str], asked: Sequence[str]) -> None:
    why = f"is of {listed(asked) or 'no tagset'} alone" if len(asked) < 2 else ""
    if why := "is no new name" if not joint or joint in known else why:
        raise InputError(f"joint {joint!r} {why}; it names what two tagsets or more are together")


def classes(embedded: Embedded, name: str, labels: pd.Series[str], part: str) -> Tagset:
    """Classes that are no tags of the manifest, such as bins of tempo, as an exclusive tagset.

    Args:
        embedded: the model beside its data.
        name: what it is called.
        labels: the class of each track that has one, by track id.
        part: what is judged.

    Raises:
        InputError: train has not two classes, another part none of train's; or the part is train.
    """
    chosen_on(part)
    has = {str(track): frozenset({label}) for track, label in labels.items()}
    tagset, reason = _tagset(embedded, name, has, True, part)
    if reason:
        raise InputError(f"classes of {name!r}: {reason}")
    return tagset


def _tags(manifest: Manifest, name: str) -> Tags:
    """The tags of the tracks that are annotated with a tagset."""
    tags, annotated = (table[table["tagset"] == name] for table in (manifest.tags, manifest.annotated))
    return (
        dict.fromkeys(annotated["track_id"], frozenset[str]())
        | tags.groupby("track_id")["tag"].agg(frozenset).to_dict()
    )


def _joined(every: Mapping[str, Tags]) -> Tags:
    """``<tagset>/<tag>`` of several tagsets, of the tracks that are annotated with all of them."""
    tracks = frozenset.intersection(*map(frozenset, every.values()))
    return {track: frozenset(f"{name}/{tag}" for name, has in every.items() for tag in has[track]) for track in tracks}


def _tagset(embedded: Embedded, name: str, has: Tags, exclusive: bool, part: str) -> tuple[Tagset, str]:
    """A tagset, and why it cannot be probed, or nothing."""
    tags = {
        place: {tag for track in embedded.vectors(place).track_ids for tag in has.get(track, ())}
        for place in dict.fromkeys(("train", "valid", part))
    }
    train, unseen = (tuple(sorted(own)) for own in (tags["train"], tags[part] - tags["train"]))
    return Tagset(name, train, exclusive, has, unseen), _reason(tags, exclusive, part)


def _reason(tags: Mapping[str, set[str]], exclusive: bool, part: str) -> str:
    """Why a tagset with these tags in each part cannot be probed, or nothing."""
    if len(tags["train"]) < 1 + exclusive:
        return f"train has {len(tags['train'])} of its tags, too few to learn from"
    for name in ("valid", part):
        if not tags[name] & tags["train"]:
            return f"{name} has no track with a tag that train has"
    return f"all tracks of {part} are {listed(tags[part])}" if exclusive and len(tags[part]) == 1 else ""

"""What is served, the newest state of it, and the lanes in which its questions are worked on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.asking import Answer, Asker, Wishes
from crossmodal.errors import InputError
from crossmodal.queries import Query
from crossmodal.search import SearchIndex
from crossmodal.search.generation import current
from crossmodal.serve.catalogue import Catalogue
from crossmodal.serve.lanes import Lane, Slots, called
from crossmodal.serve.limits import Limits

log = logging.getLogger("crossmodal.serve")
BATCH = 64  # queries in words that are answered together
LOOK_S = 1.0  # between two looks at the index's folder
Texts = Mapping[str, NDArray[np.float32]]


class Asked(NamedTuple):
    """A query in words; without wishes, only its words' vectors are wanted."""

    query: Query
    wishes: Wishes | None


class Served:
    """An index, the model that made it, and what both are asked.

    Each encoder belongs to one thread: that of text to the lane ``words``, that of sound to the lane ``sounds``; what
    needs the catalogue's files alone is done in ``files``, and maps in ``maps``.

    Args:
        asker: of the index and the model.
        name: what people know it by.
        examples: queries that suit it.
        limits: what may be asked.
    """

    def __init__(self, asker: Asker, name: str, examples: Sequence[str] = (), limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.name, self.examples, self.stale = name, list(examples), False
        self.catalogue = Catalogue(asker)
        if self.catalogue.tells_paths:
            log.warning("the ids of the tracks are paths, which all who ask will see; index the tracks by other ids")
        self._seen = self._signature()
        self.words: Lane[Asked] = Lane("words", self._answered, self.limits.texts, BATCH)
        self.sounds: Lane[Any] = Lane("sounds", called, self.limits.sounds)
        self.files: Lane[Any] = Lane("files", called, self.limits.files, threads=2)
        self.uploads = Slots(self.limits.sounds)
        self.maps: Lane[Any] = Lane("maps", called, self.limits.files)

    @property
    def lanes(self) -> list[Lane[Any]]:
        """All of them."""
        return [self.words, self.sounds, self.files, self.maps]

    async def answer(self, query: Query, wishes: Wishes, upload: bool = False) -> Answer:
        """The tracks that answer a query.

        Args:
            query: what is asked.
            wishes: how.
            upload: whether a file is among its parts.

        Raises:
            InputError: see `Asker.embedded` and `Asker.answer`.
            HTTPException: see `Lane.do`.
        """
        limits = self.limits
        if not query.sounds:
            answer: Answer = await self.words.do(Asked(query, wishes), limits.answer_s)
            return answer
        texts: Texts = {}
        if not all(part.sounds for part in query.parts):
            texts = await self.words.do(Asked(query, None), limits.answer_s)
        asker, lane = self.catalogue.asker, self.sounds if upload else self.files
        seconds = limits.sound_s if upload else limits.answer_s
        found: Answer = await lane.do(lambda: asker.answer(asker.embedded(query, texts), wishes), seconds)
        return found

    def is_ours(self, error: InputError) -> bool:
        """Whether an error speaks of the index's own files: then it is no mistake of who asked, nor theirs to read."""
        return self.catalogue.index.location in str(error)

    def _answered(self, jobs: Sequence[Asked]) -> list[Answer | Texts | Exception]:
        """What becomes of queries in words: embedded and searched for together, or one by one if one of them fails."""
        asker = self.catalogue.asker
        try:
            return _together(asker, jobs)
        except Exception as error:
            return [error] if len(jobs) == 1 else [one for job in jobs for one in self._answered([job])]

    async def watch(self) -> None:
        """Follow the index's folder until cancelled: what others add, delete and compact is served within a second."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Serve what the index's folder holds now; what cannot be read is logged, and the old state stays."""
        if (now := self._signature()) == self._seen:
            return
        asker = self.catalogue.asker
        try:
            self.catalogue = Catalogue(Asker(asker.index.refreshed(), asker.model, asker.bank))
            self._seen, self.stale = now, False
        except Exception as error:  # whatever it is, the watch goes on
            if not self.stale:  # it is tried again each time, and told once
                log.error("the index has changed and cannot be read, what was there before is served: %s", error)
            self.stale = True

    def _signature(self) -> tuple[tuple[int, ...], ...]:
        """Of the files that change with the index, cheap to compare; an index in Milvus has none."""
        index = self.catalogue.index
        if not isinstance(index, SearchIndex):
            return ()
        try:
            name = current(index.folder)[0]
        except InputError:
            name = index.generation
        return tuple(_stat(path) for path in (index.folder / "CURRENT", index.folder / name / "journal"))


def _together(asker: Asker, jobs: Sequence[Asked]) -> list[Answer | Texts | Exception]:
    texts = asker.texts(job.query for job in jobs)
    rows = [row for row, job in enumerate(jobs) if job.wishes is not None]
    embedded = [asker.embedded(jobs[row].query, texts) for row in rows]
    answers = dict(zip(rows, asker.answers(embedded, [jobs[row].wishes or Wishes() for row in rows]), strict=True))
    return [answers.get(row, texts) for row in range(len(jobs))]


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns

"""The kind that suits a size and a budget of memory."""

from __future__ import annotations

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.types import Index

EXACT = 50_000  # vectors that one core compares in some milliseconds
KINDS = ("hnsw", "ivfsq", "ivfpq", "rabitq")  # the fastest first, each smaller than the one before


class Auto(Index):
    """Exact search up to 50,000 segments; beyond them the first of hnsw, ivfsq, ivfpq and rabitq that fits.

    The exact vectors, 4 bytes a dimension, lie in a memory map and are read where they are needed: they are not
    counted, except for exact search, which reads them all.

    Args:
        memory: bytes that a search may keep resident; None for as many as it likes.
    """

    def __init__(self, memory: int | None = None) -> None:
        self.memory = memory

    def instead(self, rows: int, dim: int) -> str | None:
        """By the rule above.

        Raises:
            InputError: nothing fits.
        """
        needed: dict[str, int] = {n: registry.build("indexes", n).resident(rows, dim) for n in ("flat", *KINDS)}
        for name in needed if rows <= EXACT else KINDS:
            if self.memory is None or needed[name] <= self.memory:
                return name
        least = min(needed, key=needed.__getitem__)
        raise InputError(
            f"{rows} segments of {dim} numbers need {needed[least]} bytes as {least}, the smallest kind, but memory is"
            f" {self.memory}"
        )

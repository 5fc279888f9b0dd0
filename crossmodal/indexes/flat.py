"""Exact search: every query is compared with every vector. The standard by which other kinds are judged."""

from __future__ import annotations

from crossmodal.types import Index


class Flat(Index):
    """Inner products with the vectors themselves, which of unit vectors are cosines; 4 bytes a dimension and vector."""

"""No text encoder: for models that are trained on audio alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from torch import nn

from crossmodal.errors import InputError
from crossmodal.types import TextEncoder, Tokens

ALONE = "this model was trained on audio alone: it has no text encoder"


class NoText(nn.Module, TextEncoder):
    """Stands in the place of a text encoder; whoever asks it to read gets an `InputError`."""

    reads: ClassVar[bool] = False
    dim = 1

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """There is no text to read.

        Raises:
            InputError: always.
        """
        raise InputError(ALONE)

    def forward(self, tokens: Tokens) -> NoReturn:
        """There is no vector to give.

        Raises:
            InputError: always.
        """
        raise InputError(ALONE)

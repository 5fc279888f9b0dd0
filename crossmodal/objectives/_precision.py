"""Losses are computed in float32 or better, whatever the model was computed in."""

from __future__ import annotations

from crossmodal.precision import at_least_float32 as at_least_float32

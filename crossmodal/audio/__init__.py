"""Audio: decoding, windows and front ends."""

from __future__ import annotations

SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac"),
    *(".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".wma", ".webm", ".mka", ".wv", ".ape", ".ac3", ".amr"),
)
"""Of file names that are audio."""

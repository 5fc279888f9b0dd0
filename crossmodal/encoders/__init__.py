"""Encoders: one architecture a file, in ``audio`` and ``text``."""

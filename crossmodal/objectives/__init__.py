"""Losses, found by file name."""

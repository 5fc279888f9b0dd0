"""Data sets: one source a file, found by file name."""

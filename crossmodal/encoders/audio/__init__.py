"""Audio encoders, found by file name."""

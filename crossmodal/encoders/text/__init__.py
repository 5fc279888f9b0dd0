"""Text encoders, found by file name."""

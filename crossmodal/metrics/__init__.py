"""Metrics: numpy in, floats out."""

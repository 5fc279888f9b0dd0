"""Evaluations, found by file name; each names its primary metric."""

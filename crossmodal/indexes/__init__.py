"""Kinds of FAISS index, found by file name."""

"""Data: manifests, texts, features and batches."""

"""Augmentations of batches of audio: of waveforms, of features, and chains of them."""

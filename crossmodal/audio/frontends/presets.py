"""Front ends of the systems that the experiments follow, by name.

All of them give decibels of power above an absolute floor. Where an original differs, it is by what a normaliser takes
away: a natural logarithm of power is 0.2303 times the decibels, and a constant factor before it a constant number of
them. What none has is a level relative to the file's own (``ref=max``, ``top_db``), which would make of the same sound
something else in another track. Beyond the ends of a file there are zeros, where torchaudio mirrors the samples.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The ISMIR 2025 tutorial on self-supervised learning: ln(power + 1e-8), windows of 400 samples. Three of its 128
    # bands, the lowest, are narrower than the 40 Hz of such a window's bins and always empty: here zeros fill the
    # windows up to 800, which puts a bin between any two. That doubles the power in a band, so that the floor, -80 dB,
    # is at -77, where it is a floor and not a sum.
    "sslismir": {
        "name": "log_mel",
        "sample_rate": 16_000,
        "n_fft": 800,
        "window": 400,
        "hop": 160,
        "bands": 128,
        "f_min": 50.0,
        "f_max": 8000.0,
        "mel_scale": "htk",
        "floor_db": -77.0,
    },
    # Meseguer-Brocal et al., "An Experimental Comparison of Multi-view Self-supervised Methods for Music Tagging"
    # (ICASSP 2024). Its 128 bands reach up to 11,025 Hz, beyond half its sample rate, so that the upper 11 are always
    # silent: here too, since its published weights have learnt from bands that lie where these do. Its ``normalized``
    # power is divided by the sum of the squared window, 384: decibels are 25.8 higher here, and its floor of 1e-10 is
    # at -74. Its other one, 100 dB below a clip's maximum, is not kept.
    "deezer": {
        "name": "log_mel",
        "sample_rate": 16_000,
        "n_fft": 1024,
        "hop": 512,
        "bands": 128,
        "f_min": 0.0,
        "f_max": 11_025.0,
        "mel_scale": "slaney",
        "floor_db": -74.0,
        "silent_bands": True,
    },
    # CLMR's branch for spectrograms, after Won et al., "Evaluation of CNN-based Automatic Music Tagging Models" (SMC
    # 2020): windows of 512 samples, every 256, and a floor of 1e-10. The lowest of 128 bands holds no bin of such a
    # window: here zeros fill it up to 1024, as in "sslismir", and the floor is at -97.
    "clmr_tf": {
        "name": "log_mel",
        "sample_rate": 16_000,
        "n_fft": 1024,
        "window": 512,
        "hop": 256,
        "bands": 128,
        "f_min": 0.0,
        "f_max": 8000.0,
        "mel_scale": "htk",
        "floor_db": -97.0,
    },
    # Schindler and Knees, "Multi-Task Music Representation Learning from Multi-Label Embeddings" (CBMI 2019): mel bands
    # of librosa, left and right. Its ``ref=max``, channel by channel, took the level and the balance away; it is not
    # kept, nor is the floor of 80 dB below that maximum.
    "schindler": {
        "name": "log_mel",
        "sample_rate": 22_050,
        "n_fft": 1024,
        "hop": 256,
        "bands": 128,
        "f_min": 0.0,
        "f_max": 11_025.0,
        "mel_scale": "slaney",
        "norm": "slaney",
        "channels": 2,
    },
}

"""Audio: decoding, windows and front ends."""

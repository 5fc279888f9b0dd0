"""Embed the tracks of a manifest: python scripts/embed_crossmodal.py RUN MANIFEST [--out VECTORS.npz]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["embed", *sys.argv[1:]]))

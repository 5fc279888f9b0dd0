"""Build the search index of a manifest: python scripts/index_crossmodal.py RUN MANIFEST [--out FOLDER]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))

"""Merge mel spectrograms: python scripts/melspecs_merge.py --tidfile TIDS.csv --src FOLDER --dst STORE.h5 ..."""

import sys

from crossmodal.cli import script
from crossmodal.cli.melspecs import merge

if __name__ == "__main__":
    sys.exit(script(merge))

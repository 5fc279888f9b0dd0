"""Extract mel spectrograms: python scripts/melspecs_extract.py --tidfile TIDS.csv --dst FOLDER --workers 8 ..."""

import sys

from crossmodal.cli import script
from crossmodal.cli.melspecs import extract

if __name__ == "__main__":
    sys.exit(script(extract))

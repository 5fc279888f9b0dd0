"""Normalise stores: python scripts/normalize.py --train TRAIN.h5 --apply VALID.h5 TEST.h5 --dst FOLDER ..."""

import sys

from crossmodal.cli import script
from crossmodal.cli.normalise import normalise

if __name__ == "__main__":
    sys.exit(script(normalise))

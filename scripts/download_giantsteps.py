"""Download GiantSteps key, audio and annotations: python scripts/download_giantsteps.py FOLDER [--mirdata]."""

import sys

from crossmodal.cli import script
from crossmodal.datasets._giantsteps import download

if __name__ == "__main__":
    sys.exit(script(download))

"""Resample audio: python scripts/resample_audio.py --src FOLDER --dst FOLDER --sample-rate 22050 [--mono] ..."""

import sys

from crossmodal.cli import script
from crossmodal.cli.resample import resample

if __name__ == "__main__":
    sys.exit(script(resample))

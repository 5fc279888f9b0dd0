"""Train on audio alone: python scripts/train_ssl.py [EXPERIMENT.yaml] [key=value ...] [~key ...]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["ssl", *sys.argv[1:]]))

"""Train a dual encoder: python scripts/train_crossmodal.py [EXPERIMENT.yaml] [key=value ...] [~key ...]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

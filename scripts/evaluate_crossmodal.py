"""Judge a run: python scripts/evaluate_crossmodal.py RUN [--task NAME] [--part PART] [--json]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))

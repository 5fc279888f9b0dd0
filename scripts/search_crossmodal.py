"""Ask in words or with a song: python scripts/search_crossmodal.py RUN "text" | song.mp3 [-k N] [--json]."""

import sys

from crossmodal.cli import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))

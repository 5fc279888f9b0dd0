"""How long `crossmodal --help` takes, and what it would take to import torch: medians of five.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

HELP = ("-c", "import sys; from crossmodal.cli import main; sys.exit(main(['--help']))")


def seconds(arguments: Sequence[str], times: int = 5) -> float:
    """The median over ``times`` fresh interpreters, after one that fills the disk's cache."""
    found = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - begin)
    return median(found[1:])


def main() -> None:
    print(f"crossmodal --help: {seconds(HELP):.2f} s (at most 0.5)")
    print(f"python alone:      {seconds(('-c', 'pass')):.2f} s")
    print(f"import torch:      {seconds(('-c', 'import torch')):.2f} s")


if __name__ == "__main__":
    main()

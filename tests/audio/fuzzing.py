"""Flipped bytes in small audio files, decoded in a process of its own: python fuzzing.py FOLDER SEED COUNT.

What it is about to read lies in FOLDER before it is read, so that a crash or a hang leaves it there. Each outcome is a
line; the process that started this one has the time limit.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from crossmodal.audio.decode import AudioError, decode, probe


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, mostly of the header; a stretch cut out, doubled, or zeroed now and then."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(min(len(found), rng.choice([48, 48, 200, len(found)])))
        found[at] = rng.choice([found[at] ^ 1 << rng.randrange(8), 0, 255, 127, 128, rng.randrange(256)])
    if rng.random() < 0.3:
        start, length = rng.randrange(len(found)), rng.randrange(1, 400)
        piece = found[start : start + length]
        found[start : start + length] = rng.choice([b"", piece * 2, bytes(len(piece))])
    return bytes(found)


def main(folder: Path, seed: int, count: int) -> None:
    """Decode ``count`` spoilt files; anything but an `AudioError` ends in a traceback."""
    rng = random.Random(seed)
    seeds = sorted(path for path in folder.iterdir() if path.stem == "seed")
    for _ in range(count):
        chosen = rng.choice(seeds)
        path = folder / f"spoilt{chosen.suffix}"
        path.write_bytes(flipped(chosen.read_bytes(), rng))
        start = rng.choice([0.0, 0.0, 0.3])
        try:
            probe(path)
            found = decode(path, 8000, rng.choice([1, 2]), start, longest_s=600)
            assert found.shape[1] <= 600 * 8000 + 1
            print("read")
        except AudioError as error:
            print("refused" if "\n" not in str(error) else "refused in several lines")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

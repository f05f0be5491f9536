"""The floor of a mutation from file to file: copy a file, then draw normal numbers for its weights on two threads.

    python benchmarks/copy_and_draw.py SOURCE TARGET WEIGHTS

The copy reaches the disk, as mutspec's output does before it takes its place. WEIGHTS may be 0: the copy alone.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Copy, then draw."""
    source, target, weights = sys.argv[1], sys.argv[2], int(sys.argv[3])
    copy(source, target)
    if weights:
        draw(weights)


def copy(source: str, target: str) -> None:
    """Copy in the kernel, as fast as the file system can."""
    with open(source, "rb") as read, open(target, "wb") as written:
        size = os.fstat(read.fileno()).st_size
        done = 0
        while done < size:
            done += os.copy_file_range(read.fileno(), written.fileno(), size - done, done, done)
        os.fsync(written.fileno())


def draw(weights: int) -> None:
    """Draw a number for each weight. NumPy is loaded here, as a copy alone needs none."""
    from draws import CHUNK, normals, on_threads

    on_threads(lambda chunk: normals(chunk, min(CHUNK, weights - chunk * CHUNK)), range(-(-weights // CHUNK)))


if __name__ == "__main__":
    main()

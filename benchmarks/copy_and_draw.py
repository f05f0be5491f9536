"""The least work of a mutation from file to file: copy a file, then draw normal numbers for its weights on two threads.

    python benchmarks/copy_and_draw.py SOURCE TARGET WEIGHTS

The copy is synced to the disk, as mutspec's output is before it takes its name. With 0 WEIGHTS it only copies.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Copies, then draws."""
    source, target, weights = sys.argv[1], sys.argv[2], int(sys.argv[3])
    copy(source, target)
    if weights:
        draw(weights)


def copy(source: str, target: str) -> None:
    """Copies in the kernel, as fast as the file system can."""
    with open(source, "rb") as read, open(target, "wb") as written:
        size = os.fstat(read.fileno()).st_size
        done = 0
        while done < size:
            done += os.copy_file_range(read.fileno(), written.fileno(), size - done, done, done)
        os.fsync(written.fileno())


def draw(weights: int) -> None:
    """Draws a number for each weight. NumPy is imported here, because a copy alone does not need it."""
    from draws import CHUNK, normals, on_threads

    on_threads(lambda chunk: normals(chunk, min(CHUNK, weights - chunk * CHUNK)), range(-(-weights // CHUNK)))


if __name__ == "__main__":
    main()

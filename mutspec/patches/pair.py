"""Two model files that are read together, a block of a weight at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np

from mutspec.access.fingerprint import Fingerprint
from mutspec.access.read import TensorReader
from mutspec.access.threads import in_order
from mutspec.model.files.archive import Archive, Extent
from mutspec.patches.payload import Words, as_words, words_per_entry

_BLOCK = 1 << 18
"""The number of entries that are read at once."""


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of a weight from `start` to before `stop`."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class Pair:
    """Two models, their fingerprints, and readers of them.

    Arguments:
        before, after: the models.
        print_before, print_after: their fingerprints.
        reader_before, reader_after: read them.
        threads: how many blocks are read at once.
    """

    before: Archive
    after: Archive
    print_before: Fingerprint
    print_after: Fingerprint
    reader_before: TensorReader
    reader_after: TensorReader
    threads: int

    @property
    def is_structural(self) -> bool:
        """Whether the models differ in structure."""
        return self.print_before.structure != self.print_after.structure

    def differences(self, paths: Iterable[str]) -> Iterator[tuple[Block, Words]]:
        """Yields the exclusive or of the words of some weights, which both models have in one shape and dtype.

        The blocks of a weight follow each other, and so do the weights.
        """
        blocks = (
            Block(path, start, stop) for path in paths for start, stop in _ranges(prod(self.before.extents[path].shape))
        )
        with ThreadPoolExecutor(self.threads) as pool:
            yield from in_order(pool, self._difference, blocks, self.threads)

    def words(self, extent: Extent, *, is_after: bool) -> Iterator[Words]:
        """Yields the words of a value of one of the models, a block at a time."""
        reader = self.reader_after if is_after else self.reader_before
        for start, stop in _ranges(prod(extent.shape)):
            yield as_words(reader.read_extent(extent, start, stop), extent.dtype)

    def words_in(self, path: str) -> int:
        """Returns how many words a weight has in the model before."""
        return words_in(self.before.extents[path])

    def _difference(self, block: Block) -> Words:
        dtype = self.before.extents[block.path].dtype
        before, after = (
            as_words(reader.read(block.path, block.start, block.stop), dtype)
            for reader in (self.reader_before, self.reader_after)
        )
        return np.bitwise_xor(before, after)


def words_in(extent: Extent) -> int:
    """Returns how many words a value has."""
    return prod(extent.shape) * words_per_entry(extent.dtype)


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _BLOCK):
        yield start, min(start + _BLOCK, size)

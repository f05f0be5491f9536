"""The values of a patched model, computed from those of the model and the patch while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.access.read import TensorReader
from mutspec.errors import ModelError
from mutspec.model.files.archive import Archive, Extent
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.limits import UNPACKED_BYTES, current_limits
from mutspec.patches.document import ModelLayout, damaged
from mutspec.patches.file import PatchFile
from mutspec.patches.payload import Part, Words, as_entries, as_words, index_dtype, part_name, word_of, words_per_entry

_BLOCK = 1 << 16
"""The number of listed words that are looked at together."""
STAND_IN = -1
"""The part of the places that stand for values which lie in no file."""


class How(StrEnum):
    """What a patch does to a weight."""

    KEPT = "kept"
    MOVED = "moved"
    """It is a weight of the model under another path."""
    CHANGED = "changed"
    """Most of its entries change."""
    SPARSE = "sparse"
    """The patch lists the entries that change."""
    REPLACED = "replaced"
    """The patch holds it whole: it is new, or has another shape or dtype."""


def place_of_weight(path: str, shape: Iterable[int], dtype: str) -> Extent:
    """Returns the place that stands for a weight of the patched model."""
    form = tuple(shape)
    return Extent(path, form, dtype, False, None, prod(form) * numpy_dtype(dtype).itemsize, part=STAND_IN)


def place_of_other(path: str, shape: Iterable[int], dtype: str) -> Extent:
    """Returns the place that stands for a stored value that is not a weight."""
    return place_of_weight(f"\0{path}", shape, dtype)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the patched model.

    Arguments:
        how: how it comes about.
        shape, dtype: its own.
        source: where the model holds what it is made of; None if the patch holds all of it.
        path: the path of that in the model, if it is a weight.
        part: the tensor of the patch; for listed entries that of the bits.
        entries: the tensor of their places.
    """

    how: How
    shape: tuple[int, ...]
    dtype: str
    source: Extent | None = None
    path: str = ""
    part: str = ""
    entries: str = ""

    @property
    def size(self) -> int:
        """The number of entries."""
        return prod(self.shape)

    @property
    def words(self) -> int:
        """The number of words."""
        return self.size * words_per_entry(self.dtype)


class PatchedValues:
    """Reads values of a patched model. Several threads may do so at once.

    Arguments:
        patch: the patch.
        archive: the model that is patched, whose fingerprint is the one that the patch names.
        reader: reads it.
        is_reverse: whether the patch is undone.
        layout: how the patched model is laid out, if the patch does not say it and a new file is to be written.

    Raises:
        ModelError: the patch is damaged: it does not hold what it says, or what does not fit the model.
    """

    def __init__(
        self,
        patch: PatchFile,
        archive: Archive,
        reader: TensorReader,
        *,
        is_reverse: bool,
        layout: ModelLayout | None = None,
    ) -> None:
        """Finds out what each value is made of, and checks the places that the patch lists."""
        self._patch, self._archive, self._reader = patch, archive, reader
        side = patch.document.before if is_reverse else patch.document.after
        self.layout = side.layout or layout
        whole = Part.BEFORE if is_reverse else Part.AFTER
        other = Part.STORED_BEFORE if is_reverse else Part.STORED_AFTER
        wanted = _wanted(self.layout, archive)
        self.weights = {path: self._weight(path, form, whole, side.same_as) for path, form in wanted.items()}
        values = {} if self.layout is None else self.layout.others
        self.others = {path: self._other(path, (v.shape, v.dtype), other) for path, v in values.items()}
        self._check_size()
        self._firsts = {
            value.entries: self._checked_places(path, value)
            for path, value in self.weights.items()
            if value.how is How.SPARSE
        }

    @property
    def origins(self) -> Mapping[str, str]:
        """The path in the model of each weight that is kept, with its bits or changed, by its own path."""
        return {path: value.path for path, value in self.weights.items() if value.path}

    def read(self, path: str, start: int, stop: int) -> NDArray[Any]:
        """Returns the entries [start, stop) of a weight, flat."""
        return self._read(self.weights[path], start, stop)

    def read_before(self, path: str, start: int, stop: int) -> NDArray[Any]:
        """Returns those of the weight that the model has under this path."""
        return self._reader.read(path, start, stop)

    def read_place(self, place: Extent, start: int, stop: int) -> NDArray[Any]:
        """Returns those of any value: by the place that stands for it, or by a place in the model's file."""
        if place.part != STAND_IN:
            return self._reader.read_extent(place, start, stop)
        value = self.others[place.dataset[1:]] if place.dataset.startswith("\0") else self.weights[place.dataset]
        return self._read(value, start, stop)

    def _read(self, value: Value, start: int, stop: int) -> NDArray[Any]:
        per_entry = words_per_entry(value.dtype)
        first, last = start * per_entry, stop * per_entry
        if value.source is None:
            return as_entries(self._patch.read(value.part, first, last), value.dtype)
        held = self._reader.read_extent(value.source, start, stop)
        if value.how in (How.KEPT, How.MOVED):
            return held
        words = as_words(held, value.dtype)
        if value.how is How.CHANGED:
            words = np.bitwise_xor(words, self._patch.read(value.part, first, last))
        else:
            words = words.copy()
            for entries, bits in self._listed(value, first, last):
                words[entries - first] ^= bits
        return as_entries(words, value.dtype)

    def _listed(self, value: Value, first: int, last: int) -> Iterator[tuple[NDArray[np.int64], Words]]:
        """Yields the listed words of a range, with their bits."""
        firsts = self._firsts[value.entries]
        size = self._patch.parts[value.entries].size
        begin = max(0, int(np.searchsorted(firsts, first, side="right")) - 1)
        for block in range(begin, len(firsts)):
            if firsts[block] >= last:
                return
            start, stop = block * _BLOCK, min((block + 1) * _BLOCK, size)
            entries = self._patch.read(value.entries, start, stop).astype(np.int64)
            low, high = np.searchsorted(entries, (first, last))
            if low < high:
                yield entries[low:high], self._patch.read(value.part, start + int(low), start + int(high))

    def _weight(self, path: str, form: tuple[tuple[int, ...], str], whole: Part, same_as: Mapping[str, str]) -> Value:
        shape, dtype = form
        if path in same_as:
            return Value(How.MOVED, shape, dtype, self._held(same_as[path], form), same_as[path])
        if (name := part_name(whole, path)) in self._patch.parts:
            return self._whole(name, form)
        xor, entries, bits = (part_name(part, path) for part in (Part.XOR, Part.ENTRIES, Part.BITS))
        source = self._held(path, form)
        if xor in self._patch.parts:
            value = Value(How.CHANGED, shape, dtype, source, path, xor)
            self._check_part(xor, word_of(dtype), value.words)
            return value
        if entries in self._patch.parts or bits in self._patch.parts:
            value = Value(How.SPARSE, shape, dtype, source, path, bits, entries)
            count = self._patch.parts[entries].size if entries in self._patch.parts else 0
            self._check_part(entries, index_dtype(value.words), count)
            self._check_part(bits, word_of(dtype), count)
            return value
        return Value(How.KEPT, shape, dtype, source, path)

    def _other(self, path: str, form: tuple[tuple[int, ...], str], part: Part) -> Value:
        if (name := part_name(part, path)) in self._patch.parts:
            return self._whole(name, form)
        source = self._archive.stored.get(path)
        if source is None or (source.shape, source.dtype) != form:
            raise ModelError(
                f"{self._archive.path} does not hold `{path}`, which the patched model takes from it",
                hint="apply the patch to the file that it was made from, or to a copy of it",
            )
        return Value(How.KEPT, *form, source)

    def _whole(self, name: str, form: tuple[tuple[int, ...], str]) -> Value:
        value = Value(How.REPLACED, *form, part=name)
        self._check_part(name, word_of(value.dtype), value.words)
        return value

    def _held(self, path: str, form: tuple[tuple[int, ...], str]) -> Extent:
        source = self._archive.extents.get(path)
        if source is None or (source.shape, source.dtype) != form:
            raise self._damaged(f"it does not say what `{path}` is made of")
        return source

    def _check_size(self) -> None:
        """Refuses a patch that repeats values of the model until they fill the disk."""
        values = (*self.weights.values(), *self.others.values())
        made = sum(value.size * numpy_dtype(value.dtype).itemsize for value in values)
        held = sum(extent.bytes for extent in self._archive.extents.values()) + self._patch.path.stat().st_size
        if made > UNPACKED_BYTES:
            what = f"the weights that {self._patch.path} makes, in sizes of the model with the patch"
            current_limits().check("inflation", made // max(1, held), what)

    def _check_part(self, name: str, dtype: np.dtype[Any], size: int) -> None:
        found = self._patch.parts.get(name)
        if found is None:
            raise self._damaged(f"it lacks {name!r}")
        if (found.dtype, found.size) != (dtype, size):
            raise self._damaged(
                f"{name!r} has {found.size:,} entries of {found.dtype.name}, and the weight needs {size:,} of "
                f"{dtype.name}"
            )

    def _checked_places(self, path: str, value: Value) -> NDArray[np.int64]:
        """Checks that listed places ascend and are in the weight. Returns the first of each block."""
        last, firsts = -1, []
        size = self._patch.parts[value.entries].size
        for start in range(0, size, _BLOCK):
            entries = self._patch.read(value.entries, start, min(start + _BLOCK, size))
            if int(entries.max()) >= value.words:
                raise self._damaged(f"it changes an entry that `{path}` does not have")
            signed = entries.astype(np.int64)
            if signed[0] <= last or not np.all(np.diff(signed) > 0):
                raise self._damaged(f"the entries of `{path}` that it changes are not in order")
            firsts.append(int(signed[0]))
            last = int(signed[-1])
        return np.asarray(firsts, np.int64)

    def _damaged(self, what: str) -> ModelError:
        return damaged(str(self._patch.path), what)


def _wanted(layout: ModelLayout | None, archive: Archive) -> Mapping[str, tuple[tuple[int, ...], str]]:
    """Returns shape and dtype of each weight of the patched model."""
    if layout is None:
        return {tensor.path: (tensor.shape, tensor.dtype) for tensor in archive.spec.tensors}
    return {tensor.path: (tuple(tensor.shape), tensor.dtype) for tensor in layout.tensors}

"""Decides what a patch holds of two models: the smallest that leads from either to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mutspec.model.files.archive import Archive, Extent
from mutspec.patches.document import DOCUMENT, ModelLayout, PatchDocument, Side, packed
from mutspec.patches.layout import check_same_assets, layout_of
from mutspec.patches.pair import Pair, words_in
from mutspec.patches.payload import Part, index_dtype, is_smaller_sparse, part_name, word_of
from mutspec.version import __version__


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the patch: its name, and the dtype and number of its words."""

    name: str
    dtype: np.dtype[Any]
    size: int

    @property
    def bytes(self) -> int:
        """The number of bytes that it takes."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Whole:
    """A value that the patch holds as it is: where it lies, and in which model."""

    extent: Extent
    is_after: bool


@dataclass(frozen=True)
class Contents:
    """What a patch holds.

    Arguments:
        document: the document, packed.
        listed: the weights of which it lists the words that differ, with their number.
        dense: the weights of which it has the difference of every word.
        whole: values that it has as they are, by the name of the tensor.
        weights: how many weights differ.
        tensors: all tensors of it.
    """

    document: bytes
    listed: Mapping[str, int]
    dense: tuple[str, ...]
    whole: Mapping[str, Whole]
    weights: int
    tensors: tuple[Tensor, ...]


@dataclass
class _Matching:
    """How the weights of two models belong together.

    Arguments:
        pairs: those that both have in one form, and whose difference is needed.
        whole: those that one of them has, or that have another form in the other, by the name of the tensor.
        same_before, same_after: those that the other model has under another path, by their own path.
        changed: the paths of all weights that differ.
    """

    pairs: list[str] = field(default_factory=list)
    whole: dict[str, Whole] = field(default_factory=dict)
    same_before: dict[str, str] = field(default_factory=dict)
    same_after: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


def contents_of(pair: Pair) -> Contents:
    """Returns what a patch of two models holds. It reads the weights that differ.

    Raises:
        ModelError: a model cannot be read, or its layers keep files that the other's do not.
    """
    matching = _matched(pair)
    counts = dict.fromkeys(matching.pairs, 0)
    for block, words in pair.differences(matching.pairs):
        counts[block.path] += int(np.count_nonzero(words))
    listed, dense = {}, []
    for path, count in counts.items():
        if is_smaller_sparse(count, pair.words_in(path), pair.before.extents[path].dtype):
            listed[path] = count
        else:
            dense.append(path)
    whole = dict(matching.whole)
    layouts: tuple[ModelLayout, ModelLayout] | None = None
    if pair.is_structural:
        layouts = layout_of(pair.before, pair.after), layout_of(pair.after, pair.before)
        whole |= _other_values(pair, layouts)
    else:
        check_same_assets(pair.before, pair.after)
    document = packed(_document(pair, matching, layouts))
    tensors = (
        Tensor(DOCUMENT, np.dtype(np.uint8), len(document)),
        *_differences(pair, listed, dense),
        *(Tensor(name, word_of(each.extent.dtype), words_in(each.extent)) for name, each in whole.items()),
    )
    return Contents(document, listed, tuple(dense), whole, len(matching.changed), tensors)


def _matched(pair: Pair) -> _Matching:
    found = _Matching()
    before, after = ({tensor.path: tensor for tensor in each.spec.tensors} for each in (pair.before, pair.after))
    prints_before, prints_after = pair.print_before.tensors, pair.print_after.tensors
    path_before, path_after = ({each: path for path, each in some.items()} for some in (prints_before, prints_after))
    for path in dict.fromkeys((*before, *after)):
        if prints_before.get(path) == prints_after.get(path):
            continue
        found.changed.append(path)
        moved_from = path_before.get(prints_after[path]) if path in after else None
        moved_to = path_after.get(prints_before[path]) if path in before else None
        is_swapped = moved_from is not None and moved_to is not None
        if path in before and path in after and not is_swapped:
            one, other = before[path], after[path]
            if (one.shape, one.dtype) == (other.shape, other.dtype):
                found.pairs.append(path)
                continue
        if moved_from is not None:
            found.same_after[path] = moved_from
        elif path in after:
            found.whole[part_name(Part.AFTER, path)] = Whole(pair.after.extents[path], True)
        if moved_to is not None:
            found.same_before[path] = moved_to
        elif path in before:
            found.whole[part_name(Part.BEFORE, path)] = Whole(pair.before.extents[path], False)
    return found


def _other_values(pair: Pair, layouts: tuple[ModelLayout, ModelLayout]) -> Mapping[str, Whole]:
    """Returns the stored values that are not weights and that the other model does not have."""
    found = {}
    for part, archive, other, layout in (
        (Part.STORED_BEFORE, pair.before, pair.after, layouts[0]),
        (Part.STORED_AFTER, pair.after, pair.before, layouts[1]),
    ):
        for path in layout.others:
            if not _is_in_both(pair, archive, other, path):
                found[part_name(part, path)] = Whole(archive.stored[path], archive is pair.after)
    return found


def _is_in_both(pair: Pair, archive: Archive, other: Archive, path: str) -> bool:
    extent, twin = archive.stored[path], other.stored.get(path)
    if twin is None or (extent.shape, extent.dtype) != (twin.shape, twin.dtype):
        return False
    before, after = pair.before.stored[path], pair.after.stored[path]
    blocks = zip(pair.words(before, is_after=False), pair.words(after, is_after=True), strict=True)
    return all(np.array_equal(one, two) for one, two in blocks)


def _document(pair: Pair, matching: _Matching, layouts: tuple[ModelLayout, ModelLayout] | None) -> PatchDocument:
    one, other = pair.print_before, pair.print_after
    changed = {path: other.tensors[path] for path in matching.changed if path in other.tensors}
    layout_before, layout_after = layouts or (None, None)
    before, after = pair.before, pair.after
    return PatchDocument(
        f"mutspec {__version__}",
        Side(before.path.name, before.kind, one.structure, dict(one.tensors), matching.same_before, layout_before),
        Side(after.path.name, after.kind, other.structure, changed, matching.same_after, layout_after),
    )


def _differences(pair: Pair, listed: Mapping[str, int], dense: list[str]) -> Iterator[Tensor]:
    for path, count in listed.items():
        yield Tensor(part_name(Part.ENTRIES, path), index_dtype(pair.words_in(path)), count)
        yield Tensor(part_name(Part.BITS, path), word_of(pair.before.extents[path].dtype), count)
    for path in dense:
        yield Tensor(part_name(Part.XOR, path), word_of(pair.before.extents[path].dtype), pair.words_in(path))

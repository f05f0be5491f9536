"""Makes a patch of two model files, and writes it as a safetensors file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from mutspec.access.fingerprint import fingerprint
from mutspec.access.read import TensorReader
from mutspec.access.threads import default_threads
from mutspec.errors import CallError
from mutspec.execute.file_tensors import paths_of
from mutspec.execute.output import check_output, replacing, write_at
from mutspec.model.files.archive import Archive
from mutspec.model.files.safetensors_file import PATCH, header_of
from mutspec.model.files.written import check_size, not_whole
from mutspec.patches.contents import Contents, contents_of
from mutspec.patches.document import DOCUMENT, FORMAT_VERSION
from mutspec.patches.pair import Pair
from mutspec.patches.payload import Part, Words, index_dtype, part_name, words_per_entry
from mutspec.text.words import plural
from mutspec.version import __version__

Progress = Callable[[int, int], None]
"""Called with the entries that are done and the entries in all."""

SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class PatchSummary:
    """A patch that was written.

    Arguments:
        path: the file.
        bytes: its size.
        weights: how many weights it changes, adds or removes.
        is_structural: whether it changes the architecture.
    """

    path: Path
    bytes: int
    weights: int
    is_structural: bool

    def sentence(self) -> str:
        """Returns what was written, in words."""
        parts = [plural(self.weights, "weight")] if self.weights or not self.is_structural else []
        parts += ["the architecture"] if self.is_structural else []
        return f"Wrote {self.path} ({self.bytes:,} bytes) for {' and '.join(parts)}."


def check_patch_output(output: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """Refuses a patch that cannot be written, before any work is done.

    Arguments:
        output: the file to write.
        inputs: the files that the call reads.
        force: whether to replace the output if it exists.

    Raises:
        CallError: its name does not end in `.safetensors`, or `check_output` refuses it.
    """
    if output.suffix.lower() != SUFFIX:
        raise CallError(f"the patch {output} is to be a {SUFFIX} file", hint=f"name it {output.stem}{SUFFIX}")
    check_output(output, inputs, force=force)


def write_patch(
    before: Archive,
    after: Archive,
    output: Path,
    *,
    force: bool = False,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> PatchSummary | None:
    """Writes what turns one model file into another, and back.

    Arguments:
        before: the one model.
        after: the other.
        output: the file to write: whole or not at all.
        force: whether to replace it if it exists.
        threads: how many blocks are compared at once; by default one for each processor, up to 8.
        on_progress: told about the entries that are written.

    Returns:
        What was written; None if the models have the same fingerprint, so that there is nothing to write.

    Raises:
        CallError: the output cannot be written.
        ModelError: a file cannot be read, was changed while it was read, or its layers keep files that the other's do
            not.
        EnvironmentProblem: the disk is full.
    """
    sources = [*paths_of(before, {}), *paths_of(after, {})]
    check_patch_output(output, sources, force=force)
    prints = fingerprint(before), fingerprint(after)
    if prints[0] == prints[1]:
        return None
    with ExitStack() as stack:
        readers = [stack.enter_context(TensorReader(each)) for each in (before, after)]
        pair = Pair(before, after, *prints, readers[0], readers[1], threads or default_threads())
        contents = contents_of(pair)
        shapes = {each.name: (each.dtype.name, (each.size,)) for each in contents.tensors}
        header, offsets = header_of(shapes, output, _metadata(pair))
        places = {name: len(header) + offset for name, offset in offsets.items()}
        size = len(header) + sum(each.bytes for each in contents.tensors)
        target = replacing(output, force=force, inputs=sources, check=lambda path: _check(path, size, contents))
        with target as (descriptor, _):
            write_at(descriptor, header, 0)
            _write(pair, contents, places, descriptor, on_progress)
            for archive in (before, after):
                archive.check_unchanged()
    return PatchSummary(output, size, contents.weights, pair.is_structural)


def _write(
    pair: Pair, contents: Contents, places: Mapping[str, int], descriptor: int, on_progress: Progress | None
) -> None:
    write_at(descriptor, contents.document, places[DOCUMENT])
    paths = [*contents.listed, *contents.dense]
    total, done = sum(prod(pair.before.extents[path].shape) for path in paths), 0
    written = dict.fromkeys(contents.listed, 0)
    for block, words in pair.differences(paths):
        first = block.start * words_per_entry(pair.before.extents[block.path].dtype)
        if block.path in contents.listed:
            at = np.flatnonzero(words)
            entries = (at + first).astype(index_dtype(pair.words_in(block.path)))
            for part, values in ((Part.ENTRIES, entries), (Part.BITS, words[at])):
                place = places[part_name(part, block.path)]
                _write_words(descriptor, values, place + written[block.path] * values.itemsize)
            written[block.path] += len(at)
        else:
            _write_words(descriptor, words, places[part_name(Part.XOR, block.path)] + first * words.itemsize)
        done += block.stop - block.start
        if on_progress is not None:
            on_progress(done, total)
    for name, value in contents.whole.items():
        place = places[name]
        for words in pair.words(value.extent, is_after=value.is_after):
            place += _write_words(descriptor, words, place)


def _write_words(descriptor: int, words: Words, place: int) -> int:
    return write_at(descriptor, words.tobytes(), place)


def _metadata(pair: Pair) -> dict[str, str]:
    """Returns what any reader of safetensors shows of a patch."""
    return {
        "format": "mutspec patch",
        PATCH: FORMAT_VERSION,
        "engine": f"mutspec {__version__}",
        "before": pair.print_before.digest,
        "after": pair.print_after.digest,
    }


def _check(path: Path, size: int, contents: Contents) -> None:
    """Checks the finished file: its size, and that the library finds in it what was written."""
    check_size(path, size)
    try:
        with safe_open(path, "numpy", backend="pread") as file:
            if set(file.keys()) != {each.name for each in contents.tensors}:
                raise not_whole("its header")
    except SafetensorError as error:
        raise not_whole(str(error)) from error

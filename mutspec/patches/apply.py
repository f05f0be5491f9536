"""Applies a patch to a model file, or undoes it, and writes the other model.

If weights alone change, and the output can begin as a copy of the model's file, bytes are edited in that copy.
Otherwise a new file is laid out as the patch says, and filled. In either case the output takes its name only if it has
the fingerprint that the patch promises. Keras is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mutspec.access.fingerprint import Fingerprint, fingerprint
from mutspec.access.read import TensorReader
from mutspec.access.threads import default_threads, in_order
from mutspec.errors import CallError, ModelError, Problem
from mutspec.execute.archive import ArchiveTensors, edited
from mutspec.execute.both_outputs import OutputProvenance, check_both_outputs
from mutspec.execute.copying import reserve
from mutspec.execute.file_tensors import paths_of
from mutspec.execute.new_file_writer import Filling
from mutspec.execute.output import replacing, telling_written
from mutspec.execute.output_kind import kind_of_name, kind_of_output, output_warnings
from mutspec.execute.verify import Verification
from mutspec.graph.primitives import CHUNK
from mutspec.model.files.archive import Archive, Extent
from mutspec.model.files.formats import FORMATS, FileKind, Writer, misnamed
from mutspec.model.files.opening import open_archive
from mutspec.patches.document import ModelLayout, damaged
from mutspec.patches.file import PatchFile
from mutspec.patches.layout import Target, layout_of, new_model
from mutspec.patches.mismatch import differing_weights, refuse_other_model
from mutspec.patches.report import Facts, PatchReport, report_of
from mutspec.patches.values import How, PatchedValues, Value, place_of_other, place_of_weight

Progress = Callable[[int, int], None]
"""Called with the entries that are done and the entries in all."""

_BLOCK = 4 * CHUNK
"""The number of entries that are computed at once."""


def apply_patch(
    model: Path,
    patch: Path,
    output: Path,
    *,
    reverse: bool = False,
    architecture: Path | None = None,
    force: bool = False,
    verify: bool = True,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> PatchReport:
    """Applies a patch to a model file and writes the other model of the patch.

    Arguments:
        model: the file, which is never changed. It may have any name, and any format that holds the same model.
        patch: the patch.
        output: the file to write. It comes to be whole or not at all.
        reverse: whether to undo the patch: the model is the one after, and the output the one before.
        architecture: a file with the architecture, for a model file that holds weights alone.
        force: whether to replace the output if it exists.
        verify: whether to check the checksum of the model's file.
        threads: how many blocks to compute at once; by default one for each processor, up to 8.
        on_progress: told about the entries that are written.

    Raises:
        CheckError: the model is not the one that the patch is for.
        CallError: the output cannot be written.
        ModelError: a file cannot be read, is damaged, or was changed while it was read; or the output cannot have the
            format that its name asks for.
        EnvironmentProblem: the disk is full, or does not hold what was written to it.
    """
    check_both_outputs(output, [model, patch, architecture], force=force)
    kind_of_name(output)
    with PatchFile(patch) as opened:
        archive = open_archive(model, architecture=architecture)
        check_both_outputs(output, [*paths_of(archive, {}), patch], force=force)
        document = opened.document
        kind = _kind(output, archive, opened, is_reverse=reverse)
        found = fingerprint(archive)
        refuse_other_model(archive, found, opened, is_reverse=reverse)
        expected = document.fingerprint_before() if reverse else document.fingerprint_after()
        call = _Call(archive, opened, output, kind, expected, architecture, threads or default_threads(), on_progress)
        warnings = _write(call, is_reverse=reverse, force=force, verify=verify)
    with telling_written(output):
        facts = Facts(
            model, patch, output, document.engine, reverse, found.digest, expected.digest, document.is_structural
        )
        removed = tuple(path for path in found.tensors if path not in expected.tensors)
        return report_of(facts, dict(warnings.weights), removed, warnings.problems)


@dataclass(frozen=True)
class _Call:
    """What a call of `apply_patch` is about."""

    archive: Archive
    patch: PatchFile
    output: Path
    kind: FileKind
    expected: Fingerprint
    architecture: Path | None
    threads: int
    on_progress: Progress | None


@dataclass(frozen=True)
class _Written:
    """How each weight of the output came about, and what the user should know."""

    weights: dict[str, Value]
    problems: tuple[Problem, ...]


def _kind(output: Path, archive: Archive, patch: PatchFile, *, is_reverse: bool) -> FileKind:
    """Returns the kind of file that the output becomes.

    Raises:
        CallError: its name asks for one that the patched model cannot be written as.
    """
    side = patch.document.before if is_reverse else patch.document.after
    if side.layout is None:
        return kind_of_output(output, archive, is_structural=False)
    kind = kind_of_name(output)
    own = FORMATS[kind]
    if own.writer is None:
        raise CallError(f"the output {output.name} would be {own.title}, which mutspec reads and does not write")
    if side.layout.config is not None and not own.is_whole:
        raise CallError(
            f"the patch changes the architecture, and {output.name} would hold weights alone",
            hint=f"name it {Path(output.name).with_suffix('.keras')}",
        )
    if side.layout.config is None and own.is_whole:
        raise CallError(
            f"the patch is one of files that hold weights alone, and {output.name} would hold an architecture",
            hint="name it ….weights.h5 or ….safetensors",
        )
    return kind


def _write(call: _Call, *, is_reverse: bool, force: bool, verify: bool) -> _Written:
    archive = call.archive
    verification = Verification(None, {"": archive}, verify, call.threads)
    check: list[Callable[[Path], None]] = []

    def check_all(path: Path) -> None:
        for each in check:
            each(path)
        _check_result(call, path)

    sources = [*paths_of(archive, {}), call.patch.path]
    with ExitStack() as stack:
        reader = stack.enter_context(TensorReader(archive))
        side = call.patch.document.before if is_reverse else call.patch.document.after
        is_copy = side.layout is None and call.kind in FORMATS[archive.kind].becomes
        layout = None if is_copy else side.layout or layout_of(archive)
        values = PatchedValues(call.patch, archive, reader, is_reverse=is_reverse, layout=layout)
        provenance = OutputProvenance(call.kind)  # of the model of the patch, nobody says what made it
        target = replacing(
            call.output, force=force, inputs=sources, check=check_all, sidecar=provenance.beside(call.output)
        )
        descriptor, _ = stack.enter_context(target)
        stack.enter_context(verification.guard())
        warnings = [*misnamed(archive)]
        if layout is None:
            changed = [path for path, value in values.weights.items() if value.how is not How.KEPT]
            folder, readers = call.output.parent, {"": reader}
            editing = edited(
                archive, readers, descriptor, folder, changed, verification=verification, provenance=provenance
            )
            with editing as tensors:
                _edit(call, values, tensors, changed)
            check.append(tensors.writer.check)
            warnings += output_warnings(call.output, call.kind)
        else:
            warnings += _write_new(call, layout, values, descriptor, verification, provenance, check)
        call.patch.check_unchanged()
    return _Written(dict(values.weights), tuple(warnings))


def _edit(call: _Call, values: PatchedValues, tensors: ArchiveTensors, changed: list[str]) -> None:
    """Writes the weights that change into a copy of the model's file."""

    def compute(block: tuple[str, int, int]) -> None:
        path, start, stop = block
        tensors.write(path, start, values.read_before(path, start, stop), values.read(path, start, stop))

    _run(call, compute, [(path, values.weights[path].size) for path in changed])


def _write_new(
    call: _Call,
    layout: ModelLayout,
    values: PatchedValues,
    descriptor: int,
    verification: Verification,
    provenance: OutputProvenance,
    check: list[Callable[[Path], None]],
) -> tuple[Problem, ...]:
    """Writes a file that is not a copy of the model's file."""
    writer = FORMATS[call.kind].writer
    assert writer is not None
    reader = _Reader(values)
    if layout.config is None or writer.lay_out is None:
        _convert(call, layout, reader, writer, descriptor)
        verification.check("")
        check.append(writer.check)
        return ()
    model = new_model(Target(layout, values.origins), call.archive, call.kind, str(call.patch.path))
    laid_out = writer.lay_out(model, descriptor)
    reserve(descriptor, laid_out.bytes)
    filling = Filling(descriptor, laid_out)
    check.append(filling.check)
    jobs = {tensor.path: laid_out.places[tensor.path] for tensor in model.tensors}

    def compute(block: tuple[str, int, int]) -> None:
        path, start, stop = block
        entries = values.read(path, start, stop)
        for place in jobs[path]:
            filling.write(place, start, entries)

    _run(call, compute, [(path, values.weights[path].size) for path in jobs])
    for value, place in laid_out.others:
        if value.source is None:
            filling.write_number(place, value.initial)
            continue
        for start, entries in reader.blocks(value.source):
            filling.write(place, start, entries)
    verification.check("")
    member = filling.finish()
    filling.grown = provenance.finish(descriptor)
    verification.check_output(descriptor, member)
    return model.warnings


def _convert(call: _Call, layout: ModelLayout, reader: _Reader, writer: Writer, descriptor: int) -> None:
    """Writes a file that holds weights alone."""
    if writer.convert is None:
        raise CallError(
            f"mutspec does not write {FORMATS[call.kind].title} of other weights", hint="name it ….safetensors"
        )
    if writer.needs_stored and not all(tensor.stored for tensor in layout.tensors):
        raise CallError(
            f"{call.patch.path} does not tell where Keras keeps each weight in a .weights.h5 file",
            hint="name the output ….safetensors",
        )
    extents = {each.path: place_of_weight(each.path, each.shape, each.dtype) for each in layout.tensors}
    stored = {each.stored: extents[each.path] for each in layout.tensors if each.stored}
    stored |= {path: place_of_other(path, each.shape, each.dtype) for path, each in layout.others.items()}
    names = dict(layout.names)
    writer.convert(
        replace(call.archive, extents=extents, copies={}, stored=stored, names=names, member=None), reader, descriptor
    )


class _Reader:
    """Reads values of the patched model by the places that stand for them, and others from the model's file."""

    def __init__(self, values: PatchedValues) -> None:
        self._values = values

    def read_extent(self, extent: Extent, start: int, stop: int) -> NDArray[Any]:
        """Returns the entries [start, stop) of a value."""
        return self._values.read_place(extent, start, stop)

    def blocks(self, extent: Extent) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yields all entries of a value, some at a time, each with the index of the first."""
        size = 1
        for each in extent.shape:
            size *= each
        for start in range(0, size, _BLOCK):
            yield start, self.read_extent(extent, start, min(start + _BLOCK, size))


def _run(call: _Call, compute: Callable[[tuple[str, int, int]], None], sizes: list[tuple[str, int]]) -> None:
    """Computes and writes weights by block, on threads."""
    total, done = sum(size for _, size in sizes), 0
    blocks = ((path, start, min(start + _BLOCK, size)) for path, size in sizes for start in range(0, size, _BLOCK))
    with ThreadPoolExecutor(call.threads) as pool:
        try:
            for (_, start, stop), _ in in_order(pool, compute, blocks, call.threads):
                done += stop - start
                if call.on_progress is not None:
                    call.on_progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)


def _check_result(call: _Call, path: Path) -> None:
    """Checks that a finished file holds the model that the patch promises.

    Raises:
        ModelError: it does not.
    """
    architecture = None
    if not FORMATS[call.kind].is_whole and call.archive.config and not call.patch.document.is_structural:
        architecture = call.architecture or call.archive.path
    try:
        found = fingerprint(open_archive(path, architecture=architecture))
    except ModelError as error:
        reason = error.problems[0].message.replace(str(path), str(call.output))
        hint = "the patch is damaged, or the format does not hold the model: make the patch again, of two .keras files"
        raise ModelError(f"the patched model cannot be read again: {reason}", hint=hint) from None
    if found == call.expected:
        return
    if found.tensors == call.expected.tensors:
        raise ModelError(
            f"{FORMATS[call.kind].title} does not hold the architecture of the patched model as the patch has it",
            hint="name the output .keras",
        )
    raise damaged(str(call.patch.path), f"in the patched model {differing_weights(found, call.expected)}")

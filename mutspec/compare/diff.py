"""Comparison of two models: of structure by their specs, of values by streaming both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local

from mutspec.access.model_lock import hold
from mutspec.access.read import Readable, Reader, reader_of
from mutspec.access.threads import default_threads, in_order
from mutspec.compare.arithmetic import BLOCK, Partial, Scratch, compare, count_non_finite
from mutspec.compare.structure import structure_diff
from mutspec.model.files.archive import Archive
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.spec import ModelSpec, TensorSpec
from mutspec.show.diff import DiffReport, TensorDiff, TensorStatus

_CHUNK_BYTES = 1 << 20
"""The most bytes that a thread reads at once from each file: 8 threads stay below 60 MB."""

Progress = Callable[[int, int], None]
"""Called with the entries that are done and the entries in all."""


def diff(
    before: Readable, after: Readable, *, on_progress: Progress | None = None, threads: int | None = None
) -> DiffReport:
    """Compares two models, which may differ in kind and structure.

    Layers and tensors are matched by their canonical paths. An alias stands for its storage.

    Arguments:
        before: the model to compare with.
        after: the model that is described.
        on_progress: called with the entries that are done and the entries in all.
        threads: how many chunks are compared at once; by default as many as there are processors, up to 8. The report
            is the same for any number.

    Raises:
        ModelError: a file cannot be read, or was changed while it was read.
    """
    jobs = _jobs(before.spec, after.spec)
    total, done = sum(job.elements for job in jobs), 0
    partials = [Partial() for _ in jobs]
    threads = threads or default_threads()
    with (
        hold(reads=(before, after)),
        reader_of(before) as reader_before,
        reader_of(after) as reader_after,
        ThreadPoolExecutor(threads) as pool,
    ):
        worker = _Worker(reader_before, reader_after)
        for chunk, results in in_order(pool, worker.compare, _chunks(jobs), threads):
            for result in results:
                partials[chunk.number] = partials[chunk.number].merged(result)
            done += chunk.stop - chunk.start
            if on_progress is not None:
                on_progress(done, total)
    for model in (before, after):
        if isinstance(model, Archive):
            model.check_unchanged()
    found = (_tensor_diff(job, partial) for job, partial in zip(jobs, partials, strict=True))
    structure = structure_diff(before.spec, after.spec)
    return DiffReport(structure, tuple(tensor for tensor in found if tensor is not None), total)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A tensor to compare: its path, and its form in each model that has it."""

    named: TensorSpec
    before: TensorSpec | None
    after: TensorSpec | None

    @property
    def is_pair(self) -> bool:
        return self.before is not None and self.after is not None and self.before.shape == self.after.shape

    @property
    def elements(self) -> int:
        """The entries to read. If a tensor cannot be compared, the entries after are still read to count NaN."""
        return 0 if self.after is None else self.after.size


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The entries [start, stop) of the tensor of job `number`."""

    number: int
    job: _Comparison
    start: int
    stop: int


def _jobs(before: ModelSpec, after: ModelSpec) -> list[_Comparison]:
    jobs = [_Comparison(tensor, tensor, _found(tensor, after)) for tensor in before.tensors]
    met = {job.after.path for job in jobs if job.after is not None}
    # Two paths that shared a storage before may have two now: each of them is compared with the old one.
    return jobs + [
        _Comparison(tensor, _found(tensor, before), tensor) for tensor in after.tensors if tensor.path not in met
    ]


def _found(tensor: TensorSpec, spec: ModelSpec) -> TensorSpec | None:
    paths = (tensor.path, *tensor.aliases)
    return next((spec.tensor_by_path[path] for path in paths if path in spec.tensor_by_path), None)


def _chunks(jobs: list[_Comparison]) -> Iterator[_Chunk]:
    for number, job in enumerate(jobs):
        if job.after is not None and job.elements:
            itemsize = numpy_dtype(job.after.dtype).itemsize
            size = max(BLOCK, _CHUNK_BYTES // itemsize // BLOCK * BLOCK)
            for start in range(0, job.elements, size):
                yield _Chunk(number, job, start, min(start + size, job.elements))


class _Worker:
    """Compares chunks, on any number of threads, each with scratch memory of its own."""

    def __init__(self, before: Reader, after: Reader) -> None:
        self._before = before
        self._after = after
        self._local = local()

    def compare(self, chunk: _Chunk) -> list[Partial]:
        job = chunk.job
        assert job.after is not None
        after = self._after.read(job.after.path, chunk.start, chunk.stop)
        blocks = [slice(start, start + BLOCK) for start in range(0, len(after), BLOCK)]
        if job.before is None or not job.is_pair:
            return [count_non_finite(after[block]) for block in blocks]
        before = self._before.read(job.before.path, chunk.start, chunk.stop)
        if not hasattr(self._local, "scratch"):
            self._local.scratch = Scratch()
        return [compare(before[block], after[block], self._local.scratch) for block in blocks]


def _tensor_diff(job: _Comparison, partial: Partial) -> TensorDiff | None:
    last = job.after or job.before
    first = job.before or job.after
    assert last is not None
    assert first is not None
    if job.is_pair:
        if not partial.changed and first.dtype == last.dtype:
            return None
        status = TensorStatus.CHANGED
    elif job.after is None:
        status = TensorStatus.REMOVED
    else:
        status = TensorStatus.ADDED if job.before is None else TensorStatus.RESHAPED
    common = (job.named.layer, job.named.role, status, last.shape, last.dtype, first.shape, first.dtype, last.size)
    if status is not TensorStatus.CHANGED:
        return TensorDiff(*common, non_finite=None if job.after is None else partial.non_finite)
    return TensorDiff(*common, partial.changed, *_measures(partial), partial.non_finite)


def _measures(partial: Partial) -> tuple[float, float, float, float, float, float | None]:
    """Computes l2, relative_l2, max_abs, mean, std and cosine from sums."""
    l2, norm_before, norm_after = (
        math.sqrt(squares) for squares in (partial.squares, partial.squares_before, partial.squares_after)
    )
    relative_l2 = l2 / norm_before if norm_before else (math.inf if l2 else 0.0)
    std = math.sqrt(partial.spread / partial.entries) if partial.entries else 0.0
    norms = norm_before * norm_after
    cosine = None if norms == 0 else partial.products / norms
    if cosine is not None and math.isfinite(cosine):
        cosine = max(-1.0, min(1.0, cosine))
    return l2, relative_l2, partial.max_abs, partial.mean, std, cosine

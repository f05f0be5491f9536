"""The engine: runs the passes of a graph, chunk by chunk and on threads, over any store of tensors.

It holds only the state of one run: reductions, stored values, masks. Memory stays bounded: the values of a chunk are
dropped when its pass is done, and stored values when their last reader is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mutspec.access.threads import in_order
from mutspec.execute.chunk import Chunk, Masks, RunState
from mutspec.execute.tensor_store import TensorStore
from mutspec.graph.graph import Graph, Node, Version
from mutspec.graph.numpy_kernels.entrywise import Array, combine, empty_reduction, reduce_chunk
from mutspec.graph.numpy_kernels.masks import Mask
from mutspec.graph.numpy_kernels.places import Entries, Place, Span, SparseEntries, by_chunk
from mutspec.graph.numpy_kernels.traits import are_by_entry
from mutspec.graph.numpy_kernels.whole import WHOLE_KERNELS
from mutspec.graph.primitives import CHUNK, Access
from mutspec.graph.schedule import Pass, PassKind, schedule

SPARSE_SHARE = 16
"""If at most one entry in this many is touched, only those are computed. To scatter one costs as much as a dozen."""
SPARSE_CHUNKS = 64
"""The touched entries of up to this many chunks are computed at once, if they fit into one chunk."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The changes that one version made.

    Arguments:
        touched: the entries that the step chose.
        changed: the entries whose bits differ from the version before.
        non_finite: the entries that were finite before, and are infinite or NaN now.
    """

    touched: int = 0
    changed: int = 0
    non_finite: int = 0

    def __add__(self, other: Effect) -> Effect:
        return Effect(self.touched + other.touched, self.changed + other.changed, self.non_finite + other.non_finite)


Sink = Callable[["Chunk", Array], None]
"""Takes the result in a chunk."""

Progress = Callable[[int, int], None]
"""Called with the entries that are done and the entries in all."""


def execute(
    graph: Graph, tensors: TensorStore, *, threads: int, on_progress: Progress | None = None
) -> Mapping[Version, Effect]:
    """Runs all passes of a graph.

    Arguments:
        graph: what to compute.
        tensors: where to read and write.
        threads: how many chunks are computed at once. The result does not depend on it.
        on_progress: told about the work that is done.

    Returns:
        What each version changed, counted by bits.
    """
    passes = schedule(graph)
    total = sum(_size(graph, one) for one in passes)
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        run = _Run(graph, tensors, pool, threads)
        try:
            for group in _groups(passes):
                for entries in run.run(group):
                    done += entries
                    if on_progress is not None:
                        on_progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
            run.close()
    return run.effects


def _size(graph: Graph, one: Pass) -> int:
    node = graph.nodes[one.node]
    return prod(graph.nodes[node.inputs[0]].shape if one.kind is PassKind.REDUCE else node.shape)


def _groups(passes: Iterable[Pass]) -> Iterator[list[Pass]]:
    """Groups the passes that may run at once.

    No pass reads what another one emits. So emitting passes in a row run together, up to one that frees what it has
    read.
    """
    group: list[Pass] = []
    for one in passes:
        if group and one.kind is not PassKind.EMIT:
            yield group
            group = []
        group.append(one)
        if one.frees or one.kind is not PassKind.EMIT:
            yield group
            group = []
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class _Task:
    """A pass in one place."""

    one: Pass
    place: Place
    masks: Masks
    sink: Sink


class _Run:
    """The state of one run."""

    def __init__(self, graph: Graph, tensors: TensorStore, pool: ThreadPoolExecutor, threads: int) -> None:
        self.graph = graph
        self.tensors = tensors
        self.pool = pool
        self.threads = threads
        self.state = RunState(graph, tensors)
        self.effects: dict[Version, Effect] = {version: Effect() for version in graph.versions}
        self.is_by_entry = are_by_entry(graph)

    def close(self) -> None:
        """Closes all that is still stored."""
        for store in self.state.stores.values():
            store.close()

    def run(self, group: list[Pass]) -> Iterator[int]:
        """Runs passes that may run at once, yielding the number of entries done as it goes."""
        if group[0].kind is PassKind.REDUCE:
            yield from self._reduce(group[0])
        elif group[0].kind is PassKind.STORE:
            yield from self._store(group[0])
        else:
            yield from self._compute([(one, self._emit(one.path)) for one in group])
        for one in group:
            for number in one.frees:
                self.state.stores.pop(number).close()

    def _reduce(self, one: Pass) -> Iterator[int]:
        node = self.graph.nodes[one.node]
        if node.access is Access.WHOLE:
            self.state.small[one.node] = self._whole(node)
            yield _size(self.graph, one)
            return
        (source,) = node.inputs
        masks = Masks()

        def partial(span: Span) -> Any:
            with np.errstate(all="ignore"):
                return reduce_chunk(node, span.start, Chunk(self.state, span, masks).value(source))

        total = None
        for span, result in in_order(self.pool, partial, _spans(_size(self.graph, one)), self.threads):
            total = result if total is None else combine(node, total, result)
            yield span.size
        self.state.small[one.node] = empty_reduction(node) if total is None else total

    def _store(self, one: Pass) -> Iterator[int]:
        node, size = self.graph.nodes[one.node], _size(self.graph, one)
        store = self.tensors.store(size, np.dtype(node.dtype))
        try:
            if node.access is Access.WHOLE:
                whole = self._whole(node)
                for span in _spans(size):
                    store.write(span.start, whole[span.start : span.stop])
                    yield span.size
            else:
                yield from self._compute([(one, lambda chunk, values: store.write(chunk.place.start, values))])
        except BaseException:
            store.close()
            raise
        self.state.stores[one.node] = store

    def _whole(self, node: Node) -> Any:
        """Returns the value of a primitive that needs all entries of its inputs at once."""
        inputs = [self._all_entries(number) for number in node.inputs]
        with np.errstate(all="ignore"):
            return WHOLE_KERNELS[node.primitive](node, *inputs)

    def _all_entries(self, number: int) -> Any:
        if self.graph.is_small[number]:
            return self.state.small_value(number)
        node = self.graph.nodes[number]
        size = prod(node.shape)
        values = np.empty(size, np.dtype(node.dtype))
        masks = Masks()

        def compute(span: Span) -> None:
            with np.errstate(all="ignore"):
                values[span.start : span.stop] = Chunk(self.state, span, masks).value(number)

        for _ in in_order(self.pool, compute, _spans(size), self.threads):
            pass
        return values

    def _emit(self, path: str) -> Sink:
        is_new = path in self.graph.created

        def write(chunk: Chunk, values: Array) -> None:
            before = None if is_new else chunk.base("", path)
            if isinstance(chunk.place, Span):
                self.tensors.write(path, chunk.place.start, before, values)
            else:
                assert before is not None
                self.tensors.write_entries(path, chunk.place.indices, before, values)

        return write

    def _compute(self, passes: Iterable[tuple[Pass, Sink]]) -> Iterator[int]:
        """Computes all versions of some passes, and hands the results to the sink of each."""
        passes = list(passes)
        size = sum(_size(self.graph, one) for one, _ in passes)
        done = 0
        for task, effects in in_order(self.pool, self._do, self._tasks(passes), self.threads):
            for version, effect in zip(task.one.versions, effects, strict=True):
                self.effects[version] += effect
            done += task.place.size
            yield task.place.size
        yield size - done

    def _tasks(self, passes: Iterable[tuple[Pass, Sink]]) -> Iterator[_Task]:
        for one, sink in passes:
            masks = Masks()
            for version in one.versions:
                self.mask(masks, version)  # made here, because several threads that need it at once would each make one
            for place in self._places(one, masks):
                yield _Task(one, place, masks, sink)

    def _places(self, one: Pass, masks: Masks) -> Iterable[Place]:
        """Returns the places that a pass must compute: all, unless the whole chain touches few entries."""
        size = _size(self.graph, one)
        entries = self._few_entries(one, masks)
        if entries is None:
            return _spans(size)
        if len(entries) * SPARSE_SHARE <= size and all(self.is_by_entry[version.node] for version in one.versions):
            return _batches(entries)
        return _spans(size, (number for number, _ in by_chunk(entries)))

    def _few_entries(self, one: Pass, masks: Masks) -> Entries | None:
        """Returns the entries that an emitting pass touches, if they are listed and all others stay as in the input."""
        if one.kind is not PassKind.EMIT or not one.versions or one.stored or one.path in self.graph.created:
            return None
        listed = [self.mask(masks, version).listed for version in one.versions]
        some = [entries for entries in listed if entries is not None]
        if len(some) < len(listed):
            return None
        return some[0] if len(some) == 1 else np.unique(np.concatenate(some))

    def _do(self, task: _Task) -> list[Effect]:
        with np.errstate(all="ignore"):
            chunk = Chunk(self.state, task.place, task.masks)
            effects = []
            for version in task.one.versions:
                touched = chunk.touched(version)
                effects.append(_effect(touched, chunk.value(version.before), chunk.value(version.node)))
                chunk.keep_only(version.node)
            task.sink(chunk, chunk.value(task.one.node))
        return effects

    def mask(self, masks: Masks, version: Version) -> Mask:
        """Returns the mask of a version's choice."""
        return masks.of(version.choice, self.graph.nodes[version.node].shape)


def _spans(size: int, chunks: Iterable[int] | None = None) -> Iterator[Span]:
    """Some chunks of a tensor, by default all."""
    chunks = range(-(-size // CHUNK)) if chunks is None else chunks
    return (Span(number * CHUNK, min((number + 1) * CHUNK, size)) for number in chunks)


def _batches(entries: Entries) -> Iterator[SparseEntries]:
    """Groups entries by chunk, with the entries of a few chunks together."""
    start, chunks = 0, 0
    for _, part in by_chunk(entries):
        if chunks == SPARSE_CHUNKS or part.stop - start > CHUNK:
            yield SparseEntries(entries[start : part.start])
            start, chunks = part.start, 0
        chunks += 1
    if chunks:
        yield SparseEntries(entries[start:])


def _effect(touched: int, before: Array, after: Array) -> Effect:
    bits = np.dtype(f"u{before.dtype.itemsize}")
    differs = before.view(bits) != after.view(bits)
    changed = int(np.count_nonzero(differs))
    if not changed or after.dtype.kind in "biu":
        return Effect(touched, changed)
    finite = np.isfinite(after)
    return Effect(touched, changed, 0 if finite.all() else int(np.count_nonzero(~finite & np.isfinite(before))))

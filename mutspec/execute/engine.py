"""The engine: runs the passes of a graph, chunk by chunk and on threads, over any home of the tensors.

It holds the state of one run and nothing else: reductions, stored values, masks. Memory stays bounded: a chunk's values
are dropped when its pass is done with them, stored values when their last reader is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mutspec.execute.threads import in_order
from mutspec.graph.choice import Choice, Computed
from mutspec.graph.graph import Graph, Node, Version
from mutspec.graph.kernels import MAP_KERNELS, Array, combine, empty_reduction, gather_indices, reduce_chunk
from mutspec.graph.masks import Mask
from mutspec.graph.primitives import CHUNK, Access
from mutspec.graph.schedule import Pass, PassKind, schedule
from mutspec.graph.whole import WHOLE_KERNELS

GATHER_LIMIT = 16 * CHUNK
"""Entries that one gather may read at once; a sparser one is split."""


class Store(Protocol):
    """A place for one computed tensor while others read it."""

    def write(self, start: int, values: Array) -> None: ...
    def read(self, start: int, stop: int) -> Array: ...
    def close(self) -> None: ...


class Home(Protocol):
    """Where tensors live: a model file, or a model in memory. Its methods may be called from several threads."""

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """The flat entries [start, stop) of an input model's tensor, in native byte order."""
        ...

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Entries of a result from `start` on; `before` is what the input holds there, if it has the tensor."""
        ...

    def store(self, size: int, dtype: np.dtype[Any]) -> Store:
        """Room for a computed tensor."""
        ...


@dataclass(frozen=True, slots=True)
class Effect:
    """What one version changed.

    Arguments:
        touched: the entries that the step chose.
        changed: the entries whose bits differ from the version before.
        non_finite: the entries that were finite before and are not any more.
    """

    touched: int = 0
    changed: int = 0
    non_finite: int = 0

    def __add__(self, other: Effect) -> Effect:
        return Effect(self.touched + other.touched, self.changed + other.changed, self.non_finite + other.non_finite)


Sink = Callable[["_Chunk", Array], None]
"""Takes the result in a chunk."""

Progress = Callable[[int, int], None]
"""Called with the entries that are done and the entries in all."""


def execute(graph: Graph, home: Home, *, threads: int, on_progress: Progress | None = None) -> Mapping[Version, Effect]:
    """Run all passes of a graph.

    Arguments:
        graph: what to compute.
        home: where to read and write.
        threads: how many chunks are computed at once. The result does not depend on it.
        on_progress: told about the work that is done.

    Returns:
        What each version changed, counted by bits.
    """
    passes = schedule(graph)
    total = sum(_size(graph, one) for one in passes)
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        run = _Run(graph, home, pool, threads)
        try:
            for one in passes:
                for entries in run.pass_over(one):
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


class _Run:
    """The state of one run."""

    def __init__(self, graph: Graph, home: Home, pool: ThreadPoolExecutor, threads: int) -> None:
        self.graph = graph
        self.home = home
        self.pool = pool
        self.threads = threads
        self.small: dict[int, Any] = {}
        self.stores: dict[int, Store] = {}
        self.masks: dict[Any, Mask] = {}
        self.effects: dict[Version, Effect] = {version: Effect() for version in graph.versions}

    def close(self) -> None:
        """Give back what is still stored."""
        for store in self.stores.values():
            store.close()

    def pass_over(self, one: Pass) -> Iterator[int]:
        """Run one pass, yielding the number of entries done as it goes."""
        yield from self._reduce(one) if one.kind is PassKind.REDUCE else self._compute(one)
        self.masks.clear()
        for number in one.frees:
            self.stores.pop(number).close()

    def _reduce(self, one: Pass) -> Iterator[int]:
        node = self.graph.nodes[one.node]
        if node.access is Access.WHOLE:
            self.small[one.node] = self._whole(node)
            yield _size(self.graph, one)
            return
        (source,) = node.inputs
        shape = self.graph.nodes[source].shape

        def partial(span: tuple[int, int]) -> Any:
            with np.errstate(all="ignore"):
                return reduce_chunk(node, span[0], _Chunk(self, *span).value(source))

        total = None
        spans = _spans(range(-(-prod(shape) // CHUNK)), prod(shape))
        for (start, stop), result in in_order(self.pool, partial, spans, self.threads):
            total = result if total is None else combine(node, total, result)
            yield stop - start
        self.small[one.node] = empty_reduction(node) if total is None else total

    def _compute(self, one: Pass) -> Iterator[int]:
        size = prod(self.graph.nodes[one.node].shape)
        if one.kind is PassKind.EMIT:
            yield from self._chunks(one, self._active_chunks(one, size), size, self._emit(one.path))
            return
        store = self.home.store(size, np.dtype(self.graph.nodes[one.node].dtype))
        try:
            if self.graph.nodes[one.node].access is Access.WHOLE:
                whole = self._whole(self.graph.nodes[one.node])
                for start, stop in _spans(range(-(-size // CHUNK)), size):
                    store.write(start, whole[start:stop])
                    yield stop - start
            else:
                chunks = range(-(-size // CHUNK))
                yield from self._chunks(one, chunks, size, lambda chunk, values: store.write(chunk.start, values))
        except BaseException:
            store.close()
            raise
        self.stores[one.node] = store

    def _whole(self, node: Node) -> Any:
        """The value of a primitive that needs all entries of its inputs at once."""
        inputs = [self._all_entries(number) for number in node.inputs]
        with np.errstate(all="ignore"):
            return WHOLE_KERNELS[node.primitive](node, *inputs)

    def _all_entries(self, number: int) -> Any:
        if self.graph.is_small[number]:
            return self.small_value(number)
        node = self.graph.nodes[number]
        size = prod(node.shape)
        values = np.empty(size, np.dtype(node.dtype))

        def compute(span: tuple[int, int]) -> None:
            with np.errstate(all="ignore"):
                values[slice(*span)] = _Chunk(self, *span).value(number)

        for _ in in_order(self.pool, compute, _spans(range(-(-size // CHUNK)), size), self.threads):
            pass
        return values

    def _emit(self, path: str) -> Sink:
        is_new = path in self.graph.created
        return lambda chunk, values: self.home.write(
            path, chunk.start, None if is_new else chunk.base("", path), values
        )

    def _chunks(self, one: Pass, chunks: Iterable[int], size: int, sink: Sink) -> Iterator[int]:
        """Compute all versions of a pass in some chunks, and hand the results to `sink`."""
        done = 0
        for version in one.versions:
            self.mask(version)  # here, as threads that need it at once would each make it

        def compute(span: tuple[int, int]) -> list[Effect]:
            return self._chunk(one, *span, sink)

        for (start, stop), effects in in_order(self.pool, compute, _spans(chunks, size), self.threads):
            for version, effect in zip(one.versions, effects, strict=True):
                self.effects[version] += effect
            done += stop - start
            yield stop - start
        yield size - done

    def _active_chunks(self, one: Pass, size: int) -> Iterable[int]:
        """The chunks that an emitting pass must look at: all, unless few entries are touched in the whole chain."""
        everything = range(-(-size // CHUNK))
        if not one.versions or one.stored:
            return everything
        active: set[int] = set()
        for version in one.versions:
            if isinstance(version.choice, Computed):
                return everything
            chunks = self.mask(version).chunks()
            if isinstance(chunks, range):
                return everything
            active.update(chunks)
        return sorted(active)

    def _chunk(self, one: Pass, start: int, stop: int, sink: Sink) -> list[Effect]:
        with np.errstate(all="ignore"):
            chunk = _Chunk(self, start, stop)
            effects = []
            for version in one.versions:
                touched = chunk.touched(version)
                effects.append(_effect(touched, chunk.value(version.before), chunk.value(version.node)))
                chunk.keep_only(version.node)
            sink(chunk, chunk.value(one.node))
        return effects

    def mask(self, version: Version) -> Mask:
        """The mask of a version's choice."""
        return self.mask_of(version.choice, self.graph.nodes[version.node].shape)

    def mask_of(self, choice: Any, shape: tuple[int, ...]) -> Mask:
        """The mask of a choice over a shape, made once."""
        key = (choice, shape)
        if key not in self.masks:
            self.masks[key] = Mask(choice, shape)
        return self.masks[key]

    def small_value(self, number: int) -> Any:
        """The value of a node that is made of numbers and reductions alone."""
        if number not in self.small:
            node = self.graph.nodes[number]
            inputs = [self.small_value(each) for each in node.inputs]
            if node.access is Access.WHOLE:
                self.small[number] = WHOLE_KERNELS[node.primitive](node, *inputs)
            else:
                self.small[number] = MAP_KERNELS[node.primitive](node, 0, prod(node.shape), *inputs)
        return self.small[number]


class _Chunk:
    """The values of one chunk, computed when asked for."""

    def __init__(self, run: _Run, start: int, stop: int) -> None:
        self.run = run
        self.start = start
        self.stop = stop
        self.values: dict[int, Array] = {}
        self.bases: dict[tuple[str, str], Array] = {}
        self.masks: dict[Choice, NDArray[np.bool_] | None] = {}

    def mask(self, choice: Choice, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Which entries here are chosen, drawn once; None if none is."""
        if isinstance(choice, Computed):
            truth: NDArray[np.bool_] = self.value(choice.node)
            return truth
        if choice not in self.masks:
            self.masks[choice] = self.run.mask_of(choice, shape).at(self.start, self.stop)
        return self.masks[choice]

    def touched(self, version: Version) -> int:
        """How many entries here a version chooses."""
        if version.choice is None:
            return self.stop - self.start
        mask = self.mask(version.choice, self.run.graph.nodes[version.node].shape)
        return 0 if mask is None else int(np.count_nonzero(mask))

    def base(self, model: str, path: str) -> Array:
        """What an input model holds here, read once."""
        key = (model, path)
        if key not in self.bases:
            self.bases[key] = self.run.home.read(model, path, self.start, self.stop)
        return self.bases[key]

    def keep_only(self, number: int) -> None:
        """Drop all values but one, and all masks."""
        self.values = {number: self.values[number]}
        self.masks.clear()

    def value(self, number: int) -> Any:
        """The value of a node in this chunk; of a small node, its whole value."""
        if self.run.graph.is_small[number]:
            return self.run.small_value(number)
        if number not in self.values:
            self.values[number] = self._compute(number, self.run.graph.nodes[number])
        return self.values[number]

    def _compute(self, number: int, node: Node) -> Array:
        if number in self.run.stores:
            return self.run.stores[number].read(self.start, self.stop)
        if node.primitive == "base":
            return self.base(node.attribute("model"), node.attribute("path"))
        if node.primitive == "choose":
            return self._choose(node)
        if node.access is Access.GATHER:
            return self._gather(node)
        result: Array = MAP_KERNELS[node.primitive](node, self.start, self.stop, *map(self.value, node.inputs))
        return result

    def _choose(self, node: Node) -> Array:
        chosen, otherwise = node.inputs
        mask = self.mask(node.attribute("choice"), node.shape)
        before: Array = self.value(otherwise)
        return before if mask is None else np.where(mask, self.value(chosen), before)

    def _gather(self, node: Node) -> Array:
        (source,) = node.inputs
        shape = self.run.graph.nodes[source].shape
        result = np.empty(self.stop - self.start, np.dtype(node.dtype))
        pending = [(self.start, self.stop)]
        while pending:
            start, stop = pending.pop()
            indices = gather_indices(node, shape, start, stop)
            first, last = int(indices.min()), int(indices.max()) + 1
            if last - first > GATHER_LIMIT and stop - start > 1:
                middle = (start + stop) // 2
                pending += [(start, middle), (middle, stop)]
                continue
            result[start - self.start : stop - self.start] = self._read_source(source, first, last)[indices - first]
        return result

    def _read_source(self, number: int, start: int, stop: int) -> Array:
        node = self.run.graph.nodes[number]
        if node.primitive == "base":
            return self.run.home.read(node.attribute("model"), node.attribute("path"), start, stop)
        return self.run.stores[number].read(start, stop)


def _spans(chunks: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    return ((number * CHUNK, min((number + 1) * CHUNK, size)) for number in chunks)


def _effect(touched: int, before: Array, after: Array) -> Effect:
    bits = np.dtype(f"u{before.dtype.itemsize}")
    differs = before.view(bits) != after.view(bits)
    changed = int(np.count_nonzero(differs))
    if not changed or after.dtype.kind in "biu":
        return Effect(touched, changed)
    finite = np.isfinite(after)
    return Effect(touched, changed, 0 if finite.all() else int(np.count_nonzero(~finite & np.isfinite(before))))

"""The kernels of primitives that need all entries of their inputs at once: pure functions on flat arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.choice import Choice
from mutspec.graph.graph import Node
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.masks import Mask, permute
from mutspec.graph.permutation import Permutation

WholeKernel = Callable[..., Any]


def _ranked(node: Node, values: Array) -> NDArray[np.bool_]:
    """Returns whether each entry is one of the `count` smallest (or largest). Equal ones count in C order."""
    truth = np.zeros(len(values), np.bool_)
    truth[_order(values, largest=node.attribute("largest"))[: node.attribute("count")]] = True
    return truth


def _ranked_in_groups(node: Node, values: Array) -> NDArray[np.bool_]:
    """Returns whether each entry is one of the `count` smallest of its group of `group` neighbours on an axis."""
    length, stride, group = (node.attribute(name) for name in ("length", "stride", "group"))
    groups = np.moveaxis(values.reshape(-1, length // group, group, stride), 2, 3)
    order = np.argsort(groups, axis=-1, kind="stable")
    truth = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(truth, order[..., : node.attribute("count")], True, axis=-1)
    return np.ascontiguousarray(np.moveaxis(truth, 3, 2)).reshape(-1)


def _order(values: Array, *, largest: bool) -> NDArray[np.int64]:
    """Sorts the entries by value. Equal ones keep their order, and NaN is the largest of all."""
    if not largest:
        return np.argsort(values, kind="stable")
    return len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]


def _quantile(node: Node, values: Array) -> np.float64:
    """Returns the q-th quantile in float64, interpolated as by NumPy's `linear`."""
    if not len(values):
        return np.float64(np.nan)
    place = float.fromhex(node.attribute("q")) * (len(values) - 1)
    below = int(place)
    ranks = (below, min(below + 1, len(values) - 1))
    low, high = (np.float64(each) for each in np.partition(values, ranks)[list(ranks)])
    return low + (high - low) * np.float64(place - below)


def _shuffle(node: Node, values: Array) -> Array:
    """Permutes the chosen entries."""
    chosen = _entries(node.attribute("choice"), len(values))
    result = values.copy()
    result[chosen] = values[chosen[_permuted(len(chosen), node.attribute("key"))]]
    return result


def _shuffle_slices(node: Node, values: Array) -> Array:
    """Permutes the entries of each chosen slice, each by its own permutation."""
    length, stride = node.attribute("length"), node.attribute("stride")
    slices = values.reshape(-1, length, stride)
    result = slices.copy()
    size = len(values) // length
    for number in _entries(node.attribute("choice"), length):
        key = blake2b(int(number).to_bytes(8, "little"), key=node.attribute("key"), digest_size=16).digest()
        result[:, number] = slices[:, number].reshape(-1)[_permuted(size, key)].reshape(-1, stride)
    return result.reshape(-1)


def _rearrange(node: Node, *parts: Array) -> Array:
    """Joins the inputs, and swaps two entries, or reverses or shuffles the entries of a segment."""
    genes = np.concatenate(parts)
    start, stop, kind = node.attribute("start"), node.attribute("stop"), node.attribute("kind")
    if kind == "swap":
        genes[[start, stop]] = genes[[stop, start]]
    elif kind == "inversion":
        genes[start:stop] = genes[start:stop][::-1].copy()
    else:
        genes[start:stop] = genes[start:stop][_permuted(stop - start, node.attribute("key"))]
    return genes


def _low_rank(node: Node, values: Array) -> Array:
    """Returns the nearest matrix of a rank, or of the smallest rank with a part of the energy (the sum of squares)."""
    matrix = values.reshape(node.attribute("rows"), -1).astype(np.float64)
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    rank = node.attribute("rank")
    if rank is None:
        energy = np.cumsum(singular**2)
        wanted = float.fromhex(node.attribute("energy")) * energy[-1]
        rank = int(np.searchsorted(energy, wanted * (1 - 1e-12))) + 1
    reduced: Array = (left[:, :rank] * singular[:rank] @ right[:rank]).astype(values.dtype).reshape(-1)
    return reduced


def _factors(node: Node, values: Array) -> Array:
    """Returns the left factors of `count` matrices with `rows` rows each, then the right ones.

    The product of two is the nearest matrix of a rank. Both have the roots of its singular values. Each matrix is
    projected on the eigenvectors of its smaller Gram matrix, which takes a tenth of the time of a singular value
    decomposition; what is lost lies below 1e-8 of the largest singular value. The largest entry of an eigenvector is
    positive, so that its sign does not depend on the machine.
    """
    count, rows, rank = (node.attribute(name) for name in ("count", "rows", "rank"))
    matrices = values.reshape(count, rows, -1).astype(np.float64)
    is_wide = rows < matrices.shape[2]
    tall = np.swapaxes(matrices, 1, 2) if is_wide else matrices
    vectors = np.linalg.eigh(np.swapaxes(tall, 1, 2) @ tall)[1][:, :, ::-1][:, :, :rank]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1, keepdims=True), axis=1)
    vectors = vectors * np.where(largest < 0, -1.0, 1.0)
    projected = tall @ vectors
    sizes = np.linalg.norm(projected, axis=1, keepdims=True)
    roots = np.sqrt(np.where(sizes > 0, sizes, 1.0))
    left, right = (vectors * roots, projected / roots) if is_wide else (projected / roots, vectors * roots)
    both: Array = np.concatenate([left.reshape(-1), np.swapaxes(right, 1, 2).reshape(-1)])
    return both.astype(values.dtype, copy=False)


def _energies(node: Node, values: Array) -> Array:
    """Returns the squared singular values of `count` matrices with `rows` rows each, in float64, largest first.

    They are the eigenvalues of a Gram matrix, which takes a tenth of the time of a decomposition. Their sum is exact to
    some 1e-15 of itself, which is what a share of the energy needs.
    """
    matrices = values.reshape(node.attribute("count"), node.attribute("rows"), -1).astype(np.float64)
    across = np.swapaxes(matrices, 1, 2)
    is_wide = matrices.shape[1] < matrices.shape[2]
    gram = matrices @ across if is_wide else across @ matrices
    found: Array = np.maximum(np.linalg.eigvalsh(gram)[:, ::-1], 0.0).reshape(-1)
    return found


def _orthogonal(node: Node, values: Array) -> Array:
    """Returns Q of Q·R, with R's diagonal positive, so that Q is uniform if the entries are normal (Mezzadri 2007).

    If the matrix has fewer rows than columns, its transpose is factorised, as in Keras.
    """
    rows = node.attribute("rows")
    columns = len(values) // rows
    matrix = values.reshape(max(rows, columns), -1).astype(np.float64)
    factor, triangle = np.linalg.qr(matrix)
    factor *= np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    result: Array = np.ascontiguousarray(factor if rows >= columns else factor.T).reshape(-1)
    return result.astype(values.dtype, copy=False)


def _entries(choice: Choice | None, size: int) -> NDArray[np.int64]:
    return np.arange(size, dtype=np.int64) if choice is None else Mask(choice, (size,)).entries()


def _permuted(size: int, key: bytes) -> NDArray[np.int64]:
    """Returns a keyed permutation of [0, size)."""
    if not size:
        return np.empty(0, np.int64)
    return permute(Permutation(size, key), np.arange(size, dtype=np.uint64)).astype(np.int64)


WHOLE_KERNELS: Mapping[str, WholeKernel] = {
    "ranked": _ranked,
    "ranked_in_groups": _ranked_in_groups,
    "quantile": _quantile,
    "shuffle": _shuffle,
    "shuffle_slices": _shuffle_slices,
    "rearrange": _rearrange,
    "low_rank": _low_rank,
    "orthogonal": _orthogonal,
    "factors": _factors,
    "energies": _energies,
}

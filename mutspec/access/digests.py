"""Digests of the values of models and data. Equal values have equal digests, in any file and at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.access.read import Readable, Reader, reader_of
from mutspec.access.threads import default_threads, in_order
from mutspec.errors import ModelError
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.spec import TensorSpec

_BLOCK = 1 << 20
"""The number of entries that are read at once."""
DIGITS = 32
"""Of a digest, as of all others in results."""


def weights_digest(model: Readable) -> str:
    """Returns a digest of a model's weights: of their paths, shapes, dtypes and bits.

    A file, the live model loaded from it, and the model saved again all have the same digest. It does not depend on the
    optimizer, the layers' configurations, or the time of saving. It costs one read of the weights, by all threads, and
    memory for a few blocks.

    Arguments:
        model: a model file, or a live model that was read.

    Raises:
        ModelError: the values cannot be read.
    """
    found = sorted(tensor_digests(model), key=lambda each: each[0].path)
    return _joined((tensor.path, tensor.dtype, tensor.shape, digest) for tensor, digest in found)


def tensor_digests(model: Readable, paths: Container[str] | None = None) -> Iterator[tuple[TensorSpec, str]]:
    """Yields a model's tensors, in its order, with a digest of the bits of each; for texts it is empty.

    Arguments:
        model: a model file, or a live model that was read.
        paths: the tensors to read; by default all.

    Raises:
        ModelError: the values cannot be read.
    """
    tensors = [tensor for tensor in model.spec.tensors if paths is None or tensor.path in paths]
    threads = default_threads()
    with reader_of(model) as reader, ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, partial(_digest_of_tensor, reader), tensors, threads)


def arrays_digest(arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Returns a digest of arrays by their names: of their shapes, dtypes and bits."""
    named = sorted(arrays, key=itemgetter(0))
    return _joined((name, _dtype(array), array.shape, _digest_of_array(array)) for name, array in named)


def data_digest(data: Any) -> str:
    """Returns a digest of what a model is called on: one array, or several in the order of their names or of a list.

    What they are called does not count.
    """
    if isinstance(data, Mapping):
        arrays: Iterable[Any] = (data[name] for name in sorted(data))
    else:
        arrays = data if isinstance(data, list | tuple) else (data,)
    return arrays_digest((f"{number:03}", np.asarray(each)) for number, each in enumerate(arrays))


def _dtype(array: NDArray[Any]) -> str:
    return array.dtype.newbyteorder("<").str


def _joined(parts: Iterable[tuple[str, str, tuple[int, ...], str]]) -> str:
    digest = hashlib.sha256()
    for name, dtype, shape, content in parts:
        digest.update(repr((name, dtype, tuple(map(int, shape)), content)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:DIGITS]


def _digest_of_tensor(reader: Reader, tensor: TensorSpec) -> str:
    try:
        numpy_dtype(tensor.dtype)
    except ModelError:  # texts, which plans cannot change
        return ""
    digest = hashlib.sha256()
    for start in range(0, tensor.size, _BLOCK):
        digest.update(_bytes(reader.read(tensor.path, start, min(start + _BLOCK, tensor.size))))
    return digest.hexdigest()


def _digest_of_array(array: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    rows = max(1, _BLOCK * max(1, len(array)) // max(1, array.size))
    for start in range(0, len(array), rows):
        digest.update(_bytes(array[start : start + rows]))
    return digest.hexdigest()


def _bytes(values: NDArray[Any]) -> memoryview:
    """Returns the bytes of values in C order, least significant byte first, as on nearly every processor."""
    values = np.ascontiguousarray(values)
    is_big_endian = values.dtype.byteorder == ">" or (values.dtype.byteorder == "=" and _IS_BIG_ENDIAN)
    return (values.byteswap() if is_big_endian else values).reshape(-1).view(np.uint8).data


_IS_BIG_ENDIAN = np.dtype(np.uint16).newbyteorder("=") == np.dtype(">u2")

"""Reads and assigns the values of a live model's variables without copying them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.model.live.backend import import_keras

_ALIGNMENT = 64
"""The alignment, in bytes, that TensorFlow's kernels expect of tensors (`EIGEN_MAX_ALIGN_BYTES`)."""


def snapshot(variable: Any) -> Any:
    """Returns the current value of a variable, in a form that `as_array` reads and that can be assigned.

    With TensorFlow there is no copy: it is the variable's own buffer, and TensorFlow no longer writes to it. Every
    update of the variable, also an optimizer's step or a scattered update, first allocates another buffer
    (`PrepareToUpdateVariable`). Other backends do not guarantee that, so there it is a copy.

    Arguments:
        variable: a Keras variable, or the backend's own.
    """
    if _is_tensorflow():
        import tensorflow

        return tensorflow.convert_to_tensor(variable)
    return np.array(variable.numpy())


def as_array(value: Any) -> NDArray[Any]:
    """Returns the values of a snapshot as a flat, read-only array."""
    # TensorFlow cannot convert a single bfloat16 number to an array.
    array = np.ascontiguousarray(value if len(value.shape) else value[None]).reshape(-1)
    array.flags.writeable = False
    return array


def room_for(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Allocates an array for the entries of a tensor that `assign` need not copy."""
    raw = np.empty(size * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


def assign(variable: Any, values: NDArray[Any]) -> None:
    """Assigns flat values of its own dtype to a variable. If possible, the array becomes the variable's memory.

    `tensorflow.convert_to_tensor` would copy the array, because the caller could still write to it.

    Arguments:
        variable: a Keras variable, or the backend's own.
        values: all entries, best from `room_for`. The array is read-only afterwards.
    """
    shaped = values.reshape(tuple(variable.shape))
    is_aligned = values.ctypes.data % _ALIGNMENT == 0
    # DLPack does not have the dtypes of ml_dtypes.
    if _is_tensorflow() and is_aligned and values.size and values.dtype.isbuiltin == 1:
        import tensorflow

        variable.assign(tensorflow.experimental.dlpack.from_dlpack(shaped.__dlpack__()))
    else:
        variable.assign(shaped)
    values.flags.writeable = False


def _is_tensorflow() -> bool:
    return bool(import_keras().backend.backend() == "tensorflow")

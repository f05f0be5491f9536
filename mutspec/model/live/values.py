"""The values of a live model's variables, read and assigned without copying them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.model.live.backend import import_keras

_ALIGNMENT = 64
"""The bytes at whose multiples TensorFlow's kernels expect a tensor to begin (`EIGEN_MAX_ALIGN_BYTES`)."""


def snapshot(variable: Any) -> Any:
    """The value of a variable as it stands, in a form that `as_array` reads and that can be assigned.

    With TensorFlow it costs nothing: it is the variable's own buffer, which from now on TensorFlow does not write to.
    Whatever changes the variable, an optimizer's step or a scattered update too, first makes a buffer of its own
    (`PrepareToUpdateVariable`). Other backends do not promise that, so there it is a copy.

    Arguments:
        variable: a Keras variable, or the backend's own.
    """
    if _is_tensorflow():
        import tensorflow

        return tensorflow.convert_to_tensor(variable)
    return np.array(variable.numpy())


def as_array(value: Any) -> NDArray[Any]:
    """What a snapshot holds, flat and not to be written to."""
    # Of a single bfloat16 TensorFlow makes no array.
    array = np.ascontiguousarray(value if len(value.shape) else value[None]).reshape(-1)
    array.flags.writeable = False
    return array


def room_for(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Room for the entries of a tensor, which `assign` need not copy."""
    raw = np.empty(size * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


def assign(variable: Any, values: NDArray[Any]) -> None:
    """Give a variable values, flat, of its own dtype. They become its memory if they can: they are its from now on.

    `tensorflow.convert_to_tensor` would copy them, as it cannot know that nobody writes to them any more.

    Arguments:
        variable: a Keras variable, or the backend's own.
        values: all entries, best from `room_for`. They cannot be written to after this.
    """
    shaped = values.reshape(tuple(variable.shape))
    is_aligned = values.ctypes.data % _ALIGNMENT == 0
    # DLPack has no dtypes of ml_dtypes.
    if _is_tensorflow() and is_aligned and values.size and values.dtype.isbuiltin == 1:
        import tensorflow

        variable.assign(tensorflow.experimental.dlpack.from_dlpack(shaped.__dlpack__()))
    else:
        variable.assign(shaped)
    values.flags.writeable = False


def _is_tensorflow() -> bool:
    return bool(import_keras().backend.backend() == "tensorflow")

"""The dtypes that layers refuse, against the installed Keras: each layer is called."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf

from mutspec.keras_facts.input_dtypes import refuses
from tests.structure.layer_cases import CASES, Case

DTYPES = ("string", "bool", "int32")
NOT_ON_A_PROCESSOR = ("data_format", "dilation_rate")
"""Arguments of some cases for which TensorFlow has kernels for graphics processors alone."""
CASE_BY_CLASS: dict[str, Case] = {case[0]: case for case in reversed(CASES)}


def is_called(case: Case, dtype: str) -> bool:
    class_name, config, shapes = case
    arguments = {key: value for key, value in config.items() if key not in NOT_ON_A_PROCESSOR}
    class_ = getattr(keras.layers, class_name)
    layer = class_.from_config(arguments) if "layer" in arguments or "cell" in arguments else class_(**arguments)
    tensors = [_filled([extent or 2 for extent in shape], dtype) for shape in shapes]
    takes_list = len(tensors) > 1 and class_name != "MultiHeadAttention"
    try:
        layer(tensors) if takes_list else layer(*tensors)
    except (tf.errors.OpError, ValueError, TypeError):
        return False
    return True


def _filled(shape: list[int], dtype: str) -> Any:
    return tf.fill(shape, "a") if dtype == "string" else tf.cast(tf.ones(shape), dtype)


@pytest.mark.parametrize("class_name", CASE_BY_CLASS)
def test_a_layer_refuses_the_dtypes_that_keras_cannot_call_it_on(class_name: str) -> None:
    case = CASE_BY_CLASS[class_name]
    assert [each for each in DTYPES if not is_called(case, each)] == [
        each for each in DTYPES if refuses(class_name, each)
    ]

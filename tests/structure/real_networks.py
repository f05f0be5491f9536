"""Networks that people use, untrained: whole, and their first stages, which have layers of every kind.

Whole networks are mutated by `tests/cli/test_real_networks.py` and `python -m tests.architecture_table`.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def whole(name: str, size: int = 64) -> Any:
    """A network on images of some size; a test must leave it as it is."""
    import keras

    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=7)


def first_stages(name: str, size: int = 64) -> Any:
    """A network up to its second or third change of size, with a head."""
    import keras
    from keras.src.applications import efficientnet, resnet

    if name == "MobileNetV2":
        model = whole(name, size)
        x = keras.layers.GlobalAveragePooling2D()(model.get_layer("block_5_add").output)
        return keras.models.clone_model(keras.Model(model.input, keras.layers.Dense(7)(x), name=name.lower()))

    def stacks(x: Any) -> Any:
        x = resnet.stack_residual_blocks_v1(x, 64, 2, stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 128, 2, name="conv3")

    common = {"weights": None, "input_shape": (size, size, 3), "classes": 7, "name": name.lower()}
    if name == "ResNet50":
        return resnet.ResNet(stacks, preact=False, use_bias=True, **common)
    return efficientnet.EfficientNet(1.0, 1.0, 224, blocks_args=efficientnet.DEFAULT_BLOCKS_ARGS[:3], **common)

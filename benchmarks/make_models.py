"""Makes a model file that a benchmark needs, unless it exists.

python benchmarks/make_models.py resnet50|densenet121|deep|large
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from cases import WORK

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def make_resnet50(path: Path) -> None:
    """Makes ResNet50 with random weights: 25.6 million parameters, 103 MB."""
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.ResNet50(weights=None).save(path)


def make_densenet121(path: Path) -> None:
    """Makes DenseNet121 with random weights: 427 layers, 8.1 million parameters."""
    import keras

    keras.utils.set_random_seed(0)
    keras.applications.DenseNet121(weights=None).save(path)


def make_deep(path: Path) -> None:
    """Makes a thousand Dense layers, `dense_0` to `dense_999`."""
    write_dense_stack(path, layers=1000, units=4)


def make_large(path: Path) -> None:
    """Makes 4.0 GB of weights, in 60 Dense layers. The file is written layer by layer and never held in memory."""
    write_dense_stack(path, layers=60, units=4096)


def write_dense_stack(path: Path, layers: int, units: int) -> None:
    """Writes a `.keras` file of Dense layers in the layout of Keras 3, without building them."""
    import h5py
    import numpy as np

    random = np.random.default_rng(0)
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        for index in range(layers):
            variables = file.create_group(f"layers/dense{f'_{index}' if index else ''}/vars")
            variables.attrs["name"] = f"dense_{index}"
            kernel = random.standard_normal((units, units), dtype=np.float32) / np.float32(units**0.5)
            variables.create_dataset("0", data=kernel)
            variables.create_dataset("1", data=np.zeros(units, np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.6.0", "date_saved": "2024-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(dense_stack_config(layers, units)))
        archive.write(weights, "model.weights.h5")
    weights.unlink()


def dense_stack_config(layers: int, units: int) -> dict[str, object]:
    """Returns a Sequential model's config, as Keras 3 writes it."""
    entries: list[dict[str, object]] = [
        layer_config("InputLayer", {"batch_shape": [None, units], "dtype": "float32", "name": "input"})
    ]
    for index in range(layers):
        config = {"name": f"dense_{index}", "trainable": True, "dtype": "float32", "units": units, "use_bias": True}
        entries.append(layer_config("Dense", config | {"activation": "linear"}))
    model = {"name": "dense_stack", "trainable": True, "dtype": "float32", "layers": entries}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": model | {"build_input_shape": [None, units]},
        "registered_name": None,
        "build_config": {"input_shape": [None, units]},
    }


def layer_config(class_name: str, config: dict[str, object]) -> dict[str, object]:
    """Returns a layer's entry in a config."""
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


MAKERS: dict[str, Callable[[Path], None]] = {
    "resnet50": make_resnet50,
    "densenet121": make_densenet121,
    "deep": make_deep,
    "large": make_large,
}


def main() -> None:
    """Makes the model that the command line names."""
    (name,) = sys.argv[1:]
    path = WORK / f"{name}.keras"
    if path.exists():
        return
    WORK.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{name}_unfinished.keras")
    MAKERS[name](unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    main()

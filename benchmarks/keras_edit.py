"""The usual way, for comparison: load a model with Keras, insert a layer, carry the weights over, save it.

python benchmarks/keras_edit.py MODEL OUTPUT
"""

from __future__ import annotations

import sys

import keras

AFTER, NAME = "conv4_block3_2_relu", "drop"


def main() -> None:
    """Inserts a Dropout after a layer of ResNet50, by editing its configuration."""
    source, target = sys.argv[1:]
    model = keras.models.load_model(source, compile=False)
    config = model.get_config()
    layer = keras.saving.serialize_keras_object(keras.layers.Dropout(0.1, name=NAME))
    at = next(number for number, each in enumerate(config["layers"]) if each["name"] == AFTER)
    (reader,) = [each for each in config["layers"] if AFTER in str(each["inbound_nodes"])]
    new = {**layer, "name": NAME, "inbound_nodes": reader["inbound_nodes"]}
    reader["inbound_nodes"] = [_from(NAME, node) for node in reader["inbound_nodes"]]
    config["layers"].insert(at + 1, new)
    edited = keras.Model.from_config(config)
    for each in model.layers:
        edited.get_layer(each.name).set_weights(each.get_weights())
    edited.save(target)


def _from(name: str, node: dict[str, object]) -> dict[str, object]:
    """Returns a call with its one input taken from another layer."""
    (tensor,) = node["args"]  # type: ignore[misc]
    history = {"keras_history": [name, 0, 0]}
    return {**node, "args": [{**tensor, "config": {**tensor["config"], **history}}]}


if __name__ == "__main__":
    main()

"""Graphs: branches, shared and nested models, several inputs and outputs, operator nodes."""

from __future__ import annotations

__all__ = [
    "called_twice",
    "multiple_io",
    "multiple_io_lists",
    "nested",
    "nested_twice_deep",
    "operators",
    "residual",
    "shared_everywhere",
    "shared_layers",
    "shared_with_nested",
    "siamese",
]


def residual():
    """A residual block with batch normalisation and concatenation."""
    import keras

    layers = keras.layers
    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", use_bias=False, name="branch")(x))
    x = layers.ReLU(name="relu")(layers.Add(name="add")([x, y]))
    x = layers.Concatenate(name="concat")([x, inputs])
    return keras.Model(
        inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)), name="residual"
    )


def shared_layers():
    """One layer called three times, and one output used twice."""
    import keras

    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4, name="shared")
    x = dense(dense(inputs))
    return keras.Model(inputs, [dense(keras.layers.Add()([x, x])), x])


def _encoder(name="encoder"):
    import keras

    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(4, activation="relu")(inputs)), name=name)


def siamese():
    """Two inputs through one nested encoder."""
    import keras

    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    encoder = _encoder()
    return keras.Model([left, right], keras.layers.Dot(1)([encoder(left), encoder(right)]))


def nested():
    """A Functional and a Sequential model inside a Functional one."""
    import keras

    inputs = keras.Input((5,))
    head = keras.Sequential([keras.Input((3,)), keras.layers.Dense(6), keras.layers.Dense(2)], name="head")
    return keras.Model(inputs, keras.layers.Dense(1)(head(_encoder()(inputs))))


def nested_twice_deep():
    """A model in a model in a model, all kinds, with batch normalisation at each level."""
    import keras

    layers = keras.layers
    inner = keras.Sequential([layers.Dense(3), layers.BatchNormalization()], name="inner")
    middle_input = keras.Input((5,))
    middle = keras.Model(middle_input, layers.BatchNormalization()(inner(layers.Dense(4)(middle_input))), name="middle")
    return keras.Sequential([keras.Input((5,)), middle, layers.BatchNormalization(), layers.Dense(2)], name="outer")


def called_twice():
    """A nested model called twice in a row, its layers counted once."""
    import keras

    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, keras.layers.Dense(4)(inner_input), name="inner")
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1)(inner(inner(inputs))))


def shared_with_nested():
    """A layer that both the outer and a nested model hold."""
    import keras

    dense = keras.layers.Dense(4, name="shared")
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, dense(inner_input), name="inner")
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2)(dense(inner(inputs))))


def multiple_io():
    """Inputs and outputs as dictionaries."""
    import keras

    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
    x = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    trunk = keras.layers.Dense(4)(x)
    return keras.Model(inputs, {"second": keras.layers.Dense(2)(trunk), "first": keras.layers.Dense(1)(trunk)})


def multiple_io_lists():
    """Two inputs, three outputs, one of them an input's own tensor scaled."""
    import keras

    a, b = keras.Input((3,)), keras.Input((3,))
    x = keras.layers.Dense(3)(keras.layers.Subtract()([a, b]))
    return keras.Model([a, b], [x, keras.layers.Multiply()([x, a]), keras.layers.Rescaling(0.5)(b)])


def operators():
    """Operator nodes: arithmetic, slicing, and an op with several outputs."""
    import keras

    inputs = keras.Input((4, 6))
    x = keras.layers.Dense(6)(inputs)
    x = x + inputs * 2.0
    first, second = keras.ops.split(x, 2, axis=-1)
    x = keras.ops.concatenate([first, second[:, :, ::-1]], axis=-1)
    x = x[:, 0]
    x = keras.ops.where(x > 0.0, x, -x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def shared_everywhere():
    """A layer in two nested models and in a wrapper, and a whole model inside another and beside it."""
    import keras

    dense = keras.layers.Dense(4, name="shared")

    def around(layer, name):
        inner_input = keras.Input((4,))
        return keras.Model(inner_input, layer(inner_input), name=name)

    encoder = around(keras.layers.Dense(4, name="inmost"), "encoder")
    inputs, sequence = keras.Input((4,), name="one"), keras.Input((5, 4), name="many")
    x = around(dense, "second")(around(dense, "first")(inputs))
    return keras.Model(
        [inputs, sequence],
        [around(encoder, "outer")(x), encoder(x), keras.layers.TimeDistributed(dense, name="each")(sequence)],
    )

"""Classes of one's own: layers and models that no table can know."""

from __future__ import annotations

from functools import cache

__all__ = ["custom_layer", "nested_custom", "subclassed", "subclassed_functional"]


@cache
def classes():
    """The custom classes, registered once; made here so that importing the zoo imports no Keras."""
    import keras

    @keras.saving.register_keras_serializable("zoo")
    class Gate(keras.layers.Layer):
        """A layer with weights and sub-layers of its own, one of them under two attributes."""

        def __init__(self, units=3, **options):
            super().__init__(**options)
            self.units = units
            self.project = keras.layers.Dense(units)
            self.stack = [keras.layers.Dense(units), keras.layers.Dense(units)]
            self.also_project = self.project

        def build(self, shape):
            self.gain = self.add_weight(shape=(self.units,), name="gain")
            self.offset = self.add_weight(shape=(self.units,), name="offset", trainable=False)
            self.project.build(shape)
            for layer in self.stack:
                layer.build((*shape[:-1], self.units))

        def call(self, inputs):
            x = self.project(inputs)
            for layer in self.stack:
                x = layer(x)
            return x * self.gain + self.offset

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    @keras.saving.register_keras_serializable("zoo")
    class Subclassed(keras.Model):
        """A subclassed model with layers in attributes, a list and a dictionary, and a weight of its own."""

        def __init__(self, **options):
            super().__init__(**options)
            self.first = keras.layers.Dense(4)
            self.blocks = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(4)]
            self.heads = {"one": keras.layers.Dense(2)}
            self.gate = Gate(2)
            self.temperature = self.add_weight(shape=(), name="temperature")

        def call(self, inputs):
            x = self.first(inputs)
            for layer in self.blocks:
                x = layer(x)
            return self.gate(self.heads["one"](x)) * self.temperature

    @keras.saving.register_keras_serializable("zoo")
    class OwnFunctional(keras.Model):
        """A Functional model by another name."""

    return Gate, Subclassed, OwnFunctional


def custom_layer():
    """A registered custom layer among Keras's own."""
    import keras

    gate = classes()[0]
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), gate(3), gate(2, name="small"), keras.layers.Dense(2)]
    )


def subclassed():
    """A subclassed model: tensors only."""
    import numpy as np

    model = classes()[1](name="mine")
    model(np.zeros((1, 3), "float32"))
    return model


def subclassed_functional():
    """A subclass of Model that was made from inputs and outputs."""
    import keras

    inputs = keras.Input((3,))
    return classes()[2](inputs, keras.layers.Dense(2, name="head")(keras.layers.Dense(4)(inputs)))


def nested_custom():
    """A subclassed model inside a Functional one."""
    import keras

    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(classes()[1](name="mine")(inputs)))

"""What the installed Keras has and the tables lack, each with the module of `mutspec/keras_facts` to add it to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from mutspec.keras_facts import object_names
from mutspec.keras_facts.classes import KNOWN_CLASSES
from mutspec.keras_facts.layer_arguments import NOT_IN_PLANS, arguments_of
from tests.keras_facts.installed import layer_classes, own_name, signature

OBJECTS = {
    "ACTIVATIONS": "activations",
    "INITIALIZERS": "initializers",
    "REGULARIZERS": "regularizers",
    "CONSTRAINTS": "constraints",
}
ABSTRACT = {"Initializer", "initializer", "Regularizer", "regularizer", "Constraint", "constraint"}


def new_classes(layers: Iterable[type]) -> Iterator[str]:
    for layer in layers:
        name = own_name(layer)
        if name not in KNOWN_CLASSES:
            yield f"the class `{name}`: add it to class_table.py, or without weights to WEIGHTLESS in class_names.py"
        if arguments_of(name) is None and name not in NOT_IN_PLANS:
            yield f"the class `{name}`: add its signature, or a reason in NOT_IN_PLANS, to layer_arguments.py"


def new_arguments(layers: Iterable[type]) -> Iterator[str]:
    for layer in layers:
        if (arguments := arguments_of(own_name(layer))) is not None:
            for key in sorted(signature(layer).keys() - arguments.keys() - {"activity_regularizer"}):
                yield f"the argument `{key}` of `{own_name(layer)}`: add it to the signature in layer_arguments.py"


def new_objects(installed: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for table, names in installed.items():
        for name in sorted({*names} - getattr(object_names, table) - ABSTRACT):
            yield f"the name `{name}`: add it to {table} in object_names.py"


def test_the_tables_lack_nothing_of_the_installed_keras() -> None:
    layers = [*dict.fromkeys(layer_classes().values())]
    objects = {table: import_module(f"keras.src.{room}").ALL_OBJECTS_DICT for table, room in OBJECTS.items()}
    news = [*new_classes(layers), *new_arguments(layers), *new_objects(objects)]
    assert not news, "new in the installed Keras, to be added in mutspec/keras_facts:\n" + "\n".join(news)


def test_a_new_class_a_new_argument_and_a_new_object_are_reported_with_the_module_to_edit() -> None:
    import keras

    class Brand(keras.layers.Layer):
        pass

    class Dense(keras.layers.Layer):
        def __init__(self, units: int, brand_new: bool = False, **base: Any) -> None:
            super().__init__(**base)

    (known, arguments), (argument,) = new_classes([Brand]), new_arguments([Dense])
    (initializer,) = new_objects({"INITIALIZERS": ["zeros", "brand_new"]})
    for news, name, module in (
        (known, "`Brand`", "class_table.py"),
        (arguments, "`Brand`", "layer_arguments.py"),
        (argument, "`brand_new` of `Dense`", "layer_arguments.py"),
        (initializer, "`brand_new`", "INITIALIZERS in object_names.py"),
    ):
        assert name in news
        assert module in news

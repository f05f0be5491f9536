"""Every class of the installed Keras is in one of the tables of multiply–adds."""

from __future__ import annotations

from functools import cache

import pytest

from mutspec.keras_facts.class_names import ALIASES, MODELS, UNKNOWN
from mutspec.keras_facts.multiply_adds import (
    FREE_LAYERS,
    LAYER_COUNTS,
    OPERATION_COUNTS,
    UNCOUNTED_LAYERS,
    UNCOUNTED_OPERATIONS,
)
from tests.keras_facts.installed import IS_TABLES_VERSION, layer_classes

TABLES = (frozenset(LAYER_COUNTS), FREE_LAYERS, UNCOUNTED_LAYERS)


def test_every_layer_class_is_in_one_table() -> None:
    known = UNKNOWN.keys() | MODELS.keys() | ALIASES.keys()
    names = {each.__name__ for each in layer_classes().values()}
    missing = [name for name in names if name not in known and not any(name in table for table in TABLES)]
    assert not missing, f"add them to LAYER_COUNTS, FREE_LAYERS or UNCOUNTED_LAYERS: {missing}"
    assert not [name for name in frozenset().union(*TABLES) if sum(name in table for table in TABLES) > 1]


@cache
def _operations() -> set[str]:
    from keras.src.ops import core, image, linalg, math, nn, numpy
    from keras.src.ops.operation import Operation

    found = (value for module in (core, image, linalg, math, nn, numpy) for value in vars(module).values())
    return {each.__name__ for each in found if isinstance(each, type) and issubclass(each, Operation)}


@pytest.mark.skipif(not IS_TABLES_VERSION, reason="another version of Keras may lack some")
def test_every_operation_in_the_tables_exists() -> None:
    assert _operations() >= OPERATION_COUNTS.keys() | UNCOUNTED_OPERATIONS


def test_no_operation_of_linear_algebra_is_free() -> None:
    from keras.src.ops import linalg

    of_module = {name for name in _operations() if getattr(vars(linalg).get(name), "__module__", "") == linalg.__name__}
    assert of_module - UNCOUNTED_OPERATIONS <= {"Norm"}

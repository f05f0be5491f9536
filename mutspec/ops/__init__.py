"""The families of ops, one module each; their names in the literature; and the catalogue that finds all ops.

An op is one small class: parameters, documentation, and how it lowers. Ops compute nothing. They write expressions over
tensors whose values have not been read yet. What may not enter: NumPy, TensorFlow, files. Packages with ops of their
own import from `mutspec.plugin`.
"""

from mutspec.ops.catalogue import catalogue, family

__all__ = ["catalogue", "family"]

_IN_PLUGIN = frozenset({"ByTarget", "NonNegative", "Op", "Problem", "Scale", "TensorContext", "WeightOp"})
"""The names that packages with ops imported from here before `mutspec.plugin` existed."""


def __getattr__(name: str) -> object:
    if name in _IN_PLUGIN:
        raise ImportError(f"`{name}` is now in mutspec.plugin: write `from mutspec.plugin import {name}`")
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")

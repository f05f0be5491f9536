"""The families of ops, one module each; their names in the literature; and the catalogue that finds all ops.

An op is one small class: parameters, documentation, and how it lowers. Ops compute nothing. They write expressions over
tensors whose values have not been read yet. What may not enter: NumPy, TensorFlow, files. Packages with ops of their
own import from `mutspec.plugin`.
"""

from mutspec.ops.catalogue import catalogue, family

__all__ = ["catalogue", "family"]

_MOVED = {name: name for name in ("ByTarget", "NonNegative", "Op", "Problem", "Scale", "WeightOp")} | {
    "Site": "TensorContext"
}
"""The names that packages with ops imported from here before `mutspec.plugin` existed, and their names there."""


def __getattr__(name: str) -> object:
    if name in _MOVED:
        now = _MOVED[name]
        raise ImportError(f"`{name}` is now `{now}` in mutspec.plugin: write `from mutspec.plugin import {now}`")
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")

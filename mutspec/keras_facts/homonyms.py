"""Arguments that mean something else in some of Keras's layer classes. Pure data."""

from __future__ import annotations

from collections.abc import Mapping

_NORMALIZATIONS = frozenset({"BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"})

_MEANS_OTHERWISE: Mapping[str, frozenset[str]] = {
    "groups": frozenset({"GroupNormalization"}),  # else those of a convolution
    "scale": _NORMALIZATIONS,  # whether there is a weight; else a factor
}
"""For an argument, the classes in which it means something else than in all others."""

_OWN = frozenset({"alpha", "factor", "mode", "size"})
"""Arguments that mean something else in each class."""


def means_the_same(argument: str, one: str, other: str) -> bool:
    """Returns whether an argument means the same in two classes that both have it."""
    classes = _MEANS_OTHERWISE.get(argument, frozenset())
    return one == other or (argument not in _OWN and (one in classes) == (other in classes))

"""The axes of classes that are not Keras's, as packages declare them.

A module declares them when it is imported: one that the call names with `--import`, or one that an installed package
names as an entry point of the group `mutspec.layer_axes`. Entry points are looked for when a model has a class of
which nothing is known.
"""

from __future__ import annotations

from functools import cache

from mutspec.errors import EnvironmentProblem
from mutspec.keras_facts.layer_axes import LayerAxes

ENTRY_POINT_GROUP = "mutspec.layer_axes"

_DECLARED: dict[str, LayerAxes] = {}


def declare_layer_axes(name: str, axes: LayerAxes) -> None:
    """States how the axes of a layer class are related, so that units of layers around it can be removed.

    Arguments:
        name: the name that the class is registered under: `my_package>MyLayer`.
        axes: its axes. Weights are named by their paths below the layer: `var0`, `dense/var1`.

    Raises:
        TypeError: `axes` is something else.
        ValueError: the class has other axes already.
    """
    if not isinstance(axes, LayerAxes):
        raise TypeError(f"the axes of {name} are a LayerAxes, not {type(axes).__name__}")
    if _DECLARED.setdefault(name, axes) != axes:
        raise ValueError(f"the axes of {name} are declared twice")


def declared_axes(name: str) -> LayerAxes | None:
    """Returns the axes that a package has declared for a class; None if there is none.

    Raises:
        EnvironmentProblem: a package that may have declared them cannot be imported.
    """
    if name not in _DECLARED:
        _load()
    return _DECLARED.get(name)


@cache
def _load() -> None:
    """Imports the modules that installed packages name, once."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plug-in must not end the run, and say nothing
            raise EnvironmentProblem(
                f"the plug-in `{entry_point.name}` ({entry_point.value}) cannot be imported: "
                f"{type(error).__name__}: {error}",
                hint="fix, update or uninstall the package that offers it",
            ) from error

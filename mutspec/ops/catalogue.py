"""Finding ops: those of this package, and those that other packages offer under the entry-point group `mutspec.ops`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from mutspec.language.errors import EnvironmentProblem
from mutspec.ops.base import Op, op_name

FAMILIES = ("noise", "values", "transfer")
"""The modules of this package that hold ops, in the order in which they are shown."""

ENTRY_POINT_GROUP = "mutspec.ops"


def catalogue(*, plugins: bool = True) -> Mapping[str, type[Op]]:
    """Every op by its name, in the order of families and files.

    Arguments:
        plugins: whether to include ops of other packages. An entry point names a module (all its ops) or one op.

    Raises:
        EnvironmentProblem: a plug-in cannot be imported, or takes a name that is taken.
    """
    ops: dict[str, type[Op]] = {}
    for name in FAMILIES:
        ops.update((op_name(op), op) for op in _ops_of(import_module(f"mutspec.ops.{name}")))
    for entry_point in entry_points(group=ENTRY_POINT_GROUP) if plugins else ():
        try:
            loaded = entry_point.load()
        except Exception as error:
            raise EnvironmentProblem(
                f"the op plug-in `{entry_point.name}` ({entry_point.value}) cannot be imported: {error}",
                hint="reinstall or uninstall the package that offers it",
            ) from error
        for op in _ops_of(loaded) if isinstance(loaded, ModuleType) else (loaded,):
            if ops.setdefault(op_name(op), op) is not op:
                raise EnvironmentProblem(
                    f"the op plug-in `{entry_point.name}` takes the name `{op_name(op)}`, which is taken"
                )
    return ops


def family(op: type[Op]) -> str:
    """The family of an op: the name of the module that it is in."""
    return op.__module__.rpartition(".")[2]


def _ops_of(module: ModuleType) -> Iterator[type[Op]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.__name__:
            yield value

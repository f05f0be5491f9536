"""The catalogue of ops: those of this package, and those of others, by the entry-point group `mutspec.ops`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from msgspec import json

from mutspec.errors import EnvironmentProblem
from mutspec.language.steps import op_name, package
from mutspec.lowering.base import Op

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FAMILIES = (
    "noise",
    "values",
    "precision",
    "sparsity",
    "order",
    "faults",
    "neurons",
    "transfer",
    "merging",
    "structure",
    "wiring",
    "naming",
    "morphism",
    "kernels",
    "factorization",
    "conversion",
    "inputs",
    "sharing",
    "regions",
    "ensembles",
    "ports",
    "widths",
    "widening",
    "resizing",
)
"""The modules of this package that hold ops, in the order in which they are shown."""

ENTRY_POINT_GROUP = "mutspec.ops"


class Catalogue(Mapping[str, type[Op]]):
    """Every op by its name, in the order of families and files; then those of other packages.

    A family is loaded when a name is asked for that none before it has: a plan of weight steps loads no edits of
    structure. Other packages are looked for after all of ours, or when all ops are asked for: to find them takes as
    long as to read a plan, and a package that is broken concerns only who uses it.
    """

    def __init__(self) -> None:
        """Loads nothing yet."""
        self._ops: dict[str, type[Op]] = {}
        self._families = iter(FAMILIES)
        self._has_plugins = False

    def __getitem__(self, name: str) -> type[Op]:
        while name not in self._ops and (family := next(self._families, None)):
            self._ops |= _family(family)
        return self._ops[name] if name in self._ops else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, type[Op]]:
        for family in self._families:
            self._ops |= _family(family)
        if not self._has_plugins:
            _add_plugins(self._ops)
            self._has_plugins = True
        return self._ops


def catalogue(*, plugins: bool = True) -> Mapping[str, type[Op]]:
    """Returns every op by its name.

    Arguments:
        plugins: whether to include ops of other packages. An entry point names a module (all its ops) or one op.

    Raises:
        EnvironmentProblem: when ops of other packages are looked for, and one cannot be imported, or takes a name that
            is taken.
    """
    return Catalogue() if plugins else _shipped()


def _shipped() -> dict[str, type[Op]]:
    return {name: op for family in FAMILIES for name, op in _family(family).items()}


def _family(name: str) -> dict[str, type[Op]]:
    return {op_name(op): op for op in _ops_of(import_module(f"mutspec.ops.{name}"))}


def _add_plugins(ops: dict[str, type[Op]]) -> None:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plug-in must not end the run, and say nothing
            reason = f"cannot be imported: {type(error).__name__}: {error}"
            raise EnvironmentProblem(f"{_called(entry_point)} {reason}", hint=_REMEDY) from error
        for op in _ops_of(loaded) if isinstance(loaded, ModuleType) else (loaded,):
            _check(op, _called(entry_point))
            if ops.setdefault(op_name(op), op) is not op:
                owner = ops[op_name(op)].__module__.partition(".")[0]
                message = f"{_called(entry_point)} takes the name `{op_name(op)}`, which an op of `{owner}` has"
                raise EnvironmentProblem(message, hint=_REMEDY)


_REMEDY = "fix, update or uninstall the package that offers it"


def _called(entry_point: EntryPoint) -> str:
    return f"the op plug-in `{entry_point.name}` ({entry_point.value})"


def _check(op: object, plugin: str) -> None:
    """Refuses what is not an op, and an op against which no plan could be checked.

    Raises:
        EnvironmentProblem: it is either.
    """
    if not (isinstance(op, type) and issubclass(op, Op)):
        what = f"the class `{op.__name__}`" if isinstance(op, type) else f"a value of type `{type(op).__name__}`"
        raise EnvironmentProblem(f"{plugin} is {what}, and not an op", hint=_REMEDY)
    try:
        json.schema(op)
    except TypeError as error:
        reason = str(error).strip().splitlines()[-1]
        message = f"{plugin} has an op, `{op_name(op)}`, whose parameters cannot stand in a plan: {reason}"
        raise EnvironmentProblem(message, hint=_REMEDY) from error


def family(op: type[Op]) -> str:
    """Returns the family of an op: of mutspec's own the name of the module it is in, of others their package's name."""
    own = package(op)
    return op.__module__.rpartition(".")[2] if own == "mutspec" else own


def _ops_of(module: ModuleType) -> Iterator[type[Op]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.__name__:
            yield value

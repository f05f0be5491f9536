"""Modules of the user's own: found in the folder of the call, after all other places, and only if the call names them.

Python puts the folder of the call first on its path. There a stray `keras.py` takes the place of Keras, and a model
file that names `keras_hub` gets the folder's. So no entry of `sys.path` is the folder. Instead a finder after all
others knows the names that the call has, in `--import` and in its configuration; what it found may import its
neighbours. What a model, a plan or an installed package asks for is not found in the folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any

_FOLDER: ContextVar[str | None] = ContextVar("folder of the call", default=None)
_OF_IMPORTS = frozenset({"importlib", "_frozen_importlib", "_frozen_importlib_external"})
"""The packages of Python's own whose frames lie between an import and its finder."""


@dataclass(frozen=True)
class OwnModules:
    """Modules that a call names. It travels to the processes of launchers, which find them in the same folder.

    Arguments:
        names: of the modules, or of what is in them: `mydata`, `mydata.load`.
        folder: where they are looked for, if they are nowhere else.
    """

    names: frozenset[str]
    folder: str

    def allow(self) -> None:
        """Let Python find them from now on."""
        finder = next((each for each in _finders() if each.folder == self.folder), None) or _Finder(self.folder)
        finder.named |= {_top(name) for name in self.names}
        first = next(_finders(), None)
        if first is not finder:  # the folder of the latest call comes first
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
            at = sys.meta_path.index(first) if first is not None else len(sys.meta_path)
            sys.meta_path.insert(at, finder)


def allow_modules(names: Iterable[str], folder: str | os.PathLike[str] | None = None) -> OwnModules:
    """Let modules that the call names be found in its folder.

    Arguments:
        names: of modules, or of what is in them.
        folder: the folder of the call; by default that of `in_folder_of_the_call`, or else the current one.

    Returns:
        The names and the folder, for other processes.
    """
    own = OwnModules(frozenset(filter(None, names)), os.path.abspath(folder or _FOLDER.get() or os.getcwd()))
    own.allow()
    return own


def targets(value: Any) -> Iterator[str]:
    """The dotted names of all functions and classes in a value that Hydra would call, or find by its `get_method`."""
    if isinstance(value, Mapping):
        yield from (str(value[name]) for name in keys_of_names(value) if isinstance(value.get(name), str))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from targets(each)


def keys_of_names(call: Mapping[Any, Any]) -> tuple[str, ...]:
    """The keys of a mapping with `_target_` whose values are dotted names: `hydra.utils.get_method` takes one, too."""
    return ("_target_", "path") if str(call.get("_target_")).startswith("hydra.utils.get_") else ("_target_",)


@contextmanager
def in_folder_of_the_call(folder: str) -> Iterator[None]:
    """Take a folder for that of the call, wherever the process is meanwhile."""
    token = _FOLDER.set(os.path.abspath(folder))
    try:
        yield
    finally:
        _FOLDER.reset(token)


_SAFE_PATH = "PYTHONSAFEPATH"
_BY_US = "mutspec"
"""Any value has Python leave out the current folder; this one says who asked for it."""


@contextmanager
def workers_start_safely() -> Iterator[None]:
    """Have Python processes that are started meanwhile not put the current folder first on their path.

    Launchers start theirs by `python -m`, and what they import before they come to a job is not ours to choose.
    """
    is_asked = _SAFE_PATH in os.environ
    os.environ.setdefault(_SAFE_PATH, _BY_US)
    try:
        yield
    finally:
        if not is_asked:
            os.environ.pop(_SAFE_PATH, None)


def processes_start_as_usual() -> None:
    """Undo `workers_start_safely` in a process that runs a job: what the user's code starts is the user's."""
    if os.environ.get(_SAFE_PATH) == _BY_US:
        del os.environ[_SAFE_PATH]


@contextmanager
def keras_imports_no_stray_module() -> Iterator[None]:
    """Have Keras import nothing from the current folder, whatever a model names, while it builds the model.

    Keras imports `keras_hub` and its like when a model names them, and the current folder is on the path of interactive
    sessions: first, or before the installed packages. What is imported already stays.
    """
    finder = _Refusal()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds in a folder what the call names, and what is imported by what was found there."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.named: set[str] = set()
        self.found: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is; None if it is not in the folder, or nobody who may have it asks for it."""
        if path is not None or (name not in self.named and _importer() not in self.found):
            return None
        spec = PathFinder.find_spec(name, [self.folder])
        if spec is not None:
            self.found.add(name)
        return spec


class _Refusal:
    """Does not let Keras find what is in the current folder alone."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module of the path is, but for the current folder; None if others are to find it."""
        here = ("", os.getcwd())
        others = [entry for entry in sys.path if entry not in here]
        if path is not None or len(others) == len(sys.path) or _importer() != "keras":
            return None
        spec = PathFinder.find_spec(name, others)
        if spec is None and PathFinder.find_spec(name, [os.getcwd()]) is not None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec


def _finders() -> Iterator[_Finder]:
    return (each for each in sys.meta_path if isinstance(each, _Finder))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _importer() -> str:
    """The package or module of the code whose import is under way."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name != __name__ and _top(name) not in _OF_IMPORTS:
            return _top(name)
        frame = frame.f_back
    return ""

"""Modules of the user's own, which are imported from the folder of the call, and only if the call names them.

Python puts the folder of the call first on its path. There a stray `keras.py` would replace Keras, and a model file
that names `keras_hub` would load the folder's. So the folder is not an entry of `sys.path`. Instead there is a finder,
asked after all others, for the names in `--import` and in the call's configuration. Modules that it found may import
other modules of the folder. Models, plans and installed packages cannot import modules of the folder.
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
"""The packages of Python whose frames are between an import and its finder."""


@dataclass(frozen=True)
class OwnModules:
    """Modules that a call names. The value is sent to the processes of launchers, which use the same folder.

    Arguments:
        names: names of the modules, or of things in them: `mydata`, `mydata.load`.
        folder: the folder that is searched if they are not found elsewhere.
    """

    names: frozenset[str]
    folder: str

    def allow(self) -> None:
        """Makes the modules importable from now on."""
        finder = next((each for each in _finders() if each.folder == self.folder), None) or _Finder(self.folder)
        finder.named |= {_top(name) for name in self.names}
        first = next(_finders(), None)
        if first is not finder:  # the folder of the latest call comes first
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
            at = sys.meta_path.index(first) if first is not None else len(sys.meta_path)
            sys.meta_path.insert(at, finder)


def allow_modules(names: Iterable[str], folder: str | os.PathLike[str] | None = None) -> OwnModules:
    """Makes modules that the call names importable from its folder.

    Arguments:
        names: names of modules, or of things in them.
        folder: the folder of the call; by default that of `in_folder_of_the_call`, or else the current one.

    Returns:
        The names and the folder, for other processes.
    """
    own = OwnModules(frozenset(filter(None, names)), os.path.abspath(folder or _FOLDER.get() or os.getcwd()))
    own.allow()
    return own


def targets(value: Any) -> Iterator[str]:
    """Returns the dotted names of all functions and classes in a value that Hydra would call or look up."""
    if isinstance(value, Mapping):
        yield from (str(value[name]) for name in keys_of_names(value) if isinstance(value.get(name), str))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from targets(each)


def keys_of_names(call: Mapping[Any, Any]) -> tuple[str, ...]:
    """Returns the keys whose values are dotted names in a mapping with `_target_`.

    Those are `_target_` itself, and `path` for `hydra.utils.get_method` and its like.
    """
    return ("_target_", "path") if str(call.get("_target_")).startswith("hydra.utils.get_") else ("_target_",)


@contextmanager
def in_folder_of_the_call(folder: str) -> Iterator[None]:
    """Uses a folder as that of the call, whatever the current folder is meanwhile."""
    token = _FOLDER.set(os.path.abspath(folder))
    try:
        yield
    finally:
        _FOLDER.reset(token)


_SAFE_PATH = "PYTHONSAFEPATH"
_BY_US = "mutspec"
"""Any value makes Python leave out the current folder; this one shows that mutspec set it."""


@contextmanager
def workers_start_safely() -> Iterator[None]:
    """Keeps Python processes that are started meanwhile from putting the current folder first on their path.

    Launchers start processes with `python -m`, and mutspec has no control over what they import before the job.
    """
    was_set = _SAFE_PATH in os.environ
    os.environ.setdefault(_SAFE_PATH, _BY_US)
    try:
        yield
    finally:
        if not was_set:
            os.environ.pop(_SAFE_PATH, None)


def processes_start_as_usual() -> None:
    """Undoes `workers_start_safely` in a process that runs a job, for the processes that the user's code starts."""
    if os.environ.get(_SAFE_PATH) == _BY_US:
        del os.environ[_SAFE_PATH]


@contextmanager
def keras_imports_no_stray_module() -> Iterator[None]:
    """Keeps Keras from importing modules of the current folder while it builds a model, whatever the model names.

    Keras imports `keras_hub` and its like when a model names them, and in interactive sessions the current folder is on
    the path before the installed packages. Modules that are already imported stay.
    """
    finder = _Refusal()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds, in one folder, the modules that the call names, and those that the found modules import."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.named: set[str] = set()
        self.found: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Returns the module's spec; None if it is not in the folder, or the importer may not have it."""
        if path is not None or (name not in self.named and _importer() not in self.found):
            return None
        spec = PathFinder.find_spec(name, [self.folder])
        if spec is not None:
            self.found.add(name)
        return spec


class _Refusal:
    """Refuses modules to Keras that are only in the current folder."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Returns the spec of a module on the path without the current folder; None to leave it to other finders."""
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
    """Returns the package or module whose code runs the import statement."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name != __name__ and _top(name) not in _OF_IMPORTS:
            return _top(name)
        frame = frame.f_back
    return ""

"""Limits on memory, such as `ulimit -v`: they become errors with a message before a library ends the process.

OpenBLAS, which comes with NumPy, ends a process that has no room for its threads' buffers, or sends it an interrupt;
TensorFlow aborts. Neither can be caught, so whether there is room is asked before they are imported.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from mutspec.errors import Problem

_LEAST: Mapping[str, int] = {"numpy": 192 << 20, "tensorflow": 2400 << 20}
"""The address space in bytes that a process needs to import a package and to work with it."""

_HINTS = ("can't start new thread", "cannot allocate memory", "failed to map segment")
"""Parts of the messages of errors that mean too little memory, in lower case."""


def prepare_for_little_memory() -> None:
    """Makes NumPy use little of a limited address space, and imports fail with MemoryError instead of crashing."""
    limit = address_space_limit()
    if limit is None:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread reserves a buffer of 32 MB
    too_large = frozenset(name for name, least in _LEAST.items() if limit < least)
    if too_large:
        sys.meta_path.insert(0, _NoRoom(too_large))


class _NoRoom:
    """A finder of modules that finds none, and refuses those that need more memory than there is."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Refuses a module.

        Raises:
            MemoryError: the module needs more than there is.
        """
        if name in self._names:
            raise MemoryError(f"{name} needs {_LEAST[name] >> 20} MB of address space")


def address_space_limit() -> int | None:
    """Returns the bytes of address space that this process may use; None without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def files_problem(error: BaseException) -> Problem | None:
    """Returns an import that failed because too many files are open as a problem; None for other errors."""
    if not isinstance(error, ImportError) or os.strerror(errno.EMFILE) not in str(error):
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Problem(str(error).splitlines()[0], hint=f"this process may open {most} files (ulimit -n): allow more")


def memory_problem(error: BaseException) -> Problem | None:
    """Returns an error that means too little memory as a problem; None for other errors."""
    if not isinstance(error, MemoryError) and not any(hint in str(error).lower() for hint in _HINTS):
        return None
    limit = address_space_limit()
    reason = f": {str(error).splitlines()[0]}" if str(error) else ""
    hint = "lower --max-memory" if limit is None else f"this process may have {limit >> 20} MB (ulimit -v): allow more"
    return Problem(f"there is not enough memory{reason}", hint=hint)

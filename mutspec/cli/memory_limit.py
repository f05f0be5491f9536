"""Little memory: what a limit such as `ulimit -v` means, said before a library ends the process in its own way.

OpenBLAS, which comes with NumPy, ends a process that has no room for its threads' buffers, or sends it an interrupt;
TensorFlow aborts. Neither can be caught, so whether there is room is asked before they are imported.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from mutspec.errors import Problem

_LEAST: Mapping[str, int] = {"numpy": 192 << 20, "tensorflow": 2400 << 20}
"""The address space in bytes that a process needs which imports this and works with it."""

_HINTS = ("can't start new thread", "cannot allocate memory", "failed to map segment")
"""What errors say, in small letters, that come of too little memory."""


def prepare_for_little_memory() -> None:
    """Where the address space is limited, let NumPy use little of it, and fail with MemoryError rather than crash."""
    limit = address_space_limit()
    if limit is None:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread reserves a buffer of 32 MB
    too_large = frozenset(name for name, least in _LEAST.items() if limit < least)
    if too_large:
        sys.meta_path.insert(0, _NoRoom(too_large))


class _NoRoom:
    """A finder of modules that finds none, and refuses those for which there is no room."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Nothing.

        Raises:
            MemoryError: the module needs more than there is.
        """
        if name in self._names:
            raise MemoryError(f"{name} needs {_LEAST[name] >> 20} MB of address space")


def address_space_limit() -> int | None:
    """The bytes of address space that this process may have; None if it may have all."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def memory_problem(error: BaseException) -> Problem | None:
    """What to say if an error comes of too little memory; None if it does not."""
    if not isinstance(error, MemoryError) and not any(hint in str(error).lower() for hint in _HINTS):
        return None
    limit = address_space_limit()
    reason = f": {str(error).splitlines()[0]}" if str(error) else ""
    hint = "lower --max-memory" if limit is None else f"this process may have {limit >> 20} MB (ulimit -v): allow more"
    return Problem(f"there is not enough memory{reason}", hint=hint)

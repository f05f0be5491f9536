"""What a call adds to applying a plan to files: before anything is computed, and when the file is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mutspec.execute.prepare import Prepared
from mutspec.model.files.archive import Archive


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Hooks:
    """Functions that `apply` calls. If one raises, nothing is written.

    Arguments:
        compiled: called with the compiled plan, the model's file and those of the inputs, before anything is computed.
        written: called with the path of the finished file, before it takes the output's name.
        keeps_output: whether the file takes the output's name. Otherwise it is removed, and nothing is left.
    """

    compiled: Callable[[Prepared, Archive, Mapping[str, Archive]], None] = _nothing
    written: Callable[[Path], None] = _nothing
    keeps_output: bool = True

    def after(self, check: Callable[[Path], None]) -> Callable[[Path], None]:
        """Returns a check of a finished file, with `written` after it."""

        def both(path: Path) -> None:
            check(path)
            self.written(path)

        return both


NO_HOOKS = Hooks()
"""Hooks that do nothing."""

"""Bugs of ops, as users and authors need to know them: the op, the place where it fails, and its maintainer.

An op of any package may fail in any way, both when it is asked about a step and when the step is lowered.
"""

from __future__ import annotations

from sys import modules

from msgspec import Struct

from mutspec.errors import Problem
from mutspec.language.steps import op_name, package


def failure(op: Struct, error: BaseException) -> Problem:
    """Returns the problem that an op fails."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Problem(f"the op `{op_name(type(op))}` fails: {reason}", hint=remedy(op, error))


def remedy(op: Struct, error: BaseException) -> str:
    """Says where a bug is, and who can fix it. The last line of the op's module tells more than one of mutspec's."""
    from traceback import extract_tb  # which only a bug needs, and a plan is read without

    frames = extract_tb(error.__traceback__)
    module = modules.get(type(op).__module__)
    own = [frame for frame in frames if frame.filename == getattr(module, "__file__", None)]
    where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"a bug{where}; report it to whoever maintains `{package(type(op))}`"

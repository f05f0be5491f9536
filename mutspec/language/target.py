"""A target outside of a plan, such as an argument of a call. It is read as strictly as in a plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.language.converting import Converter
from mutspec.language.document import parse, refuse_unprintable
from mutspec.language.head import LANGUAGE_VERSION
from mutspec.language.load import loaded
from mutspec.language.nodes import Node, Scalar, Sequence, Source, SourceSpan, Table
from mutspec.language.plan import Plan
from mutspec.language.types import Target


class _Choose(Struct, tag_field="op", tag="choose", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step with nothing but a target."""

    target: Target
    id: str = ""

    def problems(self) -> Iterable[Problem]:
        return ()

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        return ()


@dataclass(frozen=True)
class WrittenTarget:
    """A target and its place in a text.

    Arguments:
        target: the target.
        text: the text that it was read from.
    """

    target: Target
    text: str
    _plan: Plan[Any]

    def placed(self, problem: Problem) -> Problem:
        """Returns a problem, whose path is relative to the target, with its place in the text."""
        place = self._plan.locate(("steps", 0, "target", *problem.path))
        return replace(problem, place=place)


def load_target(text: str, name: str = "target") -> WrittenTarget:
    """Reads a target.

    Arguments:
        text: a name, path or `re:…` as it is (`dense_1`, `*_conv`), or a YAML mapping or list (`{type: Dense}`).
        name: the name of the text in error messages.

    Raises:
        PlanError: with every problem and its place in the text.
    """
    step = Table({"op": Scalar("choose"), "target": _node(text, name)}, {"op": None, "target": None})
    root = Table({"mutspec": Scalar(LANGUAGE_VERSION), "steps": Sequence((step,))}, {"mutspec": None, "steps": None})
    plan = loaded(Converter({"choose": _Choose}, name, ()), root)
    return WrittenTarget(plan.steps[0].target, text, plan)


def _node(text: str, name: str) -> Node:
    if not text.strip():
        raise PlanError("the target is empty", hint="for instance `dense_1`, `re:conv_.*` or `{type: Dense}`")
    if text.lstrip()[0] in "{[":
        return parse(text, name).root
    source = Source(name, (text,))
    refuse_unprintable(text, source)
    return Scalar(text.strip(), SourceSpan(source, 1, 1, len(text) + 1))

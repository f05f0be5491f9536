"""Warns of steps that change nothing, because a mutant that equals its base only looks robust."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mutspec.errors import Problem
from mutspec.text import words

if TYPE_CHECKING:
    from mutspec.lowering.compile import Program
    from mutspec.show.report import StepReport, TargetReport

_MOST_NAMES = 3

_IS_0 = "what it adds there is 0, or what it multiplies by is 1; a single entry has a standard deviation of 0"
_MAY_BE_0 = (
    "equal entries have a standard deviation of 0, zeros stay 0 by any factor, what is too small is rounded away"
)
_IS_DONE = "they were already as it leaves them"


def unchanged_warnings(program: Program, steps: Iterable[StepReport]) -> Iterator[Problem]:
    """Yields a warning for each step that changes nothing in some weights that it touches, and names a few of them.

    A step such as `clip` often finds some weights within its bounds already. It gets a warning only if it changes none.

    Arguments:
        program: the plan, compiled for the model.
        steps: what each step did, or would do.
    """
    for number, (op, step) in enumerate(zip(program.plan.steps, steps, strict=True)):
        touched = [target for target in step.targets if target.touched]
        still = [target for target in touched if target.is_unchanged]
        if still and (len(still) == len(touched) or not op.may_be_done):
            hint = _IS_DONE if op.may_be_done else _MAY_BE_0 if any(each.may_change for each in still) else _IS_0
            message = _sentence(step.id, touched, still)
            yield program.plan.placed(Problem(message, path=("steps", number), hint=hint, is_warning=True))


def _sentence(step: str, touched: Sequence[TargetReport], still: Sequence[TargetReport]) -> str:
    is_applied = still[0].changed is not None
    did = "changed nothing" if is_applied else "can change nothing"
    names = words.listed([target.path for target in still], _MOST_NAMES)
    if len(still) < len(touched):
        return f"step `{step}` {did} in {len(still)} of {words.plural(len(touched), 'weight')}: {names}"
    return f"step `{step}` {did} in {names}, all that it touches"

"""The number of a plan that a search scales, and how far the plan lets it be scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mutspec.errors import CallError, PlanError, Problem
from mutspec.experiment.job_settings import Search
from mutspec.experiment.result_settings import PARAMETER, as_number
from mutspec.language import Plan
from mutspec.lowering.base import Op


@dataclass(frozen=True)
class ScaledNumber:
    """The number of a plan that is scaled.

    Arguments:
        key: its key, as `--set` names it.
        is_whole: whether it is a whole number.
    """

    key: str
    is_whole: bool = False

    def at(self, plan: Plan[Op], scale: float) -> Plan[Op]:
        """The plan with another scale.

        Raises:
            PlanError: it does not take such a number, or has no such key.
        """
        return plan.overridden({self.key: round(scale) if self.is_whole else float(scale)})

    def below(self, plan: Plan[Op], scale: float) -> Plan[Op]:
        """The plan with a small scale, which need not touch anything: of few entries a small part is none."""
        return self.at(plan.overridden({f"steps.{step.id}.allow_empty": True for step in plan.steps}), scale)

    def misfit(self, error: PlanError, scale: float) -> PlanError:
        """An error about the plan with a scale, which no override of the call is to blame for."""

        def about(problem: Problem) -> Problem:
            is_ours = problem.place is not None and problem.place.text.startswith(f"{self.key}=")
            message = f"at {self.key}={scale:g} {problem.message}"
            return replace(problem, message=message, place=None, path=("mode", "key")) if is_ours else problem

        return PlanError([about(problem) for problem in error.problems])

    def takes(self, plan: Plan[Op], scale: float) -> bool:
        """Tells whether the plan takes a scale."""
        try:
            self.at(plan, scale)
        except PlanError:
            return False
        return True


def scaled_number(plan: Plan[Op], search: Search) -> ScaledNumber:
    """The number of a plan that a search scales.

    Raises:
        CallError: there is none, or it takes not the scales of the search; the problem's path is the setting to blame.
    """
    if problems := [replace(problem, path=("mode", name)) for name, problem in search.problems()]:
        raise CallError(problems)
    key = _only_number(plan) if search.key is None else search.key.removeprefix("plan.")
    if not key.startswith((PARAMETER, "steps.")):
        known = tuple(each for each in _numbers(plan) if each.endswith(f".{key}"))
        raise CallError(f"`{key}` is neither a parameter nor a key of a step", path=("mode", "key"), candidates=known)
    found = ScaledNumber(
        key,
        is_whole=not ScaledNumber(key).takes(plan, search.high) and ScaledNumber(key, True).takes(plan, search.high),
    )
    for name, scale in (("high", search.high), ("low", search.low)):
        try:
            found.at(plan, scale)
        except PlanError as error:
            raise CallError(_misfit(error, key, scale, name)) from None
    return found


def searched_effect(plan: Plan[Op], search: Search) -> str:
    """Returns the `effect_digest` of a plan of which a search chooses one number, whose value does not matter.

    Raises:
        CallError: see `scaled_number`.
    """
    return scaled_number(plan, search).at(plan, search.high).effect_digest


def _misfit(error: PlanError, key: str, scale: float, name: str) -> Problem:
    """Returns the reason why a plan does not take a scale: it has no such key, or the key takes other values."""
    problem = next((each for each in error.problems if _is_of_override(each)), error.problems[0])
    if problem.place is not None and problem.place.column == 1:
        return replace(problem, place=None, path=("mode", "key"))
    return Problem(f"`{key}` cannot be {scale:g}: {problem.message}", path=("mode", name))


def _is_of_override(problem: Problem) -> bool:
    return problem.place is not None and problem.place.file.startswith("override ")


def _numbers(plan: Plan[Op]) -> list[str]:
    """The plan's parameters that are numbers."""
    return [PARAMETER + name for name, value in plan.params.items() if as_number(value) is not None]


def _only_number(plan: Plan[Op]) -> str:
    numbers = _numbers(plan)
    if len(numbers) == 1:
        return numbers[0]
    if numbers:
        message = f"the plan `{plan.name}` has {len(numbers)} numbers that can be scaled: {', '.join(numbers)}"
        raise CallError(message, path=("mode", "key"), hint=f"say which one, such as `{numbers[0]}`")
    hint = "say what to scale, such as `steps.<id>.std`"
    raise CallError(f"no parameter of the plan `{plan.name}` is a number", path=("mode", "key"), hint=hint)


def greatest(number: ScaledNumber, plan: Plan[Op], search: Search) -> float:
    """The greatest scale to try: less than the limit if the plan takes less, as a fraction that is at most 1."""
    if number.takes(plan, search.greatest):
        return search.greatest
    taken, refused = search.high, search.greatest
    while taken < (middle := (taken + refused) / 2) < refused:
        taken, refused = (middle, refused) if number.takes(plan, middle) else (taken, middle)
    rounded = float(f"{taken:.12g}")
    return rounded if number.takes(plan, rounded) else taken

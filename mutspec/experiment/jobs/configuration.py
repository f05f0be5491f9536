"""A composed configuration as values: the settings of a job, and its plan; or what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mutspec.errors import CallError, MutspecError, PlanError, Problem
from mutspec.experiment.job_settings import Settings
from mutspec.experiment.jobs.mistakes import not_given, odd, place_of, wrong_value
from mutspec.experiment.jobs.overridden import Composed, Given, compile_recipe
from mutspec.experiment.jobs.recipes import HYDRAS_PARAMETER, Recipes, no_recipe_named, shown
from mutspec.experiment.model_files import check_bound, check_file
from mutspec.experiment.search.scaled_number import scaled_number
from mutspec.language.interpolation import WITHIN
from mutspec.resources import resource_folder


@dataclass(frozen=True)
class Composer:
    """Turns composed configurations into settings and plans.

    Arguments:
        recipes: the recipes there are.
        call: the overrides of the call, as written.
        modules: what the call imports.
    """

    recipes: Recipes
    call: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def check(self, config: DictConfig, *, in_sweep: bool = False) -> None:
        """Checks a configuration, before a folder is made or a job is launched.

        Arguments:
            config: the configuration.
            in_sweep: whether it is of one job among others. Then an input may be unbound: that job fails, and in a
                sweep over plans the others do not.

        Raises:
            PlanError, CallError, ModelError: something is wrong.
        """
        settings = self.settings(config, config.hydra)
        plan = self.plan(config, config.hydra).plan
        if settings.mode.bisects:
            try:
                scaled_number(plan, settings.mode)
            except CallError as error:
                raise self.placed(error, config.hydra) from None
        check_file(settings.model.path)
        if not in_sweep:
            check_bound(plan, settings.inputs)

    def plan(self, config: DictConfig, hydra: DictConfig) -> Composed:
        """The plan of a configuration.

        Raises:
            CallError: there is none, or it is not a recipe.
            PlanError: it is wrong.
        """
        choice = OmegaConf.to_container(hydra.runtime.choices).get("plan")  # type: ignore[union-attr]
        given = self.given(hydra)
        if listed := next((each.line for each in given if re.match(r"plan=\[.*\]$", each.line)), None):
            hint = f"to run one after the other: -m {listed.replace('[', '').replace(']', '')}"
            raise CallError("`plan` is one recipe, not a list", place=place_of("plan", given), hint=hint)
        if not isinstance(choice, str) or choice not in self.recipes.files:
            raise CallError(no_recipe_named(self.recipes))
        composed = _unresolved(config._get_node("plan"), given)
        if not isinstance(composed, dict):
            raise CallError("`plan` is a mapping, and something made it another value", place=place_of("plan", given))
        try:
            return compile_recipe(self.recipes.read(choice), composed, given)
        except PlanError as error:
            if f"plan={choice}" in self.call or any(Given.of(line, 0).key == "plan_file" for line in self.call):
                raise
            raise PlanError([_of_recipe(problem, choice) for problem in error.problems]) from None

    def settings(self, config: DictConfig, hydra: DictConfig) -> Settings:
        """The settings of a configuration.

        Raises:
            CallError: with every problem of them.
        """
        given = self.given(hydra)
        values, problems = {}, []
        for name in Settings.__struct_fields__:
            try:
                values[name] = _resolved(config, name)
            except MissingMandatoryValue as error:
                key = getattr(error, "full_key", None) or name
                problems.append(not_given(key, given))
            except OmegaConfBaseException as error:
                key = getattr(error, "full_key", None) or name
                reason = str(error).splitlines()[0]
                problems.append(Problem(f"`{key}` cannot be resolved: {reason}", place_of(key, given)))
        if problems:
            raise CallError(problems)
        try:
            settings = msgspec.convert({key: value for key, value in values.items() if value is not _UNSET}, Settings)
        except msgspec.ValidationError as error:
            raise CallError(wrong_value(str(error), given)) from None
        if problems := list(odd(settings, given)):
            raise CallError(problems)
        return settings

    def placed(self, error: MutspecError, hydra: DictConfig) -> MutspecError:
        """An error with places as the call has them, where problems are about keys of the group `mode`."""
        given = self.given(hydra)
        keys = {each.key for each in given}

        def placed(problem: Problem) -> Problem:
            key = ".".join(map(str, problem.path))
            is_of_mode = problem.path[:1] == ("mode",)
            return (
                replace(problem, place=place_of(key if key in keys else "mode.key", given)) if is_of_mode else problem
            )

        return type(error)([placed(problem) for problem in error.problems])

    def given(self, hydra: DictConfig) -> tuple[Given, ...]:
        """The overrides of a job, by their places in the call."""
        positions = {Given.of(line, 0).key: number for number, line in enumerate(self.call, start=1)}
        if "plan_file" in positions:
            positions.setdefault("plan", positions["plan_file"])
        given = (Given.of(line, 0) for line in task_overrides(hydra))
        return tuple(replace(each, position=positions.get(each.key, 0)) for each in given)


def task_overrides(hydra: DictConfig) -> list[str]:
    """The overrides of a job as written; with `${…}` in them they must not be resolved."""
    return [str(line) for line in hydra.overrides.task._iter_ex(resolve=False)]


def _of_recipe(problem: Problem, name: str) -> Problem:
    """A problem in a sweep over recipes: with which of them it is."""
    is_of_call = problem.place is not None and problem.place.file.startswith("override ")
    return replace(problem, message=f"{problem.message} (recipe `{name}`)") if is_of_call else problem


_UNSET = object()


def _resolved(config: DictConfig, name: str) -> Any:
    if config._get_node(name) is None:
        return _UNSET
    value = config[name]
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    return value


def _unresolved(node: Any, given: Sequence[Given]) -> Any:
    """A part of the configuration as plain values; `${plan.params.…}` stays, all other interpolations are resolved."""
    if not isinstance(node, Node):
        return node
    if node._is_interpolation():
        text = node._value()
        if "${" not in re.sub(f"{HYDRAS_PARAMETER}|{WITHIN}", "", text):
            return text
        try:
            return _unresolved_below(node._dereference_node(), given)
        except OmegaConfBaseException as error:
            key = node._get_full_key(None)
            reason = str(error).splitlines()[0]
            raise CallError(f"`{key}: {text}` cannot be resolved: {reason}", place=place_of(key, given)) from None
    return _unresolved_below(node, given)


def _unresolved_below(node: Any, given: Sequence[Given]) -> Any:
    """The same of a node that refers to nothing: a text that an interpolation gave is not one itself."""
    if not isinstance(node, Node):
        return node
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        return {str(key): _unresolved(node._get_node(key), given) for key in node}
    if isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        return [_unresolved(node._get_node(index), given) for index in range(len(node))]
    return node._value()


def register_resolvers() -> None:
    """Registers `${shipped:model/digits.keras}`, for files that are shipped, and what matches in a model."""
    from mutspec.experiment.jobs import matching

    OmegaConf.register_new_resolver("shipped", lambda name: shown(resource_folder("conf") / name), replace=True)
    matching.register_resolvers()

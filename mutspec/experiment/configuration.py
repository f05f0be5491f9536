"""A composed configuration as values: the settings of a job, and its plan; or what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mutspec.experiment.bisection import Search
from mutspec.experiment.dial import dial
from mutspec.experiment.gates import BOUNDS, Gate
from mutspec.experiment.objectives import objective_names
from mutspec.experiment.overridden import Composed, Given, compile_recipe
from mutspec.experiment.recipes import HYDRAS_PARAMETER, Recipes, no_recipe_named, shown
from mutspec.experiment.result import BREAKING_POINT
from mutspec.language import CallError, ModelError, MutspecError, Plan, PlanError, Problem, nearest
from mutspec.language.errors import Place
from mutspec.language.interpolation import WITHIN
from mutspec.ops.base import Op
from mutspec.resources import resource_folder

T = TypeVar("T")


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The group `model`: the file, and whether code in it may run."""

    path: str
    unsafe: bool = False


class ModeSettings(Search, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The group `mode`: whether base and mutant are evaluated, and whether they are compared tensor by tensor.

    Or whether the mutant's breaking point is searched for, as the other keys say.
    """

    name: str
    evaluates: bool = True
    compares: bool = False
    bisects: bool = False


class EvaluateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The group `evaluate`: a loss and metrics of Keras, by name or as a mapping with `_target_`."""

    loss: str | dict[str, Any] | None = None
    metrics: list[str | dict[str, Any]] = []
    from_logits: bool | Literal["auto"] = "auto"
    agreement: bool = True
    batch_size: Annotated[int, Meta(ge=1)] = 512


class Settings(Struct, frozen=True, kw_only=True):
    """Everything of a job but its plan.

    Arguments:
        model, mode, evaluate: the groups of these names.
        data: the function that returns the data, as `_target_`, and its arguments.
        inputs: the model files of the plan's inputs.
        objective: the measure that the job returns, or several; None for the first one.
        seeds: how many seeds to evaluate, from the plan's own on.
        save: whether to keep the mutant, or the name of its file.
        require: what the mutant must hold to; one that does not is not kept.
        strict_gates: whether a sweep, as a single run, ends with exit code 1 if a job's mutant does not.
        resume: whether a job whose folder has its result already is not run again; or the folder of the sweep.
    """

    model: ModelSettings
    data: dict[str, Any]
    mode: ModeSettings
    evaluate: EvaluateSettings
    inputs: dict[str, str] = {}
    objective: str | list[str] | None = None
    seeds: Annotated[int, Meta(ge=1)] = 1
    save: bool | str = False
    require: list[Gate] = []
    strict_gates: bool = False
    resume: bool | str = False


@dataclass(frozen=True)
class Composer:
    """Turns composed configurations into settings and plans.

    Arguments:
        recipes: the recipes there are.
        call: the overrides of the call, as written.
    """

    recipes: Recipes
    call: tuple[str, ...] = ()

    def check(self, config: DictConfig, *, in_sweep: bool = False) -> None:
        """Say what is wrong with a configuration, before a folder is made or a job is launched.

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
                dial(plan, settings.mode)
            except CallError as error:
                raise self.placed(error, config.hydra) from None
        check_file(settings.model.path)
        if not in_sweep:
            check_bound(plan, settings.inputs)

    def plan(self, config: DictConfig, hydra: DictConfig) -> Composed:
        """The plan of a configuration.

        Raises:
            CallError: there is none, or it is no recipe.
            PlanError: it is wrong.
        """
        choice = OmegaConf.to_container(hydra.runtime.choices).get("plan")  # type: ignore[union-attr]
        given = self.given(hydra)
        if listed := next((each.line for each in given if re.match(r"plan=\[.*\]$", each.line)), None):
            hint = f"to run one after the other: -m {listed.replace('[', '').replace(']', '')}"
            raise CallError(Problem("`plan` is one recipe, and not a list", _place("plan", given), hint=hint))
        if not isinstance(choice, str) or choice not in self.recipes.files:
            raise CallError(no_recipe_named(self.recipes))
        composed = _unresolved(config._get_node("plan"), given)
        if not isinstance(composed, dict):
            raise CallError(Problem("`plan` is a mapping, and something made it another value", _place("plan", given)))
        try:
            return compile_recipe(self.recipes.read(choice), composed, given)
        except PlanError as error:
            if f"plan={choice}" in self.call or "plan_file" in map(_key, self.call):
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
                problems.append(_not_given(key, given))
            except OmegaConfBaseException as error:
                key = getattr(error, "full_key", None) or name
                reason = str(error).splitlines()[0]
                problems.append(Problem(f"`{key}` cannot be resolved: {reason}", _place(key, given)))
        if problems:
            raise CallError(problems)
        try:
            settings = msgspec.convert({key: value for key, value in values.items() if value is not _UNSET}, Settings)
        except msgspec.ValidationError as error:
            raise CallError(_wrong_value(str(error), given)) from None
        if problems := list(_odd(settings, given)):
            raise CallError(problems)
        return settings

    def placed(self, error: MutspecError, hydra: DictConfig) -> MutspecError:
        """An error with places as the call has them, where problems are about keys of the group `mode`."""
        given = self.given(hydra)
        keys = {each.key for each in given}

        def placed(problem: Problem) -> Problem:
            key = ".".join(map(str, problem.path))
            is_of_mode = problem.path[:1] == ("mode",)
            return replace(problem, place=_place(key if key in keys else "mode.key", given)) if is_of_mode else problem

        return type(error)([placed(problem) for problem in error.problems])

    def given(self, hydra: DictConfig) -> tuple[Given, ...]:
        """The overrides of a job, by their places in the call."""
        positions = {_key(line): number for number, line in enumerate(self.call, start=1)}
        if "plan_file" in positions:
            positions.setdefault("plan", positions["plan_file"])
        lines = task_overrides(hydra)
        return tuple(Given(_key(line), line, positions.get(_key(line), 0)) for line in lines)


def as_evaluate(values: Mapping[str, Any]) -> EvaluateSettings:
    """Settings of the group `evaluate` from Python; what is not said is as in `evaluate=classification`.

    Raises:
        CallError: something is wrong.
    """
    return _converted({"loss": "crossentropy", "metrics": ["accuracy"], **values}, EvaluateSettings, "evaluate")


def as_search(values: Mapping[str, Any]) -> Search:
    """A search for breaking points from Python; what is None is as in `mode=breaking_point`.

    Raises:
        CallError: something is wrong.
    """
    return _converted({name: value for name, value in values.items() if value is not None}, Search, "breaking_point")


def as_gates(values: Iterable[Mapping[str, Any]]) -> list[Gate]:
    """Gates from Python.

    Raises:
        CallError: something is wrong.
    """
    gates = _converted([dict(each) for each in values], list[Gate], "require")
    if problems := list(_boundless(gates)):
        raise CallError(problems)
    return gates


def _converted(values: Any, kind: type[T], name: str) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise CallError(_wrong_value(f"{message} - at `$.{name}{where.removesuffix('`')}`", ())) from None


def task_overrides(hydra: DictConfig) -> list[str]:
    """The overrides of a job as written; with `${…}` in them they must not be resolved."""
    return [str(line) for line in hydra.overrides.task._iter_ex(resolve=False)]


def check_file(path: str) -> None:
    """Say that a model's file is missing, with those that are like it.

    Raises:
        ModelError: it is.
    """
    file = Path(path)
    if file.exists():
        return
    try:
        siblings = [each.name for each in file.parent.iterdir()]
    except OSError:
        siblings = []
    candidates = tuple(str(file.with_name(name)) for name in nearest(file.name, siblings))
    raise ModelError(Problem("there is no such model file", Place(path, 0, 0, 0), candidates=candidates))


def check_bound(plan: Plan[Op], inputs: Mapping[str, str]) -> None:
    """Say which of a plan's inputs are not bound, or bound to a file that is missing.

    Raises:
        CallError, ModelError: some are.
    """
    missing = [name for name in plan.inputs if name not in inputs]
    misspelt = {name: near for name in inputs if name not in plan.inputs and (near := nearest(name, missing))}
    problems = [
        Problem(
            f"the plan `{plan.name}` declares no input `{name}`", candidates=tuple(f"inputs.{each}" for each in near)
        )
        for name, near in misspelt.items()
    ]
    problems += [
        Problem(f"the input `{name}` of the plan `{plan.name}` is not bound", hint=f"add inputs.{name}=MODEL")
        for name in missing
        if not any(name in near for near in misspelt.values())
    ]
    if problems:
        raise CallError(problems)
    for name in plan.inputs:
        check_file(inputs[name])


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


def _key(line: str) -> str:
    return line.lstrip("~+").partition("=")[0].partition("@")[0].strip()


def _unresolved(node: Any, given: Sequence[Given]) -> Any:
    """A part of the configuration as plain values; `${plan.params.…}` stays, all other interpolations are resolved."""
    if not isinstance(node, Node):
        return node
    if node._is_interpolation():
        text = node._value()
        if "${" not in re.sub(f"{HYDRAS_PARAMETER}|{WITHIN}", "", text):
            return text
        try:
            return _unresolved(node._dereference_node(), given)
        except OmegaConfBaseException as error:
            key = node._get_full_key(None)
            reason = str(error).splitlines()[0]
            raise CallError(Problem(f"`{key}: {text}` cannot be resolved: {reason}", _place(key, given))) from None
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        return {str(key): _unresolved(node._get_node(key), given) for key in node}
    if isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        return [_unresolved(node._get_node(index), given) for index in range(len(node))]
    return node._value()


def _place(key: str, given: Sequence[Given], *, on_key: bool = False) -> Place | None:
    """Where the call gives a value, or a part of it; or where it names the key."""
    covering = [each for each in given if each.key == key or key.startswith(each.key + ".")]
    if not covering:
        return None
    source = covering[-1]
    column = source.line.find("=") + 1
    if on_key:
        return Place(source.source, 1, 1, max(column, 2), source.line)
    return Place(source.source, 1, column + 1, max(len(source.line), column + 1) + 1, source.line)


def _not_given(key: str, given: Sequence[Given]) -> Problem:
    """A key without a value; the call may have misspelt it."""
    parent, _, name = key.rpartition(".")
    others = [each.key for each in given if each.key.rpartition(".")[0] == parent and each.key != key]
    if misspelt := next((each for each in others if nearest(each.rpartition(".")[2], [name])), None):
        place = _place(misspelt, given, on_key=True)
        return Problem(f"`{key}` is not given, and `{misspelt}` is", place, candidates=(key,))
    return Problem(f"`{key}` is not given", hint=f"add {key}=…")


_STRUCTS: Mapping[str, type[Struct]] = {
    "model": ModelSettings,
    "mode": ModeSettings,
    "evaluate": EvaluateSettings,
    "require": Gate,
}


def _wrong_value(reason: str, given: Sequence[Given]) -> Problem:
    message, _, where = reason.partition(" - at `$.")
    key = where.removesuffix("`")
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown:
        message = f"`{key}` has no key `{unknown[1]}`" if key else f"there is no setting `{unknown[1]}`"
        known = _STRUCTS.get(re.sub(r"\[.*", "", key))
        names = known.__struct_fields__ if known else ()
        return Problem(
            message,
            _place(f"{key}.{unknown[1]}", given, on_key=True) or _place(re.sub(r"\[.*", "", key), given),
            candidates=nearest(unknown[1], names),
        )
    missing = re.search(r"required field `(.*)`", message)
    if missing:
        key = f"{key}.{missing[1]}".lstrip(".")
        return Problem(f"`{key}` is not given", hint=f"add {key}=…")
    said = message[:1].lower() + message[1:]
    for theirs, ours in (
        ("`bool | str`", "true, false or text"),
        ("`str`", "text"),
        ("`null`", "null"),
        ("`int`", "a whole number"),
        ("`bool`", "true or false"),
        ("`float | null`", "a number"),
        ("`float`", "a number"),
    ):
        said = said.replace(theirs, ours)
    for sign, words in ((" >= ", " of at least "), (" <= ", " of at most "), (" > ", " greater than ")):
        said = said.replace(sign, words)
    return Problem(f"`{key}`: {said}", _place(re.sub(r"\[.*", "", key), given))


def _odd(settings: Settings, given: Sequence[Given]) -> Any:
    """What no single value shows."""
    if not isinstance(settings.data.get("_target_"), str):
        yield Problem("`data` names no function", hint="choose data=npz, for example, or say data._target_=module.name")
    objectives = objective_names(settings.objective)
    if len(set(objectives)) < len(objectives):
        yield Problem("`objective` names a measure twice", _place("objective", given), hint="name each of them once")
    save = settings.save
    if settings.seeds > 1 and not settings.mode.bisects and (save or settings.mode.compares):
        what = "`save` keeps" if save else f"mode={settings.mode.name} compares"
        message = f"{what} one mutant, and seeds={settings.seeds} makes {settings.seeds}"
        yield Problem(message, _place("seeds", given), hint="leave `seeds` out, and sweep over plan.seed by -m")
    if settings.mode.bisects:
        yield from _odd_search(settings, given)
    if isinstance(save, str) and (Path(save).name != save or Path(save).suffix not in (".keras", ".h5")):
        hint = "such as mutant.keras: the file goes into the job's folder"
        yield Problem(f"`save` is true, or the name of a model file, not `{save}`", _place("save", given), hint=hint)
    if settings.mode.evaluates:
        yield from _unknown_measures(settings, given)
    for problem in _boundless(settings.require):
        yield replace(problem, place=_place("require", given))


def _odd_search(settings: Settings, given: Sequence[Given]) -> Iterator[Problem]:
    """What is odd about a search for breaking points."""
    for name, problem in settings.mode.problems():
        yield replace(problem, place=_place(f"mode.{name}", given))
    if settings.save:
        message = f"`save` keeps one mutant, and mode={settings.mode.name} makes many"
        hint = "leave `save` out; mode=apply saves the mutant of a scale"
        yield Problem(message, _place("save", given), hint=hint)


def _boundless(gates: Iterable[Gate]) -> Iterator[Problem]:
    for gate in gates:
        if not gate.bounds:
            hint = f"give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}"
            yield Problem(f"`require` sets no bound to `{gate.metric}`", hint=hint)


def measures(settings: EvaluateSettings) -> list[str] | None:
    """The names of all that is measured, and can be an objective; None if only Keras can tell."""
    if not all(isinstance(each, str) for each in settings.metrics):
        return None
    metrics = [*map(str, settings.metrics), *(["loss"] if settings.loss is not None else [])]
    drops = [f"drop.{name}" for name in metrics]
    fidelity = [*(["agreement", "divergence"] if settings.agreement else []), "deviation"]
    return [*metrics, *fidelity, "non_finite_outputs", *drops]


def _unknown_measures(settings: Settings, given: Sequence[Given]) -> Any:
    """The objective and gates that are about nothing that is measured."""
    known = measures(settings.evaluate)
    if known is None:
        return
    objectives = (("objective", name) for name in objective_names(settings.objective))
    wanted = [*objectives, *(("require", gate.metric) for gate in settings.require)]
    if settings.mode.bisects:
        wanted = [each for each in wanted if each[1] != BREAKING_POINT] + [("mode.metric", settings.mode.metric or "")]
    for key, name in wanted:
        is_known = (
            name in known or any(each.endswith(f"_{name.removeprefix('drop.')}") for each in known) if name else True
        )
        if not is_known:
            yield replace(no_measure(str(name), known), place=_place(key, given))


def no_measure(name: str, known: Sequence[str], why: str = "") -> Problem:
    """That nothing is measured of a name."""
    hint = f"there are {', '.join(known)}{why}"
    return Problem(f"nothing is measured that is called `{name}`", hint=hint, candidates=nearest(name, known))


def register_resolvers() -> None:
    """Let configurations name files that are shipped, `${shipped:model/digits.keras}`, and what matches in a model."""
    from mutspec.experiment import matching

    OmegaConf.register_new_resolver("shipped", lambda name: shown(resource_folder("conf") / name), replace=True)
    matching.register_resolvers()

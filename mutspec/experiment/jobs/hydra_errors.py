"""Hydra's errors as ours: the commonest mistakes in our words, with places and near names; all others in Hydra's own.

Hydra has few types of errors and many messages, so `_COMMON` reads messages. It holds what people really get wrong, and
should not grow: an error that it does not know shows Hydra's own line and the cause of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from traceback import walk_tb

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mutspec.errors import CallError, EnvironmentProblem, MutspecError, Place, PlanError, Problem, nearest
from mutspec.experiment.jobs.loader import Loader
from mutspec.experiment.jobs.mistakes import place_of
from mutspec.experiment.jobs.overridden import Given
from mutspec.experiment.jobs.plugin_errors import error_of_package, not_installed, raised_in
from mutspec.experiment.jobs.recipes import no_recipe_named
from mutspec.language.document import parse
from mutspec.language.files import read_text


@dataclass(frozen=True)
class Context:
    """Facts that messages need besides the error: the call's overrides, and the known keys, groups and options."""

    given: tuple[Given, ...]
    loader: Loader
    keys: Callable[[], list[str]]


def translated(error: BaseException, context: Context) -> MutspecError | None:
    """Returns an error of Hydra as one of ours; None if it is not about the call or the configuration."""
    if ours := next((each for each in _chain(error, hidden=True) if isinstance(each, MutspecError)), None):
        return ours  # ours became Hydra's on its way through a resolver or our source of recipes
    if isinstance(error, OverrideParseException):
        return CallError(_unreadable(error, context))
    if isinstance(error, MissingConfigException):
        return _missing(error, context)
    if isinstance(error, yaml.MarkedYAMLError) and (ours := _bad_yaml(error)):
        return ours
    is_hydras = raised_in(error).startswith(("hydra.", "omegaconf.", "hydra_plugins.", "antlr4.", "logging.config"))
    if isinstance(error, (HydraException, OmegaConfBaseException, yaml.YAMLError)) or (
        isinstance(error, (ValueError, TypeError, AssertionError)) and is_hydras
    ):
        chain = list(_chain(error))
        text = "\n".join(map(str, chain))
        known = ((found, say) for pattern, say in _COMMON if (found := re.search(pattern, text)))
        return CallError(next((say(found, context) for found, say in known), _in_hydras_words(chain, context)))
    return error_of_package(error, context.given)


def _chain(error: BaseException | None, *, hidden: bool = False) -> Iterator[BaseException]:
    """Yields an error, and then what has led to it; also what a `raise … from None` hides, if asked for."""
    while error is not None:
        yield error
        error = error.__cause__ or (error.__context__ if hidden or not error.__suppress_context__ else None)


def _in_hydras_words(chain: list[BaseException], context: Context) -> Problem:
    """Returns Hydra's own line with the first cause, at the override that the line quotes."""
    lines = [line for error in chain if (line := _first_line(error))] or [type(chain[0]).__name__]
    said = lines[0] if lines[-1] in lines[0] else f"{lines[0]}: {lines[-1]}"
    quoted = (each.key for each in context.given if f"'{each.line}'" in said or f"'{each.key}'" in said)
    place = next((place_of(key, context.given, on_key=True) for key in quoted), None)
    return Problem(f"Hydra refuses the call: {said}", place)


def _first_line(error: BaseException) -> str:
    line = next(iter(str(error).strip().splitlines()), "")
    return re.sub(r", set env var HYDRA_FULL_ERROR.*", "", line).rstrip(".: ")


def _unreadable(error: OverrideParseException, context: Context) -> Problem:
    line = error.override
    source = next((each for each in context.given if each.line == line), Given.of(line, 0)).source
    if "=" not in line and not line.startswith("~"):
        is_file = line.endswith((".yaml", ".yml"))
        near = [f"plan={name}" for name in nearest(line, context.loader.composer.recipes.names)]
        candidates = (f"plan_file={line}",) if is_file else tuple(near)
        hint = "" if candidates else "for instance plan=dense_noise, plan.params.std=0.05"
        message = "an override is written key=value"
        return Problem(message, Place(source, 1, 1, len(line) + 1, line), hint=hint, candidates=candidates)
    call = re.search(r"while evaluating '(.*?)': (.*)", str(error))
    start = max(line.find(call[1]), 0) + 1 if call else _column(error.__context__, line)
    end = start + (len(call[1]) if call else 1)
    message = f"`{call[1]}` cannot be evaluated: {call[2]}" if call else "the override cannot be read from here on"
    hint = "text with spaces, brackets, commas, colons or `=` needs quotes: key='\"text\"' in the shell"
    return Problem(message, Place(source, 1, start, end, line), hint=hint)


def _column(error: BaseException | None, line: str) -> int:
    """Returns the column at which reading ended: ANTLR tells it Hydra's listener, whose errors do not keep it."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__ if error else None)]
    found = [frame.f_locals["column"] for frame in frames if frame.f_code.co_name == "syntaxError"]
    return min(int(found[0]), len(line)) + 1 if found else len(line) + 1


def _bad_yaml(error: yaml.MarkedYAMLError) -> PlanError | None:
    """Returns what our own reader says about a file that Hydra's reader refuses."""
    file = str(getattr(error.problem_mark or error.context_mark, "name", ""))
    try:
        parse(read_text(file), file)
    except PlanError as ours:
        return ours
    return None


def _missing(error: MissingConfigException, context: Context) -> MutspecError:
    wanted = error.missing_cfg_file or ""
    by_call = next((each for each in reversed(context.given) if f"{each.key}/" == wanted[: len(each.key) + 1]), None)
    group = by_call.key if by_call else wanted.rpartition("/")[0]
    option = wanted.removeprefix(f"{group}/")
    if not group:
        return CallError(f"there is no configuration `{wanted}`", hint="it is looked for in --config-dir")
    place = place_of(group, context.given) if by_call and option in by_call.line else None
    if problem := not_installed(group, option, place):
        return EnvironmentProblem(problem)
    if group == "plan" and (option.endswith((".yaml", ".yml")) or "/" in option):
        return CallError(f"`{option}` is not the name of a recipe", place=place, candidates=[f"plan_file={option}"])
    options = list(error.options or context.loader.get_group_options(group))
    candidates = nearest(option, options)
    hint = f"`{group}` has {', '.join(options)}" if options and not candidates else ""
    message = f"there is no recipe `{option}`" if group == "plan" else f"`{group}` has no option `{option}`"
    message = message if option else f"`{group}` has no value"
    parent = re.match(r"In '(?!config')(.*?)':", str(error))
    where = f" (in `{parent[1]}`)" if parent and not place else ""
    return CallError(message + where, place=place, hint=hint, candidates=candidates)


def _several_values(found: re.Match[str], context: Context) -> Problem:
    key, _, value = found[1].partition("=")
    is_list = "," in value and "(" not in value
    otherwise = f"; for a list write {key}=[{value}]; for text quote it: {key}='\"{value}\"'" if is_list else ""
    message = f"`{key}` has several values, and this is a single run"
    return Problem(message, place_of(key, context.given), hint=f"to sweep over them add -m{otherwise}")


def _there_already(found: re.Match[str], context: Context) -> Problem:
    place = place_of(found[1], context.given, on_key=True)
    return Problem(f"`{found[1]}` has a value already", place, hint=f"write {found[1]}=… without the +")


def _wrong_value(found: re.Match[str], context: Context) -> Problem:
    key = found[1].lstrip("~+").partition("=")[0]
    return Problem(f"`{key}` does not take this value", place_of(key, context.given), hint=found[2].rstrip("."))


def _endless(_: re.Match[str], context: Context) -> Problem:
    place = next((place_of(each.key, context.given) for each in context.given if "interval(" in each.line), None)
    hint = "give values or a range, or a sweeper that draws them: hydra/sweeper=optuna"
    return Problem("this sweeper cannot try all values of an interval", place, hint=hint)


def _unknown(found: re.Match[str], context: Context) -> Problem:
    key = found[1].partition("@")[0]
    own, hydras = context.loader.list_groups(""), context.loader.list_groups("hydra")
    known = [*context.keys(), *own, *(f"hydra/{name}" for name in hydras), "plan_file"]
    is_of_plan = key.partition(".")[0] in ("params", "seed", "steps")
    candidates = (f"plan.{key}",) if is_of_plan else _keys_like(key, known)
    candidates = tuple(each for each in candidates if each != key)  # it is there, but has no value of this form
    parent = key.rpartition(".")[0]
    siblings = [name.removeprefix(f"{parent}.") for name in known if parent and name.startswith(f"{parent}.")]
    more = ", …" if len(siblings) > _MOST_NAMED else ""
    hint = (
        f"`{parent}` has {', '.join(siblings[:_MOST_NAMED])}{more}"
        if siblings
        else f"a + adds a key of your own: +{key}=…"
    )
    place = place_of(key, context.given, on_key=True)
    return Problem(f"the configuration has no `{key}`", place, hint="" if candidates else hint, candidates=candidates)


def _no_option(_: re.Match[str], context: Context) -> Problem:
    groups = context.loader.list_groups("")
    group = next((each.key for each in context.given if each.key in groups and each.line.endswith("=null")), "")
    options = ", ".join(context.loader.get_group_options(group)) if group else ""
    message = f"`{group}` has no value" if group else "a group of the configuration has no value"
    hint = f"`{group}` has {options}" if options else "name one of its options"
    return Problem(message, place_of(group, context.given) if group else None, hint=hint)


_MOST_NAMED = 20


def _keys_like(key: str, known: list[str]) -> tuple[str, ...]:
    """Returns the keys that may have been meant: those like it in each part, or else those that end with it."""
    found = [""]
    for part in key.split("."):
        children = [{name[len(each) :].partition(".")[0] for name in known if name.startswith(each)} for each in found]
        found = [f"{each}{near}." for each, names in zip(found, children, strict=True) for near in nearest(part, names)]
    return tuple([each[:-1] for each in found] or [name for name in known if name.endswith(f".{key}")])[:3]


_COMMON: tuple[tuple[str, Callable[[re.Match[str], Context], Problem]], ...] = (
    (r"You must specify 'plan', e\.g", lambda _, context: no_recipe_named(context.loader.composer.recipes)),
    (r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'(?:\n| requires --multirun)", _several_values),
    (r"does not support sweep type", _endless),
    (r"Config group override must be a string or a list\. Got NoneType", _no_option),
    (r"An item is already at '(.+?)'", _there_already),
    (r"(?m)(?:Multiple values for |^)(\S+?)(?:\. To override a value| appears more than once)", _there_already),
    (r"Could not override '(.+?)'\.", _unknown),
    (r"looks like a config group override, but config group '(.+?)' does not exist", _unknown),
    (r"Error merging override (.+)\n(.*)", _wrong_value),
)
"""Patterns of Hydra's messages, and what to say instead."""

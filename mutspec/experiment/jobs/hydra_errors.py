"""What Hydra and OmegaConf say when a call is wrong, in our words: where, what, and the nearest names that there are.

Hydra has few types of errors and many messages, so this reads messages. What is in none of the tables is shown as its
first line; a test holds the tables against the version of Hydra that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mutspec.errors import Place
from mutspec.experiment.jobs.recipes import Recipes, no_recipe_named
from mutspec.language import CallError, EnvironmentProblem, MutspecError, Problem, nearest

HYDRAS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
"""The errors that are about the configuration whoever raises them."""
PLUGINS = {
    "launcher/joblib": "joblib",
    "launcher/submitit_local": "slurm",
    "launcher/submitit_slurm": "slurm",
    "launcher/ray": "ray",
    "launcher/ray_aws": "ray",
    "sweeper/optuna": "optuna",
}
"""Options of Hydra's groups that come with packages, by the extra of ours that installs them."""
_WORKING: dict[str, tuple[type[MutspecError], str, str]] = {
    "sqlalchemy": (CallError, "the study cannot be kept there", "hydra.sweeper.storage"),
    "optuna": (CallError, "the sweeper refuses this", "hydra/sweeper"),
    "submitit": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
    "ray": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
    "joblib": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
}
"""Packages that plug-ins work with: what it means when they raise an error, and what in the call has chosen them."""


@dataclass(frozen=True)
class Context:
    """What messages are made of beside the error.

    Arguments:
        call: the overrides of the call, as written.
        recipes: the recipes there are.
        options: the options of a group, by its name.
        groups: the names of all groups.
        keys: the keys of the composed configuration, dotted; asked for when a key is unknown.
    """

    call: tuple[str, ...]
    recipes: Recipes
    options: Callable[[str], list[str]]
    groups: Callable[[], list[str]]
    keys: Callable[[], list[str]]

    def place(self, key: str) -> Place | None:
        """Where the call sets a key, or names a group."""
        for number, line in enumerate(self.call, start=1):
            written = line.lstrip("~+").partition("=")[0].strip()
            if line == key or written == key or written.partition("@")[0] == key:
                end = len(line) if line == key else len(line.partition("=")[0])
                return Place(f"override {number}", 1, 1, end + 1, line)
        return None

    def value_place(self, key: str) -> Place | None:
        """Where the call gives a key's value."""
        place = self.place(key)
        if place is None or "=" not in place.text:
            return place
        start = place.text.index("=") + 2
        return Place(place.file, 1, start, max(len(place.text), start) + 1, place.text)


def translated(error: BaseException, context: Context) -> MutspecError | None:
    """An error of Hydra as one of ours; None if it is not about the call or the configuration."""
    if isinstance(error, MutspecError):
        return error
    if ours := _within(error):
        return ours
    if isinstance(error, OverrideParseException):
        return CallError(_unparsable(error, context))
    if isinstance(error, MissingConfigException):
        return _missing(error, context)
    if isinstance(error, yaml.MarkedYAMLError):
        return CallError(_bad_yaml(error))
    if isinstance(error, HYDRAS) or (isinstance(error, (ValueError, TypeError, AssertionError)) and _is_hydras(error)):
        return CallError(_composition(error, context))
    return _of_a_package(error, context)


def _within(error: BaseException) -> MutspecError | None:
    """Our own error that became one of Hydra's: from our source of recipes, or from a resolver."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, MutspecError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _is_hydras(error: BaseException) -> bool:
    """Whether Hydra itself raised it, or the set-up of its logs, and not the job or a plug-in's code below it."""
    return _raised_in(error).startswith(("hydra.", "omegaconf.", "hydra_plugins.", "antlr4.", "logging.config"))


def _raised_in(error: BaseException) -> str:
    """The module whose code raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""


def _of_a_package(error: BaseException, context: Context) -> MutspecError | None:
    """An error of a launcher's or a sweeper's package as one of ours."""
    roots = (each.partition(".")[0] for each in (type(error).__module__, _raised_in(error)))
    package = next((root for root in roots if root in _WORKING), None)
    if package is None:
        return None
    kind, meaning, key = _WORKING[package]
    sentence = re.split(r"\n(?![a-z])", str(error).strip())[0]  # submitit breaks lines in the middle of one
    said = " ".join(sentence.split()) or type(error).__name__
    return kind(Problem(f"{meaning}: {said[:1].lower()}{said[1:].rstrip('.')}", context.value_place(key)))


# -- what cannot be read


def _unparsable(error: OverrideParseException, context: Context) -> Problem:
    line = error.override
    place = context.place(line) or Place("sweep", 1, 1, len(line) + 1, line)
    if "=" not in line and not line.startswith("~"):
        candidates = [f"plan={name}" for name in nearest(line, context.recipes.names)]
        if line.endswith((".yaml", ".yml")):
            candidates = [f"plan_file={line}"]
        hint = "" if candidates else "for instance plan=dense_noise, plan.params.std=0.05"
        return Problem("an override is written key=value", place, hint=hint, candidates=tuple(candidates))
    column = _column(error, line)
    place = Place(place.file, 1, column, column + 1, line)
    function = re.search(r"Unknown function '(\w+)'", str(error))
    if function:
        start = line.find(function[1]) + 1
        known = ("range", "choice", "interval", "glob", "sort", "shuffle", "tag", "int", "float", "str", "bool")
        message = f"there is no function `{function[1]}` in overrides"
        place = Place(place.file, 1, start, start + len(function[1]), line)
        return Problem(message, place, candidates=nearest(function[1], known), hint=_QUOTE)
    wrong_call = re.search(r"(?:TypeError|ValueError) while evaluating '(.*?)': (.*)", str(error))
    if wrong_call:
        start = max(line.find(wrong_call[1]), 0) + 1
        place = Place(place.file, 1, start, len(line) + 1, line)
        return Problem(f"`{wrong_call[1]}` cannot be evaluated: {wrong_call[2]}", place)
    return Problem("the override cannot be read from here on", place, hint=_QUOTE)


_QUOTE = "text with spaces, brackets, commas, colons or `=` stands in quotes: key='\"text\"' in the shell"


def _column(error: OverrideParseException, line: str) -> int:
    """Where reading ended, as far as the message tells."""
    message = str(error)
    caret = re.search(r"LexerNoViableAltException: .*\n( *)\^", message)
    if caret:
        return max(1, len(caret[1]) - len("LexerNoViableAltException: ") + 1)
    token = re.search(r"(?:extraneous|mismatched) input '(.*?)' expecting", message)
    if token and token[1] != "<EOF>" and token[1] in line:
        return line.rindex(token[1]) + 1
    recognised = re.search(r"no viable alternative at input '(.*?)'", message)
    if recognised and recognised[1] in line:
        return line.index(recognised[1]) + len(recognised[1])
    return len(line) + 1


def _bad_yaml(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = None
    if mark is not None:
        place = Place(str(mark.name), mark.line + 1, mark.column + 1, mark.column + 2, _line(str(mark.name), mark.line))
    return Problem(f"this is not YAML: {error.problem or error.context}", place, hint="check quotes and indentation")


def _line(file: str, number: int) -> str:
    try:
        with open(file, encoding="utf-8") as text:
            return text.read().splitlines()[number]
    except (OSError, ValueError, IndexError):
        return ""


# -- what is not there


def _missing(error: MissingConfigException, context: Context) -> MutspecError:
    wanted = error.missing_cfg_file or ""
    message = str(error)
    if "Cannot find primary config" in message:
        hint = "it is looked for in --config-dir"
        return CallError(f"there is no configuration `{wanted}`", hint=hint)
    group, _, option = wanted.rpartition("/") if not wanted.startswith("plan/") else wanted.partition("/")
    parent = re.match(r"In '(.*?)':", message)
    place = context.value_place(group)
    where = f" (in `{parent[1]}`)" if parent and place is None and parent[1] != "config" else ""
    if group.removeprefix("hydra/") + "/" + option in PLUGINS or wanted.removeprefix("hydra/") in PLUGINS:
        extra = PLUGINS[wanted.removeprefix("hydra/")]
        problem = Problem(f"{group}={option} needs a package that is not installed", place)
        return EnvironmentProblem(_with_hint(problem, f"pip install 'mutspec[{extra}]'"))
    if not group:
        return CallError(f"there is no configuration `{wanted}`{where}")
    options = list(error.options or context.options(group))
    candidates = nearest(option, options)
    if group == "plan" and (option.endswith((".yaml", ".yml")) or "/" in option):
        message = f"`{option}` is no recipe's name"
        return CallError(message, place=place, hint="a file of your own is given by plan_file=FILE")
    what = "recipe" if group == "plan" else "option"
    hint = f"`{group}` has {', '.join(options)}" if options and not candidates else ""
    hint = hint or ("`mutspec run --help` lists them" if not candidates else "")
    said = f"`{group}` has no value" if not option else f"there is no {what} `{option}`"
    said += "" if not option else ("" if group == "plan" else f" in the group `{group}`")
    return CallError(said + where, place=place, hint=hint, candidates=candidates)


def _with_hint(problem: Problem, hint: str) -> Problem:
    return Problem(problem.message, problem.place, problem.path, hint, problem.candidates)


# -- what does not go together: a table of Hydra's messages


def _composition(error: BaseException, context: Context) -> Problem:
    text = _SEPARATOR.join(_messages(error))
    for pattern, problem in _TABLE:
        found = re.search(pattern, text, re.DOTALL)
        if found is not None:
            return problem(found, context)
    said = next((line for line in re.split(rf"[\n{_SEPARATOR}]", text) if line.strip()), type(error).__name__)
    return Problem(f"the configuration cannot be composed: {said[:1].lower()}{said[1:].rstrip('.')}")


_SEPARATOR = "\0"


def _messages(error: BaseException | None) -> Iterator[str]:
    """What an error says, and then what it comes from."""
    while error is not None:
        yield str(error)
        error = error.__cause__


Found = re.Match[str]


def _no_plan(found: Found, context: Context) -> Problem:
    key = found[1]
    if key == "plan":
        return no_recipe_named(context.recipes)
    return Problem(f"the call names no {key}", hint=f"add {key}=NAME{_one_of(context.options(key))}")


def _one_of(options: list[str]) -> str:
    return f", one of {', '.join(options)}" if options else ""


def _unknown_key(found: Found, context: Context) -> Problem:
    """A key that the configuration does not have; with a value, it may have been meant as a group's option."""
    key = found[1]
    known = [*context.keys(), *context.groups(), "plan_file"]
    candidates = _keys_like(key, known)
    parent = key.rpartition(".")[0]
    siblings = [name.removeprefix(f"{parent}.") for name in known if parent and name.startswith(f"{parent}.")]
    hint = f"`{parent}` has {', '.join(siblings)}" if siblings else f"a key of your own is added by a +: +{key}=…"
    hint = "" if candidates else hint
    return Problem(f"the configuration has no key `{key}`", context.place(key), hint=hint, candidates=candidates)


def _keys_like(key: str, known: list[str]) -> tuple[str, ...]:
    """The keys that may have been meant, found from left to right."""
    if key.partition(".")[0] in ("params", "seed", "steps"):
        return (f"plan.{key}",)
    found = [""]
    for part in key.split("."):
        children = {
            each: {name.removeprefix(each).partition(".")[0] for name in known if name.startswith(each)}
            for each in found
        }
        found = [f"{each}{near}." for each in found for near in nearest(part, children[each])]
    if found:
        return tuple(each.removesuffix(".") for each in found)[:3]
    return tuple(name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2])[:3]


def _unknown_group(found: Found, context: Context) -> Problem:
    key = found[1]
    choices = nearest(key.partition("@")[0], context.groups())
    return Problem(f"the configuration has no choice of `{key}`", context.place(key), candidates=choices)


def _ambiguous(found: Found, context: Context) -> Problem:
    line = found[1]
    key, _, value = line.partition("=")
    hint = f"to sweep over them add -m; for a list write {key}=[{value}]; for text quote it: {key}='\"{value}\"'"
    return Problem(f"`{key}` has several values, and this is a single run", context.value_place(key), hint=hint)


def _needs_sweep(found: Found, context: Context) -> Problem:
    key = found[1].partition("=")[0]
    message = f"`{key}` is swept over, and this is a single run"
    return Problem(message, context.value_place(key), hint="add -m to run a sweep")


def _already_there(found: Found, context: Context) -> Problem:
    hint = f"write {found[1]}=… without the +"
    return Problem(f"`{found[1]}` is there already, so it cannot be added", context.place(found[1]), hint=hint)


def _not_deletable(found: Found, context: Context) -> Problem:
    key = found[1].partition("=")[0]
    return Problem(f"there is no `{key}` to take away", context.place(key), candidates=nearest(key, context.keys()))


def _sweeps_hydra(found: Found, context: Context) -> Problem:
    key = found[1].partition("=")[0]
    return Problem(f"`{key}` belongs to Hydra, and cannot be swept over", context.value_place(key))


def _not_in_hydra(found: Found, context: Context) -> Problem:
    place = next((context.place(line) for line in context.call if line.startswith(("hydra.", "+hydra."))), None)
    line = next((line for line in context.call if line.partition("=")[0] == found[1]), "")
    is_open = found[1].startswith(_OPEN_IN_HYDRA)
    hint = f"write +{line}" if line and is_open else "see https://hydra.cc/docs/configure_hydra/intro"
    return Problem(f"Hydra has no setting `{found[1]}`", place, hint=hint)


_OPEN_IN_HYDRA = ("hydra.callbacks.", "hydra.job.env_set.", "hydra.sweeper.params.")
"""How the settings of Hydra begin to which a call may add keys of its own."""


def _wrong_value(found: Found, context: Context) -> Problem:
    line = found[1]
    key = line.lstrip("~+").partition("=")[0]
    return Problem(f"`{key}` does not take this value", context.value_place(key), hint=found["reason"] or "")


def _wrong_choice(_: Found, context: Context) -> Problem:
    groups = set(context.groups()) | {"plan"}
    for line in context.call:
        key = line.lstrip("~+").partition("=")[0]
        if (key in groups and not re.fullmatch(r"[\w./-]+", line.partition("=")[2])) or line.endswith("=null"):
            options = context.options(key)
            hint = f"`{key}` has {', '.join(options)}" if options else "it has none"
            return Problem(f"`{key}` takes the name of an option", context.value_place(key), hint=hint)
    return Problem("a group takes the name of an option")


def _twice(found: Found, context: Context) -> Problem:
    hint = f"choose one by {found[1]}=NAME, without a + in front"
    return Problem(f"`{found[1]}` is chosen twice", context.place(found[1]), hint=hint)


def _unsupported_sweep(_: Found, context: Context) -> Problem:
    place = next((context.place(line) for line in context.call if "interval(" in line), None)
    message = "an interval is nothing that can be counted out"
    return Problem(message, place, hint="give values, or a range, or use a sweeper that chooses: hydra/sweeper=optuna")


def _in_file(found: Found, _: Context) -> Problem:
    said = found[2].strip().splitlines()[0]
    return Problem(f"the configuration `{found[1]}` is wrong: {said[:1].lower()}{said[1:].rstrip('.')}")


def _not_found(found: Found, _: Context) -> Problem:
    hint = "it is looked for among installed packages, and in the folder of the call"
    return Problem(f"nothing is found that is called `{found[1]}`, a `_target_` of the configuration", hint=hint)


def _call_fails(found: Found, _: Context) -> Problem:
    reason = re.sub(r"^(\w+)\((['\"])(.*)\2\)$", r"\1: \3", found[2].strip().splitlines()[0])
    return Problem(f"`{found[1]}`, a `_target_` of the configuration, fails: {reason}")


def _not_set_up(found: Found, context: Context) -> Problem:
    message = f"the logs cannot be set up: {found[1][:1].lower()}{found[1][1:]}"
    reason = f": {found[2].splitlines()[0]}" if found[2] else ""
    return Problem(message + reason, context.place("hydra.job_logging"))


_TABLE: list[tuple[str, Callable[[Found, Context], Problem]]] = [
    (r"You must specify '(.+?)', e\.g", _no_plan),
    (r"Ambiguous value for argument '(.+?)'\n", _ambiguous),
    (r"Sweep parameters '(.+)' requires --multirun", _needs_sweep),
    (r"Sweeping over Hydra's configuration is not supported : '(.+)'", _sweeps_hydra),
    (r"does not support sweep type", _unsupported_sweep),
    (r"An item is already at '(.+?)'", _already_there),
    (r"Could not delete from config\. '(.+?)' does not exist", _not_deletable),
    (r"Could not delete from config\. The value of '(.+?)' is", _not_deletable),
    (r"Could not delete '(.+?)'\. No match in the defaults list", _not_deletable),
    (r"Multiple values for (.+?)\. To override", _twice),
    (r"(\S+) appears more than once in the final defaults list", _twice),
    (r"Could not override '(hydra[./].+?)'\.", _not_in_hydra),
    (r"Could not override '(.+?)'\.\s*\n(?:Did you mean|To append to your default list)", _unknown_group),
    (r"Could not override '(.+?)'\. No match in the defaults list", _unknown_group),
    (r"looks like a config group override, but config group '(.+?)' does not exist", _unknown_group),
    (r"Could not override '(.+?)'\.\s*\nTo append", _unknown_key),
    (r"Error merging override ([^\0]+)(?:\0(?P<reason>[^\0\n]*))?", _wrong_value),
    (r"Config group override (?:must be|deletion value)", _wrong_choice),
    (r"force-add of config groups is not supported: '\+\+(.+?)=", _twice),
    (r"Error locating target '(.+?)'", _not_found),
    (r"Error in call to target '(.+?)':\s*([^\0]+)", _call_fails),
    (r"(Unable to configure [^\0]+)(?:\0([^\0]+))?", _not_set_up),
    (r"In '(.+?)': (.+)", _in_file),
]
"""Patterns of Hydra's messages, and the problems that they are."""


def keys_of(config: Any) -> list[str]:
    """The keys of a configuration, dotted, Hydra's own and the plan's left out."""
    from omegaconf import DictConfig

    def walk(node: Any, path: str) -> Iterator[str]:
        for key in node:
            if not path and key in ("hydra", "plan"):
                continue
            yield f"{path}{key}"
            below = node._get_node(key)
            if isinstance(below, DictConfig) and not below._is_none() and not below._is_interpolation():
                yield from walk(below, f"{path}{key}.")

    return list(walk(config, ""))

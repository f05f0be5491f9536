"""`KEY=glob(…)` in a sweep: Hydra's lists a group's options; here it lists files too, and only plans that can run.

What matches is written in the place of the glob before the sweeper sees it, so that every sweeper takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from glob import glob
from pathlib import PurePath

from hydra.core.override_parser.types import Glob, QuotedString
from omegaconf import DictConfig

from mutspec.errors import CallError, Problem
from mutspec.experiment.jobs.matching import quoted
from mutspec.experiment.jobs.mistakes import place_of
from mutspec.experiment.jobs.overridden import Given
from mutspec.experiment.jobs.recipes import Recipes, for_hydra
from mutspec.experiment.jobs.template import parsed
from mutspec.experiment.reports.aggregate import natural

INPUTS = "inputs."


def spell_out(config: DictConfig, recipes: Recipes, given: Sequence[Given]) -> list[Problem]:
    """Replaces globs of files and of plans by what matches, in the call and in the sweeper's own parameters.

    Of the plans that match, those are left out that have inputs which nothing binds.

    Arguments:
        config: the configuration of a sweep, which is changed.
        recipes: the recipes that there are.
        given: the overrides of the call.

    Returns:
        Warnings that name what is left out.

    Raises:
        CallError: no file matches, or no plan that matches can run.
    """
    params = config.hydra.sweeper.get("params")
    own = {str(key): str(params._get_node(key)) for key in params} if isinstance(params, DictConfig) else {}
    named = (*(each.key for each in given), *own, *(f"{INPUTS}{name}" for name in config.get("inputs") or ()))
    bound = {key.removeprefix(INPUTS) for key in named if key.startswith(INPUTS)}

    left_out: list[Problem] = []

    def matches(key: str, pattern: Glob) -> list[str] | None:
        try:
            if key == "plan":
                kept, unbound = _that_can_run(_plain(pattern).filter(recipes.names), recipes, bound)
                left_out.extend(unbound)
                return kept
            return files_matching(pattern) if "." in key else None  # as no group's name has
        except CallError as error:
            place = place_of(key, given)
            raise CallError([Problem(each.message, place, hint=each.hint) for each in error.problems]) from None

    lines = [each.line for each in given]
    if (spelt := [_spelt(line, matches) for line in lines]) != lines:
        config.hydra.overrides.task = spelt
    for key, value in own.items():
        if (line := _spelt(f"{key}={value}", matches)) != f"{key}={value}":
            params[key] = line.partition("=")[2]
    return left_out


def files_matching(pattern: Glob) -> list[str]:
    """The paths that a glob matches, in natural order: `run-2.keras` before `run-10.keras`.

    Raises:
        CallError: there are none.
    """
    pattern = _plain(pattern)
    found = dict.fromkeys(path for each in pattern.include for path in glob(each, recursive=True))
    kept = [path for path in found if not any(_is_like(path, each) for each in pattern.exclude)]
    if not kept:
        hint = "paths are those in the folder of the call; `**` matches folders below, as in glob(models/**/*.keras)"
        raise CallError(f"no file matches {_listed(pattern.include)}", hint=hint)
    return sorted(kept, key=natural)


def _plain(pattern: Glob) -> Glob:
    """A glob with texts where Hydra has quoted ones in its lists."""
    parts = (pattern.include, pattern.exclude)
    return Glob(*([each.text if isinstance(each, QuotedString) else str(each) for each in part] for part in parts))


def _is_like(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(PurePath(path).name, pattern)


def _that_can_run(names: Iterable[str], recipes: Recipes, bound: set[str]) -> tuple[list[str], list[Problem]]:
    """The recipes without inputs that nothing binds, and a warning that names the others."""
    names = list(names)
    unbound = {name: missing for name in names if (missing := _inputs(recipes, name) - bound)}
    kept = [name for name in names if name not in unbound]
    if not unbound:
        return kept, []
    left = ", ".join(f"`{name}` ({', '.join(sorted(missing))})" for name, missing in unbound.items())
    if not kept:
        hint = f"add inputs.{min(next(iter(unbound.values())))}=MODEL"
        raise CallError(f"all plans that match have inputs that are not bound: {left}", hint=hint)
    return kept, [Problem(f"plans whose inputs are not bound are left out: {left}", is_warning=True)]


def _inputs(recipes: Recipes, name: str) -> set[str]:
    inputs = for_hydra(recipes.read(name)).get("inputs")
    return set(map(str, inputs)) if isinstance(inputs, dict) else set()


def _spelt(line: str, matches: Callable[[str, Glob], list[str] | None]) -> str:
    """An override with what its glob matches; itself if it has no glob, or nothing matches."""
    if "=glob(" not in line:
        return line
    override = parsed(line)
    pattern: object = override.value()  # a glob too, other than Hydra declares
    found = matches(override.key_or_group, pattern) if isinstance(pattern, Glob) else None
    return f"{line.partition('=')[0]}=choice({','.join(map(quoted, found))})" if found else line


def _listed(patterns: Iterable[str]) -> str:
    return " or ".join(f"`{each}`" for each in patterns)

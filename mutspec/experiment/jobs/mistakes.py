"""Mistakes in settings, placed where the user wrote them, also those that no single value shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mutspec.errors import Place, Problem, nearest
from mutspec.experiment.evaluation.measure_names import measure_names, no_measure
from mutspec.experiment.gates import Gate, boundless
from mutspec.experiment.job_settings import EvaluateSettings, ModelSettings, ModeSettings, Settings, objective_names
from mutspec.experiment.jobs.overridden import Given
from mutspec.experiment.result import BREAKING_POINT


def place_of(key: str, given: Sequence[Given], *, on_key: bool = False) -> Place | None:
    """Returns the place where the call gives a value, or a part of it; else where it names the key."""
    covering = [each for each in given if each.key == key or key.startswith(each.key + ".")]
    if not covering:
        return None
    source = covering[-1]
    start = source.line.find("=") + 2
    end = len(source.line) + 1
    if start == 1:  # a key alone
        return Place(source.source, 1, 1, end, source.line)
    if on_key:
        return Place(source.source, 1, 1, max(start - 1, 2), source.line)
    return Place(source.source, 1, start, max(end, start + 1), source.line)


def not_given(key: str, given: Sequence[Given]) -> Problem:
    """A key without a value; the call may have misspelt it."""
    parent, _, name = key.rpartition(".")
    others = [each.key for each in given if each.key.rpartition(".")[0] == parent and each.key != key]
    if misspelt := next((each for each in others if nearest(each.rpartition(".")[2], [name])), None):
        place = place_of(misspelt, given, on_key=True)
        return Problem(f"`{key}` is not given, and `{misspelt}` is", place, candidates=(key,))
    return Problem(f"`{key}` is not given", hint=f"add {key}=…")


_STRUCTS: Mapping[str, type[Struct]] = {
    "model": ModelSettings,
    "mode": ModeSettings,
    "evaluate": EvaluateSettings,
    "require": Gate,
}


def wrong_value(reason: str, given: Sequence[Given]) -> Problem:
    """Returns msgspec's message about a value, in our words."""
    message, _, where = reason.partition(" - at `$.")
    key = where.removesuffix("`")
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown:
        message = f"`{key}` has no key `{unknown[1]}`" if key else f"no setting is called `{unknown[1]}`"
        known = _STRUCTS.get(re.sub(r"\[.*", "", key))
        names = known.__struct_fields__ if known else ()
        return Problem(
            message,
            place_of(f"{key}.{unknown[1]}", given, on_key=True) or place_of(re.sub(r"\[.*", "", key), given),
            candidates=nearest(unknown[1], names),
        )
    missing = re.search(r"required field `(.*)`", message)
    if missing:
        key = f"{key}.{missing[1]}".lstrip(".")
        return Problem(f"`{key}` is not given", hint=f"add {key}=…")
    said = message[:1].lower() + message[1:]
    for theirs, ours in (
        ("`str | object`", "a name of Keras or a mapping with `_target_`"),
        ("`str | object | null`", "a name of Keras or a mapping with `_target_`"),
        ("`object | array`", "a list of metrics"),
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
    return Problem(f"`{key}`: {said}", place_of(re.sub(r"\[.*", "", key), given))


def odd(settings: Settings, given: Sequence[Given]) -> Any:
    """Yields the problems that no single value shows."""
    if problems := list(_empty(settings, given)):
        yield from problems
        return
    if not isinstance(settings.data.get("_target_"), str):
        yield Problem(
            "`data` names no function", hint="choose data=npz, for example, or write data._target_=module.name"
        )
    objectives = objective_names(settings.objective)
    if len(set(objectives)) < len(objectives):
        yield Problem("`objective` names a measure twice", place_of("objective", given), hint="name each of them once")
    save = settings.save
    if settings.seeds > 1 and not settings.mode.bisects and (save or settings.mode.compares):
        what = "`save` keeps" if save else f"mode={settings.mode.name} compares"
        message = f"{what} one mutant, and seeds={settings.seeds} makes {settings.seeds}"
        yield Problem(message, place_of("seeds", given), hint="leave `seeds` out, and sweep over plan.seed by -m")
    if settings.mode.bisects:
        yield from _odd_search(settings, given)
    if isinstance(save, str) and (Path(save).name != save or Path(save).suffix not in (".keras", ".h5")):
        hint = "such as mutant.keras: the file goes into the job's folder"
        yield Problem(f"`save` is true, or the name of a model file, not `{save}`", place_of("save", given), hint=hint)
    if settings.mode.evaluates:
        yield from _unknown_measures(settings, given)
    for problem in boundless(settings.require):
        yield replace(problem, place=place_of("require", given))


def _empty(settings: Settings, given: Sequence[Given]) -> Iterator[Problem]:
    """Yields a problem for each setting that is a text without characters: a path, a name, a measure."""
    data = {
        key: value for key, value in settings.data.items() if key in ("_target_", "path")
    }  # others are a function's
    plain = {**msgspec.to_builtins(settings), "data": data}
    for key, value in _texts_of(plain):
        if not value:
            yield Problem(
                f"`{key}` is empty", place_of(re.sub(r"\[.*", "", key), given), hint="give a value, or leave it out"
            )


def _texts_of(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields the texts in settings with their keys, but for the arguments of what `_target_` names."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts_of(each, f"{key}[{index}]")
    elif isinstance(value, dict):
        names = ("_target_",) if "_target_" in value and key != "data" else value
        for name in names:
            yield from _texts_of(value[name], f"{key}.{name}".lstrip("."))


def _odd_search(settings: Settings, given: Sequence[Given]) -> Iterator[Problem]:
    """Yields the problems of a search for breaking points."""
    for name, problem in settings.mode.problems():
        yield replace(problem, place=place_of(f"mode.{name}", given))
    if settings.save:
        message = f"`save` keeps one mutant, and mode={settings.mode.name} makes many"
        hint = "leave `save` out; mode=apply saves the mutant of a scale"
        yield Problem(message, place_of("save", given), hint=hint)


def _is_of_an_output(name: str, known: str) -> bool:
    """Tells whether a measure is one of an output: its name begins with the output's, unless there is only one."""
    bare = name.removeprefix("drop.")
    return bare.endswith(f"_{known}") or known.endswith(f"_{bare}")


def _unknown_measures(settings: Settings, given: Sequence[Given]) -> Any:
    """The objective and gates that are about nothing that is measured."""
    known = measure_names(settings.evaluate)
    if known is None:
        return
    objectives = (("objective", name) for name in objective_names(settings.objective))
    wanted = [*objectives, *(("require", gate.metric) for gate in settings.require)]
    if settings.mode.bisects:
        wanted = [each for each in wanted if each[1] != BREAKING_POINT] + [("mode.metric", settings.mode.metric or "")]
    for key, name in wanted:
        if name and name not in known and not any(_is_of_an_output(name, each) for each in known):
            yield replace(no_measure(str(name), known), place=place_of(key, given))

"""Limits on what structural steps make: mutspec and Keras must be able to read what a plan writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mutspec.errors import ModelError, Problem
from mutspec.keras_facts.layer_names import name_problem
from mutspec.model.config import check_config
from mutspec.model.limits import current_limits
from mutspec.model.spec import ModelSpec, TensorSpec


def problem_of_made(before: ModelSpec, after: ModelSpec, created: Collection[TensorSpec]) -> tuple[str, Problem] | None:
    """Returns what is wrong with the names and sizes that an edit makes, with the path of the layer.

    Arguments:
        before: the model before the edit.
        after: the model after it.
        created: the weights that the edit adds.
    """
    limits, had = current_limits(), before.layer_by_path
    for layer in after.layers:
        if layer.path in had:
            continue
        shown = f"the name `{layer.name[:20]}{'…' if len(layer.name) > 20 else ''}`"
        if wrong := name_problem(layer.name):
            return layer.path, Problem(f"{shown} of a layer {wrong}", hint="give it another name")
        for limit, found, what in (
            ("name_characters", len(layer.name), shown),
            ("path_characters", len(layer.path), f"the path of {shown}"),
            ("layer_depth", layer.path.count("/") + 1, f"{shown}, in layers in layers"),
        ):
            if found > getattr(limits, limit):
                return layer.path, limits.of_made(limit, found, what)
    total = sum(each.size for each in created)
    if total > limits.new_parameters:
        largest = max(created, key=lambda each: each.size)
        shape = "×".join(f"{extent:,}" for extent in largest.shape)
        what = f"the new weights, with `{largest.path}` of {shape}"
        return largest.layer, limits.of_made("new_parameters", total, what)
    return None


def extent_problems(shape: int | Iterable[int | None] | None, key: str) -> Iterator[Problem]:
    """Yields what is above the limit in a shape, or in the one extent, that a key of a step gives."""
    largest = max((each or 0 for each in ([shape] if isinstance(shape, int) else shape or ())), default=0)
    if largest > current_limits().extent:
        yield replace(current_limits().of_made("extent", largest, f"`{key}`"), path=(key,))


def width_problem(width: int, what: str) -> Problem | None:
    """Returns what is above a limit in the width that a step gives a layer.

    Arguments:
        width: the number of units.
        what: the thing that has it.
    """
    limits = current_limits()
    name = next((each for each in ("extent", "channels") if width > getattr(limits, each)), "")
    return limits.of_made(name, width, what) if name else None


def config_problem(config: Mapping[str, Any]) -> Problem | None:
    """Returns why a configuration could not be read again."""
    try:
        check_config(config, "the model's configuration")
    except ModelError as error:
        return replace(error.problems[0], hint="make less of it, or raise the limit with `--limit`")
    return None

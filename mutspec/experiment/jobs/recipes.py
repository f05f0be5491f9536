"""Recipes, the options of Hydra's group `plan`: found as files, read by the loader that reads all plans.

Hydra's YAML loader never sees them. It gets a recipe as a mapping whose steps go by their ids, so that
`plan.steps.jitter.std=0.1` has somewhere to go; what it makes of that is compared with what it got, and each difference
is an override of the recipe (see `overridden.py`). So the composed configuration is the truth, wherever a value in it
came from: the call, a sweeper, an experiment's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mutspec.errors import CallError, Place, PlanError, Problem
from mutspec.language.document import parse
from mutspec.language.files import read_text
from mutspec.language.interpolation import NAME, WITHIN
from mutspec.language.nodes import Sequence, Table, plain
from mutspec.language.overrides import step_id
from mutspec.language.recipe_files import RecipeSource, plans_in, shipped_files
from mutspec.language.schema import SEPARATOR

HYDRAS_KEYS = ("defaults", "hydra")
"""Keys by which a configuration changes what Hydra does. In a plan they are an error, as its compiler says."""
FOLDERS = ("recipes", "plan")
"""The place of recipes in a folder of the user's own."""


@dataclass(frozen=True)
class Recipe:
    """A recipe.

    Arguments:
        name: its name.
        file: its file, as messages call it.
        text: the file's text.
        source: where the recipes are that it may use. It knows those that have been read.
    """

    name: str
    file: str
    text: str
    source: RecipeSource = field(default_factory=RecipeSource, compare=False)


@dataclass(frozen=True)
class Recipes:
    """All recipes by name. A file is read once, when its recipe is first used, so that a sweep has one text of it.

    Arguments:
        files: the recipes' files.
        folders: the folder outside of which a recipe uses no others, by its name. Default: that of its file.
        known: the recipes that have been read.
    """

    files: Mapping[str, Path]
    folders: Mapping[str, Path] = field(default_factory=dict)
    known: dict[str, Recipe] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Returns the names in alphabetical order."""
        return sorted(self.files)

    def read(self, name: str) -> Recipe:
        """The recipe of a name, which must be known.

        Raises:
            PlanError: its file cannot be read.
        """
        if name not in self.known:
            path = self.files[name]
            file, folder = shown(path), self.folders.get(name)
            source = RecipeSource.of_file(file, folder and Path(shown(folder)))
            self.known[name] = Recipe(name, file, read_text(path), source)
        return self.known[name]


def shown(path: Path) -> str:
    """A path as messages show it: from the current folder on, if it lies below."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def find_recipes(folder: Path | None = None, named: Iterable[Path] = ()) -> Recipes:
    """The recipes that are shipped, those in a folder of the user's own, and files that the call names.

    A later one takes the place of an earlier one of the same name.

    Raises:
        CallError: two files of the user's have one name.
    """
    shipped = {path.stem: path for path in shipped_files()}
    own: dict[str, Path] = {}
    trees: dict[str, Path] = {}
    for tree in [folder / name for name in FOLDERS] if folder else []:
        for path in plans_in(tree, "**/*.yaml"):
            name = path.relative_to(tree).with_suffix("").as_posix()
            _put(own, name, path)
            trees[name] = tree
    given: dict[str, Path] = {}
    for path in named:
        _put(given, path.stem, path)
    return Recipes({**shipped, **own, **given}, {name: tree for name, tree in trees.items() if name not in given})


def _put(recipes: dict[str, Path], name: str, path: Path) -> None:
    if recipes.setdefault(name, path) != path:
        message = f"two recipes are called `{name}`: {recipes[name]} and {path}"
        raise CallError(message, hint="rename one of the files")


@lru_cache
def for_hydra(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the mapping that Hydra composes: with a seed, steps by id, and parameters named as Hydra has them.

    A recipe that cannot be read is an empty mapping: what is wrong with it is said when it is compiled.
    """
    try:
        root = parse(recipe.text, recipe.file).root
    except PlanError:
        return {}
    if not isinstance(root, Table):
        return {}
    document: dict[str, Any] = {"seed": 0, **plain(root)}
    for key in HYDRAS_KEYS:
        document.pop(key, None)
    steps = root.entries.get("steps")
    if isinstance(steps, Sequence):
        document["steps"] = _by_ids(steps)
    named: dict[str, Any] = _renamed(document, WITHIN, "${params.", "${plan.params.")
    return named


def _by_ids(steps: Sequence) -> dict[str, Any]:
    """Returns steps by their ids. A step `a/b` is `steps.b` of the step `a`, as Hydra's keys cannot have a `/`."""
    found: dict[str, Any] = {}
    for step in steps.items:
        *above, own = step_id(step).split(SEPARATOR)
        place = found
        for name in above:
            place = place.setdefault(name, {}).setdefault("steps", {})
        place[own] = {**plain(step), **place.get(own, {})}
    return found


HYDRAS_PARAMETER = rf"\$\{{plan\.params\.{NAME}\}}"
"""`${plan.params.std}`: what a plan's `${params.std}` is called in Hydra, where it can be resolved."""


def as_in_a_plan(value: Any) -> Any:
    """A value out of Hydra with parameters named as plans do."""
    return _renamed(value, HYDRAS_PARAMETER, "${plan.params.", "${params.")


def _renamed(value: Any, pattern: str, before: str, after: str) -> Any:
    if isinstance(value, str):
        return re.sub(pattern, lambda match: match[0].replace(before, after), value)
    if isinstance(value, dict):
        return {key: _renamed(each, pattern, before, after) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, pattern, before, after) for each in value]
    return value


def no_recipe_named(recipes: Recipes, place: Place | None = None) -> Problem:
    """The problem of a call that names no recipe."""
    listing = ", ".join(recipes.names)
    return Problem("the call names no plan", place, hint=f"add plan=NAME, one of {listing}; or plan_file=FILE")


def option_groups(folder: Path | None = None) -> dict[str, list[str]]:
    """The groups of the configuration with their options, for help pages: without loading Hydra.

    Arguments:
        folder: of the user's own.
    """
    from mutspec.resources import resource_folder

    found = {"plan": dict.fromkeys(find_recipes(folder).names)}
    for path in [path for each in (resource_folder("conf"), folder) if each for path in plans_in(each, "*/*.yaml")]:
        is_no_group = path.parent.name in FOLDERS or path.parent.name.startswith(".")
        if not is_no_group and not (path.parent / "multirun.yaml").exists():  # which Hydra leaves in a sweep's folder
            found.setdefault(path.parent.name, {})[path.stem] = None
    return {name: list(options) for name, options in found.items()}

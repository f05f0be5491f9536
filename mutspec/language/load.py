"""Loads a plan from text, a file or a mapping; or reports all its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mutspec.errors import DocumentPath, OpError, Place, PlanError, Problem
from mutspec.language.converting import Converter, span_of
from mutspec.language.document import package_problem, parse
from mutspec.language.files import read_text, refuse_other_document
from mutspec.language.findings import in_order
from mutspec.language.head import LANGUAGE_VERSION
from mutspec.language.inlining import Inlined
from mutspec.language.nodes import Node, Table, from_plain, plain
from mutspec.language.overrides import Override, Overrides, apply_overrides, of_used_steps, overrides_of_call
from mutspec.language.plan import Plan, digest_of, effect_of
from mutspec.language.recipe_files import RecipeSource
from mutspec.language.schema import Catalogue
from mutspec.language.steps import without_own_keys


def load_plan(
    path: str | Path,
    catalogue: Catalogue,
    *,
    overrides: Overrides = (),
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    uses_schema: bool = False,
    recipes: RecipeSource | None = None,
) -> Plan[Any]:
    """Loads a plan file.

    Arguments:
        path: a YAML file.
        catalogue: the ops by name.
        overrides: `key=value` texts, in their order; for one key, the last one counts.
        params: values of declared parameters, after the overrides.
        seed: the plan's seed, after the overrides.
        uses_schema: whether the JSON schema also checks values that fit their types. It takes longer to load than the
            plan, and finds the same problems.
        recipes: where the recipes are that the plan may use; by default in its folder, and those that ship.

    Raises:
        PlanError: with every problem of the file.
    """
    refuse_other_document(path)
    return load_text(
        read_text(path),
        catalogue,
        file=str(path),
        overrides=overrides,
        params=params,
        seed=seed,
        uses_schema=uses_schema,
        recipes=recipes or RecipeSource.of_file(path),
    )


def load_text(
    text: str,
    catalogue: Catalogue,
    *,
    file: str = "plan",
    overrides: Overrides = (),
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    uses_schema: bool = False,
    recipes: RecipeSource | None = None,
) -> Plan[Any]:
    """Loads a plan from YAML text.

    `file` is its name in error messages. Without `recipes`, it can use only what ships with mutspec. The rest is as in
    `load_plan`.
    """
    document = parse(text, file)
    problem = package_problem(text, document)
    problems = [*document.warnings, *([problem] if problem is not None else [])]
    converter = Converter(catalogue, Path(file).stem, problems, uses_schema=uses_schema, recipes=recipes)
    return loaded(converter, document.root, overrides_of_call(overrides, params, seed))


def plan_from(
    mapping: Mapping[str, Any],
    catalogue: Catalogue,
    *,
    name: str = "plan",
    overrides: Overrides = (),
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    recipes: RecipeSource | None = None,
) -> Plan[Any]:
    """Makes a plan from Python values. `mutspec: 1` may be left out; the rest is as in `load_text`."""
    root = from_plain({"mutspec": LANGUAGE_VERSION, **mapping})
    return loaded(Converter(catalogue, name, (), recipes=recipes), root, overrides_of_call(overrides, params, seed))


@dataclass(frozen=True)
class PlanSource:
    """The origin of a plan, and what it was read with.

    Arguments:
        written: its document before interpolation, with the steps that use recipes.
        resolved: its document after that, with the steps of the recipes.
        catalogue: the ops by name.
        name: the plan's name, unless it states one.
        recipes: where the recipes are that it may use.
        overrides: those of steps of the recipes that it uses, which `written` does not have.
        inlined: where its steps come from.
        files: the digests of the files that it uses.
    """

    written: Node
    resolved: Node
    catalogue: Catalogue
    name: str
    recipes: RecipeSource = field(default_factory=RecipeSource)
    overrides: tuple[Override, ...] = ()
    inlined: Inlined = field(default_factory=Inlined)
    files: Mapping[str, str] = field(default_factory=dict)

    def told(self, problem: Problem) -> Problem:
        """Returns a problem with the places at which the recipe of its step is used."""
        return self.inlined.told(problem)

    def locate(self, path: DocumentPath) -> Place | None:
        """Returns the place where the value at a path was written."""
        span = span_of(self.resolved, path)
        return span.place() if span else None

    @property
    def form_digest(self) -> str:
        """A digest of the plan before interpolation, without the values of its parameters."""
        return form_digest(self.written, self.catalogue, self.files, self.overrides)

    def again(
        self, overrides: Overrides = (), params: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Plan[Any]:
        """Loads the same plan with other values, parameters, or another seed."""
        converter = Converter(self.catalogue, self.name, (), recipes=self.recipes)
        return loaded(converter, self.written, (*self.overrides, *overrides_of_call(overrides, params, seed)))


def form_digest(
    written: Node, catalogue: Catalogue, files: Mapping[str, str] | None = None, overrides: Iterable[Override] = ()
) -> str:
    """Returns a digest of a plan as it is written, without its labels, its seed and the values of its parameters.

    Plans that differ only in the values of their parameters have the same digest.

    Arguments:
        written: the plan before interpolation, valid or not.
        catalogue: the ops by name.
        files: the digests of the files that it uses.
        overrides: those of steps in these files.
    """
    document = plain(without_own_keys(written, catalogue)) if isinstance(written, Table) else {}
    params = document.get("params")
    form = {**effect_of(document), "params": sorted(params) if isinstance(params, dict) else []}
    of_used = {"files": sorted(files.items()), "overrides": [each.text for each in overrides]} if files else {}
    return digest_of({**form, **of_used})


def loaded(converter: Converter, root: Node, overrides: tuple[Override, ...] = ()) -> Plan[Any]:
    """Converts a tree into a plan.

    Arguments:
        converter: what converts it, and has not converted another one.
        root: the tree.
        overrides: those of the call.

    Raises:
        PlanError: with all problems, in the order of their places.
        OpError: an op of a step has a bug, and nothing else is wrong.
    """
    if not isinstance(root, Table):
        overrides = ()
    own, of_used = of_used_steps(root, overrides)
    written, problems = apply_overrides(root, own)
    converter.problems += problems
    document, head, steps = converter.check(written, of_used)
    if any(not problem.is_warning for problem in converter.problems):
        raise PlanError(sorted(converter.problems, key=in_order))
    if converter.bugs:
        raise OpError(converter.bugs)
    assert head is not None
    document.pop("blocks", None)  # the steps have their layers now
    allowed = head.lint.allow
    told = sorted(converter.problems, key=in_order)
    return Plan(
        name=head.name or converter.name,
        description=head.description,
        seed=head.seed,
        params=head.params,
        inputs=tuple(head.inputs),
        metadata=head.metadata,
        non_finite=head.non_finite or None,
        steps=tuple(step for step in steps if step is not None),
        document=document,
        source=PlanSource(
            written,
            converter.root,
            converter.catalogue,
            converter.name,
            converter.recipes,
            tuple(of_used),
            converter.inlined,
            converter.inlining.files,
        ),
        warnings=tuple(problem for problem in told if problem.rule not in allowed),
        files=converter.inlining.files,
        uses=tuple(converter.uses),
        allowed=allowed,
        silenced=tuple(problem for problem in told if problem.rule in allowed),
    )

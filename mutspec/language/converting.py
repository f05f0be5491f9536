"""Converts the tree of a plan into ops: its parameters, the recipes that it uses and its blocks are put in.

The ops' types convert the values. Where a value does not fit its type, the schema, which is generated from the types,
explains why. With `uses_schema` the schema checks values that fit, too, as an editor does; a test checks that types
and schema accept the same plans.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace as replace_node

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.language.blocks import Blocks
from mutspec.language.checks import id_problems, input_problems, number_problems, step_problems, unused_problems
from mutspec.language.explain import Finding, Validator
from mutspec.language.findings import OF_HYDRA, head_findings, op_findings, quoting_hint
from mutspec.language.head import LANGUAGE_VERSION, PlanHead, UseStep
from mutspec.language.inlining import (
    MAX_GROWTH,
    Chain,
    Inlined,
    Inlining,
    UsedAt,
    UsedStep,
    id_problem,
    inlined_step,
    record,
    told_with,
    unknown_parameters,
    with_parameters,
)
from mutspec.language.inlining import input_problems as used_input_problems
from mutspec.language.interpolation import Interpolator, literal_problems
from mutspec.language.nodes import Node, Scalar, Sequence, Table, child, node_at, plain, size_of, span_at
from mutspec.language.op_bugs import failure
from mutspec.language.overrides import Override, apply_overrides, step_id
from mutspec.language.plan import Use
from mutspec.language.recipe_files import RecipeFile, RecipeSource
from mutspec.language.schema import Catalogue, op_definitions
from mutspec.language.steps import is_use, without_own_keys
from mutspec.language.types import BASE

T = TypeVar("T")


def span_of(root: Node, path: DocumentPath, *, on_key: bool = False) -> Any:
    """Returns the span that a message about a path points to. For a whole step that is its op."""
    if len(path) == 2 and path[0] == "steps":
        step = node_at(root, path)
        op = (child(step, "op") or child(step, "use")) if step is not None else None
        if op is not None and op.span is not None:
            return op.span
    return span_at(root, path, on_key=on_key)


class Converter:
    """Converts one tree into ops, and collects its problems.

    Arguments:
        catalogue: the ops by name.
        name: the plan's name, unless it states one.
        problems: those of its text.
        uses_schema: whether the JSON schema checks it too.
        recipes: where the recipes are that it may use.
        chain: for a recipe that another plan uses, the places at which it is used.
        inlining: what is counted over all uses of that plan.
        validators: those that were made for that plan, by the names of their definitions.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        name: str,
        problems: Iterable[Problem],
        *,
        uses_schema: bool = False,
        recipes: RecipeSource | None = None,
        chain: Chain = (),
        inlining: Inlining | None = None,
        validators: dict[str, Validator] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.uses_schema = uses_schema
        self.name = name
        self.recipes = recipes or RecipeSource()
        self.chain = chain
        self.inlining = inlining or Inlining()
        self.inlined = Inlined()
        self.uses: list[Use] = []
        self.has_wrong_ids = False
        self.inputs_used: dict[DocumentPath, str] = {}
        self.problems = [told_with(problem, chain) for problem in problems]
        self.bugs: list[Problem] = []
        self.root: Node = Scalar(None)
        self.unresolved: tuple[DocumentPath, ...] = ()
        self.validators: dict[str, Validator] = {} if validators is None else validators

    def check(
        self, written: Node, of_used: Iterable[Override] = ()
    ) -> tuple[dict[str, Any], PlanHead | None, list[Any]]:
        """Converts a tree into a document without uses and parameters, its head and its ops; None for what is wrong.

        Arguments:
            written: the tree, with the overrides of its own values.
            of_used: the overrides of steps of the recipes that it uses.
        """
        if not isinstance(written, Table):
            hint = "begin with `mutspec: 1` and a list of `steps`"
            place = written.span.place() if written.span else None
            self.problems.append(told_with(Problem("a plan must be a mapping", place, hint=hint), self.chain))
            return {}, None, []
        interpolator = self._resolve(written)
        self._inline(interpolator, of_used)
        self._tell_unused(interpolator)
        self._use_blocks()
        document = plain(self.root)
        head = self._head(document)
        steps = self._steps(document.get("steps"))
        self._check_steps(document, steps)
        return document, head, steps

    # -- problems

    def _add(self, problem: Problem, *, on_key: bool = False, accepts_text: bool = False) -> None:
        """Adds a problem with its place. One that only follows from an unresolved interpolation is dropped."""
        if any(
            problem.path[: len(path)] == path or (path[: len(problem.path)] == problem.path and problem.path[2:])
            for path in self.unresolved
        ):
            return
        node = node_at(self.root, problem.path)
        hint = problem.hint
        if isinstance(node, Scalar) and not on_key and not hint and not problem.candidates:
            hint = quoting_hint(node, accepts_text)
        if node is not None and node.via is not None:
            via = node.via
            is_of_other = bool(self.chain) or self.root.span is None or self.root.span.source.name != via.source.name
            is_elsewhere = is_of_other and node.span is not None and node.span.source.name != via.source.name
            where = f"at {via.source.name}:{via.line}:{via.column}" if is_elsewhere else f"on line {via.line}"
            hint = f"{hint}; it is used {where}".removeprefix("; ")
        place = problem.place
        if place is None:
            span = span_of(self.root, problem.path, on_key=on_key)
            place = span.place() if span else None
        told = self.inlined.told(replace(problem, place=place, hint=hint))
        self.problems.append(told_with(told, self.chain))

    def _find(self, findings: Iterable[Finding], path: DocumentPath = ()) -> None:
        """Adds what was found in the value at a path."""
        for finding in findings:
            self._add(finding.problem.below(*path), on_key=finding.on_key, accepts_text=finding.accepts_text)

    # -- stages

    def _resolve(self, written: Node) -> Interpolator:
        """Removes the user's own keys, and replaces interpolations by parameters."""
        self.root = without_own_keys(written, self.catalogue)
        params = child(self.root, "params")
        declared = params.entries if isinstance(params, Table) else {}
        for problem in literal_problems(declared):
            self._add(problem)
        interpolator = Interpolator(dict(declared))
        if self.chain:
            interpolator.growth, interpolator.limit = self.inlining.interpolated, MAX_GROWTH
        assert isinstance(self.root, Table)
        entries = {
            key: value if key in ("params", "inputs", "mutspec") else interpolator.resolve(value, (key,))
            for key, value in self.root.entries.items()
        }
        self.root = replace_node(self.root, entries=entries)
        for problem in interpolator.problems:
            self._add(problem)
        self.unresolved = tuple(dict.fromkeys(problem.path for problem in interpolator.problems))
        self.inlining.interpolated = interpolator.growth if self.chain else 0
        return interpolator

    def _tell_unused(self, interpolator: Interpolator) -> None:
        """Warns of parameters that nothing uses."""
        if not interpolator.problems:
            for problem in unused_problems("params", interpolator.params, interpolator.used):
                self._add(problem, on_key=True)

    def _inline(self, interpolator: Interpolator, overrides: Iterable[Override]) -> None:
        """Puts the steps of recipes in the places of their uses, then the overrides of these steps."""
        steps = child(self.root, "steps")
        if not isinstance(self.root, Table) or not isinstance(steps, Sequence) or not any(map(is_use, steps.items)):
            return
        self._check_ids(steps, [number for number, step in enumerate(steps.items) if is_use(step)])
        numbers, made = list[int](), list[UsedStep]()
        for number, step in enumerate(steps.items):
            expanded = self._expanded(number, step) if is_use(step) else None
            made += [UsedStep(step)] if expanded is None else expanded
            numbers += [number] * (len(made) - len(numbers))
        items = tuple(each.node for each in made)
        # A use that is wrong stays, and is not looked at again.
        self.unresolved = tuple(
            ("steps", place, *path[2:])
            for path in self.unresolved
            for place, number in enumerate(numbers)
            if path[:2] == ("steps", number)
        ) + tuple(path for path in self.unresolved if path[:1] != ("steps",) or len(path) < 2)
        root = replace_node(self.root, entries={**self.root.entries, "steps": replace_node(steps, items=items)})
        chains, allowed = tuple(each.chain for each in made), tuple(each.allowed for each in made)
        self.inlined, self.root = Inlined(tuple(numbers), chains, allowed), root
        if not overrides or any(map(is_use, items)):
            return
        overridden, problems = apply_overrides(root, overrides)
        self.problems += problems
        changed = child(without_own_keys(overridden, self.catalogue), "steps") or steps
        known = len(interpolator.problems)
        resolved = interpolator.resolve(changed, ("steps",))
        self.root = replace_node(root, entries={**root.entries, "steps": resolved})
        for problem in interpolator.problems[known:]:
            self._add(problem)

    def _expanded(self, number: int, step: Node) -> list[UsedStep] | None:
        """Returns the steps of the recipe that a step uses; None if something is wrong."""
        path: DocumentPath = ("steps", number)
        use = self._validated(plain(step), UseStep, "use", path)
        if use is None or self.inlining.is_too_large or any(each[:2] == path for each in self.unresolved):
            return None
        named, by = child(step, "use"), self.chain[0].file if self.chain else None
        span = named.span if named is not None else None
        user = by.shown if by is not None else span.source.name if span else "the plan"
        place = UsedAt(None, path, span, user)
        try:
            file = self.recipes.find(use.use, by)
        except PlanError as error:
            for problem in error.problems:
                told = told_with(problem, (place, *self.chain)) if problem.place else problem
                self._add(replace(told, path=(*path, "use")))
            return None
        chain = (replace(place, file=file), *self.chain)
        wrong = self.inlining.problem(file, chain, self.recipes.plan_path) or id_problem(use, child(step, "id"))
        if wrong is not None:
            self._add(replace(wrong, path=(*path, "use")))
            return None
        if unknown := list(unknown_parameters(use, file)):
            for problem in unknown:
                self._add(problem.below(*path), on_key=True)
            return None
        return self._steps_of(file, step, use, chain)

    def _steps_of(self, file: RecipeFile, step: Node, use: UseStep, chain: Chain) -> list[UsedStep] | None:
        """Returns the steps of a recipe that is used; None if something is wrong with it."""
        path = chain[0].path
        recipe = Converter(
            self.catalogue,
            file.path.stem,
            file.warnings,
            uses_schema=self.uses_schema,
            recipes=self.recipes,
            chain=chain,
            inlining=self.inlining,
            validators=self.validators,
        )
        _, head, typed = recipe.check(with_parameters(file.root, step))
        allowed = frozenset(head.lint.allow if head is not None else ())
        self.problems += [problem for problem in recipe.problems if not problem.rule or problem.rule not in allowed]
        inputs = child(self.root, "inputs")
        outer = tuple(inputs.entries) if isinstance(inputs, Table) else ()
        problems = (
            () if head is None else used_input_problems(use, file, head.inputs, outer, recipe.inputs_used.values())
        )
        self.bugs += recipe.bugs
        is_wrong = any(not problem.is_warning for problem in recipe.problems) or bool(recipe.bugs)
        for problem in problems:
            self._add(problem.below(*path), on_key=problem.path[0] == "inputs" and problem.path[1] in use.inputs)
            is_wrong = True
        if is_wrong:
            return None
        identity, non_finite = step_id(step), child(recipe.root, "non_finite")
        steps = child(recipe.root, "steps")
        assert isinstance(steps, Sequence)
        if (too_large := self.inlining.grown(size_of(steps))) is not None:
            self._add(replace(too_large, path=(*path, "use")))
            return None
        made = [
            inlined_step(each, op, identity, use, non_finite)
            for each, op in zip(steps.items, typed, strict=True)
            if isinstance(each, Table)
        ]
        self.uses += record(use, identity, file, map(step_id, made), recipe.uses)
        inner = recipe.inlined
        if not inner.chains:
            return [UsedStep(each, chain, allowed) for each in made]
        return [
            UsedStep(each, below or chain, allowed | its)
            for each, below, its in zip(made, inner.chains, inner.allowed, strict=True)
        ]

    def _use_blocks(self) -> None:
        """Puts the layers of blocks in the places of their names."""
        declared, steps = child(self.root, "blocks"), child(self.root, "steps")
        named = declared.entries if isinstance(declared, Table) else {}
        if not isinstance(self.root, Table) or not isinstance(steps, Sequence):
            return
        blocks = Blocks(named)
        items = []
        for index, step in enumerate(steps.items):
            op = child(step, "op")
            kind = self.catalogue.get(op.value) if isinstance(op, Scalar) and isinstance(op.value, str) else None
            items.append(step if kind is None else blocks.in_step(step, kind, ("steps", index)))
        entries = {**self.root.entries, "steps": replace_node(steps, items=tuple(items))}
        self.root = replace_node(self.root, entries=entries)
        for problem in blocks.problems:
            self._add(problem)
        if not blocks.problems:
            for problem in unused_problems("blocks", named, blocks.used):
                self._add(problem, on_key=True)

    def _head(self, document: dict[str, Any]) -> PlanHead | None:
        """Converts the top-level keys of a plan."""
        self._find(head_findings(document))
        own = {key: value for key, value in document.items() if key not in OF_HYDRA}
        own["mutspec"] = LANGUAGE_VERSION
        return self._validated(own, PlanHead, "plan", ())

    def _steps(self, raw: Any) -> list[Any]:
        """Converts each step into its op, or None if it is wrong."""
        if not isinstance(raw, list):
            return []
        return [self._step(index, step) for index, step in enumerate(raw)]

    def _step(self, index: int, raw: Any) -> Any:
        path: DocumentPath = ("steps", index)
        op = raw.get("op") if isinstance(raw, dict) else None
        if not isinstance(op, str) or op not in self.catalogue:
            if (
                not isinstance(raw, dict) or op is not None or "use" not in raw
            ):  # what is wrong with a use has been said
                self._find(op_findings(raw, self.catalogue), path)
            return None
        kind = self.catalogue[op]
        for problem in step_problems(raw, kind):
            self._add(problem.below(*path))

        unusable = [Finding(problem) for problem in number_problems(raw, kind)]
        step: Any = self._validated(raw, kind, op, path, unusable)
        return replace_node(step, id=op) if getattr(step, "id", None) == "" else step

    def _validated(
        self,
        raw: Any,
        kind: type[T],
        name: str,
        path: DocumentPath,
        unusable: Iterable[Finding] = (),
    ) -> T | None:
        """Converts a value into its type, unless the type, the schema or an earlier finding rejects it."""
        findings, value, reason = [*unusable], None, ""
        try:
            value = msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            reason = str(error)
        if value is None or self.uses_schema:
            findings += self._validator(name).find(raw)
        self._find(findings, path)
        if value is None and not findings:
            # Types and schema are equally strict, and a test checks it. Should a type ever be stricter, it explains.
            message, _, where = reason.partition(" - at `$")
            steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", where)
            below = tuple(key or int(index) for key, index in steps)
            self._add(Problem(f"{self._validator(name).subject} is not valid: {message}", path=(*path, *below)))
        return None if findings else value

    def _validator(self, name: str) -> Validator:
        """Returns what checks values against a definition: that of an op, or of `plan` or `use`."""
        if name not in self.validators:
            kinds = {} if name in _SUBJECTS else {name: self.catalogue[name]}
            self.validators[name] = Validator(name, op_definitions(kinds), _SUBJECTS.get(name, f"`{name}`"))
        return self.validators[name]

    def _check_steps(self, document: dict[str, Any], steps: list[Any]) -> None:
        """Checks the steps together: their ids, and the inputs and parameters that they use."""
        used = self.inputs_used
        declared = document.get("inputs")
        names = tuple(declared) if isinstance(declared, dict) else ()
        nodes = child(self.root, "steps")
        for index, typed in enumerate(steps):
            if typed is None:
                continue
            try:
                for problem in [problem.below("steps", index) for problem in typed.problems()]:
                    self._add(problem)
                used.update({("steps", index, *path): name for path, name in typed.inputs_used()})
            except (Exception, SystemExit) as error:  # an op of any package may fail in any way
                span = span_of(self.root, ("steps", index, "op"), on_key=False)
                place = span.place() if span else None
                self.bugs.append(replace(failure(typed, error), place=place, path=("steps", index)))
        self._check_ids(nodes)
        for problem in input_problems(used, (*names, BASE)):
            self._add(problem)
        if None not in steps:
            for problem in unused_problems("inputs", names, used.values()):
                self._add(problem, on_key=True)

    def _check_ids(self, steps: Node | None, uses: Collection[int] = ()) -> None:
        """Checks the ids of steps, first with those that use recipes, whose indices are given, then in their places."""
        ids = []
        for index, step in enumerate(steps.items if isinstance(steps, Sequence) and not self.has_wrong_ids else ()):
            op = child(step, "use" if index in uses else "op")
            if isinstance(op, Scalar) and (op.value in self.catalogue or index in uses) and step_id(step):
                ids.append((index, step_id(step), str(op.value), child(step, "id") is not None))
        for problem in id_problems(ids, uses):
            self._add(problem)
            self.has_wrong_ids = True


_SUBJECTS = {"plan": "a plan", "use": "a step with `use`"}
"""What messages call values that are not those of an op."""

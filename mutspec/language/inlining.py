"""Steps that use other recipes: the steps of the recipe take the place of the step that uses it.

That happens when the plan is read, so that ops, digests and reports need not know of it. What stays is where each step
comes from, for messages, and which recipes were used, for reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace as replace_node

from mutspec.errors import DocumentPath, Problem, nearest, written_path
from mutspec.language.head import UseStep
from mutspec.language.nodes import Node, Scalar, SourceSpan, Table, child, node_at, with_value
from mutspec.language.overrides import step_id
from mutspec.language.plan import Step, Use
from mutspec.language.recipe_files import RecipeFile, recipe_name
from mutspec.language.schema import SEPARATOR, STEP_ID
from mutspec.language.types import BASE

MAX_NESTING = 16
"""The most recipes that may use one another in a chain."""

MAX_USES = 1000
"""The most uses of recipes that a plan may stand for."""

MAX_GROWTH = 500_000
"""The most values and characters that all uses together may stand for, those within others included."""


@dataclass(frozen=True, slots=True)
class UsedAt:
    """A place at which a recipe is used.

    Arguments:
        file: the recipe; None if it cannot be read.
        path: the path of the step that uses it, in the document that holds it.
        span: where the recipe is named; None in a plan that is not a text.
        user: the recipe's user, as messages call it.
    """

    file: RecipeFile | None
    path: DocumentPath
    span: SourceSpan | None
    user: str

    def __str__(self) -> str:
        if self.span is None:
            return written_path((*self.path, "use"))
        return f"{self.span.source.name}:{self.span.line}:{self.span.column}"


_MOST_PLACES = 5
"""The most places of a chain that a message shows: the nearest ones, and that in the plan."""

Chain = tuple[UsedAt, ...]
"""The places at which recipes are used that lead to a step: first that of its own recipe, last that in the plan."""


def told_with(problem: Problem, chain: Chain) -> Problem:
    """Returns a problem whose hint says at which places the recipe is used in which it is.

    What is written in the plan that uses the recipe, such as a value that it passes, needs no such hint.
    """
    files = {use.span.source.name for use in chain if use.span is not None}
    if not chain or (problem.place is not None and problem.place.file in files):
        return problem
    shown = [str(use) for use in chain]
    if len(shown) > _MOST_PLACES:
        shown[_MOST_PLACES - 1 : -1] = ["…"]
    places = f"used at {', which is used at '.join(shown)}"
    return problem if places in problem.hint else replace(problem, hint=f"{problem.hint}; {places}".removeprefix("; "))


@dataclass(frozen=True, slots=True)
class Inlined:
    """Where the steps of a plan come from, once recipes stand in the places of their uses.

    Arguments:
        numbers: for each step the index of the step in the plan's document that it is, or that uses its recipe.
        chains: for each step the places at which recipes are used that lead to it.
        allowed: for each step the lint rules that these recipes may break, as they state them.
    """

    numbers: tuple[int, ...] = ()
    chains: tuple[Chain, ...] = ()
    allowed: tuple[frozenset[str], ...] = ()

    def allows(self, rule: str, path: DocumentPath) -> bool:
        """Returns whether a recipe that leads to the step at, or above, a path may break a lint rule."""
        return bool(self.chain(path)) and rule in self.allowed[int(path[1])]

    def chain(self, path: DocumentPath) -> Chain:
        """Returns the chain of the step at, or above, a path."""
        if len(path) < 2 or path[0] != "steps" or not isinstance(path[1], int) or path[1] >= len(self.chains):
            return ()
        return self.chains[path[1]]

    def told(self, problem: Problem) -> Problem:
        """Returns a problem with the chain of its step; without a place, its path is that in the plan's document."""
        chain = self.chain(problem.path)
        if problem.place is None and self.numbers and problem.path[:1] == ("steps",) and len(problem.path) > 1:
            number = problem.path[1]
            if isinstance(number, int) and number < len(self.numbers):
                below = () if chain else problem.path[2:]
                problem = replace(problem, path=("steps", self.numbers[number], *below))
        return told_with(problem, chain)


@dataclass(slots=True)
class Inlining:
    """What is counted and collected over all uses of a plan.

    Arguments:
        uses: the number of uses so far.
        growth: the number of values and characters that they stand for.
        interpolated: how much of them are values of parameters.
        files: the digests of the files that are used, by their labels.
        is_too_large: whether that is more than a plan may have. Then no other recipe is used.
    """

    uses: int = 0
    growth: int = 0
    interpolated: int = 0
    files: dict[str, str] = field(default_factory=dict)
    is_too_large: bool = False

    def problem(self, file: RecipeFile, chain: Chain, plan: Path | None) -> Problem | None:
        """Returns why a recipe cannot be used; None if it can, which is counted.

        Arguments:
            file: the recipe.
            chain: the chain of its steps.
            plan: the plan's own file.
        """
        within = [use.file.path for use in chain[1:] if use.file is not None]
        if file.path in within or file.path == plan:
            names = [*(use.user for use in reversed(chain)), file.shown]
            first = len(within) - within.index(file.path) if file.path in within else 0
            return Problem(f"the recipe uses itself: {' → '.join(names[first:])}", hint="write its steps out")
        if len(chain) > MAX_NESTING:
            return Problem(f"more than {MAX_NESTING} recipes use one another", hint="use fewer of them")
        self.uses += 1
        self.files[file.label] = file.digest
        return self.grown(file.size)

    def grown(self, size: int) -> Problem | None:
        """Counts values and characters that a use stands for. Returns the problem if all are too many together."""
        self.growth += size
        if self.uses <= MAX_USES and self.growth <= MAX_GROWTH:
            return None
        self.is_too_large = True
        message = f"the uses up to this one are more than {MAX_USES:,}, or {MAX_GROWTH:,} values and characters"
        return Problem(message, hint="use fewer recipes")


def id_problem(use: UseStep, given: Node | None) -> Problem | None:
    """Returns the problem of a step that uses a recipe after which it cannot be called."""
    name = recipe_name(use.use)
    if given is not None or re.match(STEP_ID, name):
        return None
    return Problem(f"the step cannot be called `{name}`, as its recipe is", hint="give it an `id`")


def unknown_parameters(use: UseStep, file: RecipeFile) -> Iterator[Problem]:
    """Finds values for parameters that a recipe does not declare."""
    params = child(file.root, "params")
    declared = tuple(params.entries) if isinstance(params, Table) else ()
    for name in use.with_:
        if name not in declared:
            near = nearest(name, declared)
            hint = "" if near else f"it declares {', '.join(f'`{each}`' for each in declared)}"
            hint = hint if declared else "it declares none"
            yield Problem(f"the recipe {file.shown} declares no parameter `{name}`", None, ("with", name), hint, near)


def with_parameters(root: Node, step: Node) -> Node:
    """Returns the document of a recipe with the values that a step passes to it."""
    given, params = child(step, "with"), child(root, "params")
    if not isinstance(given, Table) or not isinstance(params, Table) or not isinstance(root, Table):
        return root
    passed = replace_node(params, entries={**params.entries, **given.entries})
    return replace_node(root, entries={**root.entries, "params": passed})


@dataclass(frozen=True, slots=True)
class UsedStep:
    """A step of a recipe, as it stands in the place of a use.

    Arguments:
        node: the step.
        chain: the places at which recipes are used that lead to it; none for a step of the plan itself.
        allowed: the lint rules that these recipes may break.
    """

    node: Node
    chain: Chain = ()
    allowed: frozenset[str] = frozenset()


def input_problems(
    use: UseStep, file: RecipeFile, declared: Iterable[str], outer: Iterable[str], used: Iterable[str]
) -> Iterator[Problem]:
    """Finds inputs of a recipe that its user does not have, and names that are not those of its inputs.

    Arguments:
        use: the step.
        file: the recipe.
        declared: the inputs that the recipe declares.
        outer: the inputs that its user declares.
        used: the inputs that its steps name.
    """
    declared, outer = tuple(declared), tuple(outer)
    for name in use.inputs:
        if name not in declared:
            hint = f"it declares {', '.join(f'`{each}`' for each in declared)}" if declared else "it declares none"
            path: DocumentPath = ("inputs", name)
            yield Problem(
                f"the recipe {file.shown} declares no input `{name}`", None, path, hint, nearest(name, declared)
            )
    for name in declared:
        meant = use.inputs.get(name, name)
        if meant not in (*outer, BASE):
            path = ("inputs", name) if name in use.inputs else ("use",)
            message = f"the plan declares no input `{meant}`, which the recipe {file.shown} reads"
            hint = f"declare it with `inputs: {{{meant}: {{}}}}`"
            if name not in use.inputs:
                hint += f", or name another one in this step: `inputs: {{{name}: …}}`"
            yield Problem(message, None, path, hint, nearest(meant, outer))
    if BASE in used and BASE not in declared and BASE in outer:
        message = f"`{BASE}` is the model before the plan in the recipe {file.shown}, and an input in this plan"
        yield Problem(message, path=("use",), hint="give the input another name")


def inlined_step(step: Table, typed: Step, identity: str, use: UseStep, non_finite: Node | None) -> Node:
    """Returns a step of a recipe as it stands in the plan that uses it.

    Arguments:
        step: the step.
        typed: the same as an op.
        identity: the id of the step that uses the recipe.
        use: that step.
        non_finite: what the recipe's head says about newly non-finite entries.
    """
    given = child(step, "id")
    span = given.span if given is not None else step.span
    own = {"id": Scalar(identity + SEPARATOR + step_id(step), span)}
    stream = step.entries.get("stream")
    if isinstance(stream, Scalar) and stream.value:
        own["stream"] = replace_node(stream, value=f"{identity}{SEPARATOR}{stream.value}")
    if use.seed is not UNSET and "seed" not in step.entries:
        own["seed"] = Scalar(use.seed, span)
    entries: dict[str, Node] = {**step.entries, **own}
    if non_finite is not None and "non_finite" not in step.entries:
        entries["non_finite"] = non_finite
    keys = {key: step.keys.get(key, span) for key in entries}
    made: Node = replace_node(step, entries=entries, keys=keys)
    for path, name in dict(typed.inputs_used()).items() if use.inputs else ():
        made = _with_input(made, path, name, use.inputs)
    return made


def _with_input(step: Node, path: DocumentPath, name: str, inputs: Mapping[str, str]) -> Node:
    """Returns a step that names another input at a path, before a colon or alone."""
    node = node_at(step, path)
    if name not in inputs or not isinstance(node, Scalar) or not isinstance(node.value, str):
        return step
    before, colon, rest = node.value.partition(":")
    return with_value(step, path, replace_node(node, value=inputs[name] + colon + rest)) if before == name else step


def record(use: UseStep, identity: str, file: RecipeFile, steps: Iterable[str], inner: Iterable[Use]) -> list[Use]:
    """Returns what reports say about a use: of the recipe, and of those that it uses."""
    seed: Any = None if use.seed is UNSET else use.seed
    below = [
        replace(
            each,
            id=identity + SEPARATOR + each.id,
            steps=tuple(identity + SEPARATOR + step for step in each.steps),
            seed=seed if each.seed is None else each.seed,
        )
        for each in inner
    ]
    return [Use(identity, file.label, use.with_, seed, use.inputs, tuple(steps)), *below]

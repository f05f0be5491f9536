"""Loads a plan from text, a file or a mapping; or reports all its problems at once.

The ops' types convert the values. Where a value does not fit its type, the schema, which is generated from the types,
explains why. With `uses_schema` the schema checks values that fit, too, as an editor does; a test checks that types
and schema accept the same plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace as replace_node

from mutspec.errors import DocumentPath, OpError, Place, PlanError, Problem, nearest
from mutspec.language.blocks import Blocks
from mutspec.language.checks import id_problems, input_problems, number_problems, step_problems, unused_problems
from mutspec.language.document import parse
from mutspec.language.explain import Finding, Validator
from mutspec.language.files import read_text, refuse_other_document
from mutspec.language.head import LANGUAGE_VERSION, PlanHead
from mutspec.language.interpolation import NAME, Interpolator, literal_problems
from mutspec.language.nodes import Node, Scalar, Sequence, Table, child, from_plain, node_at, plain, span_at
from mutspec.language.op_bugs import failure
from mutspec.language.overrides import Override, apply_overrides, numbered, step_id
from mutspec.language.plan import Plan, digest_of, effect_of
from mutspec.language.scalars import BOOLEAN_WORDS
from mutspec.language.schema import RESERVED, Catalogue, op_definitions
from mutspec.language.steps import without_own_keys
from mutspec.language.types import BASE

T = TypeVar("T")
Overrides = Iterable[Override | str]


def load_plan(
    path: str | Path,
    catalogue: Catalogue,
    *,
    overrides: Overrides = (),
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    uses_schema: bool = False,
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
) -> Plan[Any]:
    """Loads a plan from YAML text. `file` is its name in error messages; the rest is as in `load_plan`."""
    document = parse(text, file)
    package = re.match(r"\A(?:#.*\n)*#\s*@package\b", text.removeprefix("\ufeff"))
    problems = list(document.warnings)
    if package:
        line = text.count("\n", 0, package.end())
        place = Place(file, line + 1, 1, len(document.source.lines[line]) + 1, document.source.lines[line])
        problems.append(
            Problem("a plan cannot have the line `# @package`, which is Hydra's", place, hint="remove the line")
        )
    loader = _Loader(catalogue, Path(file).stem, problems, uses_schema=uses_schema)
    return loader.load(document.root, _all_overrides(overrides, params, seed))


def plan_from(
    mapping: Mapping[str, Any],
    catalogue: Catalogue,
    *,
    name: str = "plan",
    overrides: Overrides = (),
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Plan[Any]:
    """Makes a plan from Python values. `mutspec: 1` may be left out; the rest is as in `load_plan`."""
    root = from_plain({"mutspec": LANGUAGE_VERSION, **mapping})
    return _Loader(catalogue, name, []).load(root, _all_overrides(overrides, params, seed))


def _all_overrides(overrides: Overrides, params: Mapping[str, Any] | None, seed: int | None) -> tuple[Override, ...]:
    """Returns one numbered list: the call's overrides, then parameters, then the seed."""
    given = [*overrides]
    texts = numbered(item for item in given if isinstance(item, str))
    result = (
        list(texts)
        if len(texts) == len(given)
        else [Override(item, index) if isinstance(item, str) else item for index, item in enumerate(given, start=1)]
    )
    extra = [(f"params.{name}", value) for name, value in (params or {}).items()]
    extra += [("seed", seed)] if seed is not None else []
    for key, value in extra:
        result.append(Override(f"{key}={value}", len(result) + 1, value))
    return tuple(result)


@dataclass(frozen=True)
class PlanSource:
    """The origin of a plan: its trees before and after interpolation, and the ops that it was read with."""

    written: Node
    resolved: Node
    catalogue: Catalogue
    name: str

    def locate(self, path: DocumentPath) -> Place | None:
        """Returns the place where the value at a path was written."""
        span = _span(self.resolved, path)
        return span.place() if span else None

    @property
    def form_digest(self) -> str:
        """A digest of the plan before interpolation, without the values of its parameters."""
        return form_digest(self.written, self.catalogue)

    def again(
        self, overrides: Overrides = (), params: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Plan[Any]:
        """Loads the same plan with other values, parameters, or another seed."""
        return _Loader(self.catalogue, self.name, []).load(self.written, _all_overrides(overrides, params, seed))


def form_digest(written: Node, catalogue: Catalogue) -> str:
    """Returns a digest of a plan as it is written, without its labels, its seed and the values of its parameters.

    Plans that differ only in the values of their parameters have the same digest.

    Arguments:
        written: the plan before interpolation, valid or not.
        catalogue: the ops by name.
    """
    document = plain(without_own_keys(written, catalogue)) if isinstance(written, Table) else {}
    params = document.get("params")
    return digest_of({**effect_of(document), "params": sorted(params) if isinstance(params, dict) else []})


def _span(root: Node, path: DocumentPath, *, on_key: bool = False) -> Any:
    """Returns the span that a message about a path points to. For a whole step that is its op."""
    if len(path) == 2 and path[0] == "steps":
        step = node_at(root, path)
        op = child(step, "op") if step is not None else None
        if op is not None and op.span is not None:
            return op.span
    return span_at(root, path, on_key=on_key)


class _Loader:
    """Converts one tree into a plan, and collects its problems."""

    def __init__(
        self, catalogue: Catalogue, name: str, problems: Iterable[Problem], *, uses_schema: bool = False
    ) -> None:
        self.catalogue = catalogue
        self.uses_schema = uses_schema
        self.name = name
        self.problems = list(problems)
        self.bugs: list[Problem] = []
        self.root: Node = Scalar(None)
        self.unresolved: tuple[DocumentPath, ...] = ()
        self.validators: dict[str, Validator] = {}

    def load(self, root: Node, overrides: tuple[Override, ...]) -> Plan[Any]:
        """Converts a tree into a plan.

        Raises:
            PlanError: with all problems, in the order of their places.
            OpError: an op of a step has a bug, and nothing else is wrong.
        """
        if not isinstance(root, Table):
            hint = "begin with `mutspec: 1` and a list of `steps`"
            raise PlanError("a plan must be a mapping", place=root.span.place() if root.span else None, hint=hint)
        written, problems = apply_overrides(root, overrides)
        self.problems += problems
        self._resolve(written)
        self._use_blocks()
        document = plain(self.root)
        head = self._head(document)
        steps = self._steps(document.get("steps"))
        self._check_steps(document, steps)
        if any(not problem.is_warning for problem in self.problems):
            raise PlanError(sorted(self.problems, key=_order))
        if self.bugs:
            raise OpError(self.bugs)
        assert head is not None
        document.pop("blocks", None)  # the steps have their layers now
        return Plan(
            name=head.name or self.name,
            description=head.description,
            seed=head.seed,
            params=head.params,
            inputs=tuple(head.inputs),
            metadata=head.metadata,
            non_finite=head.non_finite or None,
            steps=tuple(step for step in steps if step is not None),
            document=document,
            source=PlanSource(written, self.root, self.catalogue, self.name),
            warnings=tuple(sorted(self.problems, key=_order)),
        )

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
            hint = f"{hint}; it is used on line {node.via.line}".removeprefix("; ")
        place = problem.place
        if place is None:
            span = _span(self.root, problem.path, on_key=on_key)
            place = span.place() if span else None
        self.problems.append(replace(problem, place=place, hint=hint))

    # -- stages

    def _resolve(self, written: Node) -> None:
        """Removes the user's own keys, and replaces interpolations by parameters."""
        self.root = without_own_keys(written, self.catalogue)
        params = child(self.root, "params")
        declared = params.entries if isinstance(params, Table) else {}
        for problem in literal_problems(declared):
            self._add(problem)
        interpolator = Interpolator(dict(declared))
        assert isinstance(self.root, Table)
        entries = {
            key: value if key in ("params", "inputs", "mutspec") else interpolator.resolve(value, (key,))
            for key, value in self.root.entries.items()
        }
        self.root = replace_node(self.root, entries=entries)
        for problem in interpolator.problems:
            self._add(problem)
        self.unresolved = tuple(dict.fromkeys(problem.path for problem in interpolator.problems))
        if not interpolator.problems:
            for problem in unused_problems("params", declared, interpolator.used):
                self._add(problem, on_key=True)

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
        self._check_version(document)
        of_hydra = [key for key in ("defaults", "hydra") if key in document]
        for key in of_hydra:
            message = f"a plan cannot have the key `{key}`, which is Hydra's"
            hint = "put it into the configuration that uses the plan"
            self._add(Problem(message, path=(key,), hint=hint), on_key=True)
        own = {key: value for key, value in document.items() if key not in of_hydra}
        for section in ("params", "inputs", "blocks"):
            names = document.get(section)
            for name in names if isinstance(names, dict) else ():
                if not re.fullmatch(NAME, name):
                    message = f"`{name}` cannot be the name of {_A[section]}"
                    self._add(
                        Problem(message, path=(section, name), hint="use letters, digits, `_` and `-`"), on_key=True
                    )
                elif section == "inputs" and name in RESERVED:
                    message = f"`{name}` cannot be the name of an input"
                    hint = f"`{name}:` {RESERVED[name]}, so choose another name"
                    self._add(Problem(message, path=(section, name), hint=hint), on_key=True)
        own["mutspec"] = LANGUAGE_VERSION
        return self._validated(own, PlanHead, lambda: Validator("plan", op_definitions({}), "a plan"), ())

    def _check_version(self, document: dict[str, Any]) -> None:
        version = document.get("mutspec")
        if "mutspec" not in document:
            near = nearest("mutspec", document)
            hint = f"add `mutspec: {LANGUAGE_VERSION}` as its first line" if not near else ""
            self._add(Problem("the plan does not state its language version", hint=hint), on_key=True)
        elif version != LANGUAGE_VERSION or isinstance(version, bool | float):
            is_newer = isinstance(version, int) and version > LANGUAGE_VERSION
            message = f"this mutspec reads language version {LANGUAGE_VERSION}, but the plan states {version!r}"
            hint = "a newer mutspec may read it" if is_newer else f"write `mutspec: {LANGUAGE_VERSION}`"
            self._add(Problem(message, path=("mutspec",), hint=hint))

    def _steps(self, raw: Any) -> list[Any]:
        """Converts each step into its op, or None if it is wrong."""
        if not isinstance(raw, list):
            return []
        return [self._step(index, step) for index, step in enumerate(raw)]

    def _step(self, index: int, raw: Any) -> Any:
        path: DocumentPath = ("steps", index)
        op = raw.get("op") if isinstance(raw, dict) else None
        if not isinstance(op, str) or op not in self.catalogue:
            self._bad_op(raw, op, path)
            return None
        kind = self.catalogue[op]
        for problem in step_problems(raw, kind):
            self._add(problem.below(*path))

        def validator() -> Validator:
            if op not in self.validators:
                self.validators[op] = Validator(op, op_definitions({op: kind}), f"`{op}`")
            return self.validators[op]

        unusable = [Finding(problem) for problem in number_problems(raw, kind)]
        step: Any = self._validated(raw, kind, validator, path, unusable)
        return replace_node(step, id=op) if getattr(step, "id", None) == "" else step

    def _bad_op(self, raw: Any, op: Any, path: DocumentPath) -> None:
        listing = "`mutspec ops` lists them"
        if not isinstance(raw, dict):
            self._add(
                Problem("a step must be a mapping with an `op`", path=path, hint="for instance `- op: gaussian_noise`")
            )
        elif "op" not in raw:
            named = [key for key in raw if key in self.catalogue]
            misspelt = nearest("op", raw)
            hint = f"write `op: {named[0]}`, and its other keys at the same level" if named else listing
            on_key = bool(named or misspelt)
            where = (*path, (named or list(misspelt))[0]) if on_key else path
            self._add(Problem("the step has no `op`", path=where, hint=hint), on_key=on_key)
        elif isinstance(op, str) and "${" in op:
            self._add(Problem("`op` cannot be interpolated", path=(*path, "op"), hint="write the op's name"))
        elif isinstance(op, str):
            candidates = nearest(op, self.catalogue)
            self._add(
                Problem(
                    f"there is no op `{op}`",
                    path=(*path, "op"),
                    hint="" if candidates else listing,
                    candidates=candidates,
                )
            )
        else:
            self._add(Problem("`op` must be the name of an op", path=(*path, "op"), hint=listing), accepts_text=True)

    def _validated(
        self,
        raw: Any,
        kind: type[T],
        validator: Callable[[], Validator],
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
            findings += validator().find(raw)
        for finding in findings:
            self._add(finding.problem.below(*path), on_key=finding.on_key, accepts_text=finding.accepts_text)
        if value is None and not findings:
            # Types and schema are equally strict, and a test checks it. Should a type ever be stricter, it explains.
            message, _, where = reason.partition(" - at `$")
            steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", where)
            below = tuple(key or int(index) for key, index in steps)
            self._add(Problem(f"{validator().subject} is not valid: {message}", path=(*path, *below)))
        return None if findings else value

    def _check_steps(self, document: dict[str, Any], steps: list[Any]) -> None:
        """Checks the steps together: their ids, and the inputs and parameters that they use."""
        ids = []
        used: dict[DocumentPath, str] = {}
        declared = document.get("inputs")
        names = tuple(declared) if isinstance(declared, dict) else ()
        nodes = child(self.root, "steps")
        for index, step in enumerate(nodes.items if isinstance(nodes, Sequence) else ()):
            op = child(step, "op")
            if isinstance(op, Scalar) and op.value in self.catalogue and step_id(step):
                ids.append((index, step_id(step), str(op.value), child(step, "id") is not None))
            typed = steps[index]
            if typed is None:
                continue
            try:
                for problem in [problem.below("steps", index) for problem in typed.problems()]:
                    self._add(problem)
                used |= {("steps", index, *path): name for path, name in typed.inputs_used()}
            except (Exception, SystemExit) as error:  # an op of any package may fail in any way
                span = _span(self.root, ("steps", index, "op"), on_key=False)
                place = span.place() if span else None
                self.bugs.append(replace(failure(typed, error), place=place, path=("steps", index)))
        for problem in id_problems(ids):
            self._add(problem)
        for problem in input_problems(used, (*names, BASE)):
            self._add(problem)
        if None not in steps:
            for problem in unused_problems("inputs", names, used.values()):
                self._add(problem, on_key=True)


_A = {"params": "a parameter", "inputs": "an input", "blocks": "a block"}
"""What the keys of a section are the names of."""


def quoting_hint(node: Scalar, accepts_text: bool) -> str:
    """Returns a hint for a bare word that YAML does not read as text."""
    if not node.written or isinstance(node.value, str):
        return ""
    in_quotes = f'for the text, write "{node.written}"'
    if isinstance(node.value, bool) and node.written.lower() in BOOLEAN_WORDS:
        read_as = "true" if node.value else "false"
        return f"YAML reads a bare {node.written} as {read_as}" + (f"; {in_quotes}" if accepts_text else "")
    return in_quotes if accepts_text else ""


def _order(problem: Problem) -> tuple[int, str, int, int]:
    """Returns the sort key of a problem: its place in the file; those of overrides come last."""
    place = problem.place
    if place is None:
        return (0, "", 0, 0)
    is_override = place.file.startswith("override ")
    return (int(is_override), place.file, place.line, place.column)

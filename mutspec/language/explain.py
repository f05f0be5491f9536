"""Explanations of why a value violates the schema, in sentences. Only this module uses jsonschema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mutspec.errors import DocumentPath, Problem, nearest, written_path
from mutspec.language.schema import Schema, is_extension
from mutspec.text.words import got

_REFERENCE = "#/$defs/"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, whether its place is the key rather than the value, and whether text would have been valid."""

    problem: Problem
    on_key: bool = False
    accepts_text: bool = False


class Validator:
    """Checks values against one definition of the schema.

    Arguments:
        name: the definition that a value must meet.
        definitions: the schemas that definitions refer to.
        subject: what to call the value itself, such as "`gaussian_noise`".
    """

    def __init__(self, name: str, definitions: Mapping[str, Schema], subject: str) -> None:
        self.subject = subject
        self._validator = _validator_class()({"$ref": _REFERENCE + name, "$defs": dict(definitions)})
        self._explainer = _Explainer(definitions, subject)

    def find(self, instance: Any) -> list[Finding]:
        """Returns every way in which a resolved value violates the definition."""
        errors = self._validator.iter_errors(instance)
        return list(dict.fromkeys(finding for error in errors for finding in self._explainer.explain(error)))


@cache
def _validator_class() -> Any:
    """Returns jsonschema's validator, changed so that 3.0 is not a whole number, as in our types."""
    # Imported here, because code that only describes a schema, such as the manual of an op, does not need it.
    from jsonschema import Draft202012Validator, validators

    def is_whole(_: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    extend: Any = validators.extend
    return extend(Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", is_whole))


def expected(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """Describes the values of a schema: "a number of at least 0 or a list of values by target"."""
    return _Explainer(definitions, "").expected(schema)


class _Explainer:
    def __init__(self, definitions: Mapping[str, Schema], subject: str) -> None:
        self.definitions = definitions
        self.subject = subject

    def explain(self, error: Any) -> Iterator[Finding]:
        """Explains one validation error."""
        path: DocumentPath = tuple(error.absolute_path)
        explain = getattr(self, f"_explain_{error.validator.lower()}", None)
        if explain is not None:
            yield from explain(error, path)
        else:
            yield Finding(Problem(f"{self._name(path)} is not valid: {error.message}", path=path))

    def _name(self, path: DocumentPath) -> str:
        return written_path(path) if path else self.subject

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix(_REFERENCE)]
        return schema

    # -- one method for each keyword of JSON Schema

    def _explain_type(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        yield self._mismatch(error.schema, error.instance, path)

    def _explain_enum(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        yield self._mismatch(error.schema, error.instance, path)

    _explain_const = _explain_minimum = _explain_maximum = _explain_exclusiveminimum = _explain_enum
    _explain_exclusivemaximum = _explain_pattern = _explain_multipleof = _explain_enum

    def _mismatch(self, schema: Schema, value: Any, path: DocumentPath) -> Finding:
        expected = self.expected(schema)
        allowed = self._allowed(schema)
        candidates = nearest(value, allowed) if isinstance(value, str) else ()
        hint = ""
        if isinstance(value, str) and not candidates and "," in value and expected.startswith("a number"):
            hint = "the decimal sign is a point"
        problem = Problem(
            f"{self._name(path)} takes {expected}, not {got(value)}", path=path, hint=hint, candidates=candidates
        )
        return Finding(problem, accepts_text="text" in expected or bool(allowed))

    def _allowed(self, schema: Schema) -> list[str]:
        schema = self._resolve(schema)
        values = [value for branch in schema.get("anyOf", ()) for value in self._allowed(branch)]
        return values + [value for value in schema.get("enum", ()) if isinstance(value, str)]

    def _explain_anyof(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        """Explains only the alternative that has the value's own type, because that is the one that was meant."""
        fitting = [
            index for index, branch in enumerate(error.validator_value) if self._has_type(branch, error.instance)
        ]
        if len(fitting) != 1 or isinstance(error.instance, str):
            yield self._mismatch(error.schema, error.instance, path)
            return
        for inner in error.context:
            if inner.schema_path[0] == fitting[0]:
                yield from self.explain(inner)

    def _has_type(self, schema: Schema, value: Any) -> bool:
        schema = self._resolve(schema)
        kind = schema.get("type")
        if isinstance(value, bool):
            return kind == "boolean"
        kinds = {dict: ("object",), list: ("array",), str: ("string",), int: ("integer", "number"), float: ("number",)}
        return kind in kinds.get(type(value), ("null",))

    def _explain_required(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        """Reports all missing keys for each error, because jsonschema names the missing key only in its message."""
        properties = error.schema.get("properties", {})
        unknown = [name for name in error.instance if name not in properties]
        for key in error.validator_value:
            if key in error.instance or nearest(key, unknown):  # a misspelt key is reported as an unknown one
                continue
            described = properties.get(key, {}).get("description", "")
            yield Finding(Problem(f"{self._name(path)} needs the key `{key}`", path=path, hint=described))

    def _explain_additionalproperties(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        properties = error.schema.get("properties", {})
        for key in error.instance:
            if key in properties or is_extension(key):
                continue
            candidates = nearest(key, properties)
            owners = [name for name, value in properties.items() if key in self._keys(value)]
            name, colon, value = key.partition(":")
            if colon and name in properties:
                candidates, hint = (), f"within {{ }}, write a space after the colon: {{{name}: {value or '…'}}}"
            elif candidates:
                hint = ""
            elif owners:
                hint = f"`{key}` goes under `{owners[0]}`"
            else:
                hint = f"its keys are {_listing(properties)}"
            problem = Problem(
                f"{self._name(path)} has no key `{key}`", path=(*path, key), hint=hint, candidates=candidates
            )
            yield Finding(problem, on_key=True)

    def _keys(self, schema: Schema) -> set[str]:
        schema = self._resolve(schema)
        return {
            *schema.get("properties", {}),
            *(key for branch in schema.get("anyOf", ()) for key in self._keys(branch)),
        }

    def _explain_minitems(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        least = error.validator_value
        size = len(error.instance)
        what = "is empty" if not size else f"has {size} entries"
        yield Finding(Problem(f"{self._name(path)} {what}, but needs at least {least}", path=path))

    def _explain_maxitems(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        message = f"{self._name(path)} has {len(error.instance)} entries, but takes at most {error.validator_value}"
        yield Finding(Problem(message, path=path))

    def _explain_minlength(self, error: Any, path: DocumentPath) -> Iterator[Finding]:
        yield Finding(Problem(f"{self._name(path)} is empty", path=path))

    # -- what a schema expects

    def expected(self, schema: Schema) -> str:
        """Describes the values of a schema: "a number of at least 0 or a list"."""
        reference = str(schema.get("$ref", "")).removeprefix(_REFERENCE)
        resolved = self._resolve(schema)
        if "anyOf" in resolved:
            phrases = [self.expected(branch) for branch in resolved["anyOf"]]
            return _alternatives(list(dict.fromkeys(phrases)))
        if "enum" in resolved or "const" in resolved:
            return _alternatives([f"`{value}`" for value in resolved.get("enum", [resolved.get("const")])])
        kind = resolved.get("type")
        if kind in ("number", "integer"):
            return ("a number" if kind == "number" else "a whole number") + _bounds(resolved)
        if kind == "string" and "%" in resolved.get("pattern", ""):
            return "a percentage such as `1%`"
        if kind == "string" and "pattern" in resolved and resolved.get("examples"):
            return f"text such as `{resolved['examples'][0]}`"
        if kind == "string" and "pattern" in resolved:
            return f"text of the form {resolved['pattern']}"
        # The schema of a list of fixed length has `prefixItems`, and `items` is false.
        items = self._resolve(resolved.get("items") or {})
        if kind == "array" and items.get("title", "").startswith("Case["):
            return "a list of values by target"
        if kind == "object" and reference == "Selector":  # the manual explains it in a section of its own
            return "a selector"
        if kind == "object" and "properties" in resolved:
            return f"a mapping of {_listing(resolved['properties'])}"
        return {
            "string": "text",
            "array": "a list",
            "object": "a mapping",
            "boolean": "true or false",
            "null": "nothing",
        }.get(str(kind), "another value")


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = [
        f"of at least {low}" if low is not None else f"above {above}" if above is not None else "",
        f"of at most {high}" if high is not None else f"below {below}" if below is not None else "",
    ]
    return "".join(f" {word}" if not index else f" and {word}" for index, word in enumerate(filter(None, words)))


def _alternatives(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def _listing(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)

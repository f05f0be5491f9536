"""The JSON schema of plans, generated from the ops' types. Editors use it, and error messages are made with it.

It is of draft 2020-12. The definition of each op is complete (common keys included), and allows no other keys but
`x-…`. So `additionalProperties`, which every editor understands, is enough for strictness. `${params.…}` is accepted
in place of every value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Any

import msgspec

from mutspec.language.head import LANGUAGE_VERSION, PlanHead, UseStep
from mutspec.language.interpolation import FIXED_KEYS, NAME, WHOLE, WITHIN
from mutspec.language.types import END, Section, field_types, section_of

Schema = dict[str, Any]
Catalogue = Mapping[str, type[Any]]
"""Ops by name. An op is a msgspec struct whose tag, under `op`, is that name."""

SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"
EXTENSION = "^x-"
SEPARATOR = "/"
"""What stands in the id of a step of a recipe between the id of the step that uses it and its own."""

STEP_ID = rf"^[\w-]+(/[\w-]+)*{END}"
"""The pattern of ids, which are used in layer names, in random streams and in `steps.<id>.<key>=…`.

A step that comes from a recipe has the id of the step that uses it in front: `jitter/gaussian_noise`."""

RESERVED = {"re": "begins a regular expression"}
"""Names that an input cannot have, with what they mean before a colon."""

_REFERENCE = "#/$defs/"


def schema_id(document: str, version: int) -> str:
    """Returns the `$id` of the schema of a document: its name, wherever its file lies and whatever it is called.

    Arguments:
        document: the kind of document, as `mutspec schema` takes it.
        version: the version of the document's format; of plans, that of the language.
    """
    return f"urn:mutspec:schema:{document}:{version}"


def op_definitions(ops: Catalogue) -> dict[str, Schema]:
    """Returns closed schemas of the plan's head (`plan`), of `use`, of ops (by name) and of the types in them."""
    definitions = definitions_of({"plan": PlanHead, "use": UseStep, **ops})
    definitions["use"]["title"] = "use"
    for name, op in ops.items():
        _finish_op(definitions[name], name, op)
    return definitions


def definitions_of(types: Mapping[str, type[Any]]) -> dict[str, Schema]:
    """Returns closed schemas of types, by the names that they are given, and of the types that these use."""
    references, components = msgspec.json.schema_components(types.values(), ref_template=_REFERENCE + "{name}")
    names = {_target(reference): name for reference, name in zip(references, types, strict=True)}
    inlined = {
        name: schema for name, schema in components.items() if "[" in schema.get("title", "") or "enum" in schema
    }
    renamed = {name: names.get(name, name) for name in components}
    definitions = {}
    for name, schema in sorted(components.items(), key=lambda item: renamed[item[0]]):
        if name not in inlined:
            definitions[renamed[name]] = _tidy(schema, renamed, inlined)
    return definitions


def _target(reference: Schema) -> str:
    return str(reference["$ref"]).removeprefix(_REFERENCE)


def _tidy(schema: Schema, renamed: Mapping[str, str], inlined: Mapping[str, Schema]) -> Schema:
    """Renames references, inlines generic types and enums, allows `x-` keys in objects, and drops empty defaults."""

    def visit(node: Any) -> Any:
        if isinstance(node, list):
            return [visit(item) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix(_REFERENCE)
            if name in inlined:
                about = {key: value for key, value in node.items() if key != "$ref"}
                content = {key: value for key, value in inlined[name].items() if key != "title" or "[" in value}
                return visit({**content, **about})
            return {**node, "$ref": _REFERENCE + renamed[name]}
        tidy = {key: _plain(value) if key in _DATA else visit(value) for key, value in node.items()}
        if isinstance(tidy.get("description"), str):
            tidy["description"] = cleandoc(tidy["description"])
            if "`" in tidy["description"]:  # editors show a plain description as it is, backticks and all
                tidy["markdownDescription"] = tidy["description"]
        if tidy.get("default", 1) in ("", {}, []):
            del tidy["default"]
        if tidy.get("required") == []:
            del tidy["required"]
        if isinstance(tidy.get("properties"), dict) and tidy.get("additionalProperties") is False:
            tidy["patternProperties"] = {EXTENSION: {}}
        return tidy

    result: Schema = visit(schema)
    return result


def _plain(value: Any) -> Any:
    """Returns a default or an example as JSON has it, with lists for all sequences."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


_DATA = frozenset({"default", "examples", "enum", "const", "required"})
"""Keywords that hold plain values rather than schemas."""


def _finish_op(schema: Schema, name: str, op: Any) -> None:
    schema["title"] = name
    schema["properties"]["op"] = {"const": name, "description": summary(op)}
    schema["properties"] = {key: schema["properties"][key] for key in key_order(op)}


def key_order(kind: Any) -> list[str]:
    """Returns the keys of an op's steps, of `UseStep` or of `PlanHead`, in the order in which one writes them."""
    sections = {key: section_of(each) for key, (_, each) in field_types(kind).items()}
    if kind.__struct_config__.tag:
        sections = {"op": Section.OP, **sections}
    return sorted(sections, key=lambda key: sections[key])


def summary(op: type[Any]) -> str:
    """Returns the first paragraph of an op's documentation, on one line."""
    return " ".join(cleandoc(op.__doc__ or "").split("\n\n")[0].split())


def json_schema(catalogue: Catalogue, rules: Mapping[str, str] | None = None) -> Schema:
    """Returns the JSON schema of a plan.

    Arguments:
        catalogue: the ops that a step may have, by name.
        rules: the lint rules that a plan may allow to be broken, each with its summary; None for any name.
    """
    definitions = op_definitions(catalogue)
    literal = {key: definitions["plan"]["properties"][key] for key in ("params", "inputs", "steps")}
    definitions = {name: _accept_interpolation(schema) for name, schema in definitions.items()}
    for name in ("use", *catalogue):
        if "id" in definitions[name]["properties"]:
            definitions[name]["properties"]["id"]["pattern"] = STEP_ID
    if rules:
        names = {"enum": [*rules], "markdownEnumDescriptions": [*rules.values()]}
        allow = definitions["LintSettings"]["properties"]["allow"]
        _item_schema(allow)["items"] = {"anyOf": [names, {"$ref": _REFERENCE + "interpolation"}]}
    plan = definitions.pop("plan")
    plan["properties"] |= literal
    plan["properties"]["steps"]["items"] = {"$ref": _REFERENCE + "step"}
    plan["properties"]["params"] |= {"propertyNames": {"pattern": f"^{NAME}{END}"}}
    plan["properties"]["blocks"] |= {"propertyNames": {"pattern": f"^{NAME}{END}"}}
    plan["properties"]["inputs"] |= {"propertyNames": {"pattern": f"^{NAME}{END}", "not": {"enum": [*RESERVED]}}}
    return {
        "$schema": SCHEMA_URL,
        "$id": schema_id("plan", LANGUAGE_VERSION),
        "title": "mutspec plan",
        **{key: value for key, value in plan.items() if key != "title"},
        "$defs": {"step": _step(catalogue), "interpolation": _INTERPOLATION, **definitions},
    }


def _item_schema(schema: Schema) -> Schema:
    """Returns the part of a list's schema that says what its items are."""
    branches: list[Schema] = [schema, *schema.get("anyOf", ())]
    return next(branch for branch in branches if "items" in branch)


def _step(catalogue: Catalogue) -> Schema:
    """Returns the schema of a step: the names of all ops, and for each op its keys."""
    names = sorted(catalogue)
    return {
        "title": "step",
        "type": "object",
        "anyOf": [{"required": ["op"]}, {"required": ["use"]}],
        "properties": {
            "op": {
                "description": "What the step does.",
                "enum": names,
                "markdownEnumDescriptions": [cleandoc(catalogue[name].__doc__ or name) for name in names],
            },
            "use": {"description": "The recipe whose steps this one stands for."},
        },
        "allOf": [
            {
                "if": {"properties": {"op": {"const": name}}, "required": ["op"]},
                "then": {"$ref": _REFERENCE + name},
            }
            for name in names
        ]
        + [{"if": {"required": ["use"], "not": {"required": ["op"]}}, "then": {"$ref": _REFERENCE + "use"}}],
    }


_INTERPOLATION: Schema = {
    "title": "a parameter's value",
    "description": "The value of a parameter of this plan: `${params.<name>}`.",
    "type": "string",
    "pattern": WHOLE,
}


def _accept_interpolation(schema: Schema) -> Schema:
    """Returns a definition that accepts `${params.…}` in place of each value."""
    result: Schema = _map_values(schema, _or_interpolation)
    return result


def _map_values(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Applies `change` to the schema of every value below an object's keys and a list's entries."""
    mapped = dict(schema)
    if "properties" in mapped:
        mapped["properties"] = {
            key: value if key in FIXED_KEYS else change(_map_values(value, change))
            for key, value in mapped["properties"].items()
        }
    if isinstance(mapped.get("items"), dict):
        mapped["items"] = change(_map_values(mapped["items"], change))
    if "anyOf" in mapped:
        mapped["anyOf"] = [_map_values(branch, change) for branch in mapped["anyOf"]]
    return mapped


_ABOUT = ("title", "description", "markdownDescription", "default", "examples")


def _or_interpolation(schema: Schema) -> Schema:
    """Adds an interpolation to a schema. Title, description and the like stay at the top, where editors read them."""
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    rules = {key: value for key, value in schema.items() if key not in _ABOUT}
    if not rules or rules == {"type": "string"}:
        return schema
    branches = rules["anyOf"] if set(rules) == {"anyOf"} else [rules]
    if {"type": "string"} in branches:
        return schema
    branches = list(branches)
    if any(branch.get("type") == "string" for branch in branches):
        return {**about, "anyOf": [*branches, {"type": "string", "pattern": WITHIN}]}
    return {**about, "anyOf": [*branches, {"$ref": _REFERENCE + "interpolation"}]}


def is_extension(key: str) -> bool:
    """Returns whether a key is one of the user's own, `x-…`, which every mapping of the language accepts."""
    return re.match(EXTENSION, key) is not None

"""The manual of an op, from its types and its docstring: as values, and as markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any


def manual(name: str, kind: type[Any]) -> dict[str, Any]:
    """Returns what an op's types and docstring say, as JSON values."""
    from mutspec.language.explain import expected
    from mutspec.language.schema import op_definitions, summary
    from mutspec.ops import family

    definitions = op_definitions({name: kind})
    schema = definitions[name]
    required = set(schema.get("required", ()))
    body, literature = _split_documentation(cleandoc(kind.__doc__ or ""))
    parameters = [
        {
            "name": key,
            "required": key in required,
            "type": expected(value, definitions),
            "default": value.get("default"),
            "description": value.get("description", ""),
            "examples": value.get("examples", []),
        }
        for key, value in schema["properties"].items()
        if key != "op"
    ]
    return {
        "name": name,
        "family": family(kind),
        "summary": summary(kind),
        "description": body,
        "literature": literature,
        "parameters": parameters,
        "example": _example(name, kind, parameters),
    }


def _example(name: str, kind: type[Any], parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a short step with the op: its required keys with their examples, and the keys of its own example."""
    step: dict[str, Any] = {"op": name}
    for each in parameters:
        if each["name"] in kind.example:
            step[each["name"]] = kind.example[each["name"]]
        elif each["required"]:
            step[each["name"]] = each["examples"][0] if each["examples"] else "dense_1"
    return step


def example(page: Mapping[str, Any]) -> str:
    """Returns the example of a manual as an item of YAML."""
    from mutspec.text.words import flow

    lines = [f"{key}: {flow(value)}" for key, value in page["example"].items()]
    return "\n".join(f"{'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines))


def _split_documentation(text: str) -> tuple[str, str]:
    """Returns the paragraphs of a docstring, and the one that names its sources."""
    paragraphs = text.split("\n\n")
    sources = [part for part in paragraphs if part.startswith("Literature:")]
    body = "\n\n".join(" ".join(part.split()) for part in paragraphs if part not in sources)
    return body, " ".join(" ".join(sources).removeprefix("Literature:").split())


def describe(parameter: Mapping[str, Any]) -> str:
    """Returns description, type and default of a parameter as one paragraph."""
    kind = parameter["type"]
    default = parameter["default"]
    stated = f", by default {json.dumps(default).strip(chr(34))}" if default is not None else ""
    return f"{parameter['description']} [{kind}{stated}]".strip()


def as_markdown(manuals: Sequence[Mapping[str, Any]]) -> str:
    """Returns the manuals of many ops as one page, without the parameters that all of them share."""
    shared = _shared_parameters()
    lines = [
        "# The operators",
        "",
        "Made by `mutspec ops --markdown`. Every op also takes the keys of [every step](language.md#steps); ops on "
        "weights take a [target](language.md#targets) and an [amount](language.md#amounts), by default all entries. "
        "The examples are steps of a plan; `teacher:` and the like are its [inputs](language.md#the-document).",
    ]
    family = ""
    for page in manuals:
        if page["family"] != family:
            family = page["family"]
            lines += ["", f"## {family.capitalize()}"]
        own = [each for each in page["parameters"] if (each["name"], each["description"]) not in shared]
        lines += ["", f"### `{page['name']}`", "", page["description"]]
        if own:
            lines += ["", "| parameter | takes | default | |", "|---|---|---|---|", *map(_row, own)]
        lines += ["", "```yaml", example(page), "```"]
        if page["literature"]:
            lines += ["", f"Literature: {page['literature']}"]
    return "\n".join(lines)


def _shared_parameters() -> frozenset[tuple[str, str]]:
    from mutspec.lowering.base import WeightOp

    shared = manual("op", WeightOp)["parameters"]
    return frozenset((each["name"], each["description"]) for each in shared)


def _row(parameter: Mapping[str, Any]) -> str:
    default = "required" if parameter["required"] else ""
    if parameter["default"] is not None:
        default = f"`{json.dumps(parameter['default']).strip(chr(34))}`"
    kind = parameter["type"].replace("|", "\\|")
    description = parameter["description"].replace("|", "\\|")
    return f"| `{parameter['name']}` | {kind} | {default} | {description} |"
